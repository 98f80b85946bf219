"""A study runs, resumes, goes on past failures, and writes the same bytes whatever the order."""

import errno
import json
import random

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import BrainencError, DataError, InputError, NotFoundError
from brainenc.study import Plan, preview, read_results, runner, steps

FILES = ("scores.parquet", "summary.csv", "maps.csv", "failures.csv", "provenance.json", "plan.toml")


def _bytes(root):
    wanted = [*(root / name for name in FILES), *sorted((root / "maps").rglob("*.*"))]
    return {str(path.relative_to(root)): path.read_bytes() for path in wanted}


def test_a_study_gives_a_table_maps_and_scores(rooms, table, tmp_path):
    results = be.run(table, tmp_path / "out")
    assert not len(results.failures) and results.provenance["n_done"] == results.provenance["n_tasks"] == 8
    long = results.table
    # 2 subjects × 4 layers × 2 metrics × 3 folds × 8 targets
    assert len(long) == 2 * 4 * 2 * 3 * 8
    assert set(long["subject"]) == {"01", "02"} and set(long["layer"]) == {"low", "high"} and set(long["metric"]) == {"pearson", "r2"}
    assert (long["n"] > 0).all() and long["split"].notna().all() and long["ceiling_status"].notna().all()
    pearson = long[long["metric"] == "pearson"].groupby(["subject", "model", "layer"], observed=True)["score"].mean()
    assert (pearson.xs("low", level="layer").xs("driver", level="model") > pearson.xs("other", level="model").groupby("subject").max() + 0.2).all()


def test_the_table_agrees_with_scoring_by_hand(rooms, table, tmp_path):
    results = be.run(table, tmp_path / "out")
    loaded = rooms.load("fake", "02")
    layers = rooms.extract(loaded.stimuli, "driver", ["high"])
    responses = loaded.responses
    cast = be.Responses(responses.values.astype("f4"), responses.samples, responses.targets, name="02", space=responses.space)
    single = {name: be.FeatureSpace(space.values.astype("f4"), space.samples, name=name) for name, space in layers.items()}
    by_hand = be.score_layers(single, cast, split=be.split.kfold(3), metric="pearson", memory="4GB", device="cpu")
    row = results.summary.query("subject == '02' and model == 'driver' and layer == 'high' and metric == 'pearson'").set_index("roi")["score"]
    expected = by_hand.by("roi").set_index("roi")["score"]
    np.testing.assert_allclose(row[expected.index], expected, atol=1e-6)


def test_p_and_intervals_land_in_the_table(rooms, table, tmp_path):
    table["analysis"][0] |= {"models": ["driver"], "permutations": 39, "bootstrap": 40}
    results = be.run(table, tmp_path / "out")
    long = results.table
    (scores,) = [one for name, one in results.scores().items() if name.endswith("/02")]
    mine = long[(long["subject"] == "02") & (long["layer"] == "high") & (long["metric"] == "r2") & (long["fold"] == 1)]
    entry = scores.entries.query("layer == 'high' and metric == 'r2'").index[0]
    for name, expected in (("p", scores.p[entry]), ("q", scores.q[entry]), ("p_max", scores.p_max[entry])):
        np.testing.assert_array_equal(mine[name], expected)
    np.testing.assert_array_equal(mine[["ci_low", "ci_high"]].T, scores.ci[:, entry])
    assert (long["ci_low"] < long["ci_high"]).all() and (long["p"] <= long["p_max"]).all()


def test_maps_are_painted_where_the_targets_are(rooms, table, tmp_path):
    results = be.run(table, tmp_path / "out")
    scores = results.scores()
    maps = results.maps.fillna({"hemi": ""}).set_index(["subject", "map", "hemi"])["path"]
    volume = nib.load(results.root / maps["01", "driver", ""])
    assert volume.shape == (2, 2, 2) and np.array_equal(np.diag(volume.affine), [2, 3, 4, 1])
    one = scores["fake/fake/01"].entry(model="driver")
    np.testing.assert_allclose(np.asarray(volume.dataobj).reshape(-1), one.vector("best", metric="pearson"), rtol=1e-6)
    left = nib.load(results.root / maps["02", "ceiling", "left"]).agg_data()
    right = nib.load(results.root / maps["02", "ceiling", "right"]).agg_data()
    ceiling = scores["fake/fake/02"].ceiling.of("pearson")
    np.testing.assert_allclose(np.r_[left[:5], right[5:8]], ceiling, rtol=1e-6)
    assert np.isnan(left[5:]).all() and len(left) == 642


