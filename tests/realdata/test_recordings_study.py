"""EEG in a study like any other data set: one plan, one table with channels and times, maps that mne reads, a report, the same numbers again."""

from __future__ import annotations

import mne
import numpy as np
import pytest

import brainenc as be
from brainenc.study import run


def plan(root):
    return {
        "name": "faces and houses",
        "analysis": [
            {"dataset": "n170_muse", "root": str(root), "models": ["table:stimulus_id"], "split": {"kind": "runs"}, "average": False, "variant": "kept",
             "where": "channel in ['TP9', 'TP10'] and time >= 0 and time < 0.4"},
        ],
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::brainenc.core.errors.BrainencWarning")  # two pictures' names are in training and test; most times hold no signal
def test_a_study_of_eeg(real_data, tmp_path):
    root = real_data("eeg_muse_n170").parent
    results = run(plan(root), tmp_path / "out", progress=False)
    assert not len(results.failures)
    table = results.table
    assert set(table["channel"]) == {"TP9", "TP10"} and table["time"].between(0, 0.4).all() and len(table) == 6 * 2 * table["time"].nunique()  # folds
    stimuli, brain = be.load("n170_muse", root=root, variant="kept")
    brain = brain.where("channel in ['TP9', 'TP10'] and time >= 0 and time < 0.4")
    scores = be.score_layers(be.extract(stimuli, "table:stimulus_id"), brain, split=be.split.runs(), average=False)
    ours, theirs = (one.groupby(one["target_id"].astype(str))["score"].mean() for one in (table, scores.to_frame()))
    np.testing.assert_allclose(ours, theirs.loc[ours.index], atol=1e-6)
    (path,) = (tmp_path / "out" / "maps").rglob("*-ave.fif")
    (evoked,) = mne.read_evokeds(path, verbose="error")
    mean = table.groupby([table["channel"].astype(str), "time"])["score"].mean()
    channel, time = mean.idxmax()
    where = np.unravel_index(np.nanargmax(evoked.data), evoked.data.shape)  # NaN where nothing was scored
    assert evoked.ch_names[where[0]] == channel and evoked.times[where[1]] == pytest.approx(time, abs=1e-6)
    summary = results.summary.set_index("channel")
    assert list(summary.index) == ["TP9", "TP10"] and (summary["score"] > 0.05).all() and summary["time"].between(0.15, 0.35).all()
    assert set(summary["time_chosen"]) == {"training rows"}
    page = be.report(results, tmp_path / "report.html").read_text()
    assert "TP10" in page and "Layers through time" not in page and "On the scalp" not in page  # one layer; two sensors make no map
    again = run(plan(root), tmp_path / "again", progress=False)
    assert again.table.equals(table)
