"""Movies and stories: frames and words keep their times all the way to a design."""

import numpy as np
import pytest
from PIL import Image

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import load_movie, load_story

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "word"
        xmin = 0
        xmax = 2.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 0.75
            text = "the"
        intervals [3]:
            xmin = 0.75
            xmax = 1.5e0
            text = "so-called ""dog 2"""
        intervals [4]:
            xmin = 1.5
            xmax = 2.5
            text = "SP"
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 0.5
            mark = "x"
'''
SHORT = '"ooTextFile"\n"TextGrid"\n0\n2.5\n<exists>\n1\n"IntervalTier"\n"word"\n0\n2.5\n4\n0\n0.25\n""\n0.25\n0.75\n"the"\n0.75\n1.5\n"so-called ""dog 2"""\n1.5\n2.5\n"SP"\n'


@pytest.mark.parametrize(("text", "encoding"), [(LONG, "utf-8"), (SHORT, "utf-8"), (LONG, "utf-16")])
def test_words_of_a_textgrid(tmp_path, text, encoding):
    path = tmp_path / "story.TextGrid"
    path.write_text(text, encoding=encoding)
    words = load_story(path, runs=["s1"], onset=10.0)
    assert words.kind == "text" and list(words.ids) == ["s1.00001", "s1.00002"]
    assert words.table["text"].tolist() == ["the", 'so-called "dog 2"']
    np.testing.assert_allclose(words.table[["onset", "duration"]], [[10.25, 0.5], [10.75, 0.75]])
    with pytest.raises(NotFoundError, match="no interval tier 'phone'.*'word'"):
        load_story(path, tier="phone")


def test_words_of_tables_become_a_design(tmp_path, rng):
    for run, shift in ((1, 0.0), (2, 0.3)):
        rows = "".join(f"{i * 0.5 + shift}\t{i * 0.5 + shift + 0.4}\tw{i}\n" for i in range(40))
        (tmp_path / f"run{run}.tsv").write_text(f"onset\toffset\tword\n{rows}")
    words = load_story([tmp_path / "run1.tsv", tmp_path / "run2.tsv"], onset=[4.0, 0.0])
    assert len(words) == 80 and words.table["run"].tolist() == [1] * 40 + [2] * 40
    np.testing.assert_allclose(words.table["duration"], 0.4)
    layer = be.extract(words.where("text == 'w3' or text == 'w9'"), "table:text", cache=False)["table:text/columns"]
    assert layer.samples["onset"].tolist() == [5.5, 8.5, 1.8, 4.8]
    brain = be.Responses(np.zeros((30, 1)), {"run": [1] * 15 + [2] * 15}, t_r=2.0)
    made = be.design(layer, brain, delays=[0.0, 4.0], resample="mean").values
    column = list(layer.features.iloc[:, 0].astype(str)).index(next(one for one in layer.features.iloc[:, 0].astype(str) if "w3" in one))
    expected = np.zeros(30)
    expected[[2, 15]] = 1  # 5.5 s is in the scan of 4 to 6 s, 1.8 s in the first of run 2
    np.testing.assert_array_equal(made[:, column], expected)
    np.testing.assert_array_equal(made[:, 2 + column], np.r_[0, 0, expected[:13], 0, 0, expected[15:28]])


def test_frames_of_folders_and_arrays_keep_their_times(tmp_path, rng):
    frames = rng.integers(0, 255, (12, 6, 5, 3)).astype(np.uint8)
    folder = tmp_path / "run1"
    folder.mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i}.png")
    np.save(tmp_path / "run2.npy", frames[::-1])
    movie = load_movie([folder, tmp_path / "run2.npy"], fps=4.0, onset=[1.0, 0.0], every=2)
    assert list(movie.ids[:2]) == ["1.000000", "1.000002"] and len(movie) == 12
    np.testing.assert_array_equal(movie.load("1.000010"), frames[10])  # natural order: 10.png is the eleventh
    np.testing.assert_array_equal(movie.load("2.000002"), frames[9])
    assert movie.table["onset"].tolist() == [*(1 + np.arange(6) / 2), *(np.arange(6) / 2)] and (movie.table["duration"] == 0.5).all()
    layer = be.extract(movie, "pixels", preprocess={"size": 2}, cache=False)
    space = next(iter(layer.values()))
    brain = be.Responses(np.zeros((8, 1)), {"run": [1] * 4 + [2] * 4}, t_r=1.0)
    made = be.design(space, brain, delays=[0.0], resample="mean").values
    np.testing.assert_allclose(made[1], space.values[:2].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(made[4], space.values[6:8].mean(axis=0), rtol=1e-5)
    assert not made[0].any()


def test_containers_of_frames(tmp_path, rng):
    import h5py

    frames = rng.integers(0, 255, (3, 6, 5, 3)).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["movie/frames"] = frames
    movie = load_movie(f"{tmp_path / 'a.h5'}::movie/frames", fps=2.0)
    np.testing.assert_array_equal(movie.load("1.000002"), frames[2])


def test_files_that_make_no_sense_are_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "b.TextGrid").write_text('"ooTextFile"\n"Pitch"\n')
    (tmp_path / "c.TextGrid").write_text(SHORT[:60])
    (tmp_path / "d.tsv").write_text("onset\tduration\tword\n1\tn/a\tx\n")
    (tmp_path / "e.tsv").write_text("onset\tduration\tlabel\n1\t1\tx\n")
    (tmp_path / "f.tsv").write_text("onset\tduration\tword\n1\t1\tsp\n")
    cases = [
        (load_movie, "a.mp4", {"fps": 5}, DataError, "unpack the frames|Unpack the frames"), (load_movie, "a.mp4", {"fps": 0}, InputError, "fps"),
        (load_story, "b.TextGrid", {}, DataError, "not a TextGrid"), (load_story, "c.TextGrid", {}, DataError, "cannot be read"),
        (load_story, "d.tsv", {}, DataError, "words without duration"), (load_story, "e.tsv", {}, NotFoundError, "no column of words.*label"),
        (load_story, "f.tsv", {}, DataError, "no words"), (load_story, "f.tsv", {"runs": [1, 2]}, InputError, "one label"),
    ]  # fmt: skip
    for read, name, kwargs, error, message in cases:
        with pytest.raises(error, match=message):
            read(tmp_path / name, **kwargs)
