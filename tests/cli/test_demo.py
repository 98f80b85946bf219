"""The demo does the whole job on simulated subjects and says whether it found what was planted."""

from types import SimpleNamespace

import pandas as pd
import pytest

from brainenc.cli import main
from brainenc.cli.commands import demo
from brainenc.study import Plan, read_results


def test_the_plan_of_the_demo_is_a_plan_and_seeds_are_simulations(tmp_path):
    from brainenc import datasets

    first = Plan.from_dict(demo.demo_plan(tmp_path, 0))
    assert first.analyses[0].dataset == "insilico" and not list(tmp_path.iterdir())
    other = Plan.from_dict(demo.demo_plan(tmp_path, 3))
    manifest = datasets.manifest(other.analyses[0].dataset)
    shipped = datasets.manifest("insilico")
    assert dict(manifest.options) == {"seed": 3} and (manifest.generator, manifest.subjects) == (shipped.generator, shipped.subjects)


def test_found_means_the_planted_layer_and_a_clear_lead(monkeypatch):
    import brainenc.encoding

    rows = [("V1", "gabor/energy", True), ("V4", "toyclip/visual.layer3", True), ("FFA", "table:concepts/columns", False)]
    table = pd.DataFrame([{"subject": "01", "roi": r, "winner": w, "distinct": d} for r, w, d in rows])
    table = table.assign(score=0.5, runner_up="x", difference=0.1, ci_low=0.0, ci_high=0.2)
    monkeypatch.setitem(vars(brainenc.encoding), "winners", lambda scores, by, seed: table)
    summary = pd.DataFrame({"subject": "01", "roi": ["V1", "V4", "FFA"], "metric": "pearson", "ceiling": [0.8, 0.7, 0.6]})
    results = SimpleNamespace(summary=summary, scores=lambda: {"demo/insilico/01": SimpleNamespace(entry=lambda metric: None)})
    verdict = demo.compare(results, 0)
    assert verdict["found"].tolist() == [True, False, False] and verdict["ceiling"].tolist() == [0.8, 0.7, 0.6]
    assert verdict["planted"].tolist() == ["gabor/energy", "toyclip/visual.layer2", "table:concepts/columns"]


@pytest.mark.slow
def test_the_demo_finds_what_was_planted_and_writes_everything(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "-q"]) == 0
    results = read_results(out)
    verdict = pd.read_csv(out / "demo.csv")
    assert len(verdict) == 14 and verdict["found"].mean() >= 0.9
    assert set(results.summary["model"]) == {"gabor", "toyclip", "table:concepts"} and set(results.summary["subject"]) == {"01", "02"}
    assert (out / "report.html").stat().st_size > 10_000
    assert set(results.maps["map"]) == {"best", "gabor", "toyclip", "table-concepts", "table:concepts", "ceiling"} - {"table-concepts"}
    said = capsys.readouterr().out
    assert "subject-region pairs" in said and str(out / "report.html") in said
