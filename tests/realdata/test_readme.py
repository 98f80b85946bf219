"""The README's example on real fMRI runs as it is printed."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_time_series_example_runs(real_data, monkeypatch):
    monkeypatch.setenv("BRAINENC_DATA", str(real_data("haxby2001_slice").parent))
    block, _ = re.findall(r"```py\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    scope: dict[str, object] = {}
    exec(compile("import brainenc as be\n" + block, "README.md", "exec"), scope)  # noqa: S102
    scores = scope["scores"]
    assert (scores.mean()[0] > 0.2).sum() >= 100
