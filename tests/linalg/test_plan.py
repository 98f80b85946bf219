"""Chunk plans: they cover every column, keep to the budget and name the smallest one that works."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from brainenc.core.checks import parse_bytes
from brainenc.core.errors import InputError
from brainenc.linalg import free_memory, plan_chunks, resolve_device

BYTES = st.integers(0, 10**6)


@given(budget=st.integers(1, 10**9), n=st.integers(1, 10_000), fixed=BYTES, per_column=BYTES, per_group=BYTES, n_groups=st.integers(0, 9))
def test_plans_keep_to_the_budget_and_cover_every_column(budget: int, n: int, fixed: int, per_column: int, per_group: int, n_groups: int) -> None:
    try:
        plan = plan_chunks(budget, n, fixed=fixed, per_column=per_column, per_group=per_group, n_groups=n_groups)
    except InputError:
        assert fixed + (per_group if n_groups else 0) + min(16, n) * per_column > budget
        return
    assert fixed + plan.group * per_group + plan.chunk * per_column == plan.expected <= budget
    assert [i for s in plan.slices() for i in range(s.start, s.stop)] == list(range(n))
    assert (plan.group >= 1) == (n_groups >= 1) and plan.group <= n_groups


def test_the_budget_that_the_error_names_works() -> None:
    sizes = {"fixed": 5_000_000, "per_column": 70_000, "per_group": 900_000, "n_groups": 5}
    with pytest.raises(InputError, match="memory budget is too small") as caught:
        plan_chunks("1MB", 1000, **sizes)
    named = re.search(r"at least ([0-9.]+ [kMG]B)", str(caught.value))
    assert named is not None
    plan = plan_chunks(named[1], 1000, **sizes)
    assert plan.group == 1 and plan.chunk >= 16 and plan.expected <= parse_bytes(named[1])


def test_without_a_budget_half_of_the_free_memory_is_taken() -> None:
    plan = plan_chunks(None, 9, fixed=0, per_column=1)
    assert plan.chunk == 9 and 0.3 * free_memory() < plan.budget < 0.7 * free_memory()
    assert "1 chunks of up to 9 of 9 targets" in str(plan)


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", 7.5])
def test_unknown_devices_are_refused(name: object) -> None:
    with pytest.raises(InputError, match="unknown device"):
        resolve_device(name)  # type: ignore[arg-type]


def test_devices_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == resolve_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="not here"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto").type == "cuda" and resolve_device("cuda:1").index == 1
    with pytest.raises(InputError, match="one of 2 CUDA devices"):
        resolve_device("cuda:2")
