from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError
from brainenc.reporting.groups import join_subjects

REGIONS = ("V1", "V2", "V4")
LAYERS = [("gabor", "energy"), ("toy", "l1"), ("toy", "l2")]


def make(
    subjects=("01",), *, seed=0, ceiling=True, inner=True, roi=True, layers=LAYERS, n=8, n_folds=2, predictions=False
):
    rng = np.random.default_rng(seed)
    n_targets = n * len(REGIONS)
    targets = pd.concat(
        [
            pd.DataFrame({"subject": s, "target_id": [f"t{i}" for i in range(n_targets)], "roi": np.repeat(REGIONS, n)})
            for s in subjects
        ],
        ignore_index=True,
    )
    which = targets["roi"].map({r: i for i, r in enumerate(REGIONS)}).to_numpy()
    values = np.stack(
        [
            np.broadcast_to(
                np.where(which == i, 0.6, 0.2) + 0.001 * rng.standard_normal(len(which)), (n_folds, len(which))
            )
            for i in range(len(layers))
        ]
    )
    if not roi:
        targets = targets.drop(columns="roi")
    kept = {}
    if predictions:
        observed = {s: rng.standard_normal((30 * n_folds, n_targets)) for s in subjects}
        kept = {
            "observed": observed,
            "predictions": {
                s: {f"{m}/{layer}": y + (i + 1) * rng.standard_normal(y.shape) for i, (m, layer) in enumerate(layers)}
                for s, y in observed.items()
            },
            "test_rows": {
                s: pd.DataFrame(
                    {
                        "fold": np.repeat(range(n_folds), 30),
                        "unit": np.tile(range(30), n_folds),
                        "stimulus_id": [f"s{i}" for i in range(30 * n_folds)],
                    }
                )
                for s in subjects
            },
        }
    return be.Scores(
        values, pd.DataFrame([{"model": m, "layer": layer, "metric": "pearson", "seed": 0} for m, layer in layers]), targets,
        {s: be.ArraySpace((n_targets,)) for s in subjects}, split="80/20 images, seed 0", n_test=np.array(30), inner=values.copy() if inner else None,
        alpha=np.full(values.shape, 12.5), ceiling=be.NoiseCeiling(np.full(len(which), 0.64), n_repeats=3, method="ncsnr") if ceiling else None,
        ceiling_status="variance ceiling of the mean of 3 repeats (ncsnr)" if ceiling else "no repeats",
        provenance={"encoder": {"name": "Ridge", "params": {"cv": "loo", "memory": None}}, "seed": 0, "edge_share": {"toy/l1": 0.25}, "n_targets_excluded": dict.fromkeys(subjects, 0)},
        **kept,
    )  # fmt: skip


