"""
RSA through time: which model, and from when
============================================

EEG and MEG measure a pattern over sensors at every moment, so that there is an RDM at every moment, and models can be asked when they come to
explain it. Twelve simulated people see four kinds of things at four places. A code of the place comes up early and passes on from one set of
sensors to the next; a code of the category comes up later and stays. We find both onsets, and what becomes of each code.
"""

# %%
# The recording
# -------------
# 16 conditions, four runs, three trials of each in a run; 32 sensors on a cap, from 100 ms before the stimulus to 600 ms after it. The noise has
# more power at low frequencies (as 1/f), is shared by neighbouring sensors, and grows in the second half of the trial, when people begin to move.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import brainenc as be

TIMES = np.arange(-10, 61) / 100
PLACE_ONSET, CATEGORY_ONSET = 0.08, 0.20
PLACES, CATEGORIES = ["left", "up", "right", "down"], ["face", "hand", "house", "tool"]
conditions = pd.DataFrame({"category": np.repeat(CATEGORIES, 4), "place": PLACES * 4})
conditions.insert(0, "stimulus_id", conditions["category"] + " " + conditions["place"])

# %%
# Sensors have places in millimetres and every column is a sensor at a time: a `SensorSpace` knows both.

golden = np.pi * (1 + 5**0.5) * np.arange(32)
height = 1 - 1.1 * (np.arange(32) + 0.5) / 32
cap = 95 * np.column_stack([np.cos(golden) * np.sqrt(1 - height**2), np.sin(golden) * np.sqrt(1 - height**2), height])
channels = pd.DataFrame({"channel": [f"E{i + 1:02d}" for i in range(32)], "type": "eeg", "x": cap[:, 0], "y": cap[:, 1], "z": cap[:, 2]})
space = be.SensorSpace(channels, TIMES)
print(space)

# %%
# Sources in the head reach neighbouring sensors alike, so that signals and noise are smooth over the cap. What we are to find out stands here: each
# code is a pattern over sensors for each of its values, times a course. The place has two patterns, one after the other. A third
# code has a geometry that all people share and that none of our models knows.

SMOOTH = np.exp(-((np.linalg.norm(cap[:, None] - cap[None], axis=-1) / 50) ** 2))
SMOOTH /= np.linalg.norm(SMOOTH, axis=1, keepdims=True)
SHARED = np.random.default_rng(7).standard_normal((16, 3))


def course(start, full, fades, gone):
    return np.interp(TIMES, [start, full, fades, gone], [0, 1, 1, 0])


place, category = (pd.get_dummies(conditions[name])[values].to_numpy(float) for name, values in (("place", PLACES), ("category", CATEGORIES)))
CODES = [
    (0.9 * place, course(PLACE_ONSET, 0.11, 0.13, 0.19)),
    (0.7 * place, course(0.14, 0.19, 0.24, 0.36)),
    (0.7 * category, course(CATEGORY_ONSET, 0.26, 0.45, 0.75)),
    (0.3 * SHARED, course(0.22, 0.30, 0.45, 0.75)),
]


def record(subject):
    rng = np.random.default_rng([7, subject])
    signal = sum(np.einsum("cv,vs,t->cst", values, rng.standard_normal((values.shape[1], 32)) @ SMOOTH, when) for values, when in CODES)
    samples = conditions.loc[np.tile(np.arange(16), 12)].assign(run=np.repeat(["1", "2", "3", "4"], 48), repeat=np.tile(np.repeat([1, 2, 3], 16), 4))
    frequencies = np.maximum(np.fft.rfftfreq(128), 1 / 128)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal((192, 32, 128))) / np.sqrt(frequencies), axis=-1)[..., :71]
    noise = np.einsum("nst,su->nut", noise, SMOOTH) * (1 + 0.8 * np.clip((TIMES - 0.3) / 0.3, 0, 1)) / 2
    values = np.tile(signal, (12, 1, 1)) + noise
    return be.Responses(values.reshape(192, -1).astype(np.float32), samples.reset_index(drop=True), space=space, units="µV", name=f"{subject:02d}")


brains = {f"{subject:02d}": record(subject) for subject in range(1, 13)}
print(brains["01"])

# %%
# A movie of RDMs
# ---------------
# ``rdm_movie`` is ``rdm`` for every moment. Crossnobis distances multiply differences from different runs, so that noise averages to zero, and are
# in units of the noise; ``noise_window="each"`` estimates that noise at each moment anew, from trials less the mean of their condition and run.

movie = be.rsa.rdm_movie(brains, metric="crossnobis", folds="run", noise="schaefer_strimmer", noise_window="each")
print(movie)
before = movie.where("time < 0").average("subject").values
print(f"before the stimulus: mean distance {before.mean():+.4f}, standard error over subjects {before.mean(axis=1).std(ddof=1) / np.sqrt(12):.4f}")

# %%
# Some moments, averaged over people:

