"""RDMs in time against one call per moment, and generalisation in time against loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.rsa.movies import windows

N, FOLDS, P, T = 5, 4, 7, 6
TIMES = np.arange(T) / 10 - 0.2


@pytest.fixture
def clip(rng):
    """Two trials in each cell, in shuffled order: values, conditions, folds."""
    order = rng.permutation(2 * N * FOLDS)
    condition, fold = np.tile(np.arange(N), 2 * FOLDS)[order], np.repeat(np.arange(FOLDS), 2 * N)[order]
    values = rng.normal(size=(N, P, T))[condition] + rng.normal(size=(len(order), P, T))
    return values, {"conditions": condition, "folds": fold}


def one_by_one(values, **options):
    return np.concatenate([be.rsa.rdm(values[:, :, t], **options).values for t in range(values.shape[2])])


@pytest.mark.parametrize("noise", [None, "model", "each fold"])
def test_a_movie_is_one_rdm_after_another(rng, clip, noise):
    values, labels = clip
    model = {None: None, "model": be.rsa.noise_model(rng.normal(size=(4, P))), "each fold": {f: be.rsa.noise_model(rng.normal(size=(9, P))) for f in range(FOLDS)}}[noise]
    found = be.rsa.rdm_movie(values, TIMES, metric="crossnobis", noise=model, **labels)
    np.testing.assert_allclose(found.values, one_by_one(values, metric="crossnobis", noise=model, **labels), rtol=1e-10, atol=1e-12)
    assert found.rdms["time"].tolist() == TIMES.tolist()


def test_noise_of_each_moment_of_all_and_of_a_baseline(rng, clip):
    values, labels = clip
    movie = lambda **o: be.rsa.rdm_movie(values, TIMES, metric="crossnobis", **labels, **o).values  # noqa: E731
    at = lambda t: be.rsa.noise_model(values[:, :, t], conditions=labels["conditions"], folds=labels["folds"])  # noqa: E731
    each = np.concatenate([be.rsa.rdm(values[:, :, t], metric="crossnobis", noise=at(t), **labels).values for t in range(T)])
    np.testing.assert_allclose(movie(noise="schaefer_strimmer", noise_window="each"), each, rtol=1e-10)
    np.testing.assert_allclose(movie(noise=[at(t) for t in range(T)]), each, rtol=1e-10)
    moments = np.repeat(np.arange(T), len(values))
    rows = np.moveaxis(values, -1, 0).reshape(-1, P)

    def pooled(chosen):
        keep = np.isin(moments, chosen)
        labels_ = [np.tile(labels[k], T)[keep] for k in ("conditions", "folds")]
        return be.rsa.noise_model(rows[keep], conditions=[f"{c} {t}" for c, t in zip(labels_[0], moments[keep], strict=True)], folds=labels_[1])

    np.testing.assert_allclose(movie(noise=True), movie(noise=pooled(range(T))), rtol=1e-10)
    np.testing.assert_allclose(movie(noise=True, noise_window=(-0.2, -0.1)), movie(noise=pooled([0, 1])), rtol=1e-10)
    per_fold = [{f: be.rsa.noise_model(rng.normal(size=(9, P))) for f in range(FOLDS)} for _ in range(T)]
    expected = np.concatenate([be.rsa.rdm(values[:, :, t], metric="crossnobis", noise=per_fold[t], **labels).values for t in range(T)])
    np.testing.assert_allclose(movie(noise=per_fold), expected, rtol=1e-10)


def test_windows_and_bins(clip):
    values, labels = clip
    found = be.rsa.rdm_movie(values, TIMES, metric="euclidean", conditions=labels["conditions"], window=0.2, step=0.1)
    means = np.stack([values[:, :, t : t + 3].mean(axis=2) for t in range(4)], axis=2)
    np.testing.assert_allclose(found.values, one_by_one(means, metric="euclidean", conditions=labels["conditions"]), rtol=1e-10)
    np.testing.assert_allclose(found.rdms["time"], [-0.1, 0.0, 0.1, 0.2], atol=1e-12)
    np.testing.assert_allclose(found.rdms["time_stop"] - found.rdms["time_start"], 0.2)
    binned = be.rsa.rdm_movie(values, TIMES, metric="euclidean", conditions=labels["conditions"], bins=[(-0.2, 0.0), (0.0, 0.3)])
    means = np.stack([values[:, :, :2].mean(axis=2), values[:, :, 2:5].mean(axis=2)], axis=2)
    np.testing.assert_allclose(binned.values, one_by_one(means, metric="euclidean", conditions=labels["conditions"]), rtol=1e-10)
    for options, message in [
        ({"step": 0.1}, "Give window="),
        ({"window": 0.1, "bins": [(0, 1)]}, "either bins or a window"),
        ({"bins": [(5.0, 6.0)]}, "holds no sample.*seconds"),
        ({"window": 2.0}, "holds no sample"),
        ({"window": -1.0}, "positive seconds"),
    ]:
        with pytest.raises(InputError, match=message):
            windows(TIMES, **options)


def test_missing_values_stay_in_their_moments(clip):
    values, labels = clip
    values = values.copy()
    values[labels["conditions"] == 1, 2, 3] = np.nan
    found = be.rsa.rdm_movie(values, TIMES, metric="euclidean", conditions=labels["conditions"], nan="propagate", window=0.1)
    assert np.isnan(found.values).any(axis=1).tolist() == [False, False, True, True, False]
    omitted = be.rsa.rdm_movie(values, TIMES, metric="crossnobis", nan="omit", **labels)
    assert np.isfinite(omitted.values).all()
    with pytest.raises(InputError, match=r"channel 2 of group 3"):
        be.rsa.rdm_movie(values, TIMES, metric="euclidean", conditions=labels["conditions"])


def responses_of(values, labels, name, contacts=False):
    table = pd.DataFrame({"channel": np.repeat([f"ch{i}" for i in range(P)], T), "time": np.tile(TIMES, P), "x": 0.0, "y": 0.0, "z": 0.0})
    space = be.ContactSpace(table) if contacts else be.SensorSpace({"channel": [f"ch{i}" for i in range(P)]}, TIMES)
    samples = {"stimulus_id": labels["conditions"], "run": labels["folds"]}
    return be.Responses(values.reshape(len(values), -1), samples, {"area": np.repeat(np.where(np.arange(P) < 3, "a", "b"), T)}, space, name=name)


@pytest.mark.parametrize("contacts", [False, True])
def test_responses_bring_their_times(rng, clip, contacts):
    values, labels = clip
    brain = responses_of(values, labels, "x", contacts)
    found = be.rsa.rdm_movie(brain, metric="crossnobis")
    np.testing.assert_allclose(found.values, be.rsa.rdm_movie(values, TIMES, metric="crossnobis", **labels).values, rtol=1e-10)
    np.testing.assert_allclose(be.rsa.rdm(brain, metric="crossnobis", by="time").values, found.values, rtol=1e-10)
    model = be.rsa.noise_model(rng.normal(size=(20, P)))
    expected = be.rsa.rdm_movie(brain, metric="crossnobis", noise=model).values
    np.testing.assert_allclose(be.rsa.rdm(brain, metric="crossnobis", by="time", noise=model).values, expected, rtol=1e-10)
    assert found.rdms["subject"].unique().tolist() == ["x"] and found.rdms["time"].tolist() == TIMES.tolist()
    shuffled = brain.take_targets(rng.permutation(brain.n_targets))
    np.testing.assert_allclose(be.rsa.rdm_movie(shuffled, metric="crossnobis").values, found.values, rtol=1e-10)
    areas = be.rsa.rdm_movie(brain, metric="crossnobis", by="area")
    np.testing.assert_allclose(areas.where(area="b").values, be.rsa.rdm_movie(values[:, 3:], TIMES, metric="crossnobis", **labels).values, rtol=1e-10)
    with pytest.raises(InputError, match="channels differ between times"):
        be.rsa.rdm_movie(brain.take_targets(np.arange(1, brain.n_targets)), metric="crossnobis")
    assert be.rsa.rdm(brain.take_targets(np.arange(1, brain.n_targets)), metric="crossnobis", by="time").n_rdms == T
    with pytest.raises(NotFoundError, match="no column 'time'"):
        be.rsa.rdm_movie(be.Responses(brain.values, brain.samples), metric="crossnobis")
    with pytest.raises(InputError, match="bring their times"):
        be.rsa.rdm_movie(brain, TIMES)


def test_every_data_set_gets_all_arguments(rng, clip):
    values, labels = clip
    others = rng.normal(size=values.shape)
    noise = {"x": be.rsa.noise_model(rng.normal(size=(9, P))), "y": be.rsa.noise_model(rng.normal(size=(9, P)))}
    options = {"metric": "crossnobis", "window": 0.1, "step": 0.1, "squared": False, **labels}
    both = be.rsa.rdm_movie({"x": values, "y": others}, TIMES, noise=noise, **options)
    assert both.rdms.groupby("subject", sort=False).size().to_dict() == {"x": 5, "y": 5}
    for name, one in (("x", values), ("y", others)):
        alone = be.rsa.rdm_movie(one, TIMES, noise=noise[name], **options)
        np.testing.assert_allclose(both.where(subject=name).values, alone.values, rtol=1e-12)
    with pytest.raises(InputError, match="option of rdm_movie"):
        be.rsa.rdm_movie(values, TIMES, axes=("time",))
    for times, message in [(TIMES[:-1], "expected 6 numbers"), (TIMES[::-1], "increasing")]:
        with pytest.raises(InputError, match=message):
            be.rsa.rdm_movie(values, times)
    with pytest.raises(InputError, match="three axes"):
        be.rsa.rdm_movie(values[0], TIMES)
    with pytest.raises(InputError, match="expected 6 moments, got 2"):
        be.rsa.rdm_movie(values, TIMES, metric="crossnobis", noise=list(noise.values()), **labels)
    with pytest.raises(InputError, match="no moment is in the window"):
        be.rsa.rdm_movie(values, TIMES, metric="crossnobis", noise=True, noise_window=(5.0, 6.0), **labels)


@pytest.mark.parametrize("balanced", [True, False])
def test_generalisation_in_time(rng, clip, balanced):
    values, labels = clip
    if not balanced:
        keep = np.r_[np.ones(30, bool), rng.random(len(values) - 30) < 0.5]
        values, labels = values[keep], {k: v[keep] for k, v in labels.items()}
    model = be.rsa.noise_model(rng.normal(size=(30, P)))
    found = be.rsa.temporal_generalization(values, TIMES, noise=model, **labels)
    assert found.rdms.columns.tolist() == ["time", "time_test"] and found.n_rdms == T * T
    square = found.values.reshape(T, T, -1)
    np.testing.assert_allclose(square, square.transpose(1, 0, 2), rtol=1e-12)
    movie = be.rsa.rdm_movie(values, TIMES, metric="crossnobis", noise=model, **labels)
    np.testing.assert_allclose(square[np.arange(T), np.arange(T)], movie.values, rtol=1e-10, atol=1e-13)
    condition, fold = labels["conditions"], labels["folds"]
    white = (values - values.mean(axis=0)).transpose(0, 2, 1) @ np.linalg.cholesky(model.precision())
    apart = fold[:, None] != fold[None, :]

    def similar(i, j, t, u):
        inside = np.ix_(condition == i, condition == j)
        return (white[:, t] @ white[:, u].T)[inside][apart[inside]].mean()

    for t, u in ((1, 4), (0, 5)):
        expected = [similar(i, i, t, u) + similar(j, j, t, u) - similar(i, j, t, u) - similar(j, i, t, u) for i, j in combinations(found.ids.astype(int), 2)]
        np.testing.assert_allclose(square[t, u], np.array(expected) / P, rtol=1e-9, atol=1e-12)


def test_a_code_that_stays_generalises_and_one_that_moves_does_not(rng):
    labels = {"conditions": np.tile(np.arange(N), 20), "folds": np.repeat(np.arange(20), N)}
    stay = rng.normal(size=(N, 40))
    move = rng.normal(size=(N, 40, 2))
    make = lambda code: code[labels["conditions"]] + 0.3 * rng.normal(size=(100, 40, 2))  # noqa: E731
    for code, generalises in ((np.stack([stay, stay], axis=2), True), (move, False), (np.stack([stay, -stay], axis=2), None)):
        mean = be.rsa.temporal_generalization(make(code), **labels).values.mean(axis=1).reshape(2, 2)
        ratio = mean[0, 1] / mean[0, 0]
        assert (ratio > 0.9) if generalises else (ratio < -0.9) if generalises is None else abs(ratio) < 0.3


def test_what_generalisation_refuses(clip):
    values, labels = clip
    with pytest.raises(InputError, match="do not fit into memory"):
        be.rsa.temporal_generalization(values, TIMES, memory="10kB", **labels)
    with pytest.raises(InputError, match="one noise model for all times"):
        be.rsa.temporal_generalization(values, TIMES, noise="full", noise_window="each", **labels)
    with pytest.raises(InputError, match="needs folds"):
        be.rsa.temporal_generalization(values, TIMES, conditions=labels["conditions"])
    with pytest.raises(InputError, match="must be finite"):
        be.rsa.temporal_generalization(values, TIMES, nan="omit", **labels)
    with pytest.raises(InputError, match="NaN or infinity"):
        be.rsa.temporal_generalization(np.where(np.arange(T) == 2, np.nan, values), TIMES, **labels)


def test_epochs_make_movies(rng, clip):
    mne = pytest.importorskip("mne")
    values, labels = clip
    events = np.c_[np.arange(len(values)), np.zeros(len(values), int), labels["conditions"] + 1]
    epochs = mne.EpochsArray(values, mne.create_info(P, 10.0, "eeg"), events, tmin=-0.2, event_id={str(i): i + 1 for i in range(N)}, verbose="error")
    found = be.rsa.rdm_movie(epochs, metric="crossnobis", folds=labels["folds"])
    np.testing.assert_allclose(found.values, be.rsa.rdm_movie(values, TIMES, metric="crossnobis", **labels).values, rtol=1e-9)
    np.testing.assert_allclose(found.rdms["time"], TIMES, atol=1e-12)
