"""
Noise ceilings
==============

Responses are noisy, so no model can predict them perfectly. A noise ceiling says how far the best possible model would get. It is a number
with units, it belongs to the mean of a certain number of repeats, and it is uncertain itself. Here we estimate it in every way there is, check
each against the truth, and see what a few popular mistakes would have claimed.
"""

# %%
# Repeats tell noise from signal
# ------------------------------
# Every scene of ``insilico`` was shown three times, and as the data are simulated, the true ceiling of every target is known.

import matplotlib.pyplot as plt
import numpy as np

import brainenc as be

_, brain = be.load("insilico", subject="01")
ceiling = be.NoiseCeiling.from_repeats(brain, n_boot=200, seed=0)
print(ceiling)
truth = brain.targets["true_ceiling"].to_numpy()
low, high = ceiling.ci
print(f"median error {np.median(np.abs(ceiling.values - truth)):.3f}; {np.mean((low <= truth) & (truth <= high)):.0%} of the intervals hold the truth")

# %%
# A ceiling has an estimand
# -------------------------
# The share of the variance of the *mean of three* responses that is signal is the largest R² that a model can reach there; its root is the
# largest Pearson's r. Single trials are noisier and have a lower ceiling. The object knows which one it is, and divides a score by the
# ceiling of the same units.

v4 = brain.where(roi="V4")
for n_repeats in (1, 3, 10):
    one = be.NoiseCeiling.from_repeats(v4, n_repeats=n_repeats)
    print(f"mean of {n_repeats:2d}: R² up to {np.median(one.variance):.2f}, r up to {np.median(one.correlation):.2f}")

# %%
# Every way to the same number
# ----------------------------
# All estimators from repeats have the same estimand. They differ in what they assume: ``explainable_variance`` and ``signal_power`` compare
# whole repeats, ``shuffle`` allows for noise that lasts from one trial to the next.

for name, summary in be.metrics.ceiling_methods().items():
    print(f"{name:21s} {np.median(be.NoiseCeiling.from_repeats(v4, method=name).values):.3f}  {summary}")

# %%
# Repeats are rarely equal
# ------------------------
# Let us lose a third of the trials. What counts is the mean over stimuli of 1 / repeats, and the estimators that take whole repeats say that they
# cannot be used.

