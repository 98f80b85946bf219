"""Noise-corrected consistency against a slow loop and planted models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge as SlowRidge

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import noise_corrected_consistency as consistency


def world(rng, n, p, n_targets, n_repeats, noise, order=None):
    x, ids = rng.standard_normal((n, p)), [f"s{i}" for i in range(n)]
    clean = x @ rng.standard_normal((p, n_targets)) / np.sqrt(p)
    rows = rng.permutation(np.tile(np.arange(n), n_repeats))
    brain = be.Responses(clean[rows] + noise * rng.standard_normal((len(rows), n_targets)), {"stimulus_id": [ids[i] for i in rows]}, name="01")
    return be.FeatureSpace(x, {"stimulus_id": ids}, name="toy/layer"), brain


def slow(x, brain, split, n_halves, seed, fit, k=(2.0, 2.0)):
    """The published loop: three fits a half, neuron by neuron. ``x`` maps stimuli to features, or gives the features of a half."""
    ids = list(dict.fromkeys(brain.samples["stimulus_id"]))
    codes = np.array([ids.index(i) for i in brain.samples["stimulus_id"]])
    mean = np.stack([brain.values[codes == i].mean(axis=0) for i in range(len(ids))])
    out = []
    for train, test in split.split(brain.average().samples):
        full = fit(x(None, None)[train], mean[train], x(None, None)[test])
        for number, halves in enumerate(be.metrics.random_halves(codes, n_halves, seed, "responses")):
            y = [np.stack([brain.values[(codes == i) & (halves == side)].mean(axis=0) for i in range(len(ids))]) for side in (0, 1)]
            maps = [fit(x(number, side)[train], y[side][train], x(number, side)[test]) for side in (0, 1)]
            for v in range(mean.shape[1]):
                r = np.corrcoef(full[:, v], mean[test, v])[0, 1]
                r_map, r_data = np.corrcoef(maps[0][:, v], maps[1][:, v])[0, 1], np.corrcoef(y[0][test, v], y[1][test, v])[0, 1]
                up = [f * one / (1 + (f - 1) * one) for f, one in zip(k, (r_map, r_data), strict=True)]
                out.append(r / np.sqrt(up[0] * up[1]) if min(up) > 0 else np.nan)
    return np.array(out).reshape(-1, n_halves, mean.shape[1])


def known_mean(values):
    """Mean over halves of those that have a score, NaN where none has."""
    return np.ma.masked_invalid(values).mean(axis=1).filled(np.nan)


def test_the_fast_form_is_the_slow_loop(rng):
    layer, brain = world(rng, 27, 7, 8, 4, 1.5)
    split = be.split.images(test=0.3, seed=0, n=3)
    position = {i: n for n, i in enumerate(layer.samples["stimulus_id"])}
    x = layer.values[[position[i] for i in dict.fromkeys(brain.samples["stimulus_id"])]]
    expected = slow(lambda number, side: x, brain, split, 11, 5, lambda a, b, c: SlowRidge(alpha=3.0).fit(a, b).predict(c))
    found = consistency(layer, brain, split=split, n_halves=11, encoder=be.encoding.Ridge(3.0, cv=None), seed=5)
    np.testing.assert_allclose(found.score, known_mean(expected), atol=1e-9)
    np.testing.assert_array_equal(found.n_used, np.isfinite(expected).sum(axis=1))
    assert (found.n_used < 11).any()  # some halves were dropped, so the loop has seen that case


def test_any_encoder_follows_the_same_formula(rng):
    layer, brain = world(rng, 27, 7, 4, 4, 1.0)
    split = be.split.images(test=0.3, seed=0)
    position = {i: n for n, i in enumerate(layer.samples["stimulus_id"])}
    x = layer.values[[position[i] for i in dict.fromkeys(brain.samples["stimulus_id"])]]
    expected = slow(lambda number, side: x, brain, split, 5, 0, lambda a, b, c: PLSRegression(2).fit(a, b).predict(c))
    found = consistency(layer, brain, split=split, n_halves=5, encoder=PLSRegression(2))
    np.testing.assert_allclose(found.score, known_mean(expected), atol=1e-9)
    # an encoder of scikit-learn that is a ridge gives what ours gives
    ours = consistency(layer, brain, split=split, n_halves=5, encoder=be.encoding.Ridge(3.0, cv=None)).score
    np.testing.assert_allclose(consistency(layer, brain, split=split, n_halves=5, encoder=SlowRidge(alpha=3.0)).score, ours, atol=1e-9)


def test_another_animal_gives_its_own_halves(rng):
    _, first = world(rng, 24, 5, 6, 4, 1.0)
    second = be.Responses(first.values[:, :3] @ rng.standard_normal((3, 5)) + rng.standard_normal((96, 5)), first.samples, name="02")
    split = be.split.images(test=0.3, seed=0)
    ids = list(dict.fromkeys(second.samples["stimulus_id"]))
    codes = np.array([ids.index(i) for i in first.samples["stimulus_id"]])
    halves = list(be.metrics.random_halves(codes, 7, 0, "source"))

    def x(number, side):
        chosen = np.ones(96, dtype=bool) if number is None else halves[number] == side
        return np.stack([first.values[(codes == i) & chosen].mean(axis=0) for i in range(24)])

    expected = slow(x, second, split, 7, 0, lambda a, b, c: SlowRidge(alpha=2.0).fit(a, b).predict(c))
    found = consistency(first, second, split=split, n_halves=7, encoder=be.encoding.Ridge(2.0, cv=None))
    np.testing.assert_allclose(found.score, known_mean(expected), atol=1e-9)


def test_the_model_that_made_the_data_scores_one_and_falls_short_of_the_ceiling_of_repeats(rng):
    layer, brain = world(rng, 200, 30, 40, 6, 2.0)
    found = consistency(layer, brain, split=be.split.images(test=0.25, seed=0, n=4), n_halves=40)
    assert np.median(found.per_target()) == pytest.approx(1.0, abs=0.04)
    ordinary = be.NoiseCeiling.from_repeats(brain).normalize(found.r.mean(axis=0))
    assert np.median(ordinary) < 0.95
    assert np.median(found.map_reliability) < 0.95 and np.median(found.data_reliability) == pytest.approx(np.median(6 / (6 + 4.0)), abs=0.1)


def test_half_of_the_model_scores_what_it_shares(rng):
    layer, brain = world(rng, 240, 20, 60, 6, 1.0)
    part = be.FeatureSpace(layer.values[:, :10], layer.samples, name="toy/half")
    found = consistency(part, brain, split=be.split.images(test=0.25, seed=0, n=4), n_halves=30)
    assert np.median(found.per_target()) == pytest.approx(np.sqrt(0.5), abs=0.06)


def test_odd_and_unequal_repeats_step_up_by_their_own_factor(rng):
    layer, brain = world(rng, 200, 20, 60, 3, 1.0)
    split = be.split.images(test=0.25, seed=0, n=2)
    found = consistency(layer, brain, split=split, n_halves=30)
    assert np.median(found.per_target()) == pytest.approx(1.0, abs=0.04)
    assert np.median(found.data_reliability) == pytest.approx(0.75, abs=0.04)  # three repeats, not the two of two halves of one
    kept = np.flatnonzero(~((brain.samples.groupby("stimulus_id").cumcount() == 2) & (rng.random(600) < 0.5)))
    unequal = consistency(layer, brain.take_rows(kept), split=split, n_halves=30)
    assert np.median(unequal.per_target()) == pytest.approx(1.0, abs=0.05)


def test_memory_and_chunks_change_nothing(rng, monkeypatch):
    from brainenc.encoding import consistency as module

    layer, brain = world(rng, 30, 40, 9, 4, 1.0)
    options = {"split": be.split.images(test=0.3, seed=0), "n_halves": 9, "seed": 1}
    whole = consistency(layer, brain, **options)
    monkeypatch.setattr(module, "_CHUNK", 4)
    monkeypatch.setattr(module, "_BATCH", 2)
    for found in (consistency(layer, brain, **options), consistency(layer, brain, memory="1MB", **options)):
        np.testing.assert_allclose(found.score, whole.score, atol=1e-10)
        np.testing.assert_array_equal(found.n_used, whole.n_used)
    with pytest.raises(InputError, match="at least"):
        consistency(layer, brain, memory="10kB", **options)


def test_targets_without_a_score_are_counted_and_the_others_summarised(rng):
    layer, brain = world(rng, 40, 5, 9, 4, 1.0)
    brain.values[3, 2] = np.nan
    brain.values[:, 5] = 1.0
    regions = be.Responses(brain.values, brain.samples, {"roi": ["a"] * 4 + ["b"] * 5})
    found = consistency(layer, regions, split=be.split.images(test=0.3, seed=0, n=2), n_halves=6)
    assert np.flatnonzero(np.isnan(found.per_target())).tolist() == [2, 5]
    table = found.to_frame()
    assert table["n_dropped"].tolist() == (12 - found.n_used.sum(axis=0)).tolist() and table.loc[5, "n_dropped"] == 12
    row = found.by("roi").set_index("roi").loc["b"]
    known = table[table["roi"] == "b"]["score"].dropna()
    assert row["n_nan"] == 1 and row["score"] == pytest.approx(known.median()) and row["sem"] == pytest.approx(known.std(ddof=1) / 2)
    assert found.by().loc[0, "n_targets"] == 9 and "2 splits × 6 halves" in repr(found)


def test_time_bins_of_a_trial_stay_in_one_half(rng):
    # noise that a trial keeps over its bins: halving bin by bin would spread it over both halves of the neighbouring bins
    n_conditions, n_bins, n_repeats = 20, 3, 4
    table = [(c, b, r) for c in range(n_conditions) for b in range(n_bins) for r in range(n_repeats)]
    samples = {"stimulus_id": [f"c{c}_{b}" for c, b, _ in table], "condition": [c for c, _, _ in table], "repeat": [r for *_, r in table]}
    layer = be.FeatureSpace(rng.standard_normal((60, 4)), {"stimulus_id": list(dict.fromkeys(samples["stimulus_id"]))})
    brain = be.Responses(rng.standard_normal((240, 5)), samples)
    from brainenc.encoding.consistency import _halving

    _, draw = _halving(brain, "condition", 0, "responses")
    for halves in draw(20):
        sides = np.array(halves).reshape(n_conditions, n_bins, n_repeats)
        assert (sides == sides[:, :1]).all() and (np.sort(sides, axis=2) == [0, 0, 1, 1]).all()
    split = be.split.images(test=0.25, seed=0, groups="condition")
    assert consistency(layer, brain, split=split, n_halves=3, halve_by="condition").score.shape == (1, 5)
    with pytest.raises(InputError, match="miss some of the repeats"):
        consistency(layer, brain.take_rows(np.arange(1, 240)), split=split, n_halves=3, halve_by="condition")


def test_what_cannot_be_halved_is_refused(rng):
    layer, brain = world(rng, 12, 3, 4, 2, 1.0)
    split = be.split.images(test=0.3, seed=0)
    with pytest.raises(InputError, match="cannot be halved.*1 of 12"):
        consistency(layer, brain.take_rows(np.arange(1, 24)), split=split)
    with pytest.raises(InputError, match="already averaged"):
        consistency(layer, brain.average(), split=split)
    with pytest.raises(InputError, match="time series"):
        consistency(layer, be.Responses(np.ones((4, 1)), {"run": [1] * 4}, t_r=2.0), split=split)
    with pytest.raises(InputError, match="not among the"):
        consistency(layer.take([f"s{i}" for i in range(5)]), brain, split=split)
    with pytest.raises(InputError, match="at least 1, got 0"):
        consistency(layer, brain, split=split, n_halves=0)
    with pytest.raises(InputError, match="pass an instance"):
        consistency(layer, brain, split=split, encoder=SlowRidge)