def test_maps_whose_names_look_alike_are_kept_apart(rooms, table, tmp_path):
    table["analysis"][0] |= {"subjects": ["01"], "models": ["a:b", "a-b", "driver"]}
    results = be.run(table, tmp_path / "out")
    paths = results.maps["path"]
    assert paths.is_unique and len(paths) == 5 and all((results.root / path).is_file() for path in paths)


def test_scores_come_back_stacked_with_predictions(rooms, table, tmp_path):
    results = be.run(table, tmp_path / "out")
    scores = results.scores()
    assert list(scores) == ["fake/fake/01", "fake/fake/02"]
    one = scores["fake/fake/02"]
    assert one.layers == ["driver/low", "driver/high", "other/low", "other/high"] and one.subjects == ["02"]
    predicted, observed = one.predictions["02"]["driver/low"], one.observed["02"]
    rows = one.test_rows["02"]
    folds = [np.corrcoef(predicted[i, 0], observed[i, 0])[0, 1] for i in (np.flatnonzero(rows["fold"] == k) for k in range(3))]
    np.testing.assert_allclose(one.entry(metric="pearson", layer="low", model="driver").values[0, :, 0], folds, atol=1e-5)
    assert not results.scores(predictions=False)["fake/fake/02"].predictions
    assert read_results(results.root).provenance == results.provenance


def test_seeds_of_splits_are_entries(rooms, table, tmp_path):
    table["analysis"][0]["split"] = {"kind": "images", "test": 0.2, "seeds": [4, 7]}
    results = be.run(table, tmp_path / "out")
    stacked = results.scores()["fake/fake/01"]
    assert set(stacked.entries["seed"]) == {4, 7} and "seeds 4, 7" in stacked.split and not stacked.predictions
    alone = results.scores(seed=7)["fake/fake/01"]
    np.testing.assert_array_equal(stacked.values[(stacked.entries["seed"] == 7).to_numpy()], alone.values)
    assert alone.predictions and "seed 7" in alone.split
    assert "no interval" in results.card(n_boot=10)


