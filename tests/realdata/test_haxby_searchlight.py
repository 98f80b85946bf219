"""Categories in one slice of ventral cortex: crossnobis searchlight over twelve runs, face and house models, labels permuted as a null."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import brainenc as be

N_NULL = 12
LAG = 5.0  # seconds from the block to its response


@pytest.fixture(scope="module")
def blocks(real_data):
    """One mean response a block (96), and the scans of the blocks less these means as noise."""
    _, brain = be.load("haxby2001_slice", root=real_data("haxby2001_slice").parent)
    clean = brain.clean(detrend=True, standardize="zscore")
    time, run = (brain.samples[name].to_numpy() for name in ("time", "run"))
    means, noise = [], []
    for event in brain.events.itertuples():
        scans = clean.values[(run == event.run) & (time >= event.onset + LAG) & (time < event.onset + event.duration + LAG)]
        means.append(scans.mean(axis=0))
        noise.append(scans - means[-1])
    samples = brain.events[["stimulus_id", "run"]].assign(stimulus_id=pd.Categorical(brain.events["stimulus_id"]))
    return be.Responses(np.array(means), samples, clean.targets, clean.space, name="1"), np.concatenate(noise)


@pytest.fixture(scope="module")
def models(blocks):
    names = sorted(blocks[0].samples["stimulus_id"].unique())
    rows, columns = np.triu_indices(len(names), 1)

    def apart(*inside):
        member = np.isin(names, inside)
        return (member[rows] != member[columns]).astype(float)

    values = np.stack([apart("face"), apart("house"), np.maximum(apart("face"), apart("house"))])
    return be.RDMs(values, {"stimulus_id": names}, {"model": ["face", "house", "face or house"]})


def _permuted(trials, seed):
    labels = trials.samples["stimulus_id"].to_numpy(dtype=object).copy()
    rng = np.random.default_rng(seed)
    for rows in trials.samples.groupby("run").indices.values():
        labels[rows] = rng.permutation(labels[rows])
    return replace(trials, samples=trials.samples.assign(stimulus_id=pd.Categorical(labels, categories=sorted(set(labels)))))


def _selectivity(trials, name):
    """Mean over a sphere of the squared t of one category against the others, run by run: no RDM, no cross-validation."""
    run, here = trials.samples["run"].to_numpy(), (trials.samples["stimulus_id"] == name).to_numpy()
    steps = np.stack([trials.values[here & (run == r)][0] - trials.values[~here & (run == r)].mean(axis=0) for r in np.unique(run)])
    t = steps.mean(axis=0) / (steps.std(axis=0, ddof=1) / np.sqrt(len(steps)))
    return np.array([np.mean(t[near] ** 2) for near in trials.space.neighbourhoods(9.0)])


@pytest.mark.parametrize("noise", [None, "local"])
def test_categories_are_where_their_contrast_is_and_not_in_permuted_labels(blocks, models, noise, capsys):
    trials, residuals = blocks
    options = {"radius_mm": 9.0, "metric": "crossnobis", "noise": noise, "residuals": residuals if noise else None, "return_rdms": True}
    scores, rdms = be.rsa.searchlight(trials, models, **options)
    maps = scores.values[:, 0]
    null = [be.rsa.searchlight(_permuted(trials, seed), models, **options) for seed in range(N_NULL)]
    null_distance = np.array([r.values.mean() for _, r in null])
    null_median = np.median([np.median(s.values[:, 0], axis=1) for s, _ in null], axis=0)
    top = np.quantile([np.max(s.values[2, 0]) for s, _ in null], 0.95)
    agree = [spearmanr(maps[m], _selectivity(trials, name))[0] for m, name in enumerate(("face", "house"))]
    with capsys.disabled():
        print(
            f"\nhaxby2001_slice, crossnobis, {noise or 'no'} noise: distance above 0 in {(rdms.values.mean(axis=1) > 0).sum()} of {len(rdms.values)} spheres, "
            f"mean {rdms.values.mean():.4f} (permuted {null_distance.mean():+.4f}, at most {np.abs(null_distance).max():.4f}); median Spearman face, house, "
            f"either {np.round(np.median(maps, axis=1), 3)} (permuted {np.round(null_median, 3)}); either above the null's maximum in {(maps[2] > top).sum()}; "
            f"agreement with contrasts {np.round(agree, 2)}"
        )
    assert len(rdms.values) == 530 and scores.to_image("face").shape == (40, 20, 1)
    assert (rdms.values.mean(axis=1) > 0).mean() > 0.9
    # noise that does not know the labels leaves the distances of permuted labels around 0
    assert abs(null_distance.mean()) < 4 * null_distance.std(ddof=1) / np.sqrt(N_NULL) and np.abs(null_distance).max() < 0.4 * rdms.values.mean()
    assert (np.median(maps, axis=1) > 0.2).all() and (np.abs(null_median) < 0.1).all()
    assert agree[0] > 0.2 and agree[1] > 0.75
