"""What was planted is found, and ceilings are what they were made to be: over five simulations and two subjects."""

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.encoding import winners
from brainenc.simulate import insilico


def _candidates(stimuli):
    return {
        **be.extract(stimuli, "gabor", progress=False),
        **be.extract(stimuli, "toyclip", layers="visual.*", progress=False),
        **be.extract(stimuli, "table:concepts", progress=False),
    }


def _pairs(seed: int, subject: str) -> pd.DataFrame:
    """One row per region: the planted driver, the winner and its interval, the estimated and the true ceiling (variance units)."""
    stimuli, brain = insilico.load(subject, seed=seed)
    scores = be.score_layers(_candidates(stimuli), brain, split=be.split.images(test=0.2, seed=seed), keep_predictions=True)
    table = winners(scores, by="roi", n=1000, seed=seed).set_index("roi")
    roi = brain.targets["roi"]
    table["planted"] = brain.targets.groupby("roi", sort=False)["driver"].first()
    table["ceiling"] = pd.Series(scores.ceiling.variance).groupby(roi).median()
    table["truth"] = brain.targets["true_ceiling"].groupby(roi).median()
    return table.reset_index().assign(seed=seed, subject=subject)


def _check(table: pd.DataFrame) -> None:
    found = (table["winner"] == table["planted"]) & table["distinct"]
    print(table[["seed", "subject", "roi", "planted", "winner", "difference", "ci_low", "ci_high", "ceiling", "truth"]].round(3).to_string(index=False))
    print(f"planted source wins beyond the paired interval in {found.sum()} of {len(table)} subject-region pairs")
    print(f"largest error of a region's median ceiling: {np.abs(table['ceiling'] - table['truth']).max():.3f}")
    assert found.mean() >= 0.9
    assert np.abs(table["ceiling"] - table["truth"]).max() <= 0.03


def test_one_subject_of_one_simulation():
    _check(_pairs(0, "01"))


@pytest.mark.slow
def test_two_subjects_of_five_simulations():
    _check(pd.concat([_pairs(seed, subject) for seed in range(5) for subject in ("01", "02")], ignore_index=True))