def test_order_and_interruptions_do_not_change_a_byte(rooms, table, tmp_path, monkeypatch):
    table["analysis"][0]["models"] += ["unknown", "broken"]
    table["analysis"][0] |= {"permutations": 19, "bootstrap": 30}
    whole = _bytes(be.run(table, tmp_path / "whole").root)
    plain = runner.run_tasks

    def shuffled(expansion, *args, **kwargs):
        mixed = [list(tasks) for tasks in (expansion.extractions, expansion.scorings)]
        for tasks in mixed:
            random.Random(1).shuffle(tasks)
        return plain(runner.Expansion(tuple(mixed[0]), tuple(mixed[1]), expansion.failures), *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_tasks", shuffled)
        assert _bytes(be.run(table, tmp_path / "shuffled").root) == whole

    calls = []

    def interrupted(task, *args):
        calls.append(task)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return steps.execute(task, *args)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            be.run(table, tmp_path / "resumed")
    with pytest.raises(DataError, match="run is unfinished.*Start it again: brainenc run"):
        read_results(tmp_path / "resumed")
    assert _bytes(be.run(table, tmp_path / "resumed").root) == whole


def test_a_finished_run_does_nothing_again(rooms, table, tmp_path):
    root = be.run(table, tmp_path / "out").root
    before, extractions = _bytes(root), len(rooms.extractions)
    assert _bytes(be.run(table, root).root) == before and len(rooms.extractions) == extractions
    table["analysis"][0]["models"].append("third")
    be.run(table, root, overwrite=True)
    assert len(rooms.extractions) > extractions and len(read_results(root).provenance["tasks"]) == 12


def test_a_finished_study_of_another_plan_is_not_touched_unless_that_is_asked_for(rooms, table, tmp_path):
    root = be.run(table, tmp_path / "out").root
    before = _bytes(root)
    (root / "maps" / "old.txt").write_text("of the first study")
    other = {**table, "analysis": [{**table["analysis"][0], "models": ["driver"], "subjects": ["02"]}]}
    with pytest.raises(InputError, match=r"finished study of another plan.*--out.*--overwrite"):
        be.run(other, root)
    assert {name: content for name, content in _bytes(root).items() if not name.endswith("old.txt")} == before
    fresh = _bytes(be.run(other, tmp_path / "fresh").root)
    extractions = len(rooms.extractions)
    assert _bytes(be.run(other, root, overwrite=True).root) == fresh and len(rooms.extractions) == extractions  # from the store


def test_an_interrupted_other_run_never_mixes_plan_and_scores(rooms, table, tmp_path, monkeypatch):
    root = be.run(table, tmp_path / "out").root
    other = {**table, "seed": 9}

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "execute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            be.run(other, root, overwrite=True)
    assert {path.name for path in root.iterdir()} == {"plan.toml", "store"}
    with pytest.raises(DataError, match="run is unfinished"):
        read_results(root)
    assert be.run(other, root).plan.seed == 9


def test_other_versions_resume_and_a_folder_that_disagrees_is_refused(rooms, table, tmp_path):
    root = be.run(table, tmp_path / "out").root
    told = json.loads((root / "provenance.json").read_text())
    told["plan"]["environment"]["numpy"] = "0.1"
    (root / "provenance.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match="run is unfinished.*different plans"):
        read_results(root)
    assert be.run(table, root).plan.environment["numpy"] != "0.1"
    (root / "summary.csv").unlink()
    with pytest.raises(DataError, match=r"run is unfinished.*no summary\.csv"):
        read_results(root)


def test_overwriting_leaves_a_folder_that_is_not_of_a_run(rooms, table, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "mine.txt").write_text("kept")
    be.run(table, tmp_path, overwrite=True)
    assert (tmp_path / "maps" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("change", "n_jobs", "error", "message"),
    [
        ({}, 0, InputError, "n_jobs"),
        ({}, -2, InputError, "n_jobs"),
        ({"models": ["unknown"]}, 1, NotFoundError, "unknown model 'unknown'"),
        ({"roi": ["V9"]}, 1, BrainencError, "V9"),
        ({"subjects": ["lost"]}, 1, DataError, "no such file"),
    ],
)
def test_a_refused_run_leaves_nothing_behind(rooms, table, tmp_path, caplog, change, n_jobs, error, message):
    table["analysis"][0] |= change
    with pytest.raises(error, match=message):
        be.run(table, tmp_path / "out", n_jobs=n_jobs)
    assert not list(tmp_path.iterdir()) and not [record for record in caplog.records if record.levelname == "WARNING"]


def test_jobs_are_checked_on_a_finished_folder_and_plans_made_in_python_too(rooms, table, tmp_path):
    from dataclasses import replace

    root = be.run(table, tmp_path / "out").root
    with pytest.raises(InputError, match="n_jobs"):
        be.run(table, root, n_jobs=0)
    with pytest.raises(InputError, match="threads"):
        be.run(replace(Plan.from_dict(table), threads=0), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_damaged_entry_is_computed_again(rooms, table, tmp_path):
    root = be.run(table, tmp_path / "out").root
    before = _bytes(root)
    victim = next((root / "store" / "objects").rglob("scores.npz"))
    victim.write_bytes(victim.read_bytes()[:-7])
    assert _bytes(be.run(table, root).root) == before


def test_failures_are_listed_and_the_rest_goes_on(rooms, table, tmp_path):
    table["analysis"][0] |= {"subjects": ["01", "lost"], "models": ["driver", "unknown", "broken"]}
    results = be.run(table, tmp_path / "out")
    assert results.provenance["n_done"] == 2
    told = results.failures.set_index(["step", "model"])["message"]
    assert told["list layers", "unknown"] == "unknown model 'unknown'"
    assert "the model broke" in told["extract", "broken"]
    assert told["encoding", "broken"].tolist() == ["its features could not be extracted: the model broke"] * 2
    assert results.failures.query("step == 'load'")["subject"].tolist() == ["lost"]
    assert "extract" in results.failures.query("step == 'extract'")["traceback"].iloc[0]
    assert "failed" in results.card(n_boot=0)


def test_the_card_states_what_it_rests_on(rooms, table, tmp_path):
    card = be.run(table, tmp_path / "out").card(n_boot=200)
    line = next(line for line in card.splitlines() if line.startswith("  V4: "))
    assert line.startswith("  V4: driver/low reaches 0.") and "95 % CI 0." in line and "ceiling 0." in line and "5 targets, 70 test rows" in line
    assert "3-fold over images" in card and "Caveats" in card


def test_selections_are_scored_alone_and_named_in_keys(rooms, table, tmp_path):
    table["analysis"][0] |= {"subjects": "01", "roi": "V4", "models": ["driver"]}
    narrow = preview(table, tmp_path / "out").table
    results = be.run(table, tmp_path / "out")
    assert set(results.table["roi"]) == {"V4"} and results.table["target_id"].nunique() == 5
    table["analysis"][0].pop("roi")
    assert not set(preview(table, tmp_path / "out").table.query("step == 'encoding'")["key"]) & set(narrow["key"])


def test_a_preview_writes_nothing_and_knows_what_is_done(rooms, table, tmp_path):
    first = preview(table, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not first.table["done"].any() and (first.table["memory"] > 0).all()
    be.run(table, tmp_path / "out")
    assert preview(table, tmp_path / "out").table["done"].all()
    assert first.table["step"].tolist() == ["extract"] * 2 + ["encoding"] * 8


@pytest.mark.parametrize("change", [{"seed": 1}, {"dtype": "float64"}, {"memory": "1GB"}, {"threads": 2}])
def test_what_changes_results_changes_keys(rooms, table, tmp_path, change):
    keys = [set(preview(t, tmp_path).table.query("step == 'encoding'")["key"]) for t in (table, {**table, **change})]
    assert not keys[0] & keys[1]


def test_unknown_subjects_are_refused_with_those_there_are(rooms, table, tmp_path):
    table["analysis"][0]["subjects"] = ["1"]
    with pytest.raises(InputError, match="no subject '1'.*one of 01, 02, lost.*Did you mean '01'"):
        be.run(table, tmp_path / "out")


def test_a_full_disk_stops_the_run_and_says_so(rooms, table, tmp_path, monkeypatch):
    from brainenc.io.store import Store

    plain, calls = Store.put, []

    def put(self, *args, **kwargs):
        calls.append(args)
        if len(calls) > 3:
            raise DataError("no room to write", where=self.root, got=errno.errorcode[errno.ENOSPC])
        return plain(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", put)
        with pytest.raises(DataError, match="could not be stored.*no room to write.*it resumes"):
            be.run(table, tmp_path / "out")
    assert len(calls) == 4 and not (tmp_path / "out" / "summary.csv").exists()
    assert be.run(table, tmp_path / "out").provenance["n_done"] == 8


def test_a_place_that_cannot_be_written_is_known_before_any_work(rooms, table, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file"):
        be.run(table, tmp_path / "file" / "out")
    assert len(rooms.extractions) == 0


def test_provenance_says_with_what(rooms, table, tmp_path):
    results = be.run(table, tmp_path / "out")
    stored = json.loads((results.root / "provenance.json").read_text())
    assert Plan.from_dict(stored["plan"]) == results.plan and results.plan.environment["torch"]
    assert {task["key"] for task in stored["tasks"]} == set(preview(table, results.root).table.query("step == 'encoding'")["key"])
    assert "Results of small" in results._repr_html_()


def test_reading_a_folder_without_results(tmp_path):
    with pytest.raises(DataError, match="no finished results here"):
        read_results(tmp_path)
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_results(tmp_path)


def test_ids_of_tables_stay_text(rooms, table, tmp_path):
    results = be.run(table, tmp_path / "out")
    assert results.summary["subject"].iloc[0] == "01" and isinstance(results.table["subject"].iloc[0], str)
    assert pd.read_parquet(results.root / "scores.parquet", columns=["subject"])["subject"].iloc[0] == "01"
