"""Regions of contacts from a label image, and tissue from the templates that nilearn brings."""

from __future__ import annotations

import nibabel
import numpy as np
import pandas as pd
import pytest

from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import locate_contacts

AFFINE = np.array([[-2.0, 0, 0, 20], [0, 2.0, 0, -20], [0, 0, 2.0, -20], [0, 0, 0, 1]])


@pytest.fixture
def atlas(tmp_path):
    """Two blocks of 5 mm half-width about (-10, 0, 0) and (10, 0, 0), on a grid whose x runs backwards."""
    grid = np.indices((21, 21, 21)).reshape(3, -1).T
    points = grid @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    labels = np.zeros(len(points), dtype=np.int16)
    for value, x in ((3, -10), (7, 10)):
        labels[np.abs(points - [x, 0, 0]).max(axis=1) <= 5] = value
    nibabel.Nifti1Image(labels.reshape(21, 21, 21), AFFINE).to_filename(tmp_path / "atlas.nii.gz")
    pd.DataFrame({"index": [3, 7], "name": ["left block", "right block"]}).to_csv(tmp_path / "atlas.tsv", sep="\t", index=False)
    return tmp_path / "atlas.nii.gz", tmp_path / "atlas.tsv"


@pytest.fixture
def table():
    return pd.DataFrame({
        "channel": ["LA1", "LA2", "RB'1", "LA3", "X"], "x": [-10.0, -16.5, 9.0, 300.0, np.nan], "y": [0.0, 0, 1, 0, np.nan], "z": [0.0, 0, 4, 0, np.nan],
    })  # fmt: skip


def test_regions(atlas, table):
    out = locate_contacts(table, frame="MNI152NLin2009aSym", atlas=atlas[0], names=atlas[1])
    assert list(out["region"].fillna("")) == ["left block", "", "right block", "", ""]
    assert list(out["hemi"].fillna("")) == ["left", "left", "right", "right", ""] and list(out["shaft"].fillna("")) == ["LA", "LA", "RB'", "LA", ""]
    near = locate_contacts(table, frame="mni", atlas=atlas[0], names={"a": 3, "b": 7}, radius_mm=3.0)
    assert list(near["region"].fillna("")) == ["a", "a", "b", "", ""]
    assert near["region_distance"][0] == 0.0 and near["region_distance"][1] == pytest.approx(2.5)  # the block's last centre is at -14
    assert list(table.columns) == ["channel", "x", "y", "z"]


def test_what_is_refused(atlas, table, tmp_path):
    with pytest.raises(InputError, match="MNI space"):
        locate_contacts(table, frame="Talairach", atlas=atlas[0], names=atlas[1])
    with pytest.raises(InputError, match="MNI space"):
        locate_contacts(table, frame="head", tissue=True)
    with pytest.raises(InputError, match="names of its labels"):
        locate_contacts(table, frame="MNI", atlas=atlas[0])
    with pytest.raises(DataError, match="have no names"):
        locate_contacts(table, frame="MNI", atlas=atlas[0], names={"a": 3})
    with pytest.raises(InputError, match="fetched from the internet"):
        locate_contacts(table, frame="MNI", atlas="harvard-oxford")
    with pytest.raises(DataError, match="forbids downloads"):
        locate_contacts(table, frame="MNI", atlas="harvard-oxford", fetch=True)
    with pytest.raises(NotFoundError, match="no atlas"):
        locate_contacts(table, frame="MNI", atlas="harvard")
    nibabel.Nifti1Image(np.full((3, 3, 3), 0.5, dtype=np.float32), np.eye(4)).to_filename(tmp_path / "map.nii.gz")
    with pytest.raises(DataError, match="whole labels"):
        locate_contacts(table, frame="MNI", atlas=tmp_path / "map.nii.gz", names={"a": 1})


def test_tissue_of_known_places():
    """Deep white matter beside the ventricles, visual cortex at the pole, and a point outside of the head, of the average brain."""
    table = pd.DataFrame({"channel": ["A1", "A2", "A3", "A4"], "x": [26.0, 10.0, 0, np.nan], "y": [-20.0, -95.0, 150, np.nan], "z": [28.0, 0, 0, np.nan]})
    out = locate_contacts(table, frame="MNI152", tissue=True)
    assert list(out["white_matter"]) == [True, False, False, None]
    assert list(out["outside_brain"]) == [False, False, True, None]