moments = movie.where(time=[0.0, 0.12, 0.22, 0.4]).average("time")
be.plot(moments, order="category", title="Distances at four moments")

# %%
# Models at every moment
# ----------------------
# Same or different place, same or different category. One evaluation serves all moments: the same people and conditions are resampled everywhere.

models = {name: be.rsa.rdm(code, metric="euclidean", conditions=conditions) for name, code in (("place", place), ("category", category))}
evaluation = be.rsa.evaluate(models, movie, by="time", method="pearson", n=1000, seed=0)
print(evaluation)

# %%
# Is it more than chance, anywhere? Two answers, both by flipping the signs of people. The largest t over all models and moments is the null of
# each single one (``p_max``), so that every moment at p ≤ 0.05 may be named. Neighbouring moments above a threshold make a cluster, which is more
# sensitive to what lasts; it says that there is something, not when exactly it began.

single = be.rsa.sign_flip_test(evaluation, maximum_over=("model", "time"), n=1000, seed=0)
clusters = {name: be.rsa.cluster_test(evaluation.take(models=[i]), tail="greater", n=1000, seed=0) for i, name in enumerate(models)}
for name, found in clusters.items():
    named = single[(single["model"] == name) & (single["p_max"] <= 0.05)]["time"]
    print(f"{name:9s} first single moment {named.min():.2f} s")
    print(found.table[["start", "stop", "mass", "p"]].round(4).to_string(index=False))

# %%
# Before the stimulus people do not agree on anything: the lower ceiling is at zero. The upper one is not, as each person is part of the mean that
# she is compared with. Later the category model stays below the ceiling, because people share a geometry that it does not know.

be.plot(evaluation, "course", clusters=clusters)

# %%
# What is a model's own?
# ----------------------
# The place is found when it comes up. The category seems to come late, and to be *worse* than nothing before. Both are the other model's
# doing: conditions of one category are always at different places, so the two models are not independent.

print(f"correlation of the models: {be.rsa.compare(models['place'], models['category'], 'pearson')[0, 0]:+.2f}")

# %%
# ``partition_variance`` asks what each explains that the other does not, with weights that are fitted to other people and other conditions than
# those they are judged on. (Judged like this, noise explains nothing, or a little less.)

partition = be.rsa.partition_variance(models, movie, by="time", cv="both", n_assignments=10, n=0)
own = {name: partition.share[:, :, partition.subsets.index((name,))].T for name in models}
planted = {"place": PLACE_ONSET, "category": CATEGORY_ONSET}
for name, shares in own.items():
    named = TIMES[be.rsa.sign_flip_test(shares, n=1000, seed=0)["p_max"] <= 0.05]
    largest = be.rsa.cluster_test(shares, tail="greater", axes={"time": TIMES}, n=1000, seed=0).table.iloc[0]
    print(
        f"{name:9s} planted {planted[name]:.2f} s, first single moment {named.min():.2f} s, cluster {largest['start']:.2f} to {largest['stop']:.2f} s "
        f"(p = {largest['p']:.3f})"
    )

# %%
# The dip is gone. Mean over people, one standard error to either side, and the planted onsets:

figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for (name, shares), color in zip(own.items(), ("#332288", "#d5873c")):
    mean, error = shares.mean(axis=0), shares.std(axis=0, ddof=1) / np.sqrt(len(shares))
    ax.fill_between(1000 * TIMES, mean - error, mean + error, color=color, alpha=0.25, linewidth=0)
    ax.plot(1000 * TIMES, mean, color=color, label=name)
    ax.axvline(1000 * planted[name], color=color, linestyle=":")
ax.axhline(0, color="#98a2ad", linewidth=0.8)
ax.set(xlabel="time (ms)", ylabel="unique variance (share of all)", xlim=(-100, 600))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# An onset is found as late as its code takes to rise out of the noise (and, for the category, to rise above the place). Nothing should be found
# before it, and nothing is.
#
# One code or several?
# --------------------
# ``temporal_generalization`` multiplies the differences at one moment with those at another. If the same pattern carries a code at both, the
# distance is there; if other sensors have taken over, it is gone.

across = be.rsa.temporal_generalization(brains, folds="run", noise="schaefer_strimmer", window=0.02, step=0.02)
generalized = be.rsa.evaluate(models, across, by=["time", "time_test"], n=0, ceiling=False)
squares = {name: be.rsa.cluster_test(generalized.take(models=[i]), tail="greater", n=500, seed=0) for i, name in enumerate(models)}
be.plot(generalized, "matrix", clusters=squares)

# %%
# The place passes from a first pattern to a second: two blocks along the diagonal. The category stays in one pattern, a full square.

for name, found in squares.items():
    print(name)
    print(found.table[["time_start", "time_stop", "time_test_start", "time_test_stop", "n_cells", "p"]].head(2).round(3).to_string(index=False))
