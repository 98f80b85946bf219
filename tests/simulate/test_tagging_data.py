"""The simulated tagging data keep their promises: rates, conditions, amplitudes, noise, and repeatability."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.simulate.tagging import CONDITIONS, FS, RATES


@pytest.fixture(scope="module")
def loaded():
    return be.load("frequency_tagging", subject="01")


def trials(brain, condition):
    part = brain.rows(condition=condition)
    return np.moveaxis(part.values.reshape(20, -1, brain.n_targets), 1, 2)


def test_design(loaded):
    stimuli, brain = loaded
    assert stimuli.table["condition"].value_counts().to_dict() == {"sentence": 20, "phrase": 20, "random": 20}
    assert {len(words) for words in stimuli.table["words"]} == {32}
    assert brain.sampling_rate == 64 and isinstance(brain.space, be.ContactSpace) and brain.provenance["simulated"]
    assert (brain.samples.groupby("trial").size() == 512).all() and set(brain.samples["stimulus_id"]) == set(stimuli.ids)
    assert brain.events is not None and (brain.events["duration"] == 8).all()
    known = set(stimuli.load("sentence_01").split())
    assert len(known) > 15


def test_random_words_keep_no_neighbours_of_their_sentences(loaded):
    stimuli, _ = loaded
    from brainenc.simulate.sentences import sentences

    pairs = {tuple(text.split()[i : i + 2]) for text in sentences(50).table["text"] for i in (0, 2)}
    for i in range(1, 21):
        words = stimuli.table.loc[f"random_{i:02d}", "words"]
        inside = [tuple(words[j : j + 2]) for j in range(31) if j % 4 != 3]
        assert not pairs & set(inside)
        phrases = stimuli.table.loc[f"phrase_{i:02d}", "words"]
        assert {tuple(phrases[j : j + 2]) for j in range(0, 32, 2)} <= pairs


@pytest.mark.parametrize("condition", list(CONDITIONS))
def test_contacts_follow_what_is_there_with_the_amplitude_that_is_said(loaded, condition):
    """Independent of the tagging code: plain FFT of the mean over trials against the truth in the targets."""
    _, brain = loaded
    spectrum = np.fft.rfft(trials(brain, condition).mean(axis=0)) * 2 / 512
    for level, rate in RATES.items():
        mine = (brain.targets["driver"] == level).to_numpy()
        expected = brain.targets["true_amplitude"].to_numpy()[mine] * (level in CONDITIONS[condition])
        found = spectrum[mine, int(rate * 8)]
        np.testing.assert_allclose(np.abs(found).mean(), expected.mean(), atol=0.06)
        if level in CONDITIONS[condition]:
            turned = found * np.exp(-1j * brain.targets["true_phase"].to_numpy()[mine])
            assert (turned.real > 0).mean() > 0.95 and abs(turned.imag.mean()) < 0.05


def test_noise_has_unit_variance_and_falls_as_one_over_f(loaded):
    _, brain = loaded
    silent = brain.where("driver == 'none'")
    np.testing.assert_allclose(silent.values.std(axis=0).mean(), 1.0, atol=0.1)
    power = (np.abs(np.fft.rfft(silent.values.reshape(60, 512, -1), axis=1)) ** 2).mean(axis=(0, 2))
    f = np.arange(257) * FS / 512
    inside = (f > 0.5) & (f < 25)
    assert np.polyfit(np.log(f[inside]), np.log(power[inside]), 1)[0] == pytest.approx(-1.0, abs=0.15)
    correlation = np.corrcoef(silent.where(shaft="K").values.T)
    assert correlation[np.triu_indices(6, 1)].mean() == pytest.approx(1 / 3, abs=0.08)


def test_subjects_and_seeds(loaded):
    _, brain = loaded
    again, other, seeded = (be.load("frequency_tagging", **k).responses for k in ({"subject": "01"}, {"subject": "02"}, {"subject": "01", "seed": 1}))
    np.testing.assert_array_equal(brain.values, again.values)
    assert not np.allclose(brain.values, other.values) and not np.allclose(brain.values, seeded.values)
