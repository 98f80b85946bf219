"""RSA in studies: numbers by hand, inference over subjects, the same bytes whatever the order, and what is refused."""

import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

import brainenc as be
from brainenc.core.errors import BrainencError, InputError, NotFoundError
from brainenc.study import Plan, preview, read_results, runner, steps

FILES = ("scores.parquet", "summary.csv", "maps.csv", "failures.csv", "provenance.json", "plan.toml")


def _bytes(root):
    wanted = [*(root / name for name in FILES), *sorted((root / "evaluations").iterdir())]
    return {str(path.relative_to(root)): path.read_bytes() for path in wanted}


@pytest.fixture
def plan(table):
    """The plan of the fixtures as an RSA."""
    block = {"kind": "rsa", "dataset": "fake", "subjects": ["01", "02"], "models": ["driver", "other"], "bootstrap": 60, "compare": ["spearman", "pearson"]}
    return {**table, "dtype": "float64", "analysis": [block]}


def test_scores_are_those_of_rdms_made_by_hand(rooms, plan, tmp_path):
    results = be.run(plan, tmp_path / "out")
    assert not len(results.failures) and results.provenance["n_done"] == 2 + 4
    table = results.table
    assert len(table) == 2 * 2 * 2 * 4 and set(table["metric"]) == {"spearman", "pearson"} and set(table["n"]) == {70} and set(table["seed"]) == {0}
    for subject in ("01", "02"):
        responses = rooms.load("fake", subject).responses
        mean = responses.values.reshape(2, 70, -1).mean(axis=0)
        for roi in ("V1", "V4"):
            brain = pdist(mean[:, (responses.targets["roi"] == roi).to_numpy()], "correlation")
            for layer in ("low", "high"):
                features = rooms.extract(rooms.load("fake").stimuli, "driver", [layer])[f"driver/{layer}"].values
                model = pdist(features, "correlation")
                rows = table[(table["subject"] == subject) & (table["roi"] == roi) & (table["model"] == "driver") & (table["layer"] == layer)]
                score = rows.set_index("metric")["score"]
                assert score["pearson"] == pytest.approx(np.corrcoef(brain, model)[0, 1], abs=1e-10)
                assert score["spearman"] == pytest.approx(spearmanr(brain, model)[0], abs=1e-10)


def test_the_group_stands_in_summary_evaluations_and_table_alike(rooms, plan, tmp_path):
    results = be.run(plan, tmp_path / "out")
    evaluations = results.evaluations()
    assert list(evaluations) == ["fake/fake/spearman", "fake/fake/pearson"]
    one = evaluations["fake/fake/spearman"]
    assert one.n_draws == 60 and one.resampled == ("conditions",) and list(one.groups["roi"]) == ["V1", "V4"]
    assert any("2 subjects conditions alone are resampled" in note for note in results.provenance["notes"])
    frame = one.to_frame()
    summary = results.summary[results.summary["metric"] == "spearman"].reset_index(drop=True)
    np.testing.assert_allclose(summary[["score", "ci_low", "ceiling_low", "ceiling", "p", "q"]].astype(float),
                               frame[["score", "ci_low", "ceiling_low", "ceiling_high", "p", "q"]].astype(float), rtol=1e-12)  # fmt: skip
    table = results.table[results.table["metric"] == "spearman"]
    mean = table.groupby(["roi", "model", "layer"], observed=True)["score"].mean()
    q = table.groupby(["roi", "model", "layer"], observed=True)["q"].first()
    for row in frame.to_dict("records"):
        key = (row["roi"], row["model"], row["layer"])
        assert mean[key] == pytest.approx(row["score"]) and q[key] == pytest.approx(row["q"])
    assert set(table["ceiling_status"]) == {"noise ceiling over 2 subjects: each against the pooled RDM of the others (lower) and of all (upper)"}
    data, models = results.rdms()["fake"]
    assert (data.n_rdms, models.n_rdms, data.n_conditions) == (4, 4, 70) and models.rdms["layer"].tolist() == ["low", "high"] * 2
    direct = be.rsa.evaluate(models, data, method="spearman", by="roi", subjects=False, n=60, seed=0)
    np.testing.assert_array_equal(direct.scores, one.scores)
    np.testing.assert_array_equal(direct.draws, one.draws)


