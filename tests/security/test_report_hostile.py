"""Names, captions and paths that try to become markup stay text."""

from __future__ import annotations

from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import brainenc as be

SCRIPT = "<script>alert('x')</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
TEMPLATE = "{{7*7}}{% for x in y %}"
ESCAPED = "&lt;script&gt;</td></table></style></script><!--"
NAMES = (SCRIPT, IMAGE, TEMPLATE, ESCAPED)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def hostile():
    rng = np.random.default_rng(0)
    targets = pd.DataFrame(
        {"subject": SCRIPT, "target_id": [f"{IMAGE}{i}" for i in range(12)], "roi": np.repeat(NAMES, 3)}
    )
    values = 0.5 + 0.1 * rng.random((2, 1, 12))
    entries = pd.DataFrame({"model": [SCRIPT, TEMPLATE], "layer": [IMAGE, ESCAPED], "metric": "pearson", "seed": 0})
    observed = rng.standard_normal((30, 12))
    names = (entries["model"] + "/" + entries["layer"]).tolist()
    return be.Scores(
        values, entries, targets, {SCRIPT: be.ArraySpace((12,))}, split=f"{TEMPLATE} {IMAGE}", n_test=np.array(30), inner=values,
        alpha=np.ones(values.shape), ceiling=be.NoiseCeiling(np.full(12, 0.7), method=SCRIPT), ceiling_status=f"{ESCAPED}{TEMPLATE}",
        observed={SCRIPT: observed}, predictions={SCRIPT: {n: observed + (i + 1) * rng.standard_normal(observed.shape) for i, n in enumerate(names)}},
        test_rows={SCRIPT: pd.DataFrame({"fold": 0, "unit": np.arange(30), "stimulus_id": [f"{SCRIPT}{i}" for i in range(30)]})},
        provenance={"encoder": {"name": SCRIPT, "params": {IMAGE: TEMPLATE}}, SCRIPT: IMAGE, "versions": {TEMPLATE: SCRIPT}, "edge_share": {SCRIPT: 0.9}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(hostile, tmp_path_factory):
    row = {"step": TEMPLATE, "analysis": IMAGE, "subject": SCRIPT, "error": ESCAPED, "message": SCRIPT}
    results = SimpleNamespace(
        scores=lambda: {f"{IMAGE}/x/{SCRIPT}".replace("</", "<\\"): hostile}, plan=SimpleNamespace(name=SCRIPT), failures=pd.DataFrame([row]),
        provenance={"warnings": {SCRIPT: 1}, "notes": [IMAGE], TEMPLATE: ESCAPED},
    )  # fmt: skip
    path = be.report(results, tmp_path_factory.mktemp("hostile") / "r.html", title=f"{SCRIPT}{TEMPLATE}")
    return Tags(path.read_text(encoding="utf-8")), path.read_text(encoding="utf-8")


def test_no_tag_comes_from_data(page):
    tags, raw = page
    assert [tag for tag, _ in tags.found].count("script") == 1
    for tag, attrs in tags.found:
        assert not any(name.startswith("on") for name in attrs)
        if tag == "img":
            assert attrs["src"].startswith("data:image/png;base64,")
        assert attrs.get("href", "#").startswith("#")
    assert "<script>alert" not in raw and "<img src=x" not in raw and "<!--" not in raw


def test_templates_in_data_stay_text(page):
    tags, _ = page
    text = " ".join(tags.words)
    assert "{{7*7}}" in text and "{% for x in y %}" in text
    assert SCRIPT in text and IMAGE in text  # shown, as text


def test_the_script_never_writes_markup():
    from importlib.resources import files

    script = (files("brainenc.reporting") / "report.js").read_text(encoding="utf-8")
    for door in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval",
        "Function(",
        "fetch",
        "XMLHttp",
        "import(",
    ):
        assert door not in script
