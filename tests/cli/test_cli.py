"""Every command answers, says what is wrong in one message, and exits with the right code."""

import os
import re
import subprocess
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest

from brainenc.cli import console, main
from brainenc.cli.commands.score import make_plan, pairs
from brainenc.cli.parser import build_parser
from brainenc.core.errors import BrainencWarning, DataError, InputError

MANIFEST = """
name = "tiny"
subjects = ["a", "b"]
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
    """A data set of the user's own: two subjects, responses to 40 stimuli driven by three columns of a table."""
    root = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(5)
    table = pd.DataFrame({f"good.{j}": rng.standard_normal(40) for j in range(3)} | {"bad.0": rng.standard_normal(40)})
    table.insert(0, "stimulus_id", [f"s{i}" for i in range(40)])
    table.to_csv(root / "stimuli.csv", index=False)
    pd.DataFrame({"roi": ["V1"] * 3 + ["V4"] * 5}).to_csv(root / "targets.csv", index=False)
    for subject in "ab":
        np.save(root / f"{subject}.npy", table.iloc[:, 1:4].to_numpy() @ rng.standard_normal((3, 8)) + rng.standard_normal((40, 8)))
    (root / "tiny.toml").write_text(MANIFEST)
    return root / "tiny.toml"


def _score(tiny, out, *more):
    return main(["score", str(tiny), "--model", "table:good", "--model", "table:bad", "--out", str(out), "-q", *more])


def test_score_prints_the_best_layer_of_each_region_and_writes_results(tiny, tmp_path, capsys):
    assert _score(tiny, tmp_path / "out", "--seed", "0", "--seed", "1") == 0
    said = capsys.readouterr()
    rows = [re.split(r"\s{2,}", line) for line in said.out.splitlines()[1:5]]
    assert [(row[1], row[2], row[3]) for row in rows] == [(s, r, "table:good") for s in "ab" for r in ("V1", "V4")]
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    good = summary[summary["model"] == "table:good"].groupby(["subject", "roi"])["score"].mean()
    assert [float(row[6]) for row in rows] == pytest.approx(good.tolist(), abs=6e-4)
    assert set(os.listdir(tmp_path / "out")) >= {"scores.parquet", "summary.csv", "maps", "failures.csv", "provenance.json", "plan.toml"}
    assert said.err == ""


def test_run_does_what_score_did_from_its_plan(tiny, tmp_path, capsys):
    assert _score(tiny, tmp_path / "one", "--subject", "b", "--roi", "V4") == 0
    assert main(["run", str(tmp_path / "one" / "plan.toml"), "--out", str(tmp_path / "two"), "-q"]) == 0
    assert (tmp_path / "one" / "scores.parquet").read_bytes() == (tmp_path / "two" / "scores.parquet").read_bytes()


def test_a_dry_run_lists_tasks_memory_and_what_is_done(tiny, tmp_path, capsys):
    assert _score(tiny, tmp_path / "out", "--dry-run") == 0
    said = capsys.readouterr().out
    # two extractions shared by the subjects, and 2 subjects × 2 models
    assert "6 tasks, 0 done, 6 to do" in said and "kB" in said and not (tmp_path / "out").exists()
    assert _score(tiny, tmp_path / "out", "--subject", "a") == 0
    capsys.readouterr()
    assert _score(tiny, tmp_path / "out", "--dry-run") == 0
    assert "6 tasks, 4 done, 2 to do" in capsys.readouterr().out


