"""Group ceilings and ceilings from standard errors, against definitions and planted truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError


def group(rng, n_subjects, n_stimuli, n_targets, noise=1.0, repeats=1):
    shared, out = rng.standard_normal((n_stimuli, n_targets)), {}
    for s in range(n_subjects):
        order = np.tile(rng.permutation(n_stimuli), repeats)
        values = shared[order] + noise * np.sqrt(repeats) * rng.standard_normal((len(order), n_targets))
        out[f"{s:02d}"] = be.Responses(values, {"stimulus_id": [f"s{i}" for i in order]}, name=f"{s:02d}")
    return out, shared


def test_both_bounds_are_their_definitions(rng):
    people, _ = group(rng, 4, 9, 7)
    ids = [f"s{i}" for i in range(9)]
    stacked = np.stack([one.values[[list(one.samples["stimulus_id"]).index(i) for i in ids]] for one in people.values()])
    for bound, against in (("lower", [np.delete(stacked, s, axis=0).mean(axis=0) for s in range(4)]), ("upper", [stacked.mean(axis=0)] * 4)):
        expected = [np.mean([np.corrcoef(stacked[s, :, t], against[s][:, t])[0, 1] for s in range(4)]) for t in range(7)]
        found = be.NoiseCeiling.from_subjects(people, bound=bound)
        np.testing.assert_allclose(found.values, expected, atol=1e-12)
        assert found.units == "correlation" and f"({bound} bound), 4 subjects" in found.describe()


@pytest.mark.parametrize("n_subjects", [3, 8])
def test_the_bounds_hold_the_true_ceiling_between_them_and_close_in(rng, n_subjects):
    people, _ = group(rng, n_subjects, 400, 60)
    low, high = (np.median(be.NoiseCeiling.from_subjects(people, bound=bound).values) for bound in ("lower", "upper"))
    assert low < np.sqrt(0.5) < high
    # correlations of y_s = g + e with the mean of the others, and of all
    others = n_subjects - 1
    assert low == pytest.approx(1 / np.sqrt(2 * (1 + 1 / others)), abs=0.02)
    assert high == pytest.approx((1 + 1 / n_subjects) / np.sqrt(2 * (1 + 1 / n_subjects)), abs=0.02)


def test_repeats_are_averaged_first_and_the_ceiling_says_so(rng):
    people, _ = group(rng, 3, 300, 40, repeats=4)
    found = be.NoiseCeiling.from_subjects(people)
    assert found.n_repeats == pytest.approx(4)
    assert np.median(found.values) == pytest.approx(1 / np.sqrt(2 * 1.5), abs=0.03)


def test_the_interval_of_the_group_covers_what_these_subjects_would_show(rng):
    truth = 1 / np.sqrt(2 * 1.25)
    people, _ = group(rng, 5, 80, 300)
    low, high = be.NoiseCeiling.from_subjects(people, n_boot=200, seed=1).ci
    assert 0.92 <= ((low <= truth) & (truth <= high)).mean() <= 0.98


def test_groups_that_are_none_are_refused(rng):
    people, _ = group(rng, 3, 9, 7)
    with pytest.raises(InputError, match="at least three subjects"):
        be.NoiseCeiling.from_subjects(dict(list(people.items())[:2]))
    with pytest.raises(InputError, match="common space"):
        be.NoiseCeiling.from_subjects([*people.values(), people["00"].take_targets(np.arange(5))])
    with pytest.raises(InputError, match="different stimuli.*'s"):
        be.NoiseCeiling.from_subjects([*people.values(), people["00"].take_rows(np.arange(8))])
    scans = [replace(one, t_r=2.0) for one in people.values()]
    with pytest.raises(InputError, match="time series"):
        be.NoiseCeiling.from_subjects(scans)
    with pytest.raises(InputError, match="unknown value for bound"):
        be.NoiseCeiling.from_subjects(people, bound="middle")


def test_nan_of_one_subject_is_nan_in_that_target(rng):
    people, _ = group(rng, 3, 20, 4)
    people["01"].values[3, 2] = np.nan
    found = be.NoiseCeiling.from_subjects(people)
    assert np.flatnonzero(np.isnan(found.values)).tolist() == [2]


def test_standard_errors_give_the_ceiling_of_the_betas(rng):
    noise = rng.uniform(0.5, 1.5, (500, 60))
    signal = rng.standard_normal((500, 60))
    betas = be.Responses(signal + noise * rng.standard_normal((500, 60)), {"stimulus_id": [f"s{i}" for i in range(500)]})
    found = be.NoiseCeiling.from_standard_errors(betas, noise, n_boot=200)
    truth = 1 / (1 + np.mean(noise**2))
    assert found.units == "variance" and found.n_repeats == 1
    assert np.median(found.values) == pytest.approx(truth, abs=0.02)
    assert np.median(be.metrics.pearson(betas.values, signal) ** 2) == pytest.approx(truth, abs=0.02)
    np.testing.assert_allclose(found.values, 1 - (noise**2).mean(axis=0) / betas.values.var(axis=0, ddof=1), atol=1e-12)
    assert 0.88 <= ((found.ci[0] <= truth) & (truth <= found.ci[1])).mean() <= 1


def test_standard_errors_that_do_not_fit_are_refused(rng):
    betas = be.Responses(rng.standard_normal((9, 7)), {"stimulus_id": [f"s{i}" for i in range(9)], "n_repeats": 3})
    assert be.NoiseCeiling.from_standard_errors(betas, np.full((9, 7), 0.1)).n_repeats == pytest.approx(3)
    for wrong in (np.ones((9, 6)), -np.ones((9, 7))):
        with pytest.raises(InputError, match="do not fit"):
            be.NoiseCeiling.from_standard_errors(betas, wrong)
    with pytest.raises(InputError, match="several rows"):
        be.NoiseCeiling.from_standard_errors(be.Responses(np.ones((4, 1)), {"stimulus_id": list("aabb")}), np.ones((4, 1)))


def test_the_interval_changes_its_units_with_the_ceiling():
    found = be.NoiseCeiling([0.49, 0.1], ci=np.array([[0.36, -0.04], [0.64, 0.2]]))
    np.testing.assert_allclose(found.interval("pearson"), [[0.6, 0.0], [0.8, np.sqrt(0.2)]])
    np.testing.assert_array_equal(found.interval("r2"), found.ci)
    assert np.isnan(be.NoiseCeiling([0.5]).interval("r2")).all() and np.isnan(found.interval("spearman")).all()
    other = be.NoiseCeiling([0.5], "correlation", ci=np.array([[-0.2], [0.6]]))
    np.testing.assert_allclose(other.interval("r2"), [[-0.04], [0.36]])
