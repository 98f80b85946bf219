"""Real runs under fMRIPrep's names: time series with confounds, single-trial betas, and what they decode."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning
from brainenc.loaders import choose_hrf, load_fmriprep, single_trial_betas

SPACE = "_space-T1w_desc-preproc_bold"
MOTION = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]


@pytest.fixture(scope="module")
def haxby(real_data, tmp_path_factory):
    source = real_data("haxby2001_slice")
    root = tmp_path_factory.mktemp("bids")
    func, raw = (base / "sub-1" / "func" for base in (root / "derivatives" / "fmriprep", root))
    for folder in (func, raw):
        folder.mkdir(parents=True)
    for run in range(1, 13):
        stem = f"sub-1_task-objects_run-{run:02d}"
        (func / f"{stem}{SPACE}.nii.gz").symlink_to(source / "runs" / f"run-{run:02d}_bold_1slice.nii.gz")
        (func / f"{stem}_space-T1w_desc-brain_mask.nii.gz").symlink_to(source / "mask.nii.gz")
        (func / f"{stem}{SPACE}.json").write_text(json.dumps({"RepetitionTime": 2.5}))
        (raw / f"{stem}_events.tsv").symlink_to(source / "runs" / f"run-{run:02d}_events.tsv")
        motion = pd.DataFrame(np.loadtxt(source / "runs" / f"run-{run:02d}_motion.txt")[:, :6], columns=MOTION)
        motion.to_csv(func / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False)
    return func.parents[1], source


def load(root, **kwargs):
    return load_fmriprep(root, subject="1", task="objects", space="T1w", **kwargs)


def decoded(betas):
    """Leave-one-run-out accuracy of the nearest category mean by correlation, betas z-scored within runs."""
    values = betas.values.astype(float)
    run, names = betas.samples["run"].to_numpy(), betas.samples["stimulus_id"].to_numpy()
    for one in np.unique(run):
        part = values[run == one]
        values[run == one] = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-9)
    hits = []
    for one in np.unique(run):
        train, test = run != one, run == one
        labels = np.unique(names)
        means = np.stack([values[train & (names == label)].mean(axis=0) for label in labels])
        r = np.corrcoef(values[test], means)[: test.sum(), test.sum() :]
        hits.extend(labels[r.argmax(axis=1)] == names[test])
    return float(np.mean(hits))


def test_runs_equal_the_joined_file(haxby):
    root, source = haxby
    brain = load(root)
    _, whole = be.load("haxby2001_slice", root=source.parent)
    np.testing.assert_array_equal(brain.values, whole.values)
    assert brain.samples["run"].tolist() == whole.samples["run"].tolist() and len(brain.events) == 96
    assert brain.events["stimulus_id"].tolist() == whole.events["stimulus_id"].tolist()


@pytest.mark.parametrize("method", ["lss", "lsa"])
def test_betas_of_blocks_decode_categories(haxby, method, capsys):
    brain = load(haxby[0])
    betas = single_trial_betas(brain, method=method)
    accuracy = decoded(betas)
    shuffled = betas.samples.assign(stimulus_id=betas.samples.groupby("run")["stimulus_id"].transform(lambda s: np.random.default_rng(0).permutation(s)))
    # the same permutation in every run would keep categories apart: draw one for each
    rng = np.random.default_rng(1)
    shuffled["stimulus_id"] = np.concatenate([rng.permutation(part) for _, part in shuffled.groupby("run", sort=False)["stimulus_id"]])
    chance = decoded(be.Responses(betas.values, shuffled))
    with capsys.disabled():
        print(f"\nhaxby2001_slice, {method} betas of 96 blocks: 8-way accuracy {accuracy:.3f} (chance 0.125), labels permuted within runs {chance:.3f}")
    assert betas.n_samples == 96 and betas.samples["repeat"].max() == 12
    assert accuracy > 0.5 and chance < 0.25


def test_motion_and_drifts_leave_and_betas_encode(haxby, capsys):
    brain = load(haxby[0], confounds=MOTION, high_pass=1 / 128, standardize="zscore", trim=(2, 0))
    betas = single_trial_betas(brain, drift=None)
    stimuli = be.StimulusSet({"stimulus_id": sorted(set(betas.samples["stimulus_id"]))}, kind="none")
    layer = be.FeatureSpace(np.eye(len(stimuli)), {"stimulus_id": stimuli.ids}, name="table/category")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrainencWarning)
        scores = be.score_layers(layer, betas, split=be.split.runs(), encoder=be.encoding.Ridge(alphas=1.0, cv=None), aggregate="pooled")
    r = scores.values[0, 0]
    with capsys.disabled():
        print(f"\nhaxby2001_slice, LSS betas after motion, cosines and z-scores: decode {decoded(betas):.3f}; encode r > 0.3 in {(r > 0.3).sum()} of {r.size} voxels")
    assert decoded(betas) > 0.55 and (r > 0.3).sum() > 60


def test_a_response_of_its_own_for_each_voxel(haxby, capsys):
    brain = load(haxby[0])
    choice = choose_hrf(brain)
    canonical = choose_hrf(brain, library=["glover"])
    gain = choice.scores.max(axis=0) - canonical.scores[0]
    active = canonical.scores[0] > 0.1
    with capsys.disabled():
        print(f"\nhaxby2001_slice, response chosen of 21: left-out R2 gains {np.median(gain[active]):+.3f} (median of {active.sum()} voxels above 0.1)")
    assert active.sum() > 30 and np.median(gain[active]) > -0.005
