"""
Time series done right
======================

Scans follow one another: each looks like the one before, and the response to a picture comes seconds after it. Three things go wrong when that is
forgotten. Features are not delayed, or delayed across the border of a run; neighbouring scans stand on both sides of a split; and scans are
permuted one by one. Here is what to do instead, and how large the damage is.
"""

# %%
# A film, and a brain that answers late
# -------------------------------------
# Four runs of 150 scans, two seconds apart. The film has a feature vector every half second. The responses are a mixture of the features four and
# six seconds before, plus noise that remembers (0.5 from scan to scan) and drifts.

import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import lfilter

import brainenc as be
from brainenc import metrics

rng = np.random.default_rng(0)
runs, scans, t_r, n_targets = 4, 150, 2.0, 40


def remembering(rng, shape, rho):
    return lfilter([1.0], [1.0, -rho], rng.standard_normal((shape[0] + 100, shape[1])), axis=0)[100:]


frames = np.concatenate([remembering(rng, (scans * 4, 8), 0.9) for _ in range(runs)])
clock = {"run": np.repeat(np.arange(1, runs + 1), scans * 4), "onset": np.tile(np.arange(scans * 4) * 0.5, runs)}
clock["stimulus_id"] = [f"run{r}_{t:05.1f}s" for r, t in zip(clock["run"], clock["onset"])]
film = be.FeatureSpace(frames, clock, name="film/motion")

run = np.repeat(np.arange(1, runs + 1), scans)
silent = be.Responses(np.zeros((runs * scans, n_targets)), {"run": run}, t_r=t_r, name="01")
late = be.design(film, silent, delays=[4, 6])
signal = late.values @ rng.standard_normal((late.values.shape[1], n_targets))
noise = np.concatenate([remembering(rng, (scans, n_targets), 0.5) + np.cumsum(rng.standard_normal((scans, n_targets)), axis=0) / 8 for _ in range(runs)])
brain = be.Responses(0.4 * signal / signal.std(axis=0) + noise / noise.std(axis=0), {"run": run}, t_r=t_r, name="01")
print(brain)

# %%
# One row a scan
# --------------
# ``design`` brings the features to the scans (a Lanczos low-pass, here from 2 Hz to 0.5 Hz) and lays delayed copies side by side. It works run by
# run: before a run has begun there is nothing to see.

delayed = be.design(film, brain, delays=[2, 4, 6, 8])
print(delayed.values.shape, [int(delay) for delay in np.unique(delayed.features["delay"])], "s")

# %%
# Rolling the whole matrix instead lets the end of one run explain the beginning of the next:

plain = be.design(film, brain, delays=[0]).values
rolled = np.concatenate([np.roll(plain, shift, axis=0) for shift in (1, 2, 3, 4)], axis=1)
print("rows that hold another run's features:", int((~np.isclose(rolled, delayed.values).all(axis=1)).sum()), "of", len(rolled))

# %%
# Leave runs out
# --------------
# Whole runs train and test; the penalties are chosen on whole runs too, inside the training runs. Delays matter:

for name, delays in (("no delay", [0]), ("2 to 8 s", [2, 4, 6, 8])):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", be.BrainencWarning)
        scores = be.score_layers(be.design(film, brain, delays=delays), brain, split=be.split.runs(), permutations=500, bootstrap=500)
    print(f"{name}: median r {np.median(scores.mean()):.3f}, {(scores.q <= 0.05).mean():.0%} of the targets with q ≤ 0.05")
print(scores.provenance["inner"], "·", scores.provenance["exchangeable"]["01"])

# %%
# Shuffled folds find signal in noise
# -----------------------------------
# Now there is nothing to be found: smooth features, and responses that are noise with a memory and a slow drift. One run, five folds. With
# contiguous blocks, and a gap as long as the delays on either side of a test block, r is zero on average. With shuffled folds a test scan's
# neighbours are in the training set, and what they share with it, noise and all, is "predicted". ``score_layers`` refuses that unless forced.


