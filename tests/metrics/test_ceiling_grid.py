"""The slow grid: bias of every estimator and coverage of its interval, over signal, repeats and estimators, with the table printed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError

LAYOUTS = {"2 each": [2] * 120, "3 each": [3] * 120, "8 each": [8] * 120, "1, 2, 3": [1] * 40 + [2] * 40 + [3] * 40, "2, 4, 10": [2] * 40 + [4] * 40 + [10] * 40}
NCSNR = (0.3, 0.6, 1.0, 2.0)
N_DATA_SETS, N_TARGETS, N_BOOT = 20, 100, 200


def worlds(counts, ncsnr):
    """Data sets with their own signal and noise: trials, the signal in the order of first appearance, and predictions that share 0.6² of it."""
    for seed in range(N_DATA_SETS):
        rng = np.random.default_rng([seed, len(counts), int(10 * ncsnr)])
        stimulus = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        signal, other = ncsnr * rng.standard_normal((2, len(counts), N_TARGETS))
        table = {"stimulus_id": [f"s{i}" for i in stimulus], "run": np.arange(len(stimulus)) * 6 // len(stimulus)}
        guess = 0.6 * (0.6 * signal + 0.8 * other)
        yield be.Responses(signal[stimulus] + rng.standard_normal((len(stimulus), N_TARGETS)), table), guess[list(dict.fromkeys(stimulus))]


def summary(values, lows, highs, truth):
    values, lows, highs = (np.concatenate(one) for one in (values, lows, highs))
    known = np.isfinite(values) & np.isfinite(lows)
    return {
        "truth": truth, "bias": np.nanmean(values) - truth, "median": np.nanmedian(values), "sd": np.nanstd(values),
        "coverage": ((lows <= truth) & (truth <= highs))[known].mean() if known.any() else np.nan, "n_nan": int(np.isnan(values).sum()),
    }  # fmt: skip


def report(rows, capsys, title):
    table = pd.DataFrame(rows)
    with capsys.disabled():
        print(f"\n{title}, {N_DATA_SETS} data sets × {N_TARGETS} targets, 120 stimuli, {N_BOOT} draws\n" + table.round(3).to_string(index=False))
    return table


@pytest.mark.slow
def test_every_estimator_is_unbiased_and_its_interval_covers(capsys):
    rows = []
    for layout, counts in LAYOUTS.items():
        q = np.mean(1 / np.array(counts))
        for ncsnr in NCSNR:
            found = {name: ([], [], []) for name in be.metrics.ceiling_methods()}
            for responses, _ in worlds(counts, ncsnr):
                for name, store in found.items():
                    try:
                        one = be.NoiseCeiling.from_repeats(responses, method=name, n_boot=0 if name == "shuffle" else N_BOOT)
                    except InputError:
                        continue
                    ci = np.full((2, N_TARGETS), np.nan) if one.ci is None else one.ci
                    for part, values in zip(store, (one.values, *ci), strict=True):
                        part.append(values)
            truth = ncsnr**2 / (ncsnr**2 + q)
            rows += [{"repeats": layout, "ncsnr": ncsnr, "method": name} | summary(*store, truth) for name, store in found.items() if store[0]]
    table = report(rows, capsys, "ceilings from repeats")
    apart = table[table["method"] != "shuffle"]  # it has no interval, and a larger variance
    assert (apart["bias"].abs() < 0.025).all() and ((table["median"] - table["truth"]).abs() < 0.03).all()
    assert apart["coverage"].between(0.925, 0.97).all()
    assert 0.935 < apart["coverage"].mean() < 0.96


@pytest.mark.slow
def test_corrected_scores_are_unbiased_and_their_intervals_cover(capsys):
    scores = {be.metrics.cc_norm: 0.6, be.metrics.signal_power_explained: 0.36, be.metrics.unbiased_r2: 0.36}
    rows = []
    for layout, counts in LAYOUTS.items():
        for ncsnr in NCSNR[1:]:
            found = {score: ([], [], []) for score in scores}
            for responses, guess in worlds(counts, ncsnr):
                for score, store in found.items():
                    one = score(responses, guess, n_boot=N_BOOT)
                    for part, values in zip(store, (one.values, *one.ci), strict=True):
                        part.append(values)
            rows += [{"repeats": layout, "ncsnr": ncsnr, "score": score.__name__} | summary(*found[score], truth) for score, truth in scores.items()]
    table = report(rows, capsys, "corrected scores")
    assert ((table["median"] - table["truth"]).abs() < 0.03).all()
    assert table["coverage"].between(0.925, 0.97).all()


@pytest.mark.slow
def test_group_ceilings_and_standard_errors_cover(capsys):
    rows = []
    for noise in (0.5, 1.0, 2.0):
        stores = {"lower": ([], [], []), "upper": ([], [], []), "standard errors": ([], [], [])}
        for seed in range(N_DATA_SETS):
            rng = np.random.default_rng([seed, int(10 * noise)])
            signal, ids = rng.standard_normal((120, N_TARGETS)), {"stimulus_id": [f"s{i}" for i in range(120)]}
            people = [be.Responses(signal + noise * rng.standard_normal(signal.shape), ids) for _ in range(5)]
            found = {bound: be.NoiseCeiling.from_subjects(people, bound=bound, n_boot=N_BOOT) for bound in ("lower", "upper")}
            found["standard errors"] = be.NoiseCeiling.from_standard_errors(people[0], np.full(signal.shape, noise), n_boot=N_BOOT)
            for name, one in found.items():
                for part, values in zip(stores[name], (one.values, *one.ci), strict=True):
                    part.append(values)
        e = noise**2
        truths = {"lower": 1 / np.sqrt((1 + e) * (1 + e / 4)), "upper": (1 + e / 5) / np.sqrt((1 + e) * (1 + e / 5)), "standard errors": 1 / (1 + e)}
        rows += [{"noise": noise, "method": name} | summary(*store, truths[name]) for name, store in stores.items()]
    table = report(rows, capsys, "other evidence")
    assert (table["bias"].abs() < 0.02).all() and table["coverage"].between(0.925, 0.97).all()
