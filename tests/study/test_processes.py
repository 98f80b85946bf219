"""Separate processes: a pool gives the bytes of a serial run, and so does a run that was killed again and again."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, MissingExtraError
from brainenc.study import executors

FILES = ("scores.parquet", "summary.csv", "maps.csv", "failures.csv", "provenance.json")
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
RUN = "import sys; from brainenc.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A data set of the user's own on disk, read by its manifest, and a plan of 2 subjects × 4 models × 2 seeds."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(5)
    table = pd.DataFrame({f"f{i}.{j}": rng.standard_normal(60) for i in range(4) for j in range(3)})
    table.insert(0, "stimulus_id", [f"s{i}" for i in range(60)])
    table.to_csv(root / "stimuli.csv", index=False)
    pd.DataFrame({"roi": ["V1"] * 3 + ["V4"] * 5}).to_csv(root / "targets.csv", index=False)
    for subject in "ab":
        np.save(root / f"{subject}.npy", table.iloc[:, 1:].to_numpy() @ rng.standard_normal((12, 8)) + rng.standard_normal((60, 8)))
    (root / "tiny.toml").write_text(MANIFEST)
    path = root / "plan.toml"
    models = ", ".join(f'"table:f{i}"' for i in range(4))
    path.write_text(f'[[analysis]]\ndataset = "tiny.toml"\nroot = "."\nmodels = [{models}]\nmetric = ["pearson", "r2"]\nsplit = {{ seeds = [0, 1] }}\n')
    return path


@pytest.fixture(scope="module")
def whole(plan, tmp_path_factory, private_cache):
    return be.run(plan, tmp_path_factory.mktemp("whole")).root


def _bytes(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in [*(root / name for name in FILES), *sorted((root / "maps").rglob("*.*"))]}


def test_a_user_data_set_runs(whole):
    results = be.study.read_results(whole)
    assert results.provenance["n_done"] == 16 and not len(results.failures)
    assert results.summary["score"].between(-1, 1).all() and set(results.summary["roi"]) == {"V1", "V4"}


def test_a_pool_gives_the_bytes_of_a_serial_run(plan, whole, tmp_path):
    assert _bytes(be.run(plan, tmp_path / "pool", n_jobs=2).root) == _bytes(whole)


def test_any_executor_of_concurrent_futures_will_do(plan, whole, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        assert _bytes(be.run(plan, tmp_path / "given", executor=executor).root) == _bytes(whole)
        assert executor.submit(int, "7").result() == 7  # it was not made by the run, so it is left open


def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bytes(plan, whole, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-c", RUN, "run", str(plan), "--out", str(out), "-q"]
    rng, kills, before = np.random.default_rng(int.from_bytes(os.urandom(4), "little")), 0, 0
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while process.poll() is None and _n_entries(out) <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.4)))  # a moment between and inside writes
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        kills, before = kills + 1, _n_entries(out)
    assert kills >= 2
    subprocess.run(command, check=True, capture_output=True)
    assert _bytes(out) == _bytes(whole)
    assert not [path for path in out.rglob(".tmp~*") if path.parent.name != "locks"]


def _n_entries(out):
    return len(list((out / "store" / "objects").glob("??/*/entry.json")))


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_own_task_only(plan, tmp_path, monkeypatch):
    from brainenc.study import runner

    monkeypatch.setattr(runner, "execute", _deadly)
    results = be.run(plan, tmp_path / "deadly", n_jobs=2)
    lost = results.failures.query("step == 'encoding'")
    assert results.provenance["n_done"] == 15 and len(lost) == 1
    assert "worker process died" in lost["message"].iloc[0] and (lost["model"].iloc[0], lost["subject"].iloc[0], lost["seed"].iloc[0]) == ("table:f1", "b", 1)


def _deadly(task, settings, store_root):
    from brainenc.study.steps import execute

    if (task.step, task.model.name, task.unit.subject, task.seed) == ("encoding", "table:f1", "b", 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(task, settings, store_root)


def test_numbers_of_jobs_are_checked():
    for n_jobs in (0, -2, True, 1.5):
        with pytest.raises(InputError, match="number of jobs"):
            executors.process_pool(n_jobs)


def test_dask_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"brainenc\[cluster\]"):
        executors.dask_executor()


def test_fixed_threads_puts_everything_back():
    import torch
    from threadpoolctl import threadpool_info

    before = torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()]
    with executors.fixed_threads(1):
        assert torch.get_num_threads() == 1 and {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert (torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()]) == before
