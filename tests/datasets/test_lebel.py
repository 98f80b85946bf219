"""LeBel 2023 from a miniature tree: a file for each story under either key, and words in TextGrids."""

import h5py
import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import DataError
from brainenc.datasets.catalogue import catalogue_folder

WORDS = {"avatar": [("the", 2.0, 2.25), ("avatar", 11.0, 11.5), ("the", 13.0, 13.5)], "wheretheressmoke": [("smoke", 10.0, 10.75)]}


def textgrid(words):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "30", "<exists>", "2"]
    lines += ['"IntervalTier"', '"phone"', "0", "30", "1", "0", "30", '"DH"', '"IntervalTier"', '"word"', "0", "30", str(len(words) + 1), "0", "1", '""']
    for word, onset, end in words:
        lines += [str(onset), str(end), f'"{word}"']
    return "\n".join(lines) + "\n"


@pytest.fixture
def lebel(tmp_path, rng, shrunk):
    """Two stories of six and four scans, one stored under data and one under resp."""
    folder = tmp_path / "derivative/preprocessed_data/UTS03"
    folder.mkdir(parents=True)
    (tmp_path / "derivative/TextGrids").mkdir()
    arrays = {}
    for (story, words), key, n in zip(WORDS.items(), ("data", "resp"), (6, 4), strict=True):
        arrays[story] = rng.standard_normal((n, 5))
        with h5py.File(folder / f"{story}.hf5", "w") as file:
            file[key] = arrays[story]
        (tmp_path / f"derivative/TextGrids/{story}.TextGrid").write_text(textgrid(words))
    text = (catalogue_folder() / "lebel2023.toml").read_text(encoding="utf-8")
    start = text.index("UTS03 = [")
    listed = text[start : text.index("]", start) + 1]
    return shrunk("lebel2023", stories=(listed, 'UTS03 = ["avatar", "wheretheressmoke"]')), arrays


def test_stories_joined_with_their_words(lebel):
    manifest, arrays = lebel
    stimuli, brain = be.load(manifest, "UTS03")
    np.testing.assert_array_equal(brain.values, np.concatenate(list(arrays.values())))
    assert list(brain.samples["session"]) == list(brain.samples["run"]) == ["avatar"] * 6 + ["wheretheressmoke"] * 4
    np.testing.assert_allclose(brain.samples["time"], [2.0045 * i for n in (6, 4) for i in range(n)])
    assert list(brain.events["stimulus_id"]) == ["the", "avatar", "the", "smoke"]
    assert list(brain.events["run"]) == list(brain.events["story"]) == ["avatar"] * 3 + ["wheretheressmoke"]
    np.testing.assert_allclose(brain.events["onset"], [-8.0, 1.0, 3.0, 0.0])  # the series begin 10 s into the sound
    np.testing.assert_allclose(brain.events["duration"], [0.25, 0.5, 0.5, 0.75])
    assert list(stimuli.ids) == ["the", "avatar", "smoke"] and stimuli.load("avatar") == "avatar"
    assert {"responses.t_r", "events.onset_shift"} <= set(brain.provenance["unverified"])
    test = brain.rows("session == 'wheretheressmoke'")
    assert test.n_samples == 4 and list(test.events["stimulus_id"]) == ["smoke"]


def test_one_story(lebel):
    manifest, arrays = lebel
    brain = be.load(manifest, "UTS03", session="wheretheressmoke").responses
    np.testing.assert_array_equal(brain.values, arrays["wheretheressmoke"])
    assert list(brain.events["stimulus_id"]) == ["smoke"] and set(brain.samples["run"]) == {"wheretheressmoke"}


def test_stories_that_do_not_fit(lebel):
    manifest, _ = lebel
    root = manifest.parent / "derivative"
    with h5py.File(root / "preprocessed_data/UTS03/avatar.hf5", "w") as file:
        file["data"] = np.zeros((6, 4))
    with pytest.raises(DataError, match="different numbers of targets.*4.*5"):
        be.load(manifest, "UTS03")
    (root / "TextGrids/avatar.TextGrid").unlink()
    with pytest.raises(DataError, match=r"without.*avatar\.TextGrid"):
        be.load(manifest, "UTS03")
    assert be.load(manifest, "UTS03", session="wheretheressmoke").responses.n_samples == 4
