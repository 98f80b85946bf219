"""Wrong input is refused in words."""

import numpy as np
import pytest

from brainenc import frequency
from brainenc.core.errors import InputError

SERIES = np.random.default_rng(0).standard_normal((6, 2, 64))


@pytest.mark.parametrize("targets", ["2Hz", {"word": "fast"}, [None], 0.0, []])
def test_targets_are_frequencies(targets):
    with pytest.raises(InputError, match="targets are positive frequencies in Hz"):
        frequency.tag(SERIES, 16, targets)


def test_a_target_twice_is_named_in_plain_numbers():
    with pytest.raises(InputError, match="got 2 Hz, 2 Hz"):
        frequency.tag(SERIES, 16, [2.0, 2.0])


@pytest.mark.parametrize("fs", ["16", -16, np.nan])
def test_a_sampling_rate_is_a_number(fs):
    with pytest.raises(InputError, match="the sampling rate is a positive number"):
        frequency.tag(SERIES, fs, 2.0)


def test_rates_and_sentences():
    with pytest.raises(InputError, match="the rate of the units is positive"):
        frequency.rates(4, unit_rate=-1)
    for call in (lambda: frequency.orderings(["wise owl hunts mice"], 2), lambda: frequency.scramble(["wise owl hunts mice"])):
        with pytest.raises(InputError, match="sentences are a StimulusSet.*got list"):
            call()
