"""TextGrids of both layouts and encodings give the same table; damaged ones say so."""

import pytest

from brainenc.core.errors import DataError
from brainenc.io.textgrid import read_textgrid

LONG = """File type = "ooTextFile"
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
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.0124
            text = ""
        intervals [2]:
            xmin = 0.0124
            xmax = 1.5
            text = "say ""7"" 1.5"
        intervals [3]:
            xmin = 1.5
            xmax = 2.5
            text = "été"
    item [2]:
        class = "TextTier"
        name = "click"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 0.75
            mark = "x"
"""
SHORT = '"ooTextFile"\n"TextGrid"\n0\n2.5\n<exists>\n2\n"IntervalTier"\n"word"\n0\n2.5\n3\n0\n0.0124\n""\n0.0124\n1.5\n"say ""7"" 1.5"\n1.5\n2.5\n"été"\n"TextTier"\n"click"\n0\n2.5\n1\n0.75\n"x"\n'


@pytest.mark.parametrize("content", [LONG, "File type = " + SHORT.replace('"TextGrid"', 'Object class = "TextGrid"')])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_both_layouts(tmp_path, content, encoding):
    file = tmp_path / "story.TextGrid"
    file.write_bytes(content.encode(encoding))
    table = read_textgrid(file)
    assert list(table["tier"]) == ["word", "word", "click"] and list(table["text"]) == ['say "7" 1.5', "été", "x"]
    assert list(table["onset"]) == [0.0124, 1.5, 0.75] and list(table["duration"]) == pytest.approx([1.4876, 1.0, 0.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[: t.index('"été"')], "ends too early"),
        (lambda t: t.replace('"TextGrid"', '"PitchTier"'), "not a TextGrid"),
        (lambda t: t.replace("TextTier", "Tier"), "unknown kind"),
        (lambda t: t.replace("xmax = 1.5", "xmax = 0.001"), "ends before it begins"),
        (lambda t: t.replace("intervals: size = 3", "intervals: size = 4"), "cannot be read"),
        (lambda t: "hello", "ends too early"),
    ],
)
def test_damaged_files(tmp_path, change, message):
    file = tmp_path / "story.TextGrid"
    file.write_text(change(LONG), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_textgrid(file)
