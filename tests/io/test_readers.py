"""Readers: what was written by another library comes back, and damage has one kind of error."""

import io
import json

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.readers import list_keys, read_array, read_image, read_json, read_table, read_toml

ARRAY = np.random.default_rng(0).standard_normal((7, 8))


@pytest.mark.parametrize("array", [ARRAY, np.asfortranarray(ARRAY), np.array(["a", "bc"]), np.zeros((0, 5)), np.array(3.5), ARRAY > 0])
def test_npy(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    for mmap in (False, True):
        found = read_array(tmp_path / "a.npy", mmap=mmap)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
    assert isinstance(read_array(tmp_path / "a.npy", mmap=True), np.memmap) == (array.size > 0)


def test_npz(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=ARRAY, words=np.array(["a", "bc"]))
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", key="x"), ARRAY)
    assert list_keys(tmp_path / "a.npz") == ["x", "words"]
    with pytest.raises(NotFoundError, match="'words'.*did you mean 'words'|Did you mean 'words'"):
        read_array(tmp_path / "a.npz", key="word")
    with pytest.raises(InputError, match="several arrays.*Give key="):
        read_array(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", ARRAY)
    np.testing.assert_array_equal(read_array(tmp_path / "b.npz"), ARRAY)


def test_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("betas/session 1", data=ARRAY, compression="gzip", chunks=(2, 3))
        file["names"] = np.array(["V1", "é"], dtype=h5py.string_dtype())
        file["number"] = 3
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", key="betas/session 1"), ARRAY)
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", key="/betas/session 1[6]"), ARRAY[6])
    assert read_array(tmp_path / "a.h5", key="names").tolist() == ["V1", "é"]
    assert list_keys(tmp_path / "a.h5") == ["betas/session 1", "names", "number"]
    for key, error, match in [
        ("betas/session 1[7]", NotFoundError, "0 to 6"), ("beta", NotFoundError, "betas"), ("betas", InputError, "group"),
        ("number[0]", NotFoundError, "empty"), (None, InputError, "Give key="),
    ]:  # fmt: skip
        with pytest.raises(error, match=match):
            read_array(tmp_path / "a.h5", key=key)
    (tmp_path / "a.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:1000])
    with pytest.raises(DataError):
        read_array(tmp_path / "a.h5", key="number")


def mat5(path):
    struct = np.zeros((2, 2), dtype=[("name", object), ("RDM", object)])
    for i, at in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):  # MATLAB's linear order
        struct[at] = (f"r{i}", ARRAY + i)
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = ARRAY, ARRAY.T
    words = np.array([["a", "bcd"]], dtype=object)
    savemat(path, {"x": ARRAY, "s": struct, "c": cell, "w": words, "one": {"inner": {"y": ARRAY}}, "text": "hello", "v": [1.0, 2.0, 3.0]})


def mat73(path):
    """The same content in the layout that MATLAB writes with -v7.3."""
    with h5py.File(path, "w") as file:
        refs = file.create_group("#refs#")

        def put(parent, name, array, kind="double"):
            node = parent.create_dataset(name, data=np.asarray(array).T)
            node.attrs["MATLAB_class"] = np.bytes_(kind)
            return node

        def chars(parent, name, text):
            return put(parent, name, np.array([[ord(c) for c in text]], dtype=np.uint16), "char")

        def references(parent, name, nodes, shape, kind=None):
            data = np.array([n.ref for n in nodes], dtype=h5py.ref_dtype).reshape(shape)
            node = parent.create_dataset(name, data=data, dtype=h5py.ref_dtype)
            if kind:
                node.attrs["MATLAB_class"] = np.bytes_(kind)

        put(file, "x", ARRAY)
        group = file.create_group("s")
        references(group, "name", [chars(refs, f"n{i}", f"r{i}") for i in range(4)], (2, 2))
        references(group, "RDM", [put(refs, f"m{i}", ARRAY + i) for i in range(4)], (2, 2))
        references(file, "c", [put(refs, "c0", ARRAY), put(refs, "c1", ARRAY.T)], (2, 1), "cell")
        references(file, "w", [chars(refs, "w0", "a"), chars(refs, "w1", "bcd")], (2, 1), "cell")
        put(file.create_group("one").create_group("inner"), "y", ARRAY)
        chars(file, "text", "hello")
        put(file, "v", [[1.0, 2.0, 3.0]])
        empty = put(file, "empty", np.array([0, 5], dtype=np.uint64))
        empty.attrs["MATLAB_empty"] = np.uint8(1)


@pytest.mark.parametrize("write", [mat5, mat73])
def test_matlab(tmp_path, write):
    path = tmp_path / "a.mat"
    write(path)
    expected = {
        "x": ARRAY, "x[6]": ARRAY[6], "s[0].RDM": ARRAY, "s[2].RDM": ARRAY + 2, "s[3].RDM[1]": ARRAY[1] + 3, "c[1]": ARRAY.T,
        "c[1][2]": ARRAY.T[2], "one.inner.y": ARRAY, "v": np.array([[1.0, 2.0, 3.0]]),
    }  # fmt: skip
    for key, value in expected.items():
        np.testing.assert_array_equal(read_array(path, key=key), value, err_msg=key)
    assert read_array(path, key="text").tolist() == ["hello"]
    assert read_array(path, key="s[1].name").tolist() == ["r1"]
    assert read_array(path, key="w").ravel().tolist() == ["a", "bcd"]
    assert set(list_keys(path)) >= {"x", "s", "c", "w", "one", "text", "v"}
    for key, error, match in [
        ("y", NotFoundError, "'x'"), ("s", InputError, "RDM"), ("s.RDM", InputError, "4 items"), ("s[4].RDM", NotFoundError, "0 to 3"),
        ("s[0].rdm", NotFoundError, "'RDM'"), ("c", InputError, r"say which|2 items"), ("x.y", InputError, "no struct"), ("c[2]", NotFoundError, "0 to 1"),
        ("x[7]", NotFoundError, "0 to 6"), (None, InputError, "Give key="), ("x[-1]", InputError, "cannot be read"), ("[0]", InputError, "begins"),
    ]:  # fmt: skip
        with pytest.raises(error, match=match):
            read_array(path, key=key)


def test_matlab_empty_and_sparse(tmp_path):
    from scipy.sparse import eye_array

    mat73(tmp_path / "a.mat")
    assert read_array(tmp_path / "a.mat", key="empty").shape == (0, 5)
    savemat(tmp_path / "b.mat", {"sparse": eye_array(7, 8, format="csc")})
    np.testing.assert_array_equal(read_array(tmp_path / "b.mat"), np.eye(7, 8))


def test_text_arrays(tmp_path):
    np.savetxt(tmp_path / "a.txt", ARRAY)
    np.testing.assert_array_equal(read_array(tmp_path / "a.txt"), ARRAY)
    pd.DataFrame(ARRAY, columns=list("abcdefgh")).to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(read_array(tmp_path / "a.csv"), ARRAY)
    np.testing.assert_array_equal(read_array(tmp_path / "a.csv", key="c"), ARRAY[:, 2:3])
    (tmp_path / "b.csv").write_text("1,2\n3,x\n")
    with pytest.raises(DataError, match="text in column '1'"):
        read_array(tmp_path / "b.csv")
    with pytest.raises(NotFoundError, match="'a'"):
        read_array(tmp_path / "a.csv", key="z")


def test_missing_files_name_their_neighbours(tmp_path):
    np.save(tmp_path / "responses.npy", ARRAY)
    for read in (read_array, read_table, read_image, read_json, read_toml):
        with pytest.raises(DataError, match=r"no such file.*respones\.npy.*responses\.npy"):
            read(tmp_path / "respones.npy")
        with pytest.raises(DataError, match="folder"):
            read(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        read_array(tmp_path / "none" / "a.npy")
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected \.npy"):
        read_array(tmp_path / "a.pkl")
    with pytest.raises(InputError, match="memory-mapped"):
        np.savez(tmp_path / "a.npz", x=ARRAY)
        read_array(tmp_path / "a.npz", mmap=True)
    with pytest.raises(DataError, match="more memory"):
        read_array(tmp_path / "responses.npy", max_bytes=100)


RUBBISH = [
    b"",
    b"\x89PNG\r\n\x1a\nrubbish",
    b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\0\1IM" + b"\x0f\0\0\0\xff\0\0\0abc",
    bytes(range(256)),
]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".h5", ".parquet", ".json", ".png", ".toml"])
@pytest.mark.parametrize("content", RUBBISH, ids=["empty", "png", "mat", "bytes"])
def test_rubbish_is_a_data_error(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    if suffix == ".toml" and content == b"":
        assert read_toml(path) == {}
        return
    read = {".parquet": read_table, ".json": read_json, ".png": read_image, ".toml": read_toml}.get(suffix, read_array)
    with pytest.raises((DataError, InputError)) as caught:
        read(path, key="x") if read is read_array and suffix != ".npy" else read(path)
    assert path.name in str(caught.value)


TRAPS = (
    "\ufeffsubject,word,id,r,n,flag,rt,z\n"
    "01,null,12345678901234567890,0.5,1,True,n/a,\n"
    "02,NA,12345678901234567891,nan,2,False,1.5,\n"
    "03,nan,3,1e-3,3,True,NA,\n"
)


def test_tables_keep_what_an_experiment_may_mean(tmp_path):
    (tmp_path / "a.csv").write_text(TRAPS, encoding="utf-8")
    table = read_table(tmp_path / "a.csv")
    assert table.columns.tolist() == ["subject", "word", "id", "r", "n", "flag", "rt", "z"]
    assert table["subject"].tolist() == ["01", "02", "03"]
    assert table["word"].tolist() == ["null", "NA", "nan"]
    assert table["id"].tolist()[1] == "12345678901234567891"
    np.testing.assert_array_equal(table["r"], [0.5, np.nan, 1e-3])
    assert table["n"].dtype == np.int64 and table["flag"].dtype == bool
    np.testing.assert_array_equal(table["rt"], [np.nan, 1.5, np.nan])
    assert table["z"].isna().all()
    assert read_table(tmp_path / "a.csv", text=["n"])["n"].tolist() == ["1", "2", "3"]
    with pytest.raises(NotFoundError, match="'m'"):
        read_table(tmp_path / "a.csv", text=["m"])


def test_table_formats_agree(tmp_path):
    frame = pd.DataFrame({"roi": ["V1", "V 4", "a,b"], "r": [0.1, 1 / 3, -2.0], "n": [7, 8, 9]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "semi.csv", index=False, sep=";")
    frame.to_csv(tmp_path / "a.txt", index=False, sep=" ")
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(frame.to_dict("records")))
    (tmp_path / "b.json").write_text(json.dumps(frame.to_dict("list")))
    for name in ("a.csv", "a.tsv", "a.txt", "a.parquet", "a.json", "b.json"):
        pd.testing.assert_frame_equal(read_table(tmp_path / name), frame)
    pd.testing.assert_frame_equal(read_table(tmp_path / "semi.csv", separator=";"), frame)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2\n3\n", r"row 3.*expected 2, got 1"),
        ("a,b\n1,2,3\n", "row 2"),
        ("a,a\n1,2\n", "used twice.*'a'"),
        ("", "empty"),
        ("a,b\n1,\0\n", "NUL"),
        ('a,b\n1,"2\n', "damaged"),
    ],
)
def test_damaged_tables(tmp_path, text, match):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=match):
        read_table(tmp_path / "a.csv")