def test_order_and_interruptions_do_not_change_a_byte(rooms, plan, tmp_path, monkeypatch):
    plan["analysis"][0] |= {"models": ["driver", "unknown", "broken", "other"], "permutations": 20}
    whole = _bytes(be.run(plan, tmp_path / "whole").root)
    plain = runner.run_tasks

    def shuffled(expansion, *args, **kwargs):
        mixed = [list(tasks) for tasks in (expansion.extractions, expansion.scorings)]
        for tasks in mixed:
            random.Random(1).shuffle(tasks)
        return plain(runner.Expansion(tuple(mixed[0]), tuple(mixed[1]), expansion.failures), *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_tasks", shuffled)
        assert _bytes(be.run(plan, tmp_path / "shuffled").root) == whole
    calls = []

    def interrupted(task, *args):
        calls.append(task)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return steps.execute(task, *args)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            be.run(plan, tmp_path / "resumed")
    assert _bytes(be.run(plan, tmp_path / "resumed").root) == whole


def test_failed_layers_leave_the_others_and_layers_of_equal_conditions_are_done_once(rooms, plan, tmp_path):
    plan["analysis"][0]["models"] = ["driver", "unknown", "broken"]
    results = be.run(plan, tmp_path / "out")
    assert set(results.failures["step"]) == {"list layers", "extract", "rsa layer"}
    assert list(results.evaluations()["fake/fake/pearson"].models["layer"]) == ["low", "high"]
    steps_of = pd.Series([task["step"] for task in results.provenance["tasks"]])
    assert steps_of.value_counts().to_dict() == {"rsa data": 2, "rsa layer": 2}


def test_a_plan_without_a_single_layer_leaves_nothing(rooms, plan, tmp_path):
    plan["analysis"][0]["models"] = ["unknown"]
    with pytest.raises(NotFoundError, match="unknown model"):
        be.run(plan, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_encoding_and_rsa_share_one_folder(rooms, plan, table, tmp_path):
    plan["analysis"].append({**table["analysis"][0], "name": "encoding"})
    results = be.run(plan, tmp_path / "out")
    assert set(results.scores()) == {"encoding/fake/01", "encoding/fake/02"} and len(results.evaluations()) == 2
    kinds = results.table.groupby("analysis", observed=True)["ceiling_low"].apply(lambda column: column.notna().any())
    assert kinds.to_dict() == {"encoding": False, "fake": True}
    card = results.card(n_boot=20)
    assert "fake/fake/spearman: spearman of RDMs, mean over 2 subjects, 70 conditions" in card and "encoding/fake/01" in card
    again = read_results(results.root)
    assert list(again.evaluations()) == list(results.evaluations())


@pytest.mark.parametrize("signal", [2.0, 0.0])
def test_the_card_claims_what_the_ceiling_allows(rooms, plan, tmp_path, monkeypatch, signal):
    plain = rooms.load
    features = rooms.extract(plain("fake", "01").stimuli, "driver", ["low"])["driver/low"].values[:, :8]

    def load(name, subject=None, **options):
        loaded = plain(name, subject, **options)
        values = np.tile(signal * features, (2, 1)) + np.random.default_rng(int(subject)).standard_normal((140, 8))
        responses = be.Responses(values, loaded.responses.samples, loaded.responses.targets, space=loaded.responses.space)
        return SimpleNamespace(stimuli=loaded.stimuli, responses=responses, rdms=None)

    monkeypatch.setattr("brainenc.datasets.load", load, raising=False)
    results = be.run(plan, tmp_path / "out")
    card = results.card()
    if signal:
        line = next(line for line in card.splitlines() if line.startswith("  V4: "))
        assert "driver/" in line and "95 % CI" in line and "; ceiling 0." in line and "best of 4 layers on the same data" in line
    else:
        assert card.count("no claim: the lower ceiling's interval includes 0") == 4
        assert results.summary["claim"].str.startswith("no claim").all()


@pytest.fixture
def stored(rooms, monkeypatch):
    """A data set of RDMs: five subjects, two regions, two sessions, of which the first layer of the model "driver" is the truth."""
    ids = [f"s{i:03d}" for i in range(70)]
    truth = pdist(rooms.extract(rooms.load("fake", "01").stimuli, "driver", ["low"])["driver/low"].values, "correlation")
    rows = [(s, roi, k) for s in "abcde" for roi in ("EVC", "IT") for k in (1, 2)]
    rng = np.random.default_rng(3)
    values = np.stack([truth * (roi == "IT") + 0.3 * rng.standard_normal(len(truth)) for _, roi, _ in rows])
    rdms = be.RDMs(values, {"stimulus_id": ids}, pd.DataFrame(rows, columns=["subject", "roi", "session"]), "stored")
    loaded = SimpleNamespace(stimuli=be.StimulusSet({"stimulus_id": ids}, kind="none"), responses=None, rdms=rdms)
    monkeypatch.setattr("brainenc.datasets.load", lambda *_, **__: loaded, raising=False)
    monkeypatch.setattr("brainenc.datasets.units", lambda _: [{"subject": None, "session": None, "variant": None}], raising=False)
    return rdms


def test_stored_rdms_are_compared_as_they_are(stored, plan, tmp_path):
    plan["analysis"][0] = {"kind": "rsa", "dataset": "rdms", "models": ["driver"], "bootstrap": 50, "average": True, "compare": "pearson"}
    results = be.run(plan, tmp_path / "out")
    (one,) = results.evaluations().values()
    assert one.resampled == ("subjects", "conditions") and one.scores.shape == (2, 5, 2)
    truth = results.rdms()["rdms"][1].values[0]
    for s, subject in enumerate(one.subjects["subject"]):
        mean = stored.where(subject=subject, roi="IT").values.mean(axis=0)
        assert one.where(roi="IT").scores[0, s, 0] == pytest.approx(np.corrcoef(mean, truth)[0, 1])
    summary = results.summary.set_index(["roi", "layer"])
    assert summary["claim"]["EVC", "low"].startswith("no claim") and not summary["claim"]["IT", "low"].startswith("no claim")


def test_sessions_are_averaged_only_when_asked_and_selected_in_words(stored, plan, tmp_path):
    block = {"kind": "rsa", "dataset": "rdms", "models": ["driver"], "bootstrap": 20, "compare": "pearson"}
    plan["analysis"] = [block]
    results = be.run(plan, tmp_path / "out")
    assert results.failures["step"].tolist() == ["rsa evaluate"] and "differ in session" in results.failures["message"].iloc[0]
    assert "average = true" in results.failures["message"].iloc[0] and results.provenance["n_failures"] == 1
    plan["analysis"] = [{**block, "where": "session == 2", "roi": "IT", "subjects": ["a", "c"]}]
    (one,) = be.run(plan, tmp_path / "two").evaluations().values()
    assert list(one.subjects["subject"]) == ["a", "c"] and list(one.groups["roi"]) == ["IT"]


def test_what_does_not_fit_stored_rdms_is_refused(stored, plan, tmp_path):
    block = {"kind": "rsa", "dataset": "rdms", "models": ["driver"], "bootstrap": 20}
    for change, message in (
        ({"subjects": ["a", "f"]}, "no subject 'f'.*one of a, b, c, d, e"),
        ({"metric": "euclidean"}, "metric would be ignored"),
        ({"roi": "V9"}, "keeps none"),
        ({"kind": "encoding", "bootstrap": None}, "holds RDMs and no responses"),
    ):
        plan["analysis"] = [{name: value for name, value in {**block, **change}.items() if value is not None}]
        with pytest.raises(BrainencError, match=message):
            be.run(plan, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compare": ["spearmn"]}, r"analysis\[0\]\.compare.*Did you mean 'spearman'"),
        ({"compare": ["pearson", "pearson"]}, "listed twice"),
        ({"metric": "correlaton"}, r"analysis\[0\]\.metric.*Did you mean 'correlation'"),
        ({"model_metric": "crossnobis"}, "neither folds nor noise"),
        ({"folds": "run"}, "would ignore the folds"),
        ({"noise": "diagonal"}, "takes no noise model"),
        ({"metric": "crossnobis", "noise": "diagnal"}, "Did you mean 'diagonal'"),
        ({"metric": "mahalanobis"}, "needs a noise model"),
        ({"by": ["rio"]}, r"analysis\[0\]\.by.*Did you mean 'roi'"),
        ({"conditions": "__import__('os')"}, r"not allowed.*\[plan: analysis\[0\]\.conditions\]"),
        ({"bootstrap": -1}, "at least 0"),
        ({"resample": "people"}, "'subjects'"),
        ({"split": {"kind": "runs"}}, "unknown key 'split'"),
    ],
)
def test_a_bad_plan_says_what_and_where(change, message):
    with pytest.raises(InputError, match=message):
        Plan.from_dict({"analysis": [{"kind": "rsa", "dataset": "d", "models": ["m"], **change}]})


MANIFEST = """
name = "tiny"
subjects = ["a", "b", "c"]
[stimuli]
table = "stimuli.csv"
kind = "none"
[responses]
path = "{subject}.npy"
ids = "stimuli"
[targets]
path = "targets.csv"
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Three subjects on disk with a column of kinds of stimuli, targets at three times, and folds."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(5)
    table = pd.DataFrame({f"f.{j}": rng.standard_normal(40) for j in range(4)})
    table.insert(0, "stimulus_id", [f"s{i}" for i in range(40)])
    table["kind"] = ["old", "new"] * 20
    table.to_csv(root / "stimuli.csv", index=False)
    pd.DataFrame({"channel": [f"c{i}" for i in range(5)] * 3, "time": np.repeat([0.0, 0.1, 0.2], 5)}).to_csv(root / "targets.csv", index=False)
    for subject in "abc":
        signal = table[[f"f.{j}" for j in range(4)]].to_numpy() @ rng.standard_normal((4, 15))
        np.save(root / f"{subject}.npy", signal + rng.standard_normal((40, 15)))
    (root / "tiny.toml").write_text(MANIFEST)
    return root / "tiny.toml"


def test_time_makes_groups_and_a_selection_of_stimuli_holds_for_data_and_layers(tiny, tmp_path, private_cache):
    block = {"kind": "rsa", "dataset": str(tiny), "models": ["table:f"], "by": ["time"], "conditions": "kind == 'new'", "bootstrap": 20, "metric": "euclidean"}
    results = be.run({"dtype": "float64", "analysis": [block]}, tmp_path / "out")
    (one,) = results.evaluations().values()
    assert list(one.groups["time"]) == [0.0, 0.1, 0.2] and one.n_conditions == 20
    data, models = results.rdms()["tiny"]
    assert data.ids.tolist() == models.ids.tolist() == [f"s{i}" for i in range(1, 40, 2)] and set(data.conditions["kind"]) == {"new"}
    values = np.load(tiny.parent / "b.npy")[1::2]
    row = np.flatnonzero((data.rdms["subject"] == "b") & (data.rdms["time"] == 0.2))[0]
    np.testing.assert_allclose(data.values[row], pdist(values[:, 10:], "sqeuclidean") / 5)
    assert sorted(results.table["time"].unique()) == [0.0, 0.1, 0.2] and set(results.table["roi"]) == {"all"}


def test_a_pool_gives_the_bytes_of_a_serial_run(tiny, tmp_path, private_cache):
    plan = {"analysis": [{"kind": "rsa", "dataset": str(tiny), "models": ["table:f"], "bootstrap": 50, "permutations": 20, "compare": ["spearman", "tau_a"]}]}
    serial = be.run(plan, tmp_path / "serial").root
    assert preview(plan, serial).table["done"].all()
    assert _bytes(be.run(plan, tmp_path / "parallel", n_jobs=2).root) == _bytes(serial)


def test_units_that_saw_different_stimuli_share_conditions_and_say_so(rooms, plan, tmp_path, monkeypatch):
    plain = rooms.load

    def load(name, subject=None, **options):
        loaded = plain(name, subject, **options)
        keep = np.flatnonzero(~loaded.responses.samples["stimulus_id"].isin(["s003"] if subject == "01" else ["s010", "s011"]))
        return SimpleNamespace(stimuli=loaded.stimuli, responses=loaded.responses.take_rows(keep), rdms=None)

    monkeypatch.setattr("brainenc.datasets.load", load, raising=False)
    results = be.run(plan, tmp_path / "out")
    data, models = results.rdms()["fake"]
    assert data.n_conditions == models.n_conditions == 67 and models.n_rdms == 4
    assert any("67 conditions that all units share (the largest has 69)" in note for note in results.provenance["notes"])


def test_layers_and_regions_without_dissimilarities_are_named_and_the_rest_goes_on(tmp_path, private_cache):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"stimulus_id": [f"s{i}" for i in range(20)], "one.0": rng.standard_normal(20), "two.0": rng.standard_normal(20)})
    table[["two.1", "two.2"]] = rng.standard_normal((20, 2))
    table.to_csv(tmp_path / "stimuli.csv", index=False)
    pd.DataFrame({"roi": ["V1"] * 4 + ["V2", None]}).to_csv(tmp_path / "targets.csv", index=False)
    for subject in "abc":
        np.save(tmp_path / f"{subject}.npy", rng.standard_normal((20, 6)))
    (tmp_path / "tiny.toml").write_text(MANIFEST)
    block = {"kind": "rsa", "dataset": str(tmp_path / "tiny.toml"), "models": ["table:one", "table:two"], "bootstrap": 20}
    results = be.run({"analysis": [block]}, tmp_path / "out")
    assert results.failures["model"].tolist() == ["table:one"] and "190 of 190 pairs" in results.failures["message"].iloc[0]
    (one,) = results.evaluations().values()
    assert list(one.groups["roi"]) == ["V1"] and list(one.models["model"]) == ["table:two"]
    assert any("3 RDMs without any value are left out: a V2, b V2, c V2" in note for note in results.provenance["notes"])
    assert any("1 targets without roi are in no RDM" in text for text in results.provenance["warnings"])