def pure_noise(seed, n=600):
    rng = np.random.default_rng(seed)
    layer = be.FeatureSpace(remembering(rng, (n, 40), 0.9), {"run": np.ones(n, dtype=int)}, name="noise/smooth", rows="sample")
    drift = np.cumsum(rng.standard_normal((n, 20)), axis=0)
    values = remembering(rng, (n, 20), 0.4)
    return layer, be.Responses(values / values.std(axis=0) + drift / drift.std(axis=0), {"run": np.ones(n, dtype=int)}, t_r=t_r)


ways = {"blocks with a gap": be.split.blocks(5, gap=10), "shuffled scans": be.split.kfold(5, None, seed=0, force=True)}
found = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", be.BrainencWarning)
    for name, split in ways.items():
        found[name] = np.concatenate([be.score_layers(*pure_noise(seed), split=split).mean()[0] for seed in range(16)])
try:
    be.score_layers(*pure_noise(0), split=be.split.kfold(5, None, seed=0))
except be.BrainencError as error:
    print(error)
for name, r in found.items():
    print(f"{name:18s} mean r of pure noise {r.mean():+.3f}")

# %%
# It is not the drawing of lots that does it. Take out every fifth stretch of scans, in order: the shorter the stretches, the closer a training scan, and
# the larger the r of nothing. (A column of the samples names the stretches; ``groups=`` holds out whole groups.)

lengths = (1, 3, 6, 12, 24, 60, 120)
stretches = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", be.BrainencWarning)
    for length in lengths:
        r = []
        for seed in range(8):
            layer, nothing = pure_noise(seed)
            samples = nothing.samples.assign(stretch=np.arange(600) // length % 5)
            r.append(be.score_layers(layer, replace(nothing, samples=samples), split=be.split.kfold(5, "stretch")).mean()[0].mean())
        stretches[length] = r

# %%

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
colors = {"blocks with a gap": "#0072B2", "shuffled scans": "#D55E00"}
for name, r in found.items():
    left.hist(r, bins=np.linspace(-0.4, 0.8, 37), color=colors[name], alpha=0.75, label=f"{name}: mean {r.mean():+.2f}")
left.axvline(0, color="black", linewidth=0.8)
left.set(xlabel="r of pure noise (320 targets)", ylabel="targets", ylim=(0, 100))
left.legend(frameon=False, fontsize=8)
for seed, r in enumerate(np.array(list(stretches.values())).T):
    right.plot(lengths, r, color="0.8", linewidth=0.8, label="one recording" if seed == 0 else None)
right.plot(lengths, [np.mean(r) for r in stretches.values()], "o-", color="#D55E00", label="mean, no gap")
right.axhline(found["blocks with a gap"].mean(), color="#0072B2", label="blocks of 120 scans with a gap")
right.axhline(0, color="black", linewidth=0.8)
right.set(xscale="log", xticks=lengths, xticklabels=lengths, xlabel="scans held out in a row", ylabel="mean r of pure noise")
right.minorticks_off()
right.legend(frameon=False, fontsize=8)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)

# %%
# Scans are no units
# ------------------
# A permutation test asks how large r would be had predictions nothing to do with responses. Exchanging single scans takes the memory of both
# away, so the null is too narrow; exchanging blocks of 20 s keeps it. ``score_layers(permutations=…)`` and the bootstrap move blocks.

predicted, observed = (remembering(np.random.default_rng(seed), (300, 1000), 0.7) for seed in (1, 2))
for name, units in (("single scans", np.arange(300)), ("blocks of 10 scans", np.repeat(np.arange(30), 10))):
    p = metrics.permutation_p([(observed, predicted)], n=500, units=[units])
    print(f"{name:18s} {np.mean(p <= 0.05):.1%} of unrelated series have p ≤ 0.05")

# %%
# Where the noise remembers longer than 20 s, ask for longer blocks: ``be.encoding.permutation_test(scores, block=30)`` and
# ``be.encoding.bootstrap(scores, block=30)``.
