"""A study on a Dask cluster of this machine gives the bytes of a serial run (needs the extra ``cluster``)."""

from __future__ import annotations

import numpy as np
import pytest

from brainenc.study import run
from brainenc.study.executors import dask_executor

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

MANIFEST = """name = "mine"
title = "Mine"
subjects = ["01"]

[stimuli]
kind = "none"
table = "stimuli.csv"

[responses]
path = "responses.npy"
ids = "stimuli"
"""


@pytest.mark.slow
def test_a_dask_cluster_gives_the_bytes_of_a_serial_run(tmp_path, rng):
    data = tmp_path / "data"
    data.mkdir()
    shade = rng.random(60)
    rows = "\n".join(f"s{i},{value:.6f},{'ab'[i % 2]}" for i, value in enumerate(shade))
    (data / "stimuli.csv").write_text(f"stimulus_id,shade,kind\n{rows}\n")
    np.save(data / "responses.npy", np.column_stack([shade, -shade]) + 0.1 * rng.standard_normal((60, 2)))
    (data / "brainenc.toml").write_text(MANIFEST)
    plan = {"analysis": [{"dataset": str(data / "brainenc.toml"), "models": ["table:shade", "table:kind"]}]}
    run(plan, tmp_path / "serial", progress=False)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            run(plan, tmp_path / "dask", executor=dask_executor(client), progress=False)
    for name in ("scores.parquet", "summary.csv", "maps.csv", "failures.csv"):
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "serial" / name).read_bytes(), name