def test_some_failed_tasks_exit_with_one(tiny, tmp_path, capsys):
    assert main(["score", str(tiny), "--model", "table:good", "--model", "table:godo", "--out", str(tmp_path / "out"), "-q"]) == 1
    assert "2 failed" in capsys.readouterr().out
    failures = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert failures["model"].tolist() == ["table:godo"] * 2 and failures["step"].tolist() == ["list layers"] * 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["score", "insilco", "--model", "gabor"], r"unknown data set 'insilco'.*Did you mean 'insilico'"),
        (["run", "nowhere.toml"], "no such plan"),
        (["report", "nowhere"], "no finished results here"),
        (["score", "insilico", "--model", "gabor", "--test", "some"], "--test"),
        (["score", "insilico", "--model", "gabor", "--split", "blocks", "--test", "0.2"], r"unknown key 'test' \[arguments: analysis\[0\]\.split\]"),
        (["score", "insilico", "--model", "gabor", "--model-arg", "x"], "not of the form KEY=VALUE"),
        (["score", "insilico", "--model", "gabor", "--metric", "pearsn"], "Did you mean 'pearson'"),
        (["score", "insilico", "--model", "gabor", "--subject", "9"], "no subject '9'"),
        (["fetch", "insilco"], "Did you mean 'insilico'"),
        (["list", "models", "foo"], "no family of models contains 'foo'"),
        (["list", "datasets", "foo"], "no data set's name contains 'foo'"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_two(argv, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr()
    assert re.search(message, said.err) and "Traceback" not in said.err and said.err.startswith(f"brainenc {argv[0]}: ") and said.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argument", ["--n-jobs=0", "--n-jobs=-2", "--batch-size=0", "--threads=0", "--folds=0"])
def test_numbers_below_one_are_refused_on_a_finished_folder_too(tiny, tmp_path, capsys, argument):
    (tmp_path / "provenance.json").write_text("{}")
    assert _score(tiny, tmp_path, argument) == 2
    assert f"{argument.split('=')[0]}: must be positive" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["provenance.json"]


@pytest.mark.parametrize(("more", "message"), [(["--model", "table:godo"], "godo"), (["--model", "table:good", "--roi", "V9"], "V9")])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_study_of_nothing_is_one_message_and_leaves_no_folder(tiny, tmp_path, capsys, more, message, dry):
    assert main(["score", str(tiny), *more, *dry, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and message in said.err and not list(tmp_path.iterdir())


def test_results_lie_in_a_folder_of_the_data_set_and_are_not_replaced_unasked(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["score", str(tiny), "-q", "--subject", "a", "--model"]
    assert main([*command, "table:good"]) == 0 and [path.name for path in tmp_path.iterdir()] == ["tiny-scores"]
    assert main([*command, "table:bad"]) == 2
    assert "finished study of another plan" in capsys.readouterr().err
    assert set(pd.read_csv("tiny-scores/summary.csv")["model"]) == {"table:good"}
    assert main([*command, "table:bad", "--overwrite"]) == 0 and set(pd.read_csv("tiny-scores/summary.csv")["model"]) == {"table:bad"}


def test_a_file_in_the_way_of_a_report_is_named_without_talk_of_space(tiny, tmp_path, capsys):
    assert _score(tiny, tmp_path / "out", "--subject", "a") == 0
    (tmp_path / "file").write_text("")
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "file" / "report.html")]) == 2
    said = capsys.readouterr().err
    assert "a part of the path is a file" in said.lower() and "free" not in said
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "new" / "report.html")]) == 0 and (tmp_path / "new" / "report.html").is_file()


@pytest.mark.parametrize("argv", [[], ["score"], ["score", "insilico"], ["nonsense"], ["run", "a", "--n-jobs", "many"], ["demo", "--seed", "-1"]])
def test_wrong_usage_exits_with_two(argv, capsys):
    assert main(argv) == 2


def test_a_traceback_is_shown_only_when_asked_for(tmp_path):
    with pytest.raises(DataError, match="no such plan"):
        main(["run", str(tmp_path / "none.toml"), "-vv"])


def test_an_interrupted_run_says_how_to_go_on(tiny, tmp_path, capsys, monkeypatch):
    from brainenc.study import runner

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "execute", interrupt)
    assert _score(tiny, tmp_path / "out") == 130
    assert "start the same command again" in capsys.readouterr().err