class Page(HTMLParser):
    """Collects tags, attributes and text of a page, and the raw content of style and script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.raw, self.words, self._open = [], {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open in ("style", "script"):
            self.raw.setdefault(self._open, []).append(data)
        else:
            self.words.append(data)

    def handle_endtag(self, tag):
        self._open = None

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(source, tmp_path, **options):
    path = be.report(source, tmp_path / "report.html", **options)
    return Page(path.read_text(encoding="utf-8")), path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The report of one subject, made once."""
    return page_of(make(), tmp_path_factory.mktemp("plain"), title="My study")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The report of two subjects with kept predictions, made once."""
    return page_of(make(("01", "02"), predictions=True), tmp_path_factory.mktemp("pair"))


def test_one_file_that_loads_nothing_and_allows_only_its_own_script(plain):
    page, path = plain
    assert path.stat().st_size < 6_000_000
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        assert len(page.raw[tag]) == 1
        digest = base64.b64encode(hashlib.sha256(page.raw[tag][0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not page.all("link") and not page.all("iframe") and not page.all("form")
    for _, attrs in page.tags:
        assert not {"style", "srcset", "srcdoc"} & set(attrs) and not any(name.startswith("on") for name in attrs)
        assert attrs.get("src", "data:").startswith("data:image/png;base64,") or "src" not in attrs
        assert attrs.get("href", "#").startswith("#")


def test_images_are_png_with_words_for_those_who_cannot_see_them(pair):
    page, _ = pair
    images = page.all("img")
    assert len(images) >= 7
    for image in images:
        assert base64.b64decode(image["src"].split(",", 1)[1])[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(image["alt"]) > 20 and int(image["width"]) > 100
    assert "V1: gabor/energy .60" in images[0]["alt"]


def test_claims_carry_score_ceiling_n_and_split(plain):
    page, _ = plain
    text = page.text
    assert "My study" in text
    assert re.search(r"(V1|V2|V4): \S+ reaches Pearson r = 0\.60, 75 % of what its noise allows", text)
    assert "ceiling 0.80; 60 test rows; 80/20 images, seed 0" in text
    assert "no interval (predictions were not kept)" in text


def test_methods_state_how_it_was_done(plain):
    text = plain[0].text
    for part in (
        "Ridge(cv='loo')",
        "Median alpha 12.5",
        "25.0 % of the choices lie at an edge",
        "variance ceiling",
        "Split seeds: 0",
        "training rows",
        "24 targets in 3 regions",
    ):
        assert part.lower() in text.lower(), part
    assert "more than a fifth of the penalties" in text


def test_every_score_is_in_the_table(pair):
    scores, path = make(("01", "02"), predictions=True), pair[1]
    html = path.read_text(encoding="utf-8")
    expected = scores.by("roi")
    table = html[html.index("Scores by subject, region and layer") :]
    rows = re.findall(r"<tr>(.*?)</tr>", table[table.index("<tbody>") : table.index("</tbody>")])
    assert len(rows) == len(expected) == 18
    shown = {}
    for row in rows:
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        shown[tuple(cells[:4])] = float(cells[5])
    for _, row in expected.iterrows():
        assert shown[row["subject"], row["roi"], row["model"], row["layer"]] == pytest.approx(row["score"], abs=6e-4)


def test_intervals_and_winners_come_from_kept_predictions(pair):
    text = pair[0].text
    assert "95 % CI" in text and "over test stimuli" in text and "Paired bootstrap" in text
    assert "95 % interval of the difference" in text


def test_the_interval_holds_the_bootstrap_median_of_independent_code():
    from brainenc.reporting.intervals import Intervals

    scores = make(predictions=True, n_folds=1)
    layer, targets = "gabor/energy", np.arange(8)
    low, high = Intervals(scores, "pearson").of("01", layer, targets)
    observed, predicted = scores.observed["01"][:, :8], scores.predictions["01"][layer][:, :8]
    rng = np.random.default_rng(7)
    draws = []
    for _ in range(800):
        rows = rng.integers(30, size=30)
        draws.append(np.median([np.corrcoef(observed[rows, t], predicted[rows, t])[0, 1] for t in range(8)]))
    assert (low, high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.04)


@pytest.mark.parametrize(
    "options",
    [
        {"ceiling": False},
        {"inner": False},
        {"roi": False},
        {"layers": [("m", "only")], "inner": False},
        {"subjects": ("a", "b", "c", "d", "e", "f")},
    ],
)
def test_reports_of_every_shape(tmp_path, options):
    page, _ = page_of(make(**options), tmp_path)
    text = page.text
    if options.get("ceiling") is False:
        assert "no repeats" in text and "There is no noise ceiling" in text
    if options.get("inner") is False and "layers" not in options:
        assert "optimistic" in text
    if options.get("roi") is False:
        assert "all targets" in text
    if "subjects" in options:
        assert "2 further subjects are not drawn" in text


def test_nothing_but_nan_is_said_plainly(tmp_path):
    scores = make()
    text = page_of(replace(scores, values=np.full_like(scores.values, np.nan)), tmp_path)[0].text
    assert "No target could be scored" in text and "24 targets without any score" in text


def test_other_metrics_are_drawn_and_listed(tmp_path):
    one = make()
    other = replace(one, entries=one.entries.assign(metric="r2"), values=one.values**2)
    text = page_of(be.Scores.stack([one, other]), tmp_path)[0].text
    assert "Layer by region, R²" in text and "Pearson r and R² between" in text


def test_subjects_of_one_analysis_share_a_section():
    found = {
        "a/data/01": make(("01",)),
        "a/data/02": make(("02",), seed=1),
        "b/data/01": make(("01",), layers=LAYERS[:2]),
    }
    parts = join_subjects(found)
    assert [(name, scores.subjects) for name, scores in parts] == [
        ("a · data", ["01", "02"]),
        ("b · data · 01", ["01"]),
    ]
    joined = parts[0][1]
    expected = np.concatenate([found["a/data/01"].values, found["a/data/02"].values], axis=2)
    assert (joined.values == expected).all() and len(joined.ceiling.values) == expected.shape[2]
    assert joined.where(subject="02").values.shape == found["a/data/02"].values.shape


def test_different_splits_and_equal_subjects_stay_apart():
    assert len(join_subjects({"a/d/01": make(("01",)), "a/d/02": replace(make(("02",)), split="other")})) == 2
    assert len(join_subjects({"a/d/01/x": make(("01",)), "a/d/01/y": make(("01",))})) == 2


def test_a_figure_that_cannot_be_drawn_says_why(monkeypatch, tmp_path):
    from brainenc import viz

    def refuse(*_, **__):
        raise InputError("no such brain")

    monkeypatch.setattr(viz, "score_map", refuse)
    page, _ = page_of(make(layers=LAYERS[:1]), tmp_path)
    assert "Where, subject 01. This figure could not be drawn: no such brain" in page.text
    assert all(image["src"] for image in page.all("img"))


def test_results_with_failures(tmp_path):
    failures = pd.DataFrame(
        [
            {
                "step": "extract",
                "analysis": "a",
                "dataset": "d",
                "subject": "02",
                "model": "toy",
                "layer": np.nan,
                "error": "DataError",
                "message": "no such file",
            }
        ]
    )
    results = SimpleNamespace(
        scores=lambda: {"a/d/01": make()},
        plan=SimpleNamespace(name="two studies"),
        failures=failures,
        provenance={"warnings": {"alpha at the edge": 2}, "notes": []},
    )
    text = page_of(results, tmp_path)[0].text
    assert (
        "two studies" in text
        and "no such file" in text
        and "1 failed" in text
        and "alpha at the edge (2 tasks)" in text
    )
    with pytest.raises(InputError, match="no finished score"):
        be.report(SimpleNamespace(scores=dict, plan=None), tmp_path / "x.html")


def test_what_cannot_be_reported_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="cannot be reported"):
        be.report([1, 2], tmp_path / "r.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError):
        be.report(make(layers=LAYERS[:1]), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


def test_the_same_scores_give_the_same_bytes(plain, tmp_path):
    assert be.report(make(), tmp_path / "again.html", title="My study").read_bytes() == plain[1].read_bytes()


def test_the_interval_draws_what_the_comparisons_draw():
    from brainenc.metrics.resample import bootstrap_folds
    from brainenc.reporting.intervals import Intervals

    scores, layer, targets = make(predictions=True), "gabor/energy", np.arange(8)
    rows = scores.test_rows["01"]
    of_blocks = lambda size: {"01": rows.assign(unit=rows["unit"] // size).drop(columns="stimulus_id")}  # noqa: E731
    blocks = replace(scores, test_rows=of_blocks(5))  # six blocks a fold
    assert Intervals(replace(scores, test_rows=of_blocks(15)), "pearson").of("01", layer, targets) is None  # two blocks a fold say too little
    again = replace(scores, test_rows={"01": rows.assign(stimulus_id=[f"s{i % 30}" for i in range(60)])})  # both folds test the same
    for one in (scores, blocks, again):
        draws = []
        folds = bootstrap_folds(one.test_rows["01"], 1000, 0, "report")
        y, p = one.observed["01"][:, :8], one.predictions["01"][layer][:, :8]
        for n in range(150):
            r = []
            for part, weights in folds:
                take = np.repeat(part, weights[n].astype(int))
                r.append([np.corrcoef(y[take, t], p[take, t])[0, 1] for t in range(8)])
            draws.append(np.median(np.mean(r, axis=0)))
        point = np.median(np.mean([[np.corrcoef(y[part, t], p[part, t])[0, 1] for t in range(8)] for part, _ in folds], axis=0))
        wider = point + np.sqrt(2) * (np.quantile(draws, [0.025, 0.975]) - point)  # folds train one another
        assert Intervals(one, "pearson").of("01", layer, targets) == pytest.approx(tuple(wider), abs=0.06)
    single = replace(scores, test_rows={"01": rows.assign(unit=0, stimulus_id=None)})
    assert Intervals(single, "pearson").of("01", layer, targets) is None


def test_a_ceiling_beside_pearson_is_named_in_units_of_r(plain, tmp_path):
    words = "oise ceiling on r (square root of the variance ceiling of the mean of 3 repeats, ncsnr)"
    assert words in plain[0].text
    normal = page_of(make().normalized(), tmp_path)[0].text
    assert f"divided by the n{words}" in normal and "There is no noise ceiling" not in normal
    r2 = replace(make(), entries=make().entries.assign(metric="r2"))
    text = page_of(r2, tmp_path)[0].text
    assert "oise ceiling on R² (variance ceiling of the mean of 3 repeats, ncsnr)" in text and "ceiling on r (" not in text


def test_a_results_folder_is_read(tmp_path, monkeypatch):
    import brainenc.study

    results = SimpleNamespace(
        scores=lambda: {"a/set/01": make()}, plan=SimpleNamespace(name="from a folder"), failures=pd.DataFrame(columns=["step"]), provenance={}
    )
    asked = []
    monkeypatch.setattr(brainenc.study, "read_results", lambda folder: asked.append(folder) or results)
    for source in (tmp_path / "out", str(tmp_path / "out")):
        assert "from a folder" in page_of(source, tmp_path)[0].text
    assert asked == [tmp_path / "out", str(tmp_path / "out")]
    monkeypatch.undo()
    with pytest.raises(DataError, match="no finished results"):
        be.report(tmp_path / "nothing", tmp_path / "x.html")
