"""
From scores to a claim
======================

A score is a number; a claim says that it would be there again. Is a target predicted at all? How well, give or take? Is one layer better than another,
or does it only look so? Which layer is best, and how sure is that? And what must not be done, however common it is?
"""

# %%
# Scores with what belongs to them
# --------------------------------
# Five folds over 160 images, few enough to leave something in doubt. Every test is done on held-out predictions: they are permuted (is there
# anything?), drawn with replacement (how well?) and drawn for two layers at once (which is better?). The models are not refitted.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import brainenc as be
from brainenc.encoding import best_layer, bootstrap, compare, permutation_test, sign_flip_test

stimuli, brain = be.load("insilico", subject="01")
chosen = stimuli.table.index[::4][:160]
images = stimuli.take(chosen)
brain = brain.take_rows(np.isin(brain.samples["stimulus_id"], chosen))
layers = {**be.extract(images, "gabor"), **be.extract(images, "toyclip", layers=["visual.layer1", "visual.layer2", "visual.layer3", "visual.layer4"])}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", be.BrainencWarning)  # some regions hold no layer's signal: their penalties end at the edge of the grid
    scores = be.score_layers(layers, brain, split=be.split.kfold(5, seed=0), keep_predictions=True)
scores = bootstrap(permutation_test(scores, n=500), n=500)
scores

# %%
# ``score_layers(…, permutations=500, bootstrap=500)`` does the same at once. The table has one row a target:

columns = ["roi", "layer", "target_id", "p", "q", "p_max", "ci_low", "ci_high"]
print(scores.to_frame().query("fold == 0").sample(5, random_state=0)[columns].round(3).to_string(index=False))

# %%
# p, q and p_max
# --------------
# ``p`` is right for one target that was chosen beforehand. With many targets, one in twenty has p ≤ 0.05 by chance. ``q`` keeps the share of
# false ones among those that are claimed, ``p_max`` keeps the chance of even one: it compares with the largest r of all targets and layers
# in each permutation. The layers of a brain share much, so the maximum is less severe than dividing by the number of tests.

late = scores.entry(model="toyclip")
for name in ("p", "q", "p_max"):
    print(f"{name:5s} ≤ 0.05 in {np.mean(getattr(late, name) <= 0.05):4.0%} of {late.p.size} tests")

# %%
# How well, give or take
# ----------------------
# The interval says what other images would give with these models. It is beside the score, never instead of it.

layer = scores.layers[-1]
one = scores.entry(layer=layer.split("/", 1)[1])
order = np.argsort(one.mean()[0])[::8]
fig, axis = plt.subplots(figsize=(9, 3.2), layout="constrained")
r, (low, high) = one.mean()[0, order], one.ci[:, 0, order]
claimed = np.select([one.p_max[0, order] <= 0.05, one.q[0, order] <= 0.05], [2, 1], 0)
for level, color, label in ((2, "#0072B2", "p_max ≤ 0.05"), (1, "#56B4E9", "q ≤ 0.05"), (0, "0.65", "not claimed")):
    here = np.flatnonzero(claimed == level)
    axis.errorbar(here, r[here], yerr=[r[here] - low[here], high[here] - r[here]], fmt="o", markersize=3, linewidth=0.8, color=color, label=label)
axis.axhline(0, color="black", linewidth=0.8)
axis.set(xlabel="every eighth target, sorted", ylabel="r, 95 % interval", title=layer)
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# A difference is tested as a difference
# --------------------------------------
# Two p-values say nothing about whether two layers differ. ``compare`` draws the same images for both, so that what they share cancels: it
# is surer of a difference than the two intervals suggest. For models, let each choose its layers on training rows first.

table = compare(scores.best(within="model"), by="roi", n=500)
print(table[["roi", "first", "second", "difference", "ci_low", "ci_high", "p", "q"]].round(3).to_string(index=False))

# %%
# Which layer is best?
# --------------------
# The largest bar wins by luck too. ``confidence`` is the share of draws in which the winner wins, ``distinct`` whether its lead over the runner-up
# excludes zero, ``inner_layer`` what the training rows alone would have chosen, and in how many folds (``stability``). ``nested_score`` is the score of
# those choices, and the one to report: the winner's own was chosen because it was large.

