"""Latencies of layers: planted ones are found, intervals and differences follow the draws, and the rules are those that are written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import Latencies, latencies, temporal_score
from brainenc.encoding.timing import _How, _latencies

pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
STEP = 0.01
TIMES = np.arange(-10, 40) * STEP
PEAKS = {"a": 0.08, "b": 0.16, "c": 0.26}
WIDTH = 0.025
LATER = {"Oz": 0.0, "Pz": 0.02, "Fz": 0.05}


def course(layer, channel):
    return np.exp(-0.5 * ((TIMES - PEAKS[layer] - LATER[channel]) / WIDTH) ** 2)


def epochs(seed=0, n=240, noise=0.7, name="01"):
    """Three layers of independent features reach three channels, one after the other, early layers early."""
    rng = np.random.default_rng(seed)
    ids = [f"image{i}" for i in range(n)]
    layers = {f"toy/{k}": be.FeatureSpace(rng.standard_normal((n, 4)), {"stimulus_id": ids}, name=f"toy/{k}") for k in PEAKS}
    signal = np.zeros((n, len(LATER), len(TIMES)))
    for c, channel in enumerate(LATER):
        for key in PEAKS:
            signal[:, c] += (layers[f"toy/{key}"].values.sum(axis=1) / 2)[:, None] * course(key, channel)
    values = signal + noise * rng.standard_normal(signal.shape)
    space = be.SensorSpace({"channel": list(LATER)}, TIMES)
    return layers, be.Responses(values.reshape(n, -1), {"stimulus_id": ids}, {"roi": np.repeat(["back", "back", "front"], len(TIMES))}, space, name=name)


@pytest.fixture(scope="module")
def scores():
    layers, brain = epochs()
    return be.score_layers(layers, brain, split=be.split.kfold(3), keep_predictions=True)


def expected_curve(layer, channel, noise=0.7):
    """The correlation of the best possible prediction: signal of this layer over all variance."""
    return course(layer, channel) / np.sqrt(sum(course(key, channel) ** 2 for key in PEAKS) + noise**2)


def test_planted_latencies_are_found_within_one_sample(scores):
    found = latencies(scores, n=100)
    assert len(found.table) == 9 and found.draws.shape == (9, 100, 3)
    for row in found.table.itertuples():
        curve = expected_curve(row.layer, row.channel)
        truth = TIMES[curve.argmax()], TIMES[(curve >= 0.5 * curve.max()).argmax()], TIMES[curve >= 0.95 * curve.max()].mean()
        assert np.abs(row.plateau - truth[2]) <= STEP + 1e-9 and np.abs(row.onset - truth[1]) <= STEP + 1e-9
        assert row.peak_low - 1e-9 <= truth[0] <= row.peak_high + 1e-9 and row.onset_low - 1e-9 <= truth[1] <= row.onset_high + 1e-9
        assert row.onset < row.peak and row.onset_low <= row.onset <= row.onset_high and row.n_nan == 0 and row.n_missing == 0
        assert np.isclose(row.threshold, 0.5 * row.score)
    assert (np.abs(found.table["peak"] - [PEAKS[r.layer] + LATER[r.channel] for r in found.table.itertuples()]) <= STEP + 1e-9).mean() >= 7 / 9


def test_differences_are_paired(scores):
    found = latencies(scores, n=100)
    table = found.differences("onset")
    assert len(table) == 9 and list(table)[:4] == ["subject", "channel", "first", "second"]
    assert (table["ci_low"] > 0).all() and (table["p"] < 0.05).all() and (table["p"] >= 2 / 101).all()
    planted = [PEAKS[b[-1]] - PEAKS[a[-1]] for a, b in zip(table["first"], table["second"], strict=True)]
    assert np.abs(table["difference"] - planted).max() <= 2 * STEP + 1e-9
    drawn = found.draws[1, :, 0] - found.draws[0, :, 0]
    np.testing.assert_allclose(table.iloc[0][["ci_low", "ci_high"]].astype(float), np.percentile(drawn, (2.5, 97.5)))
    against = found.differences("peak", reference="toy/c")
    assert len(against) == 6 and (against["difference"] < 0).all() and set(against["first"]) == {"toy/c"}
    same = Latencies(found.table, np.repeat(found.draws[:1], 9, axis=0), "channel").differences()
    assert (same["p"] == 1).all() and (same["ci_high"] == 0).all()
    with pytest.raises(NotFoundError, match="toy/x"):
        found.differences(reference="toy/x")


def test_regions_and_the_plateau_of_the_temporal_score(scores):
    found = latencies(scores, by="roi", n=0)
    assert list(found.table["roi"].unique()) == ["back", "front"] and found.draws.shape == (6, 0, 3)
    assert found.table["peak_low"].isna().all() and found.differences()["p"].isna().all()
    front = scores.where(roi="front")
    timed = replace(front, targets=front.targets.assign(time=TIMES))
    np.testing.assert_allclose(found.table["plateau"][3:], temporal_score(timed, n=20).cells["latency"])
    curves = scores.mean()[:, : 2 * len(TIMES)].reshape(3, 2, -1).mean(axis=1)
    np.testing.assert_allclose(found.table["score"][:3], curves.max(axis=1))
    # the same draws, whichever channels stand beside
    both, alone = latencies(scores, n=40), latencies(front, n=40)
    np.testing.assert_allclose(both.draws[6:], alone.draws)


def test_chunks_of_times_change_nothing(scores, monkeypatch):
    whole = latencies(scores, by="roi", n=30)
    monkeypatch.setattr("brainenc.encoding.timing.CHUNK_BYTES", 1)
    np.testing.assert_allclose(latencies(scores, by="roi", n=30).draws, whole.draws)


def test_draws_equal_a_loop(scores):
    from brainenc.metrics.resample import bootstrap_folds, n_units

    found = latencies(scores, n=20)
    rows = scores.test_rows["01"]
    folds, many = bootstrap_folds(rows, 20, 0, "01"), n_units(rows)
    column = slice(0, len(TIMES))
    y, p = scores.observed["01"][:, column].astype(float), scores.predictions["01"]["toy/a"][:, column].astype(float)
    point = scores.mean()[0, column]
    for draw in range(20):
        parts = []
        for index, weights in folds:
            again = np.repeat(index, weights[draw].astype(int))
            parts.append([np.corrcoef(y[again, t], p[again, t])[0, 1] for t in range(len(TIMES))])
        curve = point + np.sqrt(2 * many / (many - 1)) * (np.mean(parts, axis=0) - point)
        high = curve >= 0.5 * curve.max()
        onset = next(t for t in range(len(TIMES) - 1) if high[t] and high[t + 1])
        np.testing.assert_allclose(found.draws[0, draw, :2], [TIMES[onset], TIMES[curve.argmax()]])


def rules(curve, when, *, rule="share", level=0.5, least=2, window=(-np.inf, np.inf), plateau=0.95):
    return _latencies(np.array([curve], dtype=float), np.array(when, dtype=float), _How("pearson", "mean", rule, level, least, plateau, window, 0, 0))


def test_the_rules():
    when = np.arange(-3, 5)
    curve = [0.0, 0.2, 0.1, 0.6, 0.1, 0.5, 1.0, 0.96]
    found, top, threshold = rules(curve, when)
    np.testing.assert_allclose(found, [[2, 3, 3.5]])  # the single high sample at 0 is no onset
    assert top[0] == 1 and threshold[0] == 0.5
    assert rules(curve, when, least=1)[0][0, 0] == 0
    np.testing.assert_allclose(rules(curve, when, window=(-3, 1), least=1)[0], [[0, 0, 0]])
    limit = np.mean(curve[:3]) + 3 * np.std(curve[:3], ddof=1)
    found, _, threshold = rules(curve, when, rule="baseline", level=3.0)
    np.testing.assert_allclose(threshold, limit)
    assert found[0, 0] == 2
    assert np.isnan(rules(np.full(8, -0.1), when)[0]).all()
    assert np.isnan(rules([0, 0, 0, 1, 0, 0, 0, 0], when)[0][0, 0])  # a peak, but no onset
    gap = rules([0, 0, 0, 1, np.nan, 1, 0.9, 0], when)
    assert gap[0][0, 0] == 2  # an unknown time ends a run
    assert np.isnan(rules(np.full(8, np.nan), when)[0]).all() and np.isnan(rules(np.full(8, np.nan), when)[1]).all()


def test_missing_scores_and_noise_are_counted(scores):
    values = scores.values.copy()
    values[0, 0, 3] = np.nan
    values[1] = -0.1
    found = latencies(replace(scores, values=values), n=20).table
    assert found["n_missing"].iloc[0] == 1 and (found["n_missing"].iloc[1:] == 0).all()
    silent = found[found["layer"] == "b"]
    assert silent[["onset", "peak", "plateau", "onset_low", "peak_high"]].isna().all(axis=None) and (silent["n_nan"] == 20).all()


def test_subjects_and_what_cannot_be_read(scores):
    layers, brain = epochs(n=60)
    two = be.score_layers(layers, {"01": brain, "02": epochs(n=60, seed=1, name="02")[1]}, split=be.split.images(seed=0), keep_predictions=True)
    assert list(latencies(two, n=20).table["subject"]) == ["01"] * 9 + ["02"] * 9
    bare = replace(scores, predictions={}, observed={})
    with pytest.raises(InputError, match="predictions"):
        latencies(bare)
    pd.testing.assert_frame_equal(latencies(bare, n=0).table, latencies(scores, n=0).table)
    late = scores.where("target_id in [" + ", ".join(repr(one) for one in scores.targets["target_id"][20:30]) + "]")
    with pytest.raises(InputError, match="no baseline"):
        latencies(late, rule="baseline", n=0)
    for wrong in ({"level": 1.5}, {"plateau": 0.0}, {"rule": "half"}, {"least": 0}, {"n": 5}, {"window": (1.0, 2.0)}):
        with pytest.raises(InputError):
            latencies(scores, **{"n": 0, **wrong})
