"""Manifests of recordings: miniature sets through the same loader, and contradictions that are refused."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError

HEAD = 'name = "mini"\ntitle = "t"\n[stimuli]\nkind = "none"\nfrom_samples = []\n'


def write(folder, text):
    (folder / "brainenc.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path, rng):
    for run in ("a", "b"):
        table = pd.DataFrame(rng.standard_normal((600, 3)) * 20, columns=["Cz", "Pz", "grip"]).assign(code=0)
        table.loc[[100, 200, 300], "code"] = [1, 2, 1]
        table.to_csv(tmp_path / f"run-{run}.csv", index=False)
        pd.DataFrame({"onset": [1.0, 2.0], "duration": 0.1, "word": ["x", "y"]}).to_csv(tmp_path / f"words-{run}.csv", index=False)
    return tmp_path


ARRAY = '[recordings]\npath = "run-{run}.csv"\nruns = ["a", "b"]\nsampling_rate = 100\nunits = "uV"\ncolumns = ["Cz", "Pz", "grip"]\ntypes = { grip = "misc" }\n'


def test_epochs_of_tables(folder):
    text = HEAD + ARRAY + 'stim = ["code"]\nevent_id = { face = 1 }\nepochs = [0.0, 0.2]\n[variants.raw]\n[variants.strict]\nrecordings = { reject = { eeg = 0.1 } }\n'
    types = text.replace('types = { grip = "misc" }', 'types = { grip = "misc", code = "stim" }')
    stimuli, brain = be.load(write(folder, types), variant="raw")
    assert list(stimuli.ids) == ["face"] and brain.n_samples == 4 and list(brain.samples["run"]) == ["a", "a", "b", "b"]
    table = pd.read_csv(folder / "run-b.csv")
    np.testing.assert_allclose(brain.where(channel="Pz").values[2], table["Pz"][100:121], rtol=1e-4)
    assert brain.provenance["dataset"] == "mini" and brain.targets["channel"].nunique() == 2
    with pytest.raises(InputError, match="no epoch is left"):
        be.load(folder, variant="strict")


def test_series_with_regressors_and_files_of_events(folder):
    text = HEAD + ARRAY + 'events = "words-{run}.csv"\nstimulus = "word"\nregressors = ["grip"]\nsteps = { resample = 50.0 }\n'
    stimuli, brain = be.load(write(folder, text))
    assert brain.sampling_rate == 50 and brain.n_samples == 600 and list(stimuli.ids) == ["x", "y"]
    assert list(brain.events["run"]) == ["a", "a", "b", "b"] and brain.samples["grip"].std() > 1e-7
    (folder / "words-b.csv").unlink()
    with pytest.raises(DataError, match="are missing"):
        be.load(folder)


def test_one_fif_without_events(tmp_path, rng):
    raw = mne.io.RawArray(rng.standard_normal((2, 300)) * 1e-5, mne.create_info(["Cz", "Pz"], 100.0, "eeg"), verbose="error")
    raw.save(tmp_path / "s_raw.fif", verbose="error")
    text = 'name = "mini"\ntitle = "t"\n[stimuli]\nkind = "none"\nids = ["rest"]\n[recordings]\npath = "s_raw.fif"\nevents = "none"\n'
    stimuli, brain = be.load(write(tmp_path, text))
    assert len(stimuli) == 1 and brain.n_samples == 300 and brain.events is None
    np.testing.assert_allclose(brain.values.T, raw.get_data() * 1e6, rtol=1e-4)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("epochs = [0.1]\n", "two times are needed"),
        ("baseline = [0.0, 0.1]\n", "belong to epochs"),
        ('epochs = [0.0, 0.1]\nevents = "none"\n', "epochs need events"),
        ('epochs = [0.0, 0.1]\nregressors = ["grip"]\n', "belong to time series"),
        ("steps = { low = 1.0 }\n", "unknown key 'low'"),
        ('[responses]\npath = "x.npy"\n', "in place of responses"),
    ],
)
def test_contradictions(folder, more, text):
    with pytest.raises(InputError, match=text):
        be.load(write(folder, HEAD + ARRAY + more))