regions = best_layer(scores.entry(model="toyclip"), by="roi", n=500)
columns = ["roi", "layer", "score", "confidence", "runner_up", "distinct", "inner_layer", "stability", "nested_score"]
print(regions[columns].replace({"toyclip/visual.": ""}, regex=True).round(2).to_string(index=False))

# %%
# The depth of the best layer, with the range over the draws. Faint points are no claim.

fig, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for place, row in regions.iterrows():
    axis.plot([place, place], [row["depth_low"], row["depth_high"]], color="#0072B2", linewidth=3, alpha=0.35, solid_capstyle="round")
    axis.plot(place, row["depth"], "o", color="#0072B2", markersize=9, alpha=max(0.15, row["confidence"]))
axis.set(xticks=range(len(regions)), xticklabels=regions["roi"], ylim=(-0.08, 1.08), yticks=[0, 1], yticklabels=["first layer", "last layer"])
axis.spines[["top", "right"]].set_visible(False)

# %%
# Other people
# ------------
# All of the above is about this person and other images. About other people, subjects are what varies. Signs of whole subjects are flipped; with
# few of them every pattern is tried, and p cannot be smaller than one over their number.

scored = {}
for subject in ("02", "03", "04"):
    _, other = be.load("insilico", subject=subject)
    scored[subject] = other.take_rows(np.isin(other.samples["stimulus_id"], chosen))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", be.BrainencWarning)
    group = be.score_layers(layers["toyclip/visual.layer4"], {"01": brain, **scored}, split=be.split.kfold(5, seed=0))
print(sign_flip_test(group, by="roi")[["roi", "score", "sd", "t", "p", "p_max", "n_subjects"]].round(3).to_string(index=False))

# %%
# What must not be done
# ---------------------
# Voxels share their noise and folds share their training images: neither is a sample. Here there is nothing to be found, 60 times over. A test
# that keeps its promise says p ≤ 0.05 in one of twenty.

ids = [f"image{i}" for i in range(80)]
p = {"t-test over voxels": [], "t-test over 20 draws of a split": [], "best of 8 layers": [], "permutation, one layer": []}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", be.BrainencWarning)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((80, 1)) + 0.5 * rng.standard_normal((80, 20))  # voxels that share their noise
        nothing = be.Responses(noise, {"stimulus_id": ids}, name="01")
        random = {f"toy/{k}": be.FeatureSpace(rng.standard_normal((80, 6)), {"stimulus_id": ids}, name=f"toy/{k}") for k in range(8)}
        fixed = be.encoding.Ridge(alphas=[10.0], cv=None)
        null = be.score_layers(random, nothing, split=be.split.images(0.4, seed=0), encoder=fixed, permutations=99, seed=seed)
        draws = be.score_layers(random["toy/0"], nothing, split=be.split.images(0.3, seed=0, n=20), encoder=fixed)
        p["t-test over voxels"].append(stats.ttest_1samp(null.mean()[0], 0, alternative="greater").pvalue)
        p["t-test over 20 draws of a split"].append(stats.ttest_1samp(draws.values[0, :, 0], 0, alternative="greater").pvalue)
        p["best of 8 layers"].append(null.p[:, 0].min())
        p["permutation, one layer"].append(null.p[0, 0])
for name, values in p.items():
    print(f"{name:32s} p ≤ 0.05 in {np.mean(np.array(values) <= 0.05):4.0%} of pure noise")

# %%

fig, axis = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
for (name, values), color in zip(p.items(), ("#D55E00", "#E69F00", "#CC79A7", "#0072B2"), strict=True):
    axis.step(np.sort(values), np.arange(1, 61) / 60, where="post", color=color, label=name)
axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
axis.set(xlabel="p", ylabel="share of null worlds with a smaller p", xlim=(0, 1), ylim=(0, 1.02))
axis.legend(frameon=False, fontsize=8, loc="lower right")
axis.spines[["top", "right"]].set_visible(False)
