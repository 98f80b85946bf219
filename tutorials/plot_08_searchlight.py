"""
A searchlight: where is which model?
====================================

Instead of asking what a region codes, ask for every place of the brain what the voxels around it code. Eight simulated people see twelve
conditions: four categories of things, each small, medium and large. One piece of their cortex knows the category and another one the
size. We look for both at once, with noise-normalised crossnobis distances, and count what is found where nothing was planted.
"""

# %%
# The brain
# ---------
# Voxels are 2.5 × 2.5 × 4 mm, and the mask is a shell: an ellipsoid with a hole, where the ventricles would be. A radius in
# millimetres goes through the affine, so that a ball is a ball, whatever the shape of the voxels.

import numpy as np
import pandas as pd

import brainenc as be

AFFINE = np.diag([2.5, 2.5, 4.0, 1.0])
grid = np.moveaxis(np.indices((18, 20, 9)), 0, -1) @ np.diag([2.5, 2.5, 4.0])
middle = grid.reshape(-1, 3).mean(axis=0)
outside = np.sqrt((((grid - middle) / [22, 25, 18]) ** 2).sum(axis=-1))
inside = np.sqrt((((grid - middle) / [9, 12, 7]) ** 2).sum(axis=-1))
space = be.VolumeSpace.from_mask((outside < 1) & (inside > 1), AFFINE)
print(space)

# %%
# Neighbourhoods are lists of voxels of the mask. None leaves it: at an edge a ball has fewer voxels, not voxels of something else.

RADIUS = 7.0
balls = list(space.neighbourhoods(RADIUS))
sizes = np.array([len(ball) for ball in balls])
whole = space.full_sizes(RADIUS)[0]
farthest = max(np.linalg.norm(space.coordinates[ball] - space.coordinates[centre], axis=1).max() for centre, ball in enumerate(balls))
print(f"a whole ball of {RADIUS:g} mm has {whole} voxels; {np.mean(sizes == whole):.0%} of the balls are whole, the smallest has {sizes.min()}")
print(f"the farthest voxel of any ball is {farthest:.1f} mm away")
be.viz.brain_map(space, sizes, title="Voxels in reach", label="voxels")

# %%
# What is planted
# ---------------
# Two balls of 6 mm, one in front on the left and one behind on the right. Each voxel in the first has its own preferences among the categories, each
# in the second grows or shrinks with size, and differently in each person. Everywhere else there is noise, which neighbouring voxels share. Every
# condition comes twice in each of five runs.

conditions = pd.DataFrame({"category": np.repeat(["face", "house", "tool", "word"], 3), "size": ["small", "medium", "large"] * 4})
conditions.insert(0, "stimulus_id", conditions["size"] + " " + conditions["category"])
category = pd.get_dummies(conditions["category"]).to_numpy(float)
size = conditions["size"].map({"small": -1.0, "medium": 0.0, "large": 1.0}).to_numpy()[:, None]

PLANTED = {"category": middle + [-14, 11, 0], "size": middle + [14, -11, 0]}
distance = {name: np.linalg.norm(space.coordinates - place, axis=1) for name, place in PLANTED.items()}
region = np.select([distance["category"] <= 6, distance["size"] <= 6], ["category", "size"], "none")
near = np.exp(-((np.linalg.norm(space.coordinates[:, None] - space.coordinates[None], axis=-1) / 4) ** 2))
near /= np.linalg.norm(near, axis=1, keepdims=True)


def scan(subject):
    rng = np.random.default_rng([8, subject])
    signal = np.zeros((12, space.n_targets))
    for name, code in (("category", category), ("size", size)):
        here = region == name
        signal[:, here] = code @ rng.standard_normal((code.shape[1], here.sum())) * 0.5
    samples = conditions.loc[np.tile(np.arange(12), 10)].reset_index(drop=True)
    samples = samples.assign(run=np.repeat([f"{run}" for run in range(1, 6)], 24), repeat=np.tile(np.repeat([1, 2], 12), 5))
    noise = rng.standard_normal((120, space.n_targets)) @ near + 0.5 * rng.standard_normal((120, space.n_targets))
    return be.Responses(np.tile(signal, (10, 1)) + noise, samples, {"roi": region}, space, units="beta", name=f"{subject:02d}")


