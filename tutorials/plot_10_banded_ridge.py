"""
Banded ridge and variance partitioning
======================================

Edges, the last stage of a network and a table of concepts all predict the visual cortex, and they resemble one another. Which of them
does a region need? One penalty for all features favours the space with the largest variance; banded ridge gives every space a penalty of
its own, for every voxel, and variance partitioning asks what each space explains that the others do not. In ``insilico`` the answer is known.
"""

# %%
# Spaces side by side
# -------------------
# ``join`` puts feature spaces side by side, matched by stimulus, and remembers which column belongs to which: the bands. They differ a
# lot in the number of columns and in variance.

import numpy as np

import brainenc as be
from brainenc.encoding import BandedRidge, join, partition_variance, product_measure

stimuli, brain = be.load("insilico", subject="01")
spaces = {
    "edges": be.extract(stimuli, "gabor")["gabor/energy"],
    "network": be.extract(stimuli, "toyclip", layers="visual.layer4")["toyclip/visual.layer4"],
    "concepts": be.extract(stimuli, "table:concepts")["table:concepts/columns"],
}
joined = join(spaces)
for name, space in spaces.items():
    print(f"{name:9s} {space.n_features:5d} columns, variance {np.var(space.values, axis=0).sum():.3g}")

# %%
# One penalty, or one a space
# ---------------------------
# ``BandedRidge`` finds its bands in the joined space. Its search serves all voxels at once: each set of band weights that is tried costs
# one decomposition, and the next set is the one that promises most over all voxels.

split = be.split.images(test=0.25, seed=0)
r2 = {
    type(encoder).__name__: be.score_layers(joined, brain, split=split, encoder=encoder, metric="r2").by("roi").set_index("roi")["normalized"]
    for encoder in (be.encoding.Ridge(), BandedRidge())
}
print("R² as a share of the noise ceiling")
for roi in r2["Ridge"].index:
    print(f"{roi:4s} {'  '.join(f'{name} {values[roi]:.2f}' for name, values in r2.items())}")

# %%
# Where the weight goes
# ---------------------
# The weights belong to the features' own units; times the variance of a space they become shares of the weighted variance.

images = brain.average("stimulus_id")
train, test = next(iter(split.split(images)))
ids = images.samples["stimulus_id"].to_numpy()
X, Y = joined.take(ids).values.astype(np.float32), np.asarray(images.values)
model = BandedRidge(joined.features["band"]).fit(X[train], Y[train])
print(f"{model.n_iter_} sets of weights tried")

variance = np.array([X[train][:, columns].var(axis=0).sum() for columns in model.bands_.values()])
shares = model.band_weights_ * variance
shares /= shares.sum(axis=1, keepdims=True)
print(f"{'':4s} {'  '.join(f'{name:>9s}' for name in model.bands_)}")
for roi, index in images.targets.groupby("roi", sort=False).indices.items():
    print(f"{roi:4s} {'  '.join(f'{share:9.2f}' for share in shares[index].mean(axis=0))}")

# %%
# The same from the predictions: what each space adds sums to the prediction, and the product measure splits the joint R² without remainder.

measure = product_measure(Y[test], model.predict_by_space(X[test], intercept=False), mean=Y[train].mean(axis=0))
joint = 1 - ((Y[test] - model.predict(X[test])) ** 2).sum(axis=0) / ((Y[test] - Y[train].mean(axis=0)) ** 2).sum(axis=0)
print(f"largest difference between the sum of the shares and the joint R²: {np.abs(measure.sum(axis=0) - joint).max():.1e}")

# %%
# Unique and shared
# -----------------
# A weight says what the joint model uses, not what it needs: two spaces that know the same can take each other's place. So every subset of
# the spaces gets a model of its own, with hyper-parameters of its own, and R² in the test images decides. What only one space explains
# is its unique part; what several explain alike is shared by exactly these. Negative parts are kept.

partition = partition_variance(spaces, brain, split=split, n=500)
print(partition)
be.plot(partition)

# %%
# What was planted?
# -----------------
# Each region was made from one of these spaces (or from an earlier stage of the network). The space with the largest unique part should be it.

table = partition.to_frame(by="roi")
unique = table[(table["quantity"] == "part") & (table["order"] == 1)]
planted = brain.targets.groupby("roi", sort=False)["driver"].first()
for roi, driver in planted.items():
    mine = unique[unique["roi"] == roi].set_index("spaces")
    best = mine["value"].idxmax()
    value, low, high = mine.loc[best, ["value", "ci_low", "ci_high"]]
    print(f"{roi:4s} planted {driver:24s} largest unique part: {best:9s} {value:.3f} [{low:.3f}, {high:.3f}]")
