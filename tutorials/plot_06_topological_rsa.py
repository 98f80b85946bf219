"""
Topological RSA: neighbours, and what they add to geometry
==========================================================

An RDM says how far apart everything is. Some of that is a matter of the measurement: a nonlinear signal, a patch of cortex that is sampled
more densely, a subject's own anatomy stretch the distances, but leave neighbours neighbours. Topological RSA flattens what lies below a lower
threshold (these are the same) and above an upper one (these are simply far), and compares what is left. It does not always win. Here we see
when it does.
"""

# %%
# Four curves
# -----------
# Two of these curves lie flat and two are twisted; that is their geometry. Two cross themselves and two just miss; that is their topology.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import brainenc as be
from brainenc.rsa import topology

points = topology.curve_points(100)
figure, axes = plt.subplots(1, 4, figsize=(10, 2.4), subplot_kw={"projection": "3d"}, layout="constrained")
for ax, ((geometry, shape), xyz) in zip(axes, points.items()):
    ax.scatter(*xyz.T, c=np.arange(len(xyz)), cmap="twilight_shifted", s=9, depthshade=False)
    ax.set(title=f"{geometry} {shape}", xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    ax.set_box_aspect((1, 1, 1), zoom=1.35)
    ax.view_init(elev=28, azim=-62)
    ax.set_axis_off()

# %%
# The Euclidean RDMs tell flat from twisted. The miss is narrow, so that a loop and its eight have nearly the same distances:

curves = topology.curves()
be.plot(curves)

# %%
# ``rgtm`` turns distances into ranks and puts a ramp over them: 0 up to the quantile l, 1 from the quantile u. ``rgdm`` keeps only the edges
# below u and measures the shortest path along them; where strands do not touch, that is the long way round.

views = {
    "distances": curves,
    "ranks": topology.rgtm(curves, 0, 1),
    "RGTM, l = 0, u = 0.075": topology.rgtm(curves, 0, 0.075),
    "RGDM, l = 0, u = 0.075": topology.rgdm(curves, 0, 0.075),
}
be.plot(views["RGDM, l = 0, u = 0.075"])

# %%
# The sensitivity ratio is the mean distance between RDMs of one topology over that between RDMs of one geometry. Above 1 geometry decides who
# is similar, below 1 topology does.

for name, rdms in views.items():
    print(f"{name:24s} {topology.sensitivity_ratio(rdms):6.2f}")

# %%
# Six regions, twelve subjects
# ----------------------------
# Now a case with a known answer. Forty stimuli have places in a space of six dimensions; each region sees three of them, and the next region sees
# nearly the same three, turned by 20°. Every subject measures every region through a stretch of its own and through a smooth nonlinear map, which
# move places far but keep neighbours. Sixty voxels see the result, with noise of the given size (1: as large as the signal).

SUBJECTS, REGIONS, STIMULI, VOXELS = 12, 6, 40, 60


def smooth_map(places, rng):
    stretch = np.exp(0.8 * rng.standard_normal(3))
    waves, phases, directions = rng.standard_normal((3, 6)), rng.uniform(0, 2 * np.pi, 6), rng.standard_normal((6, 3))
    moved = places + 0.3 * np.sin(places @ waves + phases) @ directions / np.sqrt(6)
    turned = moved @ np.linalg.qr(rng.standard_normal((3, 3)))[0] * stretch
    return (turned - turned.mean(axis=0)) / turned.std()


def measure(noise, seed=0):
    world, people, scanner = (np.random.default_rng([seed, stream]) for stream in range(3))
    places = world.uniform(-1, 1, (STIMULI, 6))
    patterns = np.empty((SUBJECTS, REGIONS, STIMULI, VOXELS))
    for subject, region in np.ndindex(SUBJECTS, REGIONS):
        angle = np.deg2rad(20 * region)
        seen = np.cos(angle) * places[:, :3] + np.sin(angle) * places[:, 3:]
        patterns[subject, region] = smooth_map(seen, people) @ people.standard_normal((3, VOXELS)) / np.sqrt(3)
    patterns += noise * scanner.standard_normal(patterns.shape)
    rdms = be.rsa.rdm(patterns, metric="euclidean", squared=False, axes=("subject", "roi"))
    names = {"subject": [f"{s + 1:02d}" for s in rdms.rdms["subject"]], "roi": [f"region {r + 1}" for r in rdms.rdms["roi"]]}
    return be.RDMs(rdms.values, rdms.conditions, names, metric=rdms.metric)


clean = measure(noise=0)
print(clean)

# %%
# The same region in four subjects. Nobody would call these the same RDM.

be.plot(clean.where(roi="region 1").take(range(4)), colors="percentile", title="Region 1 of four subjects")

# %%
# Which region is it?
# -------------------
# ``identify`` leaves one subject out, averages the RDMs of each region over the others, and gives each held-out RDM to the nearest mean. It
# does so for the distances (raw), for their ranks, and for every pair of thresholds of a grid. The best cell of the grid is chosen on the
# data it is judged by, so it flatters; ``nested`` chooses (l, u) for each subject among the others. Intervals resample subjects.

grid = np.linspace(0, 1, 11)
found = topology.identify(clean, l=grid, u=grid, n_bootstrap=200, n_permutations=99, seed=0)
columns = ["measure", "accuracy", "ci_low", "ci_high", "p", "n_cells", "chance"]
print(found.summary()[columns].round(3).to_string(index=False))

# %%
# Neighbours are what survived the measurement: thresholds in the local corner, which look at who is close to whom and at nothing else, name
# nearly every region. Ranks undo only that part of the distortion that is monotone, and the global corner (who is far from whom) is worst.

be.plot(found, title="Naming regions across subjects, without noise")

# %%
# What was chosen for each subject, and the differences between measures, paired over the draws. (A draw holds fewer different subjects to learn
# from, so that the intervals of accuracies reach down more than up.)

print(found.chosen[["l", "u", "category"]].value_counts().rename("subjects").reset_index().to_string(index=False))
differences = found.differences()
print(differences[differences["first"] == "rank"].round(3).to_string(index=False))

# %%
# The RDMs as points of a plane, each a region of a subject. By their distances the regions touch and run into one another; by their neighbours
# they come apart.

be.viz.mds_map(topology.mds(clean), category="roi", title="By distances")

# %%

be.viz.mds_map(topology.mds(topology.rgtm(clean, 0, 0.1)), category="roi", title="By neighbours: RGTM, l = 0, u = 0.1")

# %%
# Then comes noise
# ----------------
# The same subjects and regions with more and more noise. Noise in the patterns adds about the same to every distance, and the fluctuations of
# this addition bury the small distances first: who is the nearest neighbour becomes a matter of chance long before who is far away.

noises = {0: found} | {noise: topology.identify(measure(noise), l=grid, u=grid, n_bootstrap=200, seed=0) for noise in (1, 2, 3)}
tables = {noise: one.summary().set_index("measure") for noise, one in noises.items()}
accuracy = pd.DataFrame({noise: table["accuracy"] for noise, table in tables.items()}).rename_axis(columns="noise")
print(accuracy.drop("best").round(2).to_string())

# %%
figure, ax = plt.subplots(figsize=(6.2, 3.8), layout="constrained")
for shift, (name, color) in enumerate({"raw": "#98a2ad", "rank": "#d5873c", "local": "#cc4466", "nested": "#332288"}.items()):
    one = pd.DataFrame({noise: table.loc[name] for noise, table in tables.items()}).T
    at = np.array(list(noises)) + 0.05 * (shift - 1.5)
    ax.vlines(at, one["ci_low"].astype(float), one["ci_high"].astype(float), color=color, alpha=0.5)
    ax.plot(at, one["accuracy"], "o-", color=color, label=name)
ax.axhline(found.chance, color="#1d2733", linestyle=":", linewidth=1)
ax.annotate("chance", (3.15, found.chance), (0, 3), textcoords="offset points", ha="right", fontsize=8)
ax.set(xlabel="noise (standard deviations of the signal)", ylabel="accuracy", xticks=list(noises), ylim=(0, 1.03))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
# The ranking turns around, by as much as twelve subjects can show it. With other stimuli, subjects and noise, in eight more simulations:

for noise in (0, 3):
    gaps = []
    for seed in range(1, 9):
        again = topology.identify(measure(noise, seed), l=grid, u=grid, nested=False, n_bootstrap=0).summary().set_index("measure")["accuracy"]
        gaps.append(again["local"] - again["rank"])
    print(f"noise {noise}: local − rank {np.mean(gaps):+.2f} on average, above zero in {np.sum(np.array(gaps) > 0)} of {len(gaps)} simulations")

# %%
# Where information is left, with noise of twice the signal:

be.plot(noises[2], title="Naming regions across subjects, noise 2")

# %%
# What follows
# ------------
# Flattening takes away what measurements distort, and with it much of what averages noise out: few pairs are left, and those that noise reaches
# first. So neighbours are the better guide in clean data that were measured by different rulers, and distances in noisy data. Which kind yours
# are is not known beforehand. The nested choice finds out on other subjects, and follows the change:

for noise, one in noises.items():
    gap = one.differences().query("first == 'rank' and second == 'local'").iloc[0]
    chosen = ", ".join(f"{name} {n}" for name, n in one.chosen["category"].value_counts().items())
    print(f"noise {noise}: local − rank {-gap['difference']:+.2f} [{-gap['ci_high']:+.2f}, {-gap['ci_low']:+.2f}], chosen: {chosen}")
