import zipfile

import pytest

from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import list_images, load_table


@pytest.fixture
def folder(tmp_path):
    for name in ("im10.jpg", "im2.jpg", "im1.png", "notes.txt", "deep/er/im3.jpg", "deep/im4.JPG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        for name in ("f/", "f/im10.jpg", "f/im9.jpg", "im1.jpg", "readme.txt"):
            bundle.writestr(name, "" if name.endswith("/") else "x")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.jpg", ["im2.jpg", "im10.jpg"]),
        ("*", ["im1.png", "im2.jpg", "im10.jpg"]),
        ("deep/*", ["deep/im4.JPG"]),
        ("deep/**/*", ["deep/er/im3.jpg", "deep/im4.JPG"]),
        ("a.zip::**/*.jpg", ["a.zip::f/im9.jpg", "a.zip::f/im10.jpg", "a.zip::im1.jpg"]),
        ("a.zip::*.jpg", ["a.zip::im1.jpg"]),
    ],
)
def test_images_are_listed_in_natural_order_and_a_star_stays_in_its_folder(folder, pattern, found):
    assert list_images(folder, pattern) == found


@pytest.mark.parametrize("pattern", ["*.gif", "nowhere/*.jpg", "b.zip::*", "a.zip::*.gif"])
def test_nothing_found_is_an_error(folder, pattern):
    with pytest.raises(DataError):
        list_images(folder, pattern)


def test_identifiers_stay_text_whatever_they_look_like(tmp_path):
    (tmp_path / "t.csv").write_text("stimulus_id,subject,size\n1,01,3\n2.0,02,4\n")
    table = load_table(tmp_path / "t.csv")
    assert list(table["stimulus_id"]) == ["1", "2.0"] and list(table["subject"]) == ["01", "02"]
    assert table["size"].sum() == 7


def test_names_and_renaming(tmp_path):
    (tmp_path / "t.txt").write_text("rest 0\nface 0\n007 1\n")
    table = load_table(tmp_path / "t.txt", names=["label", "run"], rename={"stimulus_id": "label"})
    assert list(table["stimulus_id"]) == ["rest", "face", "007"] and list(table["run"]) == [0, 0, 1]
    with pytest.raises(NotFoundError, match="trial_type"):
        load_table(tmp_path / "t.txt", names=["label", "run"], rename={"stimulus_id": "trial_type"})
    with pytest.raises(DataError, match="expected 3"):
        load_table(tmp_path / "t.txt", names=["a", "b", "c"])
    with pytest.raises(DataError, match="expected 4, got 3"):
        load_table(tmp_path / "t.txt", names=["a", "b"], n_rows=4)
    with pytest.raises(InputError, match="already there"):
        load_table(tmp_path / "t.txt", names=["label", "run"], rename={"run": "label"})
