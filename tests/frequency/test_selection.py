"""Units of models and channels of brains: planted ones are found, silent ones are not, and halves tell how reliable that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.frequency import random_units, rates, select_channels, select_units
from brainenc.frequency.halves import consistency, half_orders, spearman_brown

TIME = np.arange(40) / 4.0


def planted(rng, n_trials=16, n_units=60, amplitude=0.8):
    """Ten units with sentences, ten with phrases, ten with both, ten with the same rhythm in experiment and control, twenty silent."""
    sentence = np.cos(2 * np.pi * TIME + rng.uniform(0, 6.28, n_units)[:, None])
    phrase = (-1.0) ** np.arange(40) * np.ones((n_units, 1))
    kind = np.repeat(["sentence", "phrase", "both", "always", "none", "none"], 10)
    signal = amplitude * (sentence * np.isin(kind, ["sentence", "both"])[:, None] + 0.7 * phrase * np.isin(kind, ["phrase", "both"])[:, None])
    always = amplitude * (sentence + 0.7 * phrase) * (kind == "always")[:, None]
    noise = rng.standard_normal((2, n_trials, n_units, 40))
    return noise[0] + signal + always, noise[1] + always, kind


class TestUnits:
    @pytest.mark.parametrize("test", ["shift", "sign", "t2circ", "series"])
    def test_sets(self, rng, test):
        experiment, control, kind = planted(rng)
        found = select_units(experiment, control, fs=4.0, test=test, n=999)
        sets = found.sets.to_numpy()
        assert (sets[kind == "sentence"] == "sentence").mean() >= 0.8
        assert (sets[kind == "phrase"] == "phrase").mean() >= 0.8
        assert (sets[kind == "both"] == "sentence + phrase").mean() >= 0.7
        assert (sets[np.isin(kind, ["always", "none"])] == "none").mean() >= 0.93
        counts = found.counts()
        assert counts.loc["all", "n"] == 60 and counts.drop(columns="n").sum(axis=1).item() == 60

    def test_without_a_control_a_rhythm_that_is_always_there_is_selected_too(self, rng):
        experiment, _, kind = planted(rng)
        found = select_units(experiment, fs=4.0, n=999)
        assert (found.sets.to_numpy()[kind == "always"] != "none").mean() > 0.9
        assert "index" not in found.statistics and found.provenance["control"] is False

    def test_p_is_the_larger_of_two_and_bonferroni_over_phrases(self, rng):
        experiment, control, _ = planted(rng)
        targets = {"sentence": 1.0, "phrase": [2.0, 0.8, 0.5]}
        found = select_units(experiment, control, fs=4.0, targets=targets, test="t2circ", n=99)
        both = np.maximum(found.statistics["p_rhythm"], found.statistics["p_control"])
        np.testing.assert_allclose(found.statistics["p"], np.minimum(1, both * [1, 3]))
        assert set(np.unique(found.statistics["frequency"][:, 1])) <= {2.0, 0.8, 0.5}
        np.testing.assert_allclose(found.statistics["q"].ravel(), stats.false_discovery_control(found.statistics["p"].ravel()))

    def test_silent_units_are_rarely_selected_whatever_the_number_of_phrases(self):
        rng = np.random.default_rng(5)
        false = 0
        for i in range(30):
            x, c = rng.standard_normal((2, 8, 20, 48))
            found = select_units(x, c, fs=4.0, targets={"sentence": 0.5, "phrase": [2.0, 4 / 3, 1.0, 2 / 3]}, n=199, seed=i, halves=2)
            false += bool(found.selected.any())
        assert false <= 4

    def test_natural_sentences_are_cut_to_whole_cycles_of_each_phrase(self, rng):
        x = rng.standard_normal((6, 5, 100))
        with pytest.raises(InputError, match="between two bins"):
            select_units(x, fs=4.0, targets=rates(8), n=50)
        found = select_units(x, fs=4.0, targets=rates(8), n=50, trim=True)
        assert found.levels == ("sentence", "phrase")

    def test_layers_reliability_and_random_units(self, rng):
        experiment, control, kind = planted(rng)
        layers = ({"one": x, "two": rng.standard_normal(x.shape)} for x in (experiment, control))
        found = select_units(*layers, fs=4.0, n=499)
        counts = found.counts("layer")
        assert list(counts.index) == ["one", "two"] and counts.loc["one", "sentence"] >= 7 and counts.loc["two", "none"] >= 58
        table = found.reliability.set_index(["layer", "level"])["reliability"]
        assert table["one", "sentence"] > 0.8 and abs(table["two", "sentence"]) < 0.5
        assert np.median(found.statistics["consistency"][:10, 0]) > 0.8 > found.statistics["consistency"][60:, 0].mean() + 0.6
        drawn = random_units(found, "sentence", seed=1)
        assert len(drawn) == len(found.positions("sentence")) and (found.sets.to_numpy()[drawn] == "none").all()
        assert (found.channels["layer"].to_numpy()[drawn] == "one").sum() == counts.loc["one", "sentence"]
        np.testing.assert_array_equal(drawn, random_units(found, "sentence", seed=1))

    def test_saved_and_read(self, rng, tmp_path):
        experiment, control, _ = planted(rng, n_units=60)
        found = select_units(experiment, control, fs=4.0, n=99, halves=3)
        again = be.read(found.save(tmp_path / "s"))
        pd.testing.assert_frame_equal(again.to_frame(), found.to_frame())
        assert repr(again) == repr(found)

    def test_a_unit_with_missing_values_is_not_selected(self, rng):
        experiment, control, _ = planted(rng)
        control[2, 3, 5] = np.nan
        experiment[1, 4, 6] = np.nan
        found = select_units(experiment, control, fs=4.0, n=199, halves=2)
        assert np.isnan(found.statistics["q"][[3, 4]]).all() and list(found.sets[[3, 4]]) == ["none", "none"] and found.sets[5] == "sentence"

    def test_what_does_not_fit(self, rng):
        x = rng.standard_normal((5, 4, 40))
        with pytest.raises(InputError, match="differ"):
            select_units(x, x[:, :3], fs=4.0)
        with pytest.raises(InputError, match="different layers"):
            select_units({"a": x}, {"b": x}, fs=4.0)
        with pytest.raises(InputError, match="four trials"):
            select_units(x[:3], fs=4.0)


class TestChannels:
    def test_planted_contacts_are_found(self):
        _, brain = be.load("frequency_tagging", subject="01")
        found = select_channels(brain.rows(condition="sentence"), None, {"sentence": 1.0, "phrase": 2.0, "word": 4.0})
        driver = brain.targets["driver"].to_numpy()
        hit = [(found.sets.to_numpy()[driver == name] == name).mean() for name in ("sentence", "phrase", "word")]
        assert min(hit) > 0.7
        assert (found.sets.to_numpy()[driver == "none"] == "none").mean() > 0.93
        assert (found.reliability["reliability"] > 0.6).all()

    def test_the_other_half_tells_the_amplitude(self):
        """Weak channels: the trials that select overrate them, the others do not; silent channels have nothing to tell."""
        rng = np.random.default_rng(11)
        time = np.arange(64) / 16
        same, other, none = [], [], []
        for i in range(25):
            x = rng.standard_normal((12, 40, 64))
            x[:, :20] += 0.12 * np.cos(2 * np.pi * 2 * time)
            found = select_channels(x, 16.0, {"beat": 2.0}, halves=10, seed=i)
            share, held_out = found.statistics["share"][:, 0], np.nan_to_num(found.statistics["amplitude_held_out"][:, 0])
            same.append(found.statistics["amplitude"][:20, 0][found.selected[:20, 0]])
            other.append((share[:20], held_out[:20]))
            none.append((share[20:], held_out[20:]))
        assert np.concatenate(same).mean() > 0.17
        for parts, truth in ((other, 0.12), (none, 0.0)):
            share, held_out = np.concatenate(parts, axis=1)
            assert (share * held_out).sum() / share.sum() == pytest.approx(truth, abs=0.03)

    def test_too_few_trials(self, rng):
        with pytest.raises(InputError, match="six trials"):
            select_channels(rng.standard_normal((5, 3, 64)), 16.0, 2.0)


def test_halves(rng):
    splits = half_orders(9, 5, 0)
    for a, b in splits:
        assert len(a) == 4 and sorted([*a, *b]) == list(range(9))
    z = rng.standard_normal((400, 3)) + 1j * rng.standard_normal((400, 3))
    assert np.abs(consistency(z, half_orders(400, 50, 1))).max() < 1
    np.testing.assert_allclose(consistency(np.ones((6, 2)) * 1j, half_orders(6, 3, 0)), 1.0)
    a, b = rng.standard_normal((2, 50))
    r = stats.pearsonr(a + b, a - 0.3 * b).statistic
    assert spearman_brown(a + b, a - 0.3 * b) == pytest.approx(2 * r / (1 + abs(r)))
    assert np.isnan(spearman_brown(a, np.ones(50)))


def test_responses_to_the_onset_of_trials_are_not_rhythms(rng):
    """A transient at the start of every trial agrees in phase at every bin; it has no peak at the targets."""
    series = rng.standard_normal((20, 12, 512)) + 3 * np.exp(-np.arange(512) / 64 / 0.3)
    targets = {"sentence": 1.0, "phrase": 2.0}
    assert (select_channels(series, 64.0, targets, local=False).selected).mean() > 0.8
    assert not select_channels(series, 64.0, targets).selected.any()
