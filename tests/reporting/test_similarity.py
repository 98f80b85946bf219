"""The section of a report about RDMs: claims, tables and words come from the evaluation, and nothing is claimed of noise."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.reporting.content import Table
from brainenc.reporting.similarity import Comparison, best_layers, describe_comparison

STUDY = {"name": "s", "failures": [], "provenance": {}, "caveats": ["a warning of a task"]}
N = 24


def make(n_subjects=6, noise=0.5, *, n_layers=3, seed=0, methods=("spearman",), roi=("V1", "IT"), **options):
    """Subjects whose RDM in IT is the last layer's and in V1 nothing but noise; the RDMs and their evaluations."""
    rng = np.random.default_rng(seed)
    conditions = pd.DataFrame({"stimulus_id": [f"s{i}" for i in range(N)], "category": ["face", "house", "cat", "tool"] * (N // 4)})
    models = be.RDMs(rng.random((n_layers, N * (N - 1) // 2)), conditions, {"model": ["net"] * n_layers, "layer": [f"l{i}" for i in range(n_layers)]}, "correlation")
    rows = [(f"{s:02d}", r) for s in range(n_subjects) for r in roi]
    values = np.stack([(r == "IT") * models.values[-1] + noise * rng.random(models.values.shape[1]) for _, r in rows])
    data = be.RDMs(values, conditions, pd.DataFrame(rows, columns=["subject", "roi"]), "correlation", {"simulated": True, "title": "Made up"})
    return data, models, [be.rsa.evaluate(models, data, method=m, by="roi", n=100, **options) for m in methods]


@pytest.fixture(scope="module")
def section():
    data, models, (evaluation,) = make()
    return evaluation, describe_comparison(Comparison("study · spearman", evaluation, data, models, {}, {"numpy": "2"}), STUDY, 0)


def test_claims_are_the_best_layers_and_none_of_noise(section):
    evaluation, made = section
    noise, signal = made.claims
    assert (signal.group, signal.model, signal.void) == ("IT", "l2", False) and noise.void and noise.words.startswith("no claim")
    frame = evaluation.to_frame().set_index(["roi", "layer"])
    row = frame.loc[("IT", "l2")]
    assert signal.score == row["score"] and signal.interval == (row["ci_low"], row["ci_high"]) and signal.ceiling == (row["ceiling_low"], row["ceiling_high"])
    assert signal.bar["floor"] > signal.bar["zero"] and signal.bar["low"] < signal.bar["start"] + signal.bar["length"] < signal.bar["high"]
    assert made.headline.startswith("IT: l2 reaches Spearman ρ of RDMs = ") and "95 % CI" in made.headline_note and "simulated" in made.headline_note
    assert any("In 1 of 2 groups nothing may be claimed" in text for text in made.caveats) and "a warning of a task" in made.caveats


def test_every_number_stands_in_the_table(section):
    evaluation, made = section
    frame = evaluation.to_frame()
    names = [name for name, _ in made.rows.columns]
    assert names[:3] == ["roi", "model", "layer"] and len(made.rows.rows) == len(frame) == 6
    for cells, row in zip(made.rows.rows, frame.to_dict("records"), strict=True):
        shown = dict(zip(names, cells, strict=True))
        assert (shown["roi"][0], shown["layer"][0]) == (row["roi"], row["layer"])
        for title, column in (("score", "score"), ("CI low", "ci_low"), ("ceiling high", "ceiling_high"), ("q", "q")):
            assert float(shown[title][1]) == row[column] and float(shown[title][0].replace("−", "-")) == pytest.approx(row[column], abs=6e-4)
        assert shown["claim"][0] == row["claim"]


def test_the_runner_up_is_tested_where_something_is_claimed(section):
    evaluation, made = section
    (row,) = made.pairs.rows
    assert [text for text, _ in row[:2]] == ["IT", "l2"] and row[-1][0] == "yes"
    mean = np.sort(evaluation.mean[1])
    assert float(row[3][1]) == pytest.approx(mean[-1] - mean[-2])
    pairs = evaluation.test("pairs")
    mine = pairs[(pairs["roi"] == "IT") & (pairs[["layer_a", "layer_b"]] == "l2").any(axis=1) & (pairs[["layer_a", "layer_b"]] == row[2][0]).any(axis=1)]
    assert float(row[4][1]) == mine["p"].iloc[0]


def test_methods_say_how(section):
    _, made = section
    text = " ".join(f"{topic}: {words}" for topic, words in made.methods)
    for part in ("24 conditions, 6 subjects in 2 groups (roi); 3 layers of 1 model", "Spearman's correlation of the pairs", "100 bootstrap samples of subjects and conditions",
                 "5 degrees of freedom", "one-sided t-tests", "seed 0", "numpy 2", "1/√S"):  # fmt: skip
        assert part in text, part
    titles = [figure.title for figure in made.figures]
    assert titles == ["Models beside the noise ceiling", "RDMs of the data", "RDMs of the best layers", "Groups and layers in one plane"]
    assert all(figure.source for figure in made.figures) and "IT: l2" in made.figures[0].alt


def test_noise_alone_claims_nothing_at_all():
    data, models, (evaluation,) = make(roi=("V1", "V2"))
    made = describe_comparison(Comparison("", evaluation, data, models), STUDY, 0)
    assert made.headline.startswith("No claim") and not made.pairs.rows and isinstance(made.pairs, Table) and "No group allows a claim" in made.pairs_reason


def test_permutations_one_subject_and_one_layer_are_worded():
    data, models, (evaluation,) = make(n_subjects=1, n_layers=1, subjects=False, permutations=20)
    made = describe_comparison(Comparison("", evaluation, data, models), STUDY, 0)
    text = " ".join(words for _, words in made.methods)
    assert "20 relabellings of the conditions (Mantel)" in text and "at least two subjects" in text and made.pairs_reason == "There is one layer only."
    assert any("Conditions alone were resampled" in c for c in made.caveats) and any("no noise ceiling" in c for c in made.caveats)


def test_layers_that_are_best_somewhere_stand_in_for_many():
    rng = np.random.default_rng(0)
    models = pd.DataFrame({"model": ["a"] * 9 + ["b"] * 9, "layer": [f"l{i}" for i in range(9)] * 2})
    mean = rng.random((2, 18)) * 0.1
    mean[0, 3], mean[1, 7], mean[0, 9], mean[1, 9] = 0.9, 0.8, 0.5, 0.5
    evaluation = be.Evaluation(mean[:, None], models, pd.DataFrame({"roi": ["V1", "IT"]}), pd.DataFrame({"subject": ["x"]}), "pearson")
    kept = best_layers(evaluation).models
    assert kept.to_numpy().tolist() == [["a", "l3"], ["a", "l7"], ["b", "l0"]]


def test_a_page_holds_encodings_and_comparisons(tmp_path):
    data, models, evaluations = make(methods=("spearman", "pearson"))
    found = {f"sim/made up/{e.method}": e for e in evaluations}
    results = SimpleNamespace(
        scores=dict, evaluations=lambda: found, rdms=lambda: {"sim": (data, models)}, failures=pd.DataFrame(columns=["step"]), provenance={},
        plan=SimpleNamespace(name="two comparisons", analyses=[SimpleNamespace(name="sim", options={})], environment={"numpy": "2"}),
    )  # fmt: skip
    text = be.report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "similarity report" in text and "sim · made up · spearman" in text and "sim · made up · pearson" in text
    assert re.search(r"<b>6</b> subjects", text) and re.search(r"<b>24</b> conditions", text) and "no claim: the lower ceiling" in text
    alone = be.report(evaluations[0], tmp_path / "alone.html").read_text(encoding="utf-8")
    assert "Representational similarity" in alone and "RDMs of the data" not in alone
    assert be.report(results, tmp_path / "again.html").read_text(encoding="utf-8") == text
    with pytest.raises(InputError, match="no finished score"):
        be.report(SimpleNamespace(**{**vars(results), "evaluations": dict, "rdms": dict}), tmp_path / "x.html")


def test_hostile_names_stay_text(tmp_path):
    script = "<script>alert('x')</script>{{7*7}}"
    data, models, _ = make(n_subjects=3)
    models = be.RDMs(models.values, models.conditions, models.rdms.assign(model=script, layer=[f"$\\frac{{{i}{script}" for i in range(3)]), models.metric)
    data = be.RDMs(data.values, data.conditions, data.rdms.assign(roi=data.rdms["roi"] + script), data.metric, {"title": script, "citation": script})
    evaluation = be.rsa.evaluate(models, data, by="roi", n=20)
    from brainenc.reporting.page import render

    page = render([describe_comparison(Comparison(script, evaluation, data, models, {}, {script: script}), {**STUDY, "caveats": [script]}, 0)], STUDY, script)
    assert page.count("<script>") == 1 and "alert('x')" not in page and "49" not in re.sub(r"data:image/png;base64,[^\"]+|sha256-[^']+", "", page)[:2000]


@pytest.mark.parametrize("kind", ["similarity", "distance"])
def test_comparisons_that_noise_has_too_are_not_said_to_be_tested_against_zero(kind):
    data, models, (evaluation,) = make(roi=("V1",), methods=("cosine_similarity",))
    evaluation = evaluation if kind == "similarity" else replace(evaluation, kind="distance", method="bures_distance")
    made = describe_comparison(Comparison("", evaluation, data, models), STUDY, 0)
    words = dict(made.methods)
    assert words["Significance"].startswith("No test against zero") and "one-sided" not in words["Significance"]
    assert "1/√S" not in words.get("Claims", "") and "not tested" in made.headline_note
    assert not evaluation.to_frame()["significant"].any()


def test_a_ceiling_without_an_error_is_not_said_to_include_zero():
    data, models, (evaluation,) = make(n_subjects=2, conditions=False)
    made = describe_comparison(Comparison("", evaluation, data, models), STUDY, 0)
    assert made.headline.startswith("No claim") and "is not known" in made.headline_note
