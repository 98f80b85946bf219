"""The simulated film keeps its promises: two event structures, epochs that overlap, contacts that are driven by what they say."""

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.simulate import insilico_seeg
from brainenc.simulate.insilico_seeg import SHAFTS, STRUCTURES, load, models


@pytest.fixture(scope="module")
def loaded():
    return load("01")


@pytest.fixture(scope="module")
def spaces():
    return models()


def test_the_film_has_cuts_and_words_on_one_clock(loaded):
    stimuli, brain = loaded
    table = stimuli.table
    assert table["structure"].value_counts().to_dict() == dict.fromkeys(STRUCTURES, 800) and table["run"].nunique() == 5
    assert list(brain.samples["stimulus_id"]) == list(stimuli.ids) and stimuli.load(stimuli.ids[0]).shape == (64, 64, 3)
    assert all(part["onset"].is_monotonic_increasing for _, part in table.groupby("run"))
    cuts, words = (table[(table["structure"] == name) & (table["run"] == 3)] for name in ("vision", "language"))
    for row in words.iloc[5:25].itertuples():  # the frame of a word is that of the last cut
        assert row.frame == cuts[cuts["onset"] <= row.onset].iloc[-1]["frame"]
    for row in cuts.iloc[5:25].itertuples():  # the text of a cut is that of the nearest word
        assert row.text == words.iloc[(words["onset"] - row.onset).abs().argmin()]["text"]
    assert (table["frame"] != table["sentence"]).mean() > 0.99, "sentences are about other scenes"


def test_epochs_are_cut_from_one_continuous_signal(loaded):
    """Where two events lie a multiple of 50 ms apart, their epochs hold the same windows, moved."""
    _, brain = loaded
    values = brain.values.reshape(len(brain.values), 30, 31)
    first = brain.samples.query("run == 2")
    onset, rows = first["onset"].to_numpy(), first.index.to_numpy()
    gaps = np.round((onset[None] - onset[:, None]) / 0.01).astype(int)
    pairs = np.argwhere((gaps > 0) & (gaps < 150) & (gaps % 5 == 0))
    assert len(pairs) > 50 and (np.diff(onset) < 1.7).mean() > 0.99, "neighbouring epochs, of 1.7 s, overlap"
    for i, j in pairs[:50]:
        k = gaps[i, j] // 5
        np.testing.assert_allclose(values[rows[i], :, k:], values[rows[j], :, : 31 - k], atol=1e-5)


def test_contacts_have_places_regions_and_a_truth(loaded):
    _, brain = loaded
    contacts = brain.targets.drop_duplicates("channel")
    assert isinstance(brain.space, be.ContactSpace) and list(np.unique(brain.targets["time"])) == list(np.round(np.arange(-0.5, 1.01, 0.05), 6))
    assert {"LT1", "LT6", "RP6"} <= set(contacts["channel"]) and (np.sign(contacts["x"]) == np.where(contacts["hemi"] == "left", -1, 1)).all()
    wanted = pd.Series([driver for shaft in SHAFTS for driver in shaft.drivers]).value_counts().to_dict()
    assert contacts["driver"].value_counts().to_dict() == wanted and wanted["fusion"] == 2
    assert (contacts["true_amplitude"] == 0).equals(contacts["driver"] == "none")
    assert set(brain.space.table["region"]) == {shaft.region for shaft in SHAFTS}


def test_gates_hold_nothing_that_frame_and_sentence_explain_side_by_side(spaces):
    both = np.column_stack([np.ones(1600), spaces["vision"].values, spaces["language"].values]).astype(float)
    train = np.arange(1600) < 1200
    for name in ("fusion", "fusion-random"):
        gates = spaces[name].values[:, 128:].astype(float)
        np.testing.assert_array_equal(spaces[name].values[:, :128], both[:, 1:].astype(np.float32))
        fitted = both[~train] @ np.linalg.lstsq(both[train], gates[train], rcond=None)[0]
        assert 1 - ((gates[~train] - fitted) ** 2).sum() / (gates[~train] ** 2).sum() < 0.05
    own, other = (spaces[name].values[:, 128:].astype(float) for name in ("fusion", "fusion-random"))
    fitted = other @ np.linalg.lstsq(other, own, rcond=None)[0]
    assert 1 - ((own - fitted) ** 2).sum() / (own**2).sum() < 0.3, "other weights are another network"


@pytest.mark.parametrize("structure", STRUCTURES)
def test_each_contact_is_explained_by_its_driver(loaded, spaces, structure):
    """Plain ridge of the first four runs onto the last, at each contact's peak."""
    _, brain = loaded
    at = np.abs(brain.targets["time"] - brain.targets["true_peak"].fillna(0.3)).groupby(brain.targets["channel"], sort=False).idxmin().to_numpy()
    rows = np.flatnonzero(brain.samples["structure"] == structure)
    test = brain.samples["run"].to_numpy()[rows] == 5
    observed = brain.values[np.ix_(rows, at)].astype(float)

    def r(X):
        X = X[rows].astype(float)
        train = X[~test] - X[~test].mean(axis=0)
        weights = np.linalg.solve(train.T @ train + 200 * np.eye(X.shape[1]), train.T @ (observed[~test] - observed[~test].mean(axis=0)))
        return np.array([np.corrcoef(p, o)[0, 1] for p, o in zip((X[test] @ weights).T, observed[test].T, strict=True)])

    scores = {name: r(space.values) for name, space in spaces.items()}
    scores["both"] = r(np.hstack([spaces["vision"].values, spaces["language"].values]))
    table = pd.DataFrame(scores).assign(driver=brain.targets["driver"].to_numpy()[at])
    mean = table.groupby("driver").mean()
    print(mean.round(2).to_string())
    assert mean.loc["fusion", "fusion"] > mean.loc["fusion", ["vision", "language", "both", "fusion-random"]].max() + 0.15
    assert mean.loc["sum", "both"] > mean.loc["sum", ["vision", "language"]].max() + 0.05
    assert mean.loc["sum", "fusion"] < mean.loc["sum", "both"] + 0.02
    assert mean.loc[structure, structure] > 0.35 and mean.loc["none"].abs().max() < 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(loaded):
    _, brain = loaded
    np.testing.assert_array_equal(load("01")[1].values, brain.values)
    other = load("02")[1]
    assert not np.allclose(other.values, brain.values) and list(other.samples["onset"]) == list(brain.samples["onset"]), "one film, other people"
    assert brain.values.dtype == np.float32 and brain.provenance["simulated"]
    assert not insilico_seeg.contacts("01", 0).equals(insilico_seeg.contacts("01", 1))


def test_unknown_subjects_are_named():
    with pytest.raises(ValueError, match="subject of insilico_seeg"):
        load("03")
