"""Interrupted searchlights go on where they stopped, to the same bytes; changed inputs find nothing."""

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.io.store import Store
from brainenc.rsa import _light_stream

pytestmark = pytest.mark.filterwarnings("ignore:.*made of the differences between folds:brainenc.BrainencWarning")
IDS = list("abcdef")


@pytest.fixture
def brain(rng):
    space = be.VolumeSpace.from_mask(rng.random((6, 5, 4)) < 0.8, np.diag([3.0, 3.0, 3.0, 1.0]))
    return be.Responses(rng.standard_normal((18, space.n_targets)), {"stimulus_id": IDS * 3, "run": np.repeat([1, 2, 3], 6)}, space=space)


@pytest.fixture
def models(rng):
    return be.RDMs(rng.random((2, 15)), {"stimulus_id": IDS}, {"model": ["one", "two"]})


class _Killed(BaseException):
    pass


def _kill_after(monkeypatch, n):
    """Let ``n`` blocks be computed, then die."""
    compute, calls = _light_stream.Stream.compute, []

    def dying(self, positions, keep):
        calls.append(1)
        if len(calls) > n:
            raise _Killed
        return compute(self, positions, keep)

    monkeypatch.setattr(_light_stream.Stream, "compute", dying)
    return calls


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_killed_run_goes_on_to_the_same_bytes(brain, models, tmp_path, monkeypatch, n_jobs):
    options = {"radius_mm": 5.0, "metric": "crossnobis", "noise": "local", "block": 10, "return_rdms": True, "n_jobs": n_jobs}
    whole, rdms = be.rsa.searchlight(brain, models, **options)
    with monkeypatch.context() as patch:
        _kill_after(patch, 3)
        with pytest.raises(_Killed):
            be.rsa.searchlight(brain, models, store=tmp_path, **options)
    assert 1 <= len(Store(tmp_path).keys()) <= 3
    n_before = len(Store(tmp_path).keys())
    with monkeypatch.context() as patch:
        calls = _kill_after(patch, 10_000)
        again, kept = be.rsa.searchlight(brain, models, store=tmp_path, **options)
        n_blocks = -(-len(kept.values) // 10)
        assert len(calls) == n_blocks - n_before
    assert again.values.tobytes() == whole.values.tobytes()
    assert np.asarray(kept.values).tobytes() == rdms.values.tobytes()
    assert again.save(tmp_path / "again").read_bytes() == whole.save(tmp_path / "whole").read_bytes()


def test_rdms_lie_in_a_file_and_are_read_from_there(brain, models, tmp_path):
    _, rdms = be.rsa.searchlight(brain, models, radius_mm=5.0, return_rdms=True, store=tmp_path)
    assert isinstance(rdms.values.base, np.memmap) and not rdms.values.flags.writeable
    assert len(list((tmp_path / "rdms").glob("*.npy"))) == 1 and not list((tmp_path / "rdms").glob(".unfinished*"))
    assert {"subject", "target_id", "n_neighbours"} <= set(rdms.rdms.columns)
    with pytest.raises(InputError, match="Give store="):
        be.rsa.searchlight(brain, return_rdms=True, radius_mm=5.0, memory="14kB")


def test_a_finished_run_computes_nothing(brain, models, tmp_path, monkeypatch):
    first = be.rsa.searchlight(brain, models, radius_mm=5.0, store=tmp_path)
    _kill_after(monkeypatch, 0)
    assert be.rsa.searchlight(brain, models, radius_mm=5.0, store=tmp_path).values.tobytes() == first.values.tobytes()


@pytest.mark.parametrize(
    "change", ["values", "models", "radius", "metric", "method", "conditions", "scorer", "noise", "block", "constant"],
)  # fmt: skip
def test_changed_inputs_find_nothing(brain, models, tmp_path, monkeypatch, rng, change):
    options = {"radius_mm": 5.0, "metric": "crossnobis", "store": tmp_path}
    be.rsa.searchlight(brain, models, **options)
    if change == "values":
        values = brain.values.copy()
        values[0, 0] += 1e-9
        brain = be.Responses(values, brain.samples, space=brain.space)
    elif change == "models":
        models = be.RDMs(models.values + np.eye(2, 15) * 1e-9, models.conditions, models.rdms)
    elif change == "conditions":
        brain = be.Responses(brain.values, brain.samples.assign(stimulus_id=IDS + IDS[::-1] + IDS), space=brain.space)
    elif change == "constant":
        values = brain.values.copy()
        values[:, 3] = 0.0
        brain, options = be.Responses(values, brain.samples, space=brain.space), {**options, "constant": "omit"}
    else:
        other = {
            "radius": {"radius_mm": 6.0}, "metric": {"metric": "euclidean"}, "method": {"method": "pearson"}, "scorer": {"scorer": "regression"},
            "noise": {"noise": "local"}, "block": {"block": 7},
        }  # fmt: skip
        options |= other[change]
    _kill_after(monkeypatch, 0)
    with pytest.raises(_Killed):
        be.rsa.searchlight(brain, models, **options)


def test_damaged_blocks_are_computed_again(brain, models, tmp_path):
    first = be.rsa.searchlight(brain, models, radius_mm=5.0, store=tmp_path, block=10)
    store = Store(tmp_path)
    victim = store.get(store.keys()[0]).path / "scores.npy"
    victim.write_bytes(victim.read_bytes()[:-3] + b"bad")
    assert be.rsa.searchlight(brain, models, radius_mm=5.0, store=tmp_path, block=10).values.tobytes() == first.values.tobytes()
