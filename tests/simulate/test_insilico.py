"""The embedded data set keeps its promises: known drivers, known ceilings, repeatable from a seed."""

import numpy as np
import pytest

import brainenc as be
from brainenc.simulate import insilico
from brainenc.simulate.regions import place, smoothing_root


@pytest.fixture(scope="module")
def subject():
    return insilico.load("01", seed=0)


def test_the_regions_are_discs_on_both_hemispheres():
    targets, space = place(insilico.REGIONS, seed=0, subject="01")
    assert space.n_targets == len(targets) and not targets.duplicated("target_id").any()
    counts = targets.groupby(["roi", "hemi"]).size()
    assert len(counts) == 14 and counts.min() >= 20
    for region in insilico.REGIONS:
        for side in ("left", "right"):
            mine = targets[(targets.roi == region.name) & (targets.hemi == side)]
            spread = np.linalg.norm(mine[["x", "y", "z"]].to_numpy() - np.array(getattr(region, side)), axis=1)
            assert np.median(spread) < region.radius_mm + 6


def test_subjects_differ_and_seeds_repeat():
    first, again, other = (place(insilico.REGIONS, seed=0, subject=s)[0] for s in ("01", "01", "02"))
    assert first.equals(again) and not first.equals(other)


def test_smooth_noise_has_unit_variance_and_falls_off(rng):
    _, space = place(insilico.REGIONS, seed=0, subject="01")
    root = smoothing_root(space, 5.0)
    noise = rng.standard_normal((4000, space.n_targets)) @ root
    np.testing.assert_allclose(noise.var(axis=0), 1.0, atol=0.15)
    left = np.flatnonzero(space.hemi == "left")
    distance = np.linalg.norm(space.coordinates[left] - space.coordinates[left[0]], axis=1)
    correlation = np.corrcoef(noise[:, left].T)[0]
    assert correlation[(distance > 0) & (distance < 4)].min() > 0.3
    assert np.abs(correlation[distance > 40]).max() < 0.1


def test_the_design_has_its_images_runs_and_repeats(subject):
    stimuli, brain = subject
    assert len(stimuli) == 800 and (stimuli.table["split"] == "test").sum() == 200
    assert stimuli.load(stimuli.ids[0]).shape[2] == 3 and min(stimuli.load(stimuli.ids[0]).shape[:2]) >= 64
    assert brain.n_samples == 2400 and brain.samples["run"].nunique() == 12
    per_image = brain.samples.groupby("stimulus_id")
    assert (per_image.size() == 3).all() and (per_image["run"].nunique() == 3).all()
    assert stimuli.table["caption"].str.len().min() > 5


def test_truth_is_stored_before_noise_and_the_noise_is_as_large_as_said(subject):
    stimuli, brain = subject
    signal = insilico.truth("01", seed=0)
    mean = brain.average("stimulus_id")
    order = stimuli.table.index.get_indexer(mean.samples["stimulus_id"])
    residual = mean.values - signal[order]
    expected = (1 / brain.targets["true_ceiling"] - 1).to_numpy()
    np.testing.assert_allclose(residual.var(axis=0).mean() / expected.mean(), 1.0, atol=0.05)
    np.testing.assert_allclose(signal.var(axis=0), 1.0, atol=1e-3)
    medians = brain.targets.groupby("roi")["true_ceiling"].median()
    assert medians.min() < 0.27 and medians.max() > 0.65
    assert brain.provenance["simulated"] is True


def test_each_region_is_a_linear_image_of_its_driver_up_to_the_private_fifth(subject):
    stimuli, brain = subject
    signal = insilico.truth("01", seed=0)
    space = be.extract(stimuli, "table:concepts", progress=False)[insilico.CONCEPTS]
    ffa = (brain.targets["roi"] == "FFA").to_numpy()
    X = np.column_stack([np.ones(len(space.values)), space.values])
    fitted = X @ np.linalg.lstsq(X, signal[:, ffa], rcond=None)[0]
    explained = fitted.var(axis=0) / signal[:, ffa].var(axis=0)
    assert 0.76 < np.median(explained) < 0.88


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(subject, tmp_path):
    _, brain = subject
    again = insilico.load("01", seed=0, cache=tmp_path)[1]
    np.testing.assert_array_equal(again.values, brain.values)
    assert not np.array_equal(insilico.load("02", seed=0)[1].values[:, :5], brain.values[:, :5])


def test_unknown_subjects_are_named():
    with pytest.raises(ValueError, match="subject of insilico"):
        insilico.load("99")
