"""Cleaning within runs agrees with scipy, and nothing crosses a run."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import detrend as scipy_detrend

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.loaders import clean_responses


@pytest.fixture
def series(rng):
    run = np.repeat([1, 2], [13, 11])
    values = rng.standard_normal((24, 8)) + np.linspace(0, 5, 24)[:, None] + 100 * run[:, None]
    samples = pd.DataFrame({"run": run, "confound.move": rng.standard_normal(24)})
    events = pd.DataFrame({"onset": [0.0], "duration": [1.0], "stimulus_id": ["a"], "run": [1]})
    return be.Responses(values, samples, t_r=2.0, events=events)


def test_detrending_and_scaling_by_run(series):
    cleaned = clean_responses(series, detrend=True, standardize="zscore")
    for run in (1, 2):
        rows = (series.samples["run"] == run).to_numpy()
        expected = scipy_detrend(series.values[rows], axis=0)
        np.testing.assert_allclose(cleaned.values[rows], expected / expected.std(axis=0, ddof=1), atol=1e-10)
    np.testing.assert_allclose(series.clean(detrend=True, standardize="zscore").values, cleaned.values)
    assert cleaned.provenance["cleaned"]["by"] == "run" and cleaned.events is not None


def test_centring_alone_and_by_everything(series):
    centred = clean_responses(series, standardize="center")
    np.testing.assert_allclose(centred.values[:13], series.values[:13] - series.values[:13].mean(axis=0), atol=1e-10)
    whole = clean_responses(series, standardize="center", by=None)
    np.testing.assert_allclose(whole.values, series.values - series.values.mean(axis=0), atol=1e-10)


def test_one_run_never_changes_another(series):
    other = series.values.copy()
    other[13:] = 7 * other[13:] ** 2
    changed = be.Responses(other, series.samples, t_r=2.0, events=series.events)
    options = {"detrend": True, "standardize": "zscore", "confounds": ["confound.move"]}
    np.testing.assert_array_equal(clean_responses(changed, **options).values[:13], clean_responses(series, **options).values[:13])


def test_confounds_are_removed(series):
    cleaned = clean_responses(series, detrend=True, standardize="zscore", confounds=["confound.move"])
    for run in (1, 2):
        rows = (series.samples["run"] == run).to_numpy()
        nuisance = scipy_detrend(series.samples["confound.move"].to_numpy()[rows])
        assert np.abs(nuisance @ cleaned.values[rows]).max() < 1e-8


def test_missing_and_constant_targets_stay_apart(series):
    values = series.values.copy()
    values[3, 2] = np.nan
    values[:, 5] = 4.0
    cleaned = clean_responses(be.Responses(values, series.samples, t_r=2.0, events=series.events), detrend=True, standardize="zscore").values
    assert np.isnan(cleaned[:13, 2]).all() and np.isfinite(cleaned[13:, 2]).all()
    assert (cleaned[:, 5] == 0).all() and np.isfinite(cleaned[:, [0, 1, 3, 4, 6, 7]]).all()


def test_refusals(series):
    with pytest.raises(InputError, match="zscore"):
        clean_responses(series, standardize="z")
    with pytest.raises(NotFoundError, match="session"):
        clean_responses(series, detrend=True, by="session")
    with pytest.raises(InputError, match="at least 3, got 1"):
        clean_responses(be.Responses(np.zeros((2, 1)), {"run": [1, 2]}), detrend=True)


def test_cosines_and_confounds_leave_as_in_nilearn(series, rng):
    from nilearn.signal import clean

    moved = clean_responses(series, detrend=True, high_pass=1 / 20, confounds=["confound.move"])
    for run in (1, 2):
        rows = (series.samples["run"] == run).to_numpy()
        expected = clean(
            series.values[rows], detrend=True, standardize=None, filter="cosine", high_pass=1 / 20, t_r=2.0,
            confounds=series.samples.loc[rows, ["confound.move"]].to_numpy(),
        )  # fmt: skip
        np.testing.assert_allclose(moved.values[rows], expected, atol=1e-9)
    assert moved.provenance["cleaned"]["filter"] == "dct"


def test_savitzky_golay_is_scipys_and_refuses_gaps(series):
    from scipy.signal import savgol_filter

    out = series.clean(high_pass=1 / 18, filter="savgol")
    rows = (series.samples["run"] == 1).to_numpy()
    np.testing.assert_allclose(out.values[rows], series.values[rows] - savgol_filter(series.values[rows], 9, 3, axis=0), atol=1e-10)
    with pytest.raises(InputError, match="cannot bridge"):
        series.take_rows([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]).clean(high_pass=1 / 18, filter="savgol")
    with pytest.raises(InputError, match="does not fit the run.*13"):
        series.clean(high_pass=1 / 100, filter="savgol")


def test_cosines_keep_their_place_where_scans_were_cut(rng):
    t = np.arange(60)
    drift = np.cos(np.pi * 3 * (2 * t + 1) / 120)[:, None] * rng.standard_normal(4)
    noise = rng.standard_normal((60, 4))
    brain = be.Responses(drift * 50 + noise, {"run": [1] * 60}, t_r=1.0)
    kept = np.delete(t, [7, 8, 30])
    out = brain.take_rows(kept).clean(high_pass=0.03)
    basis = np.column_stack([np.cos(np.pi * k * (2 * kept + 1) / 120) for k in (1, 2, 3)])
    basis -= basis.mean(axis=0)
    expected = noise[kept] - basis @ np.linalg.lstsq(basis, noise[kept], rcond=None)[0]
    np.testing.assert_allclose(out.values - out.values.mean(axis=0), expected - expected.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [({"high_pass": -1.0}, "positive frequency"), ({"high_pass": 0.2, "filter": "fir"}, "filter"), ({"high_pass": 0.25}, "nothing would be left")],
)
def test_filters_that_make_no_sense_are_refused(series, kwargs, message):
    with pytest.raises(InputError, match=message):
        series.clean(**kwargs)
    with pytest.raises(InputError, match="no slow drifts"):
        be.Responses(np.zeros((4, 1)), {"stimulus_id": list("abcd"), "run": [1] * 4}).clean(high_pass=0.01)