rng = np.random.default_rng(0)
uneven = v4.take_rows(np.sort(rng.permutation(v4.n_samples)[: 2 * v4.n_samples // 3]))
print(be.NoiseCeiling.from_repeats(uneven))
try:
    be.NoiseCeiling.from_repeats(uneven, method="explainable_variance")
except ValueError as error:
    print(error)

# %%
# What would a perfect model score?
# ---------------------------------
# The test of a ceiling. Signal and noise are equally strong, three repeats: the signal itself, which no model can beat, reaches an R² of 3/4. Divided
# by a correct ceiling it scores 1.

n_stimuli, n_targets, n_repeats = 400, 200, 3
signal = rng.standard_normal((n_stimuli, n_targets))
stacked = signal + rng.standard_normal((n_repeats, n_stimuli, n_targets))
ids = [f"image{i}" for i in range(n_stimuli)]
table = {"stimulus_id": ids * n_repeats, "run": np.repeat(np.arange(n_repeats), n_stimuli)}
trials = be.Responses(stacked.reshape(-1, n_targets), table)
mean = stacked.mean(axis=0)
r2, r = be.metrics.r2(mean, signal), be.metrics.pearson(mean, signal)

claims = {name: be.NoiseCeiling.from_repeats(trials, method=name).normalize(r2, "r2") for name in be.metrics.ceiling_methods()}

# %%
# And the mistakes. Each of them is, or was, in use.

half = be.metrics.pearson(stacked[0], stacked[1])
reliability = 3 * half / (1 + 2 * half)
single = be.NoiseCeiling.from_repeats(trials, method="explainable_variance", n_repeats=1).values
mistakes = {
    "R² / explainable variance of one repeat": r2 / single,
    "R² / reliability²": r2 / reliability**2,
    "R² / (two-half reliability)²": r2 / (2 * half / (1 + half)) ** 2,
    "r / reliability": r / reliability,
}

# %%
# The worst one has no repeats at all: responses to the even images against responses to the odd ones. Different images share nothing, the
# "ceiling" is zero, and a floor with a clip turns whatever is divided by it into a 1.

one_each = stacked[0]
poor = 0.3 * signal + rng.standard_normal(signal.shape)
even_odd = np.maximum(be.metrics.pearson(one_each[::2], one_each[1::2]), 0.01)
print(f"the poor model has r = {np.median(be.metrics.pearson(one_each, poor)):.2f}")
mistakes["poor model / even-odd images, clipped"] = np.clip(be.metrics.pearson(one_each, poor) / even_odd, None, 1)
try:
    be.NoiseCeiling.from_repeats(be.Responses(one_each, {"stimulus_id": ids}))
except ValueError as error:
    print(error)

# %%
# Dots are medians over targets, lines the middle 95 %. Everything right of 1 claims more than perfection.

fig, ax = plt.subplots(figsize=(7.5, 4.4), layout="constrained")
rows = [*((name, values, "#1b6ca8") for name, values in claims.items()), *((name, values, "#c0392b") for name, values in mistakes.items())]
for y, (_, values, colour) in enumerate(reversed(rows)):
    ends = np.nanpercentile(values, [2.5, 97.5])
    ax.plot(ends, [y, y], color=colour, lw=2)
    ax.plot(np.nanmedian(values), y, "o", color=colour)
ax.axvline(1, color="0.6", lw=1, zorder=0)
ax.axhline(len(mistakes) - 0.5, color="0.85", lw=1)
ax.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
ax.set_xlabel("normalised score of a perfect model\n(last row: of a poor one)")
ax.set_xlim(0.8, 2.2)
ax.spines[["top", "right"]].set_visible(False)
ax.text(2.15, len(rows) - 1, "right", ha="right", va="center", color="#1b6ca8")
ax.text(2.15, 0, "wrong", ha="right", va="center", color="#c0392b")

# %%
# Scores that correct themselves
# ------------------------------
# With the trials at hand, the noise can be taken out of the score itself: the normalised correlation, the share of the signal power explained,
# and the unbiased r², which is zero on average for a model without any relation to the data.

guess = 0.7 * (0.7 * signal + np.sqrt(1 - 0.7**2) * rng.standard_normal(signal.shape))
for score, planted in ((be.metrics.cc_norm, 0.7), (be.metrics.signal_power_explained, 0.49), (be.metrics.unbiased_r2, 0.49)):
    found = score(trials, guess, n_boot=100)
    print(f"{score.__name__:23s} {np.median(found.values):.2f} [{np.median(found.ci[0]):.2f}, {np.median(found.ci[1]):.2f}], planted {planted}")

# %%
# Other evidence: other people, and standard errors
# -------------------------------------------------
# Where nobody saw a stimulus twice, other subjects in a common space say how much is shared, as a lower and an upper bound on the correlation of a
# group model with one person (here four people who share half of their variance). Betas that come with standard errors need no repeats.

group = [be.Responses(signal + rng.standard_normal(signal.shape), {"stimulus_id": ids}) for _ in range(4)]
bounds = [np.median(be.NoiseCeiling.from_subjects(group, bound=bound).values) for bound in ("lower", "upper")]
print(f"between {bounds[0]:.2f} and {bounds[1]:.2f}; the truth is {np.sqrt(0.5):.2f}")
betas = be.Responses(signal + 0.5 * rng.standard_normal(signal.shape), {"stimulus_id": ids})
print(be.NoiseCeiling.from_standard_errors(betas, np.full(signal.shape, 0.5)))

# %%
# A fitted model is noisy too
# ---------------------------
# A ceiling from repeats corrects for noise in the test responses. A map fitted to noisy training responses is noisy as well, so that even the model
# which made the data stays below the ceiling. Halves of the trials tell how noisy: maps are fitted to both, and compared.

x = rng.standard_normal((200, 30))
made = x @ rng.standard_normal((30, 40)) / np.sqrt(30)
neurons = be.Responses(np.tile(made, (6, 1)) + 2 * rng.standard_normal((1200, 40)), {"stimulus_id": ids[:200] * 6})
layer = be.FeatureSpace(x, {"stimulus_id": ids[:200]}, name="the/truth")
found = be.encoding.noise_corrected_consistency(layer, neurons, split=be.split.images(test=0.25, seed=0, n=4), n_halves=50)
ordinary = be.NoiseCeiling.from_repeats(neurons).normalize(found.r.mean(axis=0))
print(f"r {np.median(found.r):.2f}, over the ceiling {np.median(ordinary):.2f}, corrected for the map as well {np.median(found.per_target()):.2f}")
print(found.by().round(3).to_string(index=False))
