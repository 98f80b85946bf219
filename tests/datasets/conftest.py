"""Miniature trees with the names, keys, types and axis orders of the real data sets."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.io
from PIL import Image

from brainenc.datasets.catalogue import catalogue_folder

AFFINE = np.array([[-3.1, 0, 0, 60.45], [0, 3.75, 0, -35.625], [0, 0, 3.75, 0], [0, 0, 0, 1]])


def jpeg(rng, side=8):
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(stream, format="JPEG")
    return stream.getvalue()


def shrunk_manifest(name: str, folder: Path, **replacements: str) -> Path:
    """Copy a manifest without the checksums and checks of the real files, so that it reads a miniature in its own folder."""
    text = (catalogue_folder() / f"{name}.toml").read_text(encoding="utf-8")
    text = text[: min(text.index(part) for part in ("[[sources]]", "[[checks]]") if part in text)]
    text = re.sub(r'^folder = ".*"$', "", text, flags=re.M)
    for old, new in replacements.values():
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def shrunk(tmp_path):
    """Return `shrunk_manifest` of a name in the test's folder."""
    return lambda name, **replacements: shrunk_manifest(name, tmp_path, **replacements)


@pytest.fixture
def v4(tmp_path, rng):
    """Three recordings; one zip has a folder inside, one recording has single repeats padded with NaN."""
    arrays = {}
    for kind in ("images", "responses_repeat_averaged", "responses_raw"):
        (tmp_path / kind).mkdir()
    for session, n_neurons, n_images in (("190923", 3, 12), ("210224", 5, 10), ("210325", 4, 9)):
        prefix = f"images_{session}/" if session == "190923" else ""
        with zipfile.ZipFile(tmp_path / "images" / f"images_{session}.zip", "w") as bundle:
            if prefix:
                bundle.writestr(prefix, "")
            for i in rng.permutation(n_images):
                bundle.writestr(f"{prefix}image{i + 1:04d}.jpg", jpeg(rng))
        values = rng.random((n_neurons, n_images))
        if session == "210325":
            raw = rng.random((n_neurons, n_images, 10))
            for i in range(n_images):
                raw[:, i, 6 + i % 5 :] = np.nan
            np.save(tmp_path / "responses_raw" / f"responses_{session}.npy", raw)
            values, arrays["raw"] = np.nanmean(raw, axis=2), raw
        np.save(tmp_path / "responses_repeat_averaged" / f"responses_{session}.npy", values)
        arrays[session] = values
    return shrunk_manifest("v4_cowley2023", tmp_path), arrays


