"""
A first encoding model
======================

An encoding model predicts what each place in the brain answers to a stimulus from what a model sees in it. Here we take the embedded
data set ``insilico``, whose every answer is known, extract the features of a small vision-language model, and ask how well they predict
each vertex of the visual cortex.
"""

# %%
# The data
# --------
# ``load`` returns what was shown and what the brain did. Responses are single trials: each of 800 images was shown three times, in
# different runs. The data are simulated (and say so); with your own data the calls are the same.

import warnings

import numpy as np

import brainenc as be

stimuli, brain = be.load("insilico", subject="01")
print(stimuli)
print(brain)

# %%
# The images are procedural scenes with captions and a table of concepts.

be.plot(stimuli)

# %%
stimuli.table[["caption", "split"]].head()

# %%
# The features
# ------------
# ``extract`` shows the images to a model and keeps the layers that the pattern names (``*`` stays within one level of names, ``**``
# crosses them). ``toyclip`` is a real open_clip model, trained on scenes of this kind and small enough to travel with the package;
# ``"open_clip:ViT-B-32"`` or ``"timm:resnet50"`` work the same way.

layers = be.extract(stimuli, "toyclip", layers="visual.*")
for name, space in layers.items():
    print(f"{name:32s} {space.n_features} features")

# %%
# The scores
# ----------
# The split holds out images, not trials: all repeats of an image are on one side. Each layer gets a ridge regression with a penalty of
# its own for every vertex, chosen on the training images alone, and is scored on the mean response to the held-out images.

scores = be.score_layers(layers, brain, split=be.split.images(test=0.2, seed=0))
scores

# %%
# One row per region and layer, with the noise ceiling beside the score:

table = scores.by("roi")
print(table[["roi", "layer", "score", "ceiling", "normalized", "n_targets", "n_test"]].round(3).to_string(index=False))

# %%
# A score says little without its ceiling: the vertices of EBA are noisier than those of V1, so the same model looks worse there.

be.plot(scores)

# %%
# Back to the brain
# -----------------
# ``layer="best"`` chooses a layer for each vertex by its score on inner folds of the training images, never by the held-out score.

image = scores.to_image(layer="best")
be.plot(scores, kind="map")

# %%
# Is the number honest?
# ---------------------
# Shuffle the images and score again: the mean should be zero, up to chance. (There is nothing to predict now, so most targets take the
# largest penalty of the grid; ``score_layers`` warns of that, and here it is what we want to see.)

mean = brain.average("stimulus_id")
ids = np.random.default_rng(0).permutation(mean.samples["stimulus_id"])
nonsense = be.Responses(mean.values, mean.samples.assign(stimulus_id=ids), mean.targets, mean.space, name="shuffled")
with warnings.catch_warnings(action="ignore", category=be.BrainencWarning):
    null = be.score_layers(layers, nonsense, split=be.split.images(test=0.2, seed=0))
print(f"mean r with shuffled images: {np.nanmean(null.values):+.3f}")
