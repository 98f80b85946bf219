"""
Your own data
=============

A folder with images, an array of responses and a few tables becomes a data set through a manifest of a dozen lines. Here we make such a
folder, so that the tutorial needs nothing from you; with real recordings only the first cell falls away.
"""

# %%
# A folder as you may have it
# ---------------------------
# Sixty small pictures, a table that names them, and an array with one row per trial: every picture was shown three times, in three runs.
# The first half of the voxels answers mostly to the contrast of a picture, the second half mostly to its category.

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import brainenc as be

scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name) / "my_study"
(folder / "pictures").mkdir(parents=True)
rng = np.random.default_rng(0)

across = np.linspace(0, 2 * np.pi, 64)
rows = []
for number in range(60):
    category = ("stripes", "blobs", "checks")[number % 3]
    contrast = rng.uniform(0.1, 1.0)
    wave = np.sin(rng.integers(2, 9) * across + rng.uniform(0, 6))
    pattern = {"stripes": wave[None, :] + 0 * wave[:, None], "blobs": wave[None, :] + wave[:, None], "checks": np.sign(wave[None, :] * wave[:, None])}
    pixels = 127 + 60 * contrast * pattern[category]
    Image.fromarray(np.repeat(pixels[:, :, None], 3, axis=2).astype(np.uint8)).save(folder / "pictures" / f"p{number:02d}.png")
    rows.append({"stimulus_id": f"p{number:02d}", "path": f"pictures/p{number:02d}.png", "category": category, "contrast": contrast})
pictures = pd.DataFrame(rows)
pictures.to_csv(folder / "pictures.csv", index=False)

trials = pd.concat([pictures[["stimulus_id"]].sample(frac=1, random_state=run).assign(run=run) for run in (1, 2, 3)])
trials.to_csv(folder / "trials.csv", index=False)

shown = pictures.set_index("stimulus_id").loc[trials["stimulus_id"]]
by_contrast = np.outer(shown["contrast"] - 0.5, rng.uniform(2, 5, 40))
by_category = rng.standard_normal((3, 40))[pd.factorize(shown["category"])[0]]
late = np.arange(40) >= 20
signal = np.where(late, 0.3, 1.0) * by_contrast + np.where(late, 1.2, 0.4) * by_category
np.save(folder / "responses.npy", (signal + rng.standard_normal(signal.shape)).astype(np.float32))

voxels = pd.DataFrame({"roi": ["early"] * 20 + ["late"] * 20, "x": rng.normal(0, 9, 40), "y": rng.normal(-80, 9, 40), "z": rng.normal(0, 9, 40)})
voxels.to_csv(folder / "voxels.csv", index=False)

# %%
# The manifest
# ------------
# It says which file holds what. Paths are relative to the folder. Every key is checked: a misspelt one is an error that names the nearest.

(folder / "brainenc.toml").write_text("""
name = "my_study"
title = "Patterns of three kinds"

[stimuli]
table = "pictures.csv"      # stimulus_id, path, and whatever else you know

[responses]
path = "responses.npy"      # trials by voxels
units = "z"

[samples]
path = "trials.csv"         # one row per trial: stimulus_id, run

[targets]
path = "voxels.csv"         # one row per voxel: roi, x, y, z
""")

# %%
# Other layouts take one more line each: ``files = "pictures/*.png"`` instead of a table; ``axes = ["target", "sample", "repeat"]`` for an
# array that is turned or holds repeats; ``key = "betas"`` for HDF5, MATLAB or npz; ``path = "run-{run:02d}_bold.nii.gz"`` with ``runs``,
# ``mask`` and ``t_r`` for time series in NIfTI, and ``{hemi}`` for surfaces.

stimuli, brain = be.load(folder)
print(stimuli)
print(brain)

# %%
# What does not fit is told, with both numbers or the nearest name:

try:
    be.load(folder, subject="sub-01")
except ValueError as error:
    print(error)

# %%
# The pictures, as the models will see them:

be.plot(stimuli)

# %%
# Score two models
# ----------------
# ``gabor`` looks at the pixels; ``table:category`` is the column of the table, one-hot.

features = {**be.extract(stimuli, "gabor", progress=False), **be.extract(stimuli, "table:category", progress=False)}
scores = be.score_layers(features, brain, split=be.split.kfold(5, seed=0))
print(scores.by("roi")[["roi", "model", "score", "ceiling", "n_targets"]].round(2).to_string(index=False))

# %%
# The category explains the late region better than the early one, which follows contrast.

be.plot(scores)

# %%
# Because the trials repeat every picture, the noise ceiling came for free. Without repeats the table says that there is none.

scratch.cleanup()
