"""Crossnobis over the twelve runs of one slice of ventral cortex: faces and houses are far apart, and both halves agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be


@pytest.fixture(scope="module")
def blocks(real_data):
    """One row a block of 22.5 s: the mean of its scans, shifted by 5 s, detrended and z-scored within runs."""
    _, scans = be.load("haxby2001_slice", root=real_data("haxby2001_slice").parent)
    clean = scans.clean(detrend=True, standardize="zscore")
    run, time = (clean.samples[name].to_numpy() for name in ("run", "time"))
    rows = [
        clean.values[(run == event.run) & (time >= event.onset + 5.0) & (time < event.onset + event.duration + 5.0)].mean(axis=0)
        for event in clean.events.itertuples()
    ]
    events = clean.events[["stimulus_id", "run"]].reset_index(drop=True)
    living = events["stimulus_id"].isin(["face", "cat"])
    found = be.Responses(np.stack(rows), events.assign(living=living), clean.targets, clean.space, name="01")
    varies = np.ptp(found.values, axis=0) > 0
    residuals = clean.take_targets(np.flatnonzero(varies))
    return found.take_targets(np.flatnonzero(varies)), residuals


def residuals_of(scans):
    """Return the scans less the mean of their label."""
    task = pd.get_dummies(scans.samples["label"]).to_numpy(dtype=float)
    residual = scans.values - task @ np.linalg.lstsq(task, scans.values, rcond=None)[0]
    return be.Responses(residual, scans.samples, scans.targets, t_r=2.5)


def scan_noise(scans):
    """Return the noise of the scans; that of the block means themselves would be made of what crossnobis multiplies."""
    return be.rsa.noise_model(residuals_of(scans), dof=scans.n_samples - 12 * 2 - 9)


def test_faces_and_houses_are_far_apart(blocks, capsys):
    """Against swaps of the two labels within runs, under which their distance is noise alone."""
    trials, scans = blocks
    rdm = be.rsa.rdm(trials, metric="crossnobis", noise=scan_noise(scans)).reorder("stimulus_id")
    assert rdm.n_conditions == 8 and rdm.conditions["living"].sum() == 2
    frame = rdm.to_frame().set_index(["condition_a", "condition_b"])["dissimilarity"]
    pair = trials.rows(stimulus_id=["face", "house"])
    label, run = (pair.samples[name].to_numpy(dtype=object) for name in ("stimulus_id", "run"))
    swap = {"face": "house", "house": "face"}
    rng = np.random.default_rng(0)
    draws = [set(1 + np.flatnonzero(rng.random(12) < 0.5)) for _ in range(300)]
    # half of the runs, as with few or most of them swapped much of the difference is left
    swapped = [np.array([swap[one] if r in draw else one for one, r in zip(label, run, strict=True)]) for draw in draws if 5 <= len(draw) <= 7]
    null = np.array([be.rsa.rdm(pair.values, metric="crossnobis", conditions=one, folds=run).values[0, 0] for one in swapped])
    found = be.rsa.rdm(pair, metric="crossnobis").values[0, 0]
    with capsys.disabled():
        print(f"\nhaxby2001_slice crossnobis face–house: {found:.4f} a voxel; labels swapped within runs {null.mean():+.4f}, at most {null.max():.4f} of {len(null)}")
        print(f"whitened: face–house {frame['face', 'house']:.3f}, median of 28 pairs {frame.median():.3f}, least {frame.min():.3f}")
    assert found > null.mean() + 6 * null.std() and found > 2 * null.max() and abs(null.mean()) < found / 10
    assert (frame > 0).all() and frame["face", "house"] > frame.median()


def test_both_halves_of_the_runs_agree(blocks, capsys):
    trials, _ = blocks
    found = []
    for seed in range(20):
        runs = np.random.default_rng(seed).permutation(np.arange(1, 13))
        halves = [be.rsa.rdm(trials.rows(run=list(part)), metric="crossnobis").reorder("stimulus_id").values[0] for part in (runs[:6], runs[6:])]
        found.append(np.corrcoef(halves)[0, 1])
    with capsys.disabled():
        print(f"\nhaxby2001_slice: split-half r of the RDM {np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f}) over 20 splits")
    assert np.mean(found) > 0.5 and min(found) > 0


def test_noise_from_the_time_series(blocks):
    trials, scans = blocks
    model = scan_noise(scans)
    rdm = be.rsa.rdm(trials, metric="crossnobis", noise=model)
    per_run = be.rsa.noise_model(residuals_of(scans), by="run")
    each = be.rsa.rdm(trials, metric="crossnobis", noise=per_run)
    assert list(per_run) == list(range(1, 13)) and per_run[1].n_samples == 121 < model.n_channels
    assert np.corrcoef(rdm.values[0], each.values[0])[0, 1] > 0.8
    areas = be.rsa.rdm(trials, metric="crossnobis", by="j", noise=model)
    assert areas.n_rdms == trials.targets["j"].nunique()
