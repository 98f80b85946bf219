"""Estimators of noise ceilings against their textbook formulas, written out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError


@pytest.fixture
def cube(rng):
    """Repeats × stimuli × targets."""
    return rng.standard_normal((1, 9, 7)) + 0.8 * rng.standard_normal((3, 9, 7))


def as_trials(rng, cube, **columns):
    """The same as responses, rows in random order, repeats named."""
    n_repeats, n_stimuli, n_targets = cube.shape
    table = pd.DataFrame({"stimulus_id": np.tile([f"s{i}" for i in range(n_stimuli)], n_repeats), "repeat": np.repeat(np.arange(n_repeats), n_stimuli)})
    order = rng.permutation(len(table))
    return be.Responses(cube.reshape(-1, n_targets)[order], table.iloc[order].reset_index(drop=True).assign(**columns))


def test_signal_power_is_the_published_formula_and_ignores_shifts_of_a_repeat(rng, cube):
    n_repeats = len(cube)
    of_mean = cube.mean(axis=0).var(axis=0, ddof=1)
    of_trials = cube.var(axis=1, ddof=1).mean(axis=0)
    signal = (n_repeats * of_mean - of_trials) / (n_repeats - 1)
    found = be.NoiseCeiling.from_repeats(as_trials(rng, cube), method="signal_power")
    np.testing.assert_allclose(found.values, signal / of_mean, atol=1e-10)  # CCmax²
    shifted = cube + np.array([0.0, 5.0, -3.0])[:, None, None]
    moved = be.NoiseCeiling.from_repeats(as_trials(rng, shifted), method="signal_power")
    np.testing.assert_allclose(moved.values, found.values, atol=1e-10)
    assert (be.NoiseCeiling.from_repeats(as_trials(rng, shifted), method="anova").values < found.values - 0.2).all()


def test_explainable_variance_is_the_tutorials_formula_for_one_repeat(rng, cube):
    scaled = stats.zscore(cube, axis=1)
    ev = scaled.mean(axis=0).var(axis=0, ddof=1) / scaled.var(axis=1, ddof=1).mean(axis=0)
    ev = ev - (1 - ev) / (len(cube) - 1)
    trials = as_trials(rng, cube)
    np.testing.assert_allclose(be.NoiseCeiling.from_repeats(trials, method="explainable_variance", n_repeats=1).values, ev, atol=1e-10)
    np.testing.assert_allclose(be.NoiseCeiling.from_repeats(trials, method="explainable_variance").values, 3 * ev / (1 + 2 * ev), atol=1e-10)
    pairs = [stats.pearsonr(cube[i, :, 0], cube[j, :, 0]).statistic for i, j in combinations(range(3), 2)]
    assert ev[0] == pytest.approx(np.mean(pairs))


def test_without_names_repeats_go_by_order_of_appearance(rng, cube):
    stacked = be.Responses(cube.reshape(-1, 7), {"stimulus_id": np.tile([f"s{i}" for i in range(9)], 3)})
    for method in ("signal_power", "explainable_variance"):
        named = be.NoiseCeiling.from_repeats(as_trials(rng, cube), method=method)
        np.testing.assert_allclose(be.NoiseCeiling.from_repeats(stacked, method=method).values, named.values, atol=1e-12)


def test_explainable_variance_takes_only_equal_repeats(rng, cube):
    trials = as_trials(rng, cube).take_rows(np.arange(26))
    with pytest.raises(InputError, match='got 2 to 3. Use method="ncsnr"'):
        be.NoiseCeiling.from_repeats(trials, method="explainable_variance")


def test_split_half_of_three_steps_up_by_three(rng):
    cube = rng.standard_normal((1, 400, 40)) + rng.standard_normal((3, 400, 40))
    found = be.NoiseCeiling.from_repeats(as_trials(rng, cube), method="split_half")
    pairs = np.mean([[np.corrcoef(cube[i, :, t], cube[j, :, t])[0, 1] for t in range(40)] for i, j in combinations(range(3), 2)], axis=0)
    np.testing.assert_allclose(found.values, 3 * pairs / (1 + 2 * pairs), atol=0.02)
    assert np.median(2 * pairs / (1 + pairs)) < 0.69 < np.median(found.values)  # the usual factor of two is too low here


def ordered_trials(rng, n_runs, per_run, n_stimuli, n_targets, signal, noise):
    """Every stimulus once a run, in another order each time, with AR(1) noise that starts anew in every run."""
    order = np.concatenate([rng.permutation(n_stimuli) for _ in range(n_runs)])
    steps = rng.standard_normal((n_runs, per_run, n_targets))
    for i in range(1, per_run):
        steps[:, i] = noise * steps[:, i - 1] + np.sqrt(1 - noise**2) * steps[:, i]
    planted = signal * rng.standard_normal((n_stimuli, n_targets))
    table = {"stimulus_id": [f"s{i}" for i in order], "run": np.repeat(np.arange(n_runs), per_run), "onset": np.tile(np.arange(per_run) * 4.0, n_runs)}
    return be.Responses(planted[order] + steps.reshape(-1, n_targets), table)


def test_shuffles_see_through_noise_that_repeats_share(rng):
    # stimuli are shown twice in a row: noise that lasts makes the two trials alike without any signal
    n_targets, pairs = 150, 30
    order = np.concatenate([np.repeat(rng.permutation(60)[:pairs], 2) for _ in range(6)])
    steps = rng.standard_normal((6, 2 * pairs, n_targets))
    for i in range(1, 2 * pairs):
        steps[:, i] = 0.8 * steps[:, i - 1] + 0.6 * steps[:, i]
    planted = 0.5 * rng.standard_normal((60, n_targets))
    table = {"stimulus_id": [f"s{i}" for i in order], "run": np.repeat(np.arange(6), 2 * pairs)}
    for signal in (0.0, 1.0):
        responses = be.Responses(signal * planted[order] + steps.reshape(-1, n_targets), table)
        mean = responses.average()
        seen = [int(i[1:]) for i in mean.samples["stimulus_id"]]
        truth = 0.0 if signal == 0 else np.median(be.metrics.pearson(mean.values, planted[seen]) ** 2)
        assert np.median(be.NoiseCeiling.from_repeats(responses, method="shuffle").values) == pytest.approx(truth, abs=0.06)
        assert np.median(be.NoiseCeiling.from_repeats(responses).values) > truth + 0.25  # what assumes independent noise claims


def test_the_shuffle_takes_rows_in_time(rng):
    trials = ordered_trials(rng, 5, 12, 12, 6, 1.0, 0.7)
    whole = be.NoiseCeiling.from_repeats(trials, method="shuffle", seed=2)
    turned = trials.take_rows(np.lexsort((rng.random(60), trials.samples["run"])))
    np.testing.assert_allclose(be.NoiseCeiling.from_repeats(turned, method="shuffle", seed=2).values, whole.values, atol=1e-10)


def test_the_shuffle_refuses_what_it_cannot_know(rng):
    trials = ordered_trials(rng, 4, 9, 9, 3, 1.0, 0.5)
    with pytest.raises(InputError, match="column 'run'"):
        be.NoiseCeiling.from_repeats(be.Responses(trials.values, trials.samples.drop(columns="run")), method="shuffle")
    with pytest.raises(InputError, match="own repeats"):
        be.NoiseCeiling.from_repeats(trials, method="shuffle", n_repeats=1)
    with pytest.raises(InputError, match="n_boot=0"):
        be.NoiseCeiling.from_repeats(trials, method="shuffle", n_boot=10)
    same = be.Responses(np.ones((10, 2)), {"stimulus_id": list("abcba") * 2, "run": [1] * 5 + [2] * 5})
    with pytest.raises(InputError, match="leaves the stimuli where they were"):
        be.NoiseCeiling.from_repeats(same, method="shuffle")


def test_the_interval_is_on_the_scale_of_the_noise_share(rng):
    draws = 1 - np.exp(rng.normal(np.log(0.3), 0.2, (20000, 1)))
    low, high = be.metrics.bootstrap_interval(np.array([0.7]), draws, 50, "variance")
    reach = stats.t.ppf(0.975, 49) * np.sqrt(50 / 49) * 0.2
    np.testing.assert_allclose([low[0], high[0]], [1 - 0.3 * np.exp(reach), 1 - 0.3 * np.exp(-reach)], atol=0.01)
    z = np.arctanh(0.6) + rng.normal(0, 0.1, (20000, 1))
    low, high = be.metrics.bootstrap_interval(np.array([0.6]), np.tanh(z), 10**6, "correlation")
    np.testing.assert_allclose([low[0], high[0]], np.tanh(np.arctanh(0.6) + np.array([-0.196, 0.196])), atol=0.01)
    low, high = be.metrics.bootstrap_interval(np.array([0.0]), rng.standard_normal((20000, 1)), 10**6, "ratio")
    np.testing.assert_allclose([low[0], high[0]], [-1.96, 1.96], atol=0.07)
    lost = np.where(rng.random((100, 1)) < 0.6, np.nan, draws[:100])
    assert np.isnan(be.metrics.bootstrap_interval(np.array([0.7]), lost, 50, "variance")).all()
    with pytest.raises(InputError, match="unknown value for scale"):
        be.metrics.bootstrap_interval(np.array([0.7]), draws, 50, "percent")


def test_random_halves_are_halves_of_every_stimulus():
    codes = np.array([0, 1, 0, 2, 1, 1, 0, 0, 2, 1, 1, 3])
    draws = list(be.metrics.random_halves(codes, 200, 1))
    for halves in draws:
        for unit, size in ((0, 2), (1, 2), (2, 1), (3, 0)):
            mine = halves[codes == unit]
            assert (mine == 0).sum() == (mine == 1).sum() == size and (mine == -1).sum() == len(mine) - 2 * size
    assert np.mean([halves[1] == -1 for halves in draws]) == pytest.approx(0.2, abs=0.08)  # one of five is left out, any of them
    again = list(be.metrics.random_halves(codes, 200, 1))
    assert all((a == b).all() for a, b in zip(draws, again, strict=True))