def test_the_messages_of_places_that_cannot_be_written(tiny, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert _score(tiny, tmp_path / "file" / "out") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_file_size_limit_gives_a_message_and_leaves_no_half_file(tiny, tmp_path):
    out = tmp_path / "out"
    code = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
    code += "from brainenc.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "score", str(tiny), "--subject", "a", "--model", "table:good", "--out", str(out), "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "no room to write" in done.stderr and "Traceback" not in done.stderr
    assert {path.name for path in out.rglob("*") if path.is_file()} <= {"plan.toml", "layers.json", "entry.json"}
    assert not list(out.rglob(".tmp~*"))


def test_lists(capsys):
    assert main(["list", "datasets"]) == 0
    said = capsys.readouterr().out
    assert "insilico" in said and "v4_cowley2023" in said
    assert main(["list", "datasets", "HAXBY"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["name", "haxby2001_slice"]
    assert main(["list", "models"]) == 0
    families = [name.split(":")[0] for name in capsys.readouterr().out.split()]
    assert {"gabor", "pixels", "toyclip", "table", "timm", "open_clip"} <= set(families)
    assert main(["list", "models", "timm:mobilenetv2_100*"]) == 0
    assert "timm:mobilenetv2_100" in capsys.readouterr().out.split()


def test_extract_writes_one_file_a_layer(tiny, tmp_path, capsys):
    import brainenc as be

    assert main(["extract", str(tiny), "--model", "table:good", "--out", str(tmp_path), "-q"]) == 0
    (path,) = tmp_path.rglob("*.npz")
    assert be.read(path).values.shape == (40, 3) and "1 layers extracted" in capsys.readouterr().out


def test_fetch_says_what_a_download_takes(capsys):
    assert main(["fetch", "digits69", "--dry-run"]) == 0
    assert "digits69" in capsys.readouterr().out


def test_doctor_names_what_matters(capsys, private_cache):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("torch", "memory", str(private_cache), "cluster", "insilico", "writable", "downloads"):
        assert word in said


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for command in ("demo", "list", "fetch", "extract", "score", "rsa", "run", "report", "doctor"):
        assert f"    {command} " in said
        assert main([command, "--help"]) == 0


def test_every_argument_of_score_reaches_the_plan():
    argv = ["score", "haxby2001_slice", "--model", "timm:a", "--layers", "x.*", "--layers", "y", "--weights", "random", "--pooling", "grid4", "--reduce", "srp:9"]
    argv += ["--model-arg", "pad_type=same", "--model-arg", "depth=3", "--preprocess", "mean=[0.5, 0.5, 0.5]", "--split", "blocks", "--folds", "4", "--gap", "5"]
    argv += ["--metric", "r2", "--aggregate", "pooled", "--score-reduce", "pca:7", "--permutations", "8", "--bootstrap", "9", "--hrf", "glover", "--detrend"]
    argv += ["--standardize", "zscore", "--no-predictions", "--roi", "V1", "--where", "hemi == 'left'", "--memory", "1GB", "--dtype", "float64", "--threads", "2"]
    plan = make_plan(build_parser().parse_args(argv))
    (analysis,) = plan.analyses
    (model,) = analysis.models
    assert (model.layers, model.weights, model.pooling, model.reduce) == (("x.*", "y"), "random", "grid4", "srp:9")
    assert model.model_kwargs == {"pad_type": "same", "depth": 3} and model.preprocess == {"mean": [0.5, 0.5, 0.5]}
    assert analysis.options == {
        "split": {"kind": "blocks", "n": 4, "gap": 5}, "metric": ["r2"], "aggregate": "pooled", "reduce": "pca:7", "permutations": 8, "bootstrap": 9,
        "keep_predictions": False, "design": {"hrf": "glover"}, "clean": {"detrend": True, "standardize": "zscore"},
    }  # fmt: skip
    assert (analysis.roi, analysis.where, plan.memory, plan.dtype, plan.threads) == (("V1",), "hemi == 'left'", "1GB", "float64", 2)
    assert tomllib.loads(plan.to_toml())["analysis"][0]["split"]["gap"] == 5


def test_every_argument_of_rsa_reaches_the_plan():
    from brainenc.cli.commands.rsa import make_plan as make_rsa_plan

    argv = ["rsa", "haxby2001_slice", "--model", "timm:a", "--layers", "x.*", "--pooling", "none", "--roi", "V1", "--where", "hemi == 'left'", "--subject", "1"]
    argv += ["--conditions", "split == 'test'", "--metric", "crossnobis", "--folds", "session", "--noise", "diagonal", "--model-metric", "euclidean"]
    argv += ["--compare", "rho_a", "--compare", "pearson", "--by", "roi", "--by", "time", "--average", "--bootstrap", "9", "--permutations", "8"]
    argv += ["--resample", "subjects", "--no-ceiling", "--seed", "7", "--memory", "1GB", "--threads", "2"]
    plan = make_rsa_plan(build_parser().parse_args(argv))
    (analysis,) = plan.analyses
    assert analysis.kind == "rsa" and analysis.options == {
        "metric": "crossnobis", "folds": "session", "noise": "diagonal", "model_metric": "euclidean", "compare": ["rho_a", "pearson"], "by": ["roi", "time"],
        "conditions": "split == 'test'", "average": True, "bootstrap": 9, "permutations": 8, "resample": "subjects", "ceiling": False,
    }  # fmt: skip
    assert (analysis.roi, analysis.where, analysis.subjects, analysis.models[0].pooling) == (("V1",), "hemi == 'left'", ("1",), "none")
    assert (plan.seed, plan.name, plan.memory, plan.threads) == (7, "haxby2001_slice-rsa", "1GB", 2)
    defaults = make_rsa_plan(build_parser().parse_args(["rsa", "insilico", "--model", "gabor"])).analyses[0].options
    assert defaults == {"model_metric": "correlation", "bootstrap": 1000, "permutations": 0, "resample": "auto", "ceiling": True}


def _rsa(tiny, out, *more):
    return main(["rsa", str(tiny), "--model", "table:good", "--model", "table:bad", "--out", str(out), "-q", "--bootstrap", "40", "--model-metric", "euclidean", *more])


def test_rsa_prints_the_best_layer_of_each_model_with_ceilings_and_the_claim(tiny, tmp_path, capsys):
    assert _rsa(tiny, tmp_path / "out", "--roi", "V4", "--metric", "euclidean", "--report") == 0
    said = capsys.readouterr()
    head, *rows = [re.split(r"\s{2,}", line) for line in said.out.splitlines()[:3]]
    assert head[:6] == ["dataset", "roi", "model", "layer", "metric", "score"] and {"ceiling_low", "ceiling", "q", "claim"} <= set(head)
    assert [row[1:5] for row in rows] == [["V4", "table:good", "columns", "pearson"], ["V4", "table:bad", "columns", "pearson"]]
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert [float(row[5]) for row in rows] == pytest.approx(summary["score"].tolist(), abs=6e-4) and summary["score"][0] > summary["score"][1] + 0.1
    assert (tmp_path / "out" / "report.html").is_file() and (tmp_path / "out" / "evaluations" / "tiny-pearson.npz").is_file() and said.err == ""


def test_rsa_dry_run_lists_its_tasks_and_writes_nothing(tiny, tmp_path, capsys):
    assert _rsa(tiny, tmp_path / "out", "--dry-run") == 0
    said = capsys.readouterr().out
    # two extractions, the RDMs of two subjects, and two layers that both subjects share
    assert "6 tasks, 0 done, 6 to do" in said and "rsa data" in said and "rsa layer" in said and not (tmp_path / "out").exists()
    assert _rsa(tiny, tmp_path / "out") == 0
    capsys.readouterr()
    assert _rsa(tiny, tmp_path / "out", "--dry-run") == 0
    assert "6 tasks, 6 done, 0 to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--compare", "spearmn"], "Did you mean 'spearman'"), (["--metric", "mahalanobis"], "needs a noise model"), (["--conditions", "colour == 1"], "colour")],
)
def test_rsa_says_what_is_wrong_in_one_message(tiny, tmp_path, capsys, more, message):
    assert _rsa(tiny, tmp_path / "out", *more) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.startswith("brainenc rsa: ") and len(said.err.splitlines()) == 1 and not list(tmp_path.iterdir())


