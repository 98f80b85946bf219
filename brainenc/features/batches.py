"""Batches: how large, in which order, and prepared one ahead in a thread of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.features.adapters import Inputs
from brainenc.features.pooling import Layer

AHEAD = 2
CPU_BATCH, GPU_BATCH = 32, 256
CPU_BYTES = 512 * 10**6


def size(batch_size: int | str, layers: Iterable[Layer], device: str) -> int:
    """Return the number of stimuli in a batch.

    ``"auto"``: 32 on a CPU and 256 on a GPU, less where the activations of all layers of one batch (which bound what is alive
    at once) would exceed half a gigabyte, or half of the GPU's free memory. Results do not depend on it.
    """
    if batch_size != "auto":
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise InputError("not a batch size", expected='"auto" or an integer of at least 1', got=repr(batch_size))
        return int(batch_size)
    per_stimulus = max(1, 4 * sum(layer.n_values for layer in layers))
    most, room = CPU_BATCH, CPU_BYTES
    if device.startswith("cuda"):
        import torch

        most, room = GPU_BATCH, torch.cuda.mem_get_info(device)[0] // 2
    return int(np.clip(room // per_stimulus, 1, most))


def slices(start: int, stop: int, step: int) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each batch between two rows."""
    return [np.arange(at, min(at + step, stop)) for at in range(start, stop, step)]


def prefetch(inputs: Inputs, rows: Iterable[npt.NDArray[np.intp]]) -> Iterator[tuple[npt.NDArray[np.intp], Any]]:
    """Yield (rows, batch); the next batches are decoded in one thread while this one is computed.

    An error in the thread is raised here, and the thread ends with the generator.
    """
    waiting: deque[tuple[npt.NDArray[np.intp], Future[Any]]] = deque()
    todo = iter(rows)
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brainenc-decode")
    try:
        for chunk in todo:
            waiting.append((chunk, pool.submit(inputs.batch, chunk)))
            if len(waiting) > AHEAD:
                ready, future = waiting.popleft()
                yield ready, future.result()
        while waiting:
            ready, future = waiting.popleft()
            yield ready, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
