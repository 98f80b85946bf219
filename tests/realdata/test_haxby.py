"""One slice of ventral cortex, twelve runs: category regressors through the design, leave-one-run-out, pooled r."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning
from brainenc.loaders.cleaning import clean_responses

# Eight regressors and 1,331 training scans: no penalty to choose. With a penalty chosen per fold the scale of the predictions
# differs between folds, in step with how well the held-out run agrees with the others, and pooled r of pure noise falls below 0.
PLAIN = be.encoding.Ridge(alphas=1.0, cv=None)


@pytest.fixture(scope="module")
def haxby(real_data):
    stimuli, brain = be.load("haxby2001_slice", root=real_data("haxby2001_slice").parent)
    return be.extract(stimuli, "table:category", cache=False)["table:category/columns"], brain


def pooled(layer, brain, encoder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrainencWarning)  # voxels without signal take the largest penalty
        return be.score_layers(layer, brain, split=be.split.runs(), encoder=encoder, aggregate="pooled").values[0, 0]


def without_task(layer, brain):
    """Remove run means, trends and a regressor that is the same for all categories, then z-score within runs."""
    task = be.design(layer, brain, hrf="glover").values.sum(axis=1)
    return clean_responses(replace(brain, samples=brain.samples.assign(task=task)), detrend=True, standardize="zscore", confounds=["task"])


def permuted(events, seed):
    rng = np.random.default_rng(seed)
    labels = events["stimulus_id"].to_numpy(dtype=object).copy()
    for rows in events.groupby("run", sort=False).indices.values():
        labels[rows] = rng.permutation(labels[rows])
    return events.assign(stimulus_id=labels)


@pytest.mark.parametrize("encoder", [None, PLAIN], ids=["default", "plain"])
def test_categories_predict_held_out_runs(haxby, encoder, capsys):
    layer, brain = haxby
    clean = brain.clean(detrend=True, standardize="zscore")
    made = be.design(layer, clean, hrf="glover")
    assert made.provenance["design"]["frame_time"] == 1.25
    r = pooled(made, clean, encoder)
    own = pooled(made, without_task(layer, brain), encoder)
    with capsys.disabled():
        print(f"\nhaxby2001_slice ({'default' if encoder is None else 'plain'}): r > 0.2 in {(r > 0.2).sum()} of {r.size}; without task {(own > 0.2).sum()}")
    assert r.size == 530 and (r > 0.2).sum() >= 100
    assert (own > 0.2).sum() >= 40


def test_permuted_categories_predict_nothing(haxby, capsys):
    layer, brain = haxby
    clean = without_task(layer, brain)
    counts, means, defaults = [], [], []
    for seed in range(20):
        made = be.design(layer, replace(clean, events=permuted(brain.events, seed)), hrf="glover")
        r = pooled(made, clean, PLAIN)
        counts.append(int((r > 0.2).sum()))
        means.append(float(np.nanmean(r)))
        if seed < 3:
            defaults.append(int((pooled(made, clean, None) > 0.2).sum()))
    with capsys.disabled():
        print(f"\nhaxby2001_slice, labels permuted: r > 0.2 in at most {max(counts)} voxels, mean r {np.mean(means):+.4f} over 20 permutations")
    assert max(counts) <= 2 and max(defaults) <= 2
    assert abs(np.mean(means)) <= 0.03