brains = {f"{subject:02d}": scan(subject) for subject in range(1, 9)}
print(brains["01"])
print(pd.Series(region).value_counts().to_string())

# %%
# The search
# ----------
# Both models are scored against the same RDM of every centre. ``noise="local"`` estimates the noise of each neighbourhood from its own voxels, from
# trials less the mean of their condition and run (which is why there are two of each). RDMs are not kept: they stream by in batches.

models = {
    "category": be.rsa.rdm(category, metric="euclidean", conditions=conditions),
    "size": be.rsa.rdm(size, metric="euclidean", squared=False, conditions=conditions),
}
scores = be.rsa.searchlight(brains, models, radius_mm=RADIUS, metric="crossnobis", folds="run", noise="local", method="pearson", ceiling=True)
print(scores)

# %%
# One person. Where nothing is planted the scores are those of noise, and some are not small.

be.plot(scores, "models", subject="01", models=["category", "size"])

# %%
# What people share
# -----------------
# Correlations with noise are above zero as often as below, so flipping the signs of people's scores gives a null: with eight people, all 255 ways
# to do so. The largest t of both models over the whole brain is the null of each centre.

values = np.array([[scores.where(subject=subject).vector(name) for name in models] for subject in brains])
test = be.rsa.sign_flip_test(values, n=255)
t, p_max = (test[column].to_numpy().reshape(values.shape[1:]) for column in ("t", "p_max"))

# %%
# Mean over people where p ≤ 0.05, corrected for having looked everywhere:

group = dict(zip(models, np.where(p_max <= 0.05, values.mean(axis=0), np.nan)))
be.viz.brain_map(space, group["category"], title="Category, p ≤ 0.05 corrected", label="Pearson r", vmax=1)

# %%

be.viz.brain_map(space, group["size"], title="Size, p ≤ 0.05 corrected", label="Pearson r", vmax=1)

# %%
# A searchlight is wider than what it looks for: a centre outside of a region sees the region as long as some of it is in reach. So a map says
# "within 7 mm of here", and borders should not be read from it. Beyond that reach everything found is false. (In one study of twenty there is
# something; that is what p ≤ 0.05 allows.)

rows = []
for name, found in group.items():
    seen = np.array([(region[ball] == name).any() for ball in balls])
    hits = np.isfinite(found)
    rows.append((name, (region == name).sum(), hits[region == name].mean(), hits[seen & (region != name)].mean(), (~seen).sum(), hits[~seen].sum()))
print(
    pd.DataFrame(rows, columns=["model", "voxels planted", "found in it", "found in reach", "voxels elsewhere", "found there"]).round(2).to_string(index=False)
)

# %%
# Clusters of centres are tested the same way; the neighbours of a voxel are what touches it.

touching = list(space.neighbourhoods(4.1))
for index, name in enumerate(models):
    clusters = be.rsa.cluster_test(values[:, index], tail="greater", threshold=4.0, adjacency=touching, n=255)
    print(name)
    print(clusters.table.head(3).round(3).to_string(index=False))

# %%
# Is there anything else that people share?
# -----------------------------------------
# The lower noise ceiling asks without a model: how well does each person's RDM at a place agree with those of the others? In the two regions it
# does, and nowhere else.

shared = np.mean([scores.where(subject=subject).vector("ceiling/lower") for subject in brains], axis=0)
apart = np.array([(region[ball] == "none").all() for ball in balls])
for where, chosen in (("category", region == "category"), ("size", region == "size"), ("out of reach of both", apart)):
    print(f"{where:20s} mean agreement {shared[chosen].mean():+.2f}, largest {shared[chosen].max():+.2f}")
be.viz.brain_map(space, shared, title="Agreement of people", label="lower noise ceiling (Pearson r)")

# %%
# Back to a file
# --------------
# Any vector becomes an image on the grid of the mask, with NaN outside of it, and ``to_image`` does so with one person's scores.

for image in (space.paint(t[0]), scores.to_image("category", subject="01")):
    print(image.shape, "voxels of", *image.header.get_zooms(), "mm,", f"{np.isfinite(image.get_fdata()).sum()} voxels with a value")