@pytest.fixture
def haxby(tmp_path, rng):
    """Two runs of 24 volumes in one slice, int16, with the category and run of every volume in a text file without a header."""
    bold = rng.integers(100, 2000, (5, 4, 1, 48)).astype(np.int16)
    mask = np.zeros((5, 4, 1), np.int16)
    mask[1:4, 1:3] = 1
    for name, data in (("bold", bold), ("mask", mask)):
        image = nib.Nifti1Image(data, AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        if data.ndim == 4:
            image.header.set_zooms((3.1, 3.75, 3.75, 2.5))
        nib.save(image, tmp_path / f"{name}.nii.gz")
    blocks = {0: [("rest", 6), ("face", 4), ("rest", 2), ("house", 4), ("rest", 4), ("cat", 4)], 1: [("cat", 4), ("rest", 16), ("chair", 4)]}
    lines = [f"{label} {run}" for run, parts in blocks.items() for label, n in parts for _ in range(n)]
    (tmp_path / "attributes_literal.txt").write_text("\n".join(lines) + "\n")
    return shrunk_manifest("haxby2001_slice", tmp_path), bold, mask.astype(bool)


@pytest.fixture
def digits(tmp_path, rng):
    """A MATLAB file with images as rows in column order, and a training and a test array of each kind."""
    images = rng.integers(0, 256, (100, 28, 28), dtype=np.uint8)
    flat = images.transpose(0, 2, 1).reshape(100, 784)
    values = rng.standard_normal((100, 7))
    label = np.repeat([1, 2, 1, 2], [45, 45, 5, 5]).astype(np.uint8)[:, None]
    scipy.io.savemat(
        tmp_path / "digit69_28x28.mat",
        {
            "stimTrn": flat[:90], "stimTest": flat[90:], "fmriTrn": values[:90], "fmriTest": values[90:],
            "labelTrn": label[:90], "labelTest": label[90:],
        },
    )  # fmt: skip
    return shrunk_manifest("digits69", tmp_path), images, values


def squares(rng, *shape):
    half = np.triu(rng.random(shape), 1)
    return half + np.swapaxes(half, -1, -2)


@pytest.fixture
def objects(tmp_path, rng):
    """92 images, stacks of squares in npz, struct arrays and condensed vectors in MATLAB files."""
    (tmp_path / "images").mkdir()
    (tmp_path / "algonauts2019_fmri").mkdir()
    for i in range(92):
        (tmp_path / "images" / f"image_{i + 1:02d}.jpg").write_bytes(jpeg(rng))
    parts = {roi: squares(rng, 15, 92, 92) for roi in ("EVC", "IT")}
    for roi, stack in parts.items():
        np.savez(tmp_path / "algonauts2019_fmri" / f"fmri_{roi}_RDMs.npz", Net_RDM=stack)
    people, judges = squares(rng, 8, 92, 92), squares(rng, 16, 92, 92)
    structs = np.zeros((1, 4, 2), dtype=[("RDM", "O"), ("name", "O")])
    for i in range(8):
        structs[0, i % 4, i // 4] = (people[i].astype(np.float32), f"subject {i % 4} session {i // 4}")
    scipy.io.savemat(tmp_path / "92_brainRDMs.mat", {"RDMs": structs})
    row = np.zeros((1, 16), dtype=[("RDM", "O"), ("name", "O")])
    for i in range(16):
        row[0, i] = (judges[i], f"judge {i}")
    scipy.io.savemat(tmp_path / "92_behavRDMs.mat", {"rdms_behav_92": row})
    vectors = rng.random((2, 4186))
    figure = np.zeros((1, 2), dtype=[("name", "O"), ("RDM", "O")])
    for i in range(2):
        figure[0, i] = (f"v{i}", vectors[i : i + 1])
    scipy.io.savemat(tmp_path / "Kriegeskorte_Neuron2008_supplementalData.mat", {"RDMs_mIT_hIT_fig1": figure})
    return shrunk_manifest("objects92", tmp_path), {**parts, "people": people, "judges": judges, "vectors": vectors}


OWN = """
name = "mine"
title = "My scenes"

[stimuli]
table = "scenes.csv"

[responses]
path = "responses.npy"
units = "z"

[samples]
path = "trials.csv"

[targets]
path = "voxels.csv"
"""


@pytest.fixture
def own(tmp_path, rng):
    """A user's own folder: nine images, three repeats in three runs, eight voxels in two regions, and a manifest of 13 lines."""
    (tmp_path / "scenes").mkdir()
    for i in range(9):
        (tmp_path / "scenes" / f"s{i}.jpg").write_bytes(jpeg(rng))
    rows = [f"s{i},scenes/s{i}.jpg,{'face' if i % 2 else 'house'}" for i in range(9)]
    (tmp_path / "scenes.csv").write_text("\n".join(["stimulus_id,path,category", *rows]))
    order = [int(i) for _ in range(3) for i in rng.permutation(9)]
    (tmp_path / "trials.csv").write_text("\n".join(["stimulus_id,run", *(f"s{i},{row // 9 + 1}" for row, i in enumerate(order))]))
    (tmp_path / "voxels.csv").write_text("\n".join(["roi,x,y,z", *(f"{'V1' if i < 3 else 'V4'},{i},0,{-i}.5" for i in range(8))]))
    values = rng.standard_normal((27, 8)).astype(np.float32)
    np.save(tmp_path / "responses.npy", values)
    (tmp_path / "brainenc.toml").write_text(OWN)
    return tmp_path, values, order