def test_pairs_are_toml_values_or_text():
    assert pairs(["a=1", "b=[1, 2]", "c=same", "d=true", "e=x=y"], "--x") == {"a": 1, "b": [1, 2], "c": "same", "d": True, "e": "x=y"}
    with pytest.raises(InputError, match="--x"):
        pairs(["=1"], "--x")


def test_tables_are_plain_and_cannot_steer_a_terminal(capsys):
    console.show(pd.DataFrame({"name": ["a\x1b[31mb", None], "score": [0.12345, np.nan], "n": [3, 12], "done": [True, False]}))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name     score   n  done", "a?[31mb  0.123   3  yes", "                12  no"]
    console.show(pd.DataFrame({"a": []}))
    assert capsys.readouterr().out == ""


def test_warnings_are_one_line_and_quiet_silences_them(capsys):
    import warnings

    for level, shown in ((0, True), (-1, False)):
        with console.quiet_libraries(level):
            warnings.warn("penalties at the edge", BrainencWarning, stacklevel=1)
            warnings.warn("something of a dependency", UserWarning, stacklevel=1)
        said = capsys.readouterr().err
        assert ("warning: penalties at the edge\n" == said) == shown and (said == "") != shown


def test_a_count_that_is_a_word_is_refused_in_words(capsys):
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(["rsa", "insilico", "--model", "gabor", "--bootstrap", "many"])
    assert "argument --bootstrap: 'many' is not a whole number" in capsys.readouterr().err
