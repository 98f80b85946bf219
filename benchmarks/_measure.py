"""What every benchmark needs: times, processor seconds, peak memory of a fresh process, this machine's rate of products."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[], Any]


def timed(work: Work) -> float:
    """Seconds on the wall."""
    return clocked(work)[0]


def clocked(work: Work) -> tuple[float, float, Any]:
    """Seconds on the wall, processor seconds of all threads, and the result."""
    start, spent = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - spent, result


def peak(work: Work) -> int:
    """Growth of the resident set during one call (Linux: the high-water mark can be reset)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes("VmRSS")
    work()
    return status_bytes("VmHWM") - before


def status_bytes(field: str) -> int:
    """One line of the process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def gemm_rate(dtype: str) -> float:
    """Multiply-adds a second, times two, of a large product."""
    import torch

    a = torch.randn(1000, 1000, dtype=getattr(torch, dtype))
    return 2e9 / min(timed(lambda: a @ a) for _ in range(10))


def use_threads(n: int) -> None:
    """Hold torch and BLAS to ``n`` threads."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(n)
    threadpool_limits(n)