def test_other_encodings_are_asked_for(tmp_path):
    (tmp_path / "a.csv").write_bytes("wort\nKäse\n".encode("latin-1"))
    with pytest.raises(DataError, match="UnicodeDecodeError"):
        read_table(tmp_path / "a.csv")
    assert read_table(tmp_path / "a.csv", encoding="latin-1")["wort"].tolist() == ["Käse"]


def test_json_and_toml(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1, "b": {"c": 2, "c": 3}}')
    with pytest.raises(DataError, match="used twice.*'c'"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(DataError):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.toml").write_text("x = 1\n[t]\ny = 'z'\n")
    assert read_toml(tmp_path / "a.toml") == {"x": 1, "t": {"y": "z"}}
    (tmp_path / "a.toml").write_text("x = 1\nx = 2\n")
    with pytest.raises(DataError, match="line 2"):
        read_toml(tmp_path / "a.toml")


def encoded(image, kind="PNG", **kwargs):
    buffer = io.BytesIO()
    image.save(buffer, kind, **kwargs)
    return buffer.getvalue()


def test_images_of_every_mode(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 8, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes()):
        found = read_image(source)
        np.testing.assert_array_equal(found, rgb)
        assert found.flags.writeable
    grey = rgb[:, :, 0]
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(grey))), np.dstack([grey] * 3))
    palette = Image.fromarray(rgb).quantize(9)
    np.testing.assert_array_equal(read_image(encoded(palette)), np.asarray(palette.convert("RGB")))
    alpha = np.dstack([rgb, np.full((7, 8), 51, np.uint8)])
    np.testing.assert_allclose(read_image(encoded(Image.fromarray(alpha))), rgb * 0.2 + 255 * 0.8, atol=1)
    sixteen = np.arange(56, dtype=np.uint16).reshape(7, 8) * 1000
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(sixteen)))[:, :, 1], np.rint(sixteen / 257))
    keyed = Image.fromarray(np.zeros((7, 8), np.uint8))
    assert (read_image(encoded(keyed, transparency=0)) == 255).all()


def test_exif_orientation_is_left_alone():
    image = Image.fromarray(np.zeros((7, 9, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(encoded(image, "JPEG", exif=exif)).shape == (7, 9, 3)


def test_images_that_are_refused(tmp_path):
    image = Image.fromarray(np.zeros((70, 80, 3), np.uint8))
    png = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)))
    for source, kwargs, match in [
        (png[:-2000], {}, "damaged"), (png, {"max_pixels": 5599}, "80 × 70"), (png, {"max_bytes": 1000}, "too large"),
        (encoded(image, "GIF", save_all=True, append_images=[image.rotate(90), Image.new("RGB", (80, 70), "red")]), {}, "several frames"),
        (encoded(Image.fromarray(np.zeros((7, 8), np.float32)), "TIFF"), {}, "mode F"), (encoded(image, "PDF"), {}, "damaged"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=match):
            read_image(source, **kwargs)
    with pytest.raises(DataError, match=r"x\.zip::a\.png"):
        read_image(b"rubbish", name="x.zip::a.png")
