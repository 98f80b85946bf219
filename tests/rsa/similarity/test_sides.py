"""Arrays, features and responses meet by stimulus_id, and nothing is dropped in silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.rsa.similarity import cka, matrix, similarity_test


def test_responses_are_averaged_and_matched(responses, features):
    ids = list(features.samples["stimulus_id"])
    values = pd.DataFrame(responses.values).groupby(responses.samples["stimulus_id"].to_numpy()).mean().loc[ids].to_numpy()
    expected = cka(features.values, values)
    assert cka(features, responses) == pytest.approx(expected, abs=1e-12)
    assert cka(responses, features) == pytest.approx(expected, abs=1e-12)


def test_more_stimuli_on_one_side_than_on_the_other(responses, features):
    fewer = responses.rows("stimulus_id in ['s1', 's2', 's5', 's7', 's8']")
    kept = fewer.average("stimulus_id")
    expected = cka(features.take(kept.samples["stimulus_id"]).values, kept.values)
    assert cka(features, fewer) == pytest.approx(expected, abs=1e-12)


def test_missing_stimuli_are_named(responses, features):
    with pytest.raises(be.BrainencError, match="stimulus_ids are not among"):
        cka(features.take(["s0", "s1", "s2", "s3", "s4"]), replace(responses, samples=responses.samples.assign(stimulus_id="x" + responses.samples["stimulus_id"])))


def test_regions(responses, features):
    table = matrix({"a": features}, responses, by="roi")
    assert list(table.columns) == ["V1", "V4"]
    assert table.loc["a", "V4"] == pytest.approx(cka(features, responses.where(roi="V4")), abs=1e-12)
    several = matrix(features, {"01": responses, "02": responses}, by="roi")
    assert list(several.columns) == ["01/V1", "01/V4", "02/V1", "02/V4"]
    with pytest.raises(be.BrainencError, match="no column 'area'"):
        matrix(features, responses, by="area")


def test_repeats_cannot_meet_an_array(responses, features):
    with pytest.raises(be.BrainencError, match="has repeats"):
        cka(features.values, responses)
    single = responses.average("stimulus_id")
    assert np.isfinite(cka(features.values, single)), "without repeats the rows are what they are"


def test_time_series_are_not_permuted_row_by_row(rng):
    scans = be.Responses(rng.standard_normal((40, 6)), {"run": [1] * 40}, t_r=2.0)
    with pytest.raises(be.BrainencError, match="exchangeable"):
        similarity_test(rng.standard_normal((40, 3)), scans)
    units = be.metrics.resample.blocks_of(40, 5)
    assert np.isfinite(similarity_test(rng.standard_normal((40, 3)), scans, units=units, n=19, n_halves=20)["p"]).all()


def test_scans_do_not_meet_stimuli_of_the_same_number(rng, features):
    scans = be.Responses(rng.standard_normal((9, 6)), {"run": [1] * 9}, t_r=2.0)
    with pytest.raises(be.BrainencError, match="one row per scan"):
        cka(features, scans)
    delayed = be.FeatureSpace(rng.standard_normal((9, 2)), {"run": [1] * 9}, rows="sample")
    assert np.isfinite(cka(delayed, scans))


def test_memmaps_and_integers(rng, tmp_path):
    values = rng.integers(0, 9, (20, 5))
    np.save(tmp_path / "x.npy", values)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert cka(mapped, values[:, :2]) == pytest.approx(cka(values.astype(float), values[:, :2].astype(float)), abs=1e-14)


@pytest.mark.parametrize("bad", [np.zeros((5, 2, 2)), np.zeros((5, 0)), np.array([["a"]] * 5)])
def test_what_is_no_matrix(bad):
    with pytest.raises(be.BrainencError):
        cka(bad, np.arange(5.0)[:, None])
