"""Fixtures of all tests: unequal dimensions, a seeded generator, a private cache, real data where present, and no network."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

N_STIMULI, N_FEATURES, N_TARGETS, N_REPEATS = 9, 7, 8, 3


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory):
    """Keep every cache of the test run in one temporary folder, so that nothing outside is read or written."""
    root = tmp_path_factory.mktemp("cache")
    before = {name: os.environ.get(name) for name in ("BRAINENC_CACHE", "BRAINENC_OFFLINE", "HF_HUB_OFFLINE")}
    os.environ.update(BRAINENC_CACHE=str(root), BRAINENC_OFFLINE="1", HF_HUB_OFFLINE="1")
    yield root
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def close_figures():
    """Close figures that a test left open."""
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(20261123)


@pytest.fixture
def responses(rng):
    """Nine stimuli, three repeats in three runs, eight targets in two regions, in shuffled order."""
    import brainenc as be

    ids = [f"s{i}" for i in range(N_STIMULI)]
    order = np.concatenate([rng.permutation(N_STIMULI) for _ in range(N_REPEATS)])
    signal = rng.standard_normal((N_STIMULI, N_TARGETS))
    samples = pd.DataFrame(
        {
            "stimulus_id": [ids[i] for i in order],
            "run": np.repeat([1, 2, 3], N_STIMULI),
            "subject": "01",
        }
    )
    targets = pd.DataFrame({"roi": ["V1"] * 3 + ["V4"] * 5, "noise_ceiling": np.linspace(0.1, 0.8, N_TARGETS)})
    values = signal[order] + rng.standard_normal((len(order), N_TARGETS))
    return be.Responses(values, samples, targets, name="01")


@pytest.fixture
def features(rng):
    """Seven features of the nine stimuli, in another order than the responses."""
    import brainenc as be

    ids = [f"s{i}" for i in range(N_STIMULI)][::-1]
    return be.FeatureSpace(rng.standard_normal((N_STIMULI, N_FEATURES)), {"stimulus_id": ids}, name="toy/layer1")


@pytest.fixture(scope="session")
def real_data():
    """Return a function that gives the folder of a real data set, or skips with the reason."""

    def folder(name: str) -> Path:
        root = os.environ.get("BRAINENC_DATA")
        if not root:
            pytest.skip("BRAINENC_DATA is not set: real data are not part of the package")
        path = Path(root).expanduser() / name
        if not path.is_dir():
            pytest.skip(f"{name} is not in BRAINENC_DATA")
        return path

    return folder
