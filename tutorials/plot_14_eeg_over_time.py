"""
EEG encoding over time
======================

EEG says when. Every channel at every moment is a target of an encoding model, and all of them share one decomposition of the features, so that
2272 targets cost little more than one. We ask which layer of a model explains the recording when: with ceilings, latencies and their
intervals, encoders that are tried at other moments, and clusters over the scalp and time.
"""

# %%
# The recording
# -------------
# Four simulated people look at 800 scenes, twice each: 32 channels, 100 samples a second. Six feature spaces drive dipoles in the head, one after the
# other; each person is a little faster or slower. What we are to find out is known:

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import brainenc as be
from brainenc.encoding import cluster_test, latencies, temporal_generalization, temporal_score

people = {}
for name in ("01", "02", "03", "04"):
    stimuli, people[name] = be.load("insilico_eeg", subject=name)
brain = people["01"]
truth = pd.DataFrame({name: one.provenance["latencies"] for name, one in people.items()})
print(brain, brain.space, sep="\n")
print("\npeak (ms) in each person")
print((1000 * truth).round().astype(int).to_string())

# %%
# How much can be explained, where and when?
# ------------------------------------------
# The two trials of a scene agree about the signal and not about the noise. So there is a ceiling for every channel and time, and here also the truth
# to compare it with. Before the stimulus there is nothing to explain.

ceiling = be.NoiseCeiling.from_repeats(brain)
order = np.argsort(-brain.space.channels["y"].to_numpy())  # from the front of the head to the back
ms = 1000 * brain.space.times
fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for axis, values, title in zip(axes, (ceiling.variance, brain.targets["true_ceiling"]), ("estimated from two trials", "true"), strict=True):
    image = axis.pcolormesh(ms, np.arange(32), brain.space.paint_array(values)[order], vmin=0, vmax=0.9, cmap="magma", shading="nearest")
    axis.set(title=title, xlabel="time (ms)")
axes[0].set_yticks(np.arange(0, 32, 3), brain.space.channels["channel"].iloc[order[::3]])
axes[0].invert_yaxis()
fig.colorbar(image, ax=axes, label="ceiling (share of variance, mean of two trials)", aspect=30)
fig.suptitle("Noise ceilings, front of the head at the top", x=0.01, ha="left", fontweight="bold")
print(f"correlation of estimate and truth {np.corrcoef(np.nan_to_num(ceiling.variance), brain.targets['true_ceiling'])[0, 1]:.2f}")

# %%
# Layers at every moment
# ----------------------
# A quarter of the scenes is held out, both trials of a scene on one side. Penalties are chosen for every channel and time. Where nothing is to be
# predicted the largest penalty is right, which brainenc would tell.

layers = {
    **be.extract(stimuli, "gabor"), **be.extract(stimuli, "toyclip", layers=["visual.layer1", "visual.layer2", "visual.layer3", "visual.layer4"]),
    **be.extract(stimuli, "table:concepts"),
}  # fmt: skip
with warnings.catch_warnings():
    warnings.simplefilter("ignore", be.BrainencWarning)
    scores = be.score_layers(layers, people, split=be.split.images(test=0.25, seed=0), keep_predictions=True)
scores

# %%
# Each layer has its moment, and deeper layers have theirs later:

be.plot(scores, "times")

# %%
# And its place. Sources come forward from the back of the head, layer by layer:

moments = truth.mean(axis=1).to_numpy()
be.plot(scores, "scalp", layers=list(truth.index), times=moments)

# %%
# Scores stand beside their ceiling. What is missing is noise of the model's estimate, and a fifth of the signal that no model has.

few = scores.where("channel in ['Oz', 'PO4', 'P8', 'Cz']")
be.plot(few, "course", by="channel", layers=["gabor/energy", "toyclip/visual.layer2", "table:concepts/columns"])

# %%
# When? Latencies with intervals
# ------------------------------
# Onset, peak and plateau are read off the curve of each layer, here the mean over all channels. The test scenes are drawn with replacement, the same
# ones for all layers, so that intervals of a latency and of a difference of latencies belong together.

found = latencies(scores, by="type", n=500)
table = found.table.assign(driver=found.table["model"] + "/" + found.table["layer"])
table["true"] = [truth.loc[row.driver, row.subject] for row in table.itertuples()]
columns = ["layer", "onset", "peak", "peak_low", "peak_high", "true"]
print(table[table["subject"] == "01"][columns].round(2).to_string(index=False))
error = (table["peak"] - table["true"]).abs()
inside = (table["peak_low"] <= table["true"]) & (table["true"] <= table["peak_high"])
print(f"\n{len(table)} latencies: {np.mean(error < 0.0101):.0%} within one sample of the truth, {inside.mean():.0%} of the intervals hold it")

# %%

colors = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(truth)))
fig, axis = plt.subplots(figsize=(5.6, 5), layout="constrained")
for driver, color in zip(truth.index, colors, strict=True):
    mine = table[table["driver"] == driver]
    low, high = mine["peak"] - mine["peak_low"], mine["peak_high"] - mine["peak"]
    axis.errorbar(1000 * mine["true"], 1000 * mine["peak"], yerr=1000 * np.array([low, high]), fmt="o", color=color, markersize=5, linewidth=1, label=driver)
axis.axline((100, 100), slope=1, color="black", linewidth=0.8, linestyle=":")
axis.set(xlabel="true peak (ms)", ylabel="found, 95 % interval (ms)", title="Six layers in four people", aspect="equal")
axis.legend(frameon=False, fontsize=8)
axis.spines[["top", "right"]].set_visible(False)

# %%
# Is one layer later than another? A difference is tested as a difference.

later = found.differences("peak", reference="toyclip/visual.layer1")
print(later[later["subject"] == "01"][["second", "difference", "ci_low", "ci_high", "p"]].round(3).to_string(index=False))

# %%
# The temporal score says it in one number a person: the correlation of depth and time over the layers of a model.

print(temporal_score(scores.entry(model="toyclip"), n=200).table[["subject", "score", "ci_low", "ci_high"]].round(2).to_string(index=False))

# %%
# Does an encoder hold at other moments?
# --------------------------------------
# The encoder of one moment predicts the responses of another. A square would be a code that stays; ours live along the diagonal, as wide as
# the source is long (and wider where noise is slow).

general = temporal_generalization(scores, layers=["gabor/energy", "toyclip/visual.layer3", "table:concepts/columns"], average=True)
be.plot(general)

# %%
# Is it there at all?
# -------------------
# 2272 tests in a person need one answer. Neighbours in space (within 50 mm) and in time make clusters; scenes are permuted, and
# the largest cluster of each permutation is the null of all. A cluster says that there is something, not when it begins.
# Four people are too few for a test over people: no pattern of four signs is rarer than 1 in 16.

near = list(brain.space.neighbourhoods(50.0, time_window=0.01))
for driver in ("gabor/energy", "table:concepts/columns"):
    model, layer = driver.split("/")
    clusters = cluster_test(scores.where(subject="01").entry(model=model, layer=layer), adjacency=near, n=500, seed=0)
    print(f"\n{driver}, true peak {1000 * truth.loc[driver, '01']:.0f} ms")
    print(clusters.table[clusters.table["p"] <= 0.05][["start", "stop", "n_cells", "p", "channels"]].round(3).to_string(index=False))

be.plot(clusters, scores=scores.where(subject="01"), title="table:concepts/columns: clusters of channels and times")

# %%
# A real recording
# ----------------
# The same lines serve real data. ``n170_muse`` is one person with four dry electrodes who sees faces and houses (``brainenc fetch n170_muse``). Leaving
# one run out, the category explains single trials at both temporal contacts between 190 and 310 ms: r is 0.15 at TP10 and 0.10 at TP9 on
# average, and 0.03 or less over both frontal ones.
#
# .. code-block:: python
#
#     stimuli, brain = be.load("n170_muse", variant="kept")
#     category = be.extract(stimuli, "table:stimulus_id")
#     scores = be.score_layers(category, brain, split=be.split.runs(), average=False, keep_predictions=True)
#     be.plot(scores, "course")
