"""Where tasks run. Anything with the `concurrent.futures.Executor` interface will do.

`SerialExecutor` runs in this process, `process_pool` in loky workers (fresh interpreters, never a fork of this one), and
`dask_executor` on a Dask cluster, for instance one that dask-jobqueue started through SLURM.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from brainenc.core.errors import InputError
from brainenc.core.extras import need

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class SerialExecutor(Executor):
    """Runs each task in this process when it is submitted."""

    n_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn`` now and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def check_jobs(n_jobs: int) -> None:
    """Refuse a number of jobs that is neither positive nor -1 (all cores)."""
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
        raise InputError("number of jobs must be a positive integer, or -1 for all cores", where="n_jobs", got=repr(n_jobs))


def process_pool(n_jobs: int, *, threads: int = 1) -> Executor:
    """Return a pool of ``n_jobs`` loky workers with ``threads`` threads each; -1 stands for one worker a core."""
    from joblib.externals.loky import ProcessPoolExecutor

    check_jobs(n_jobs)
    n_workers = os.cpu_count() or 1 if n_jobs == -1 else n_jobs
    return ProcessPoolExecutor(max_workers=n_workers, env={name: str(threads) for name in THREAD_VARIABLES})


def dask_executor(client: Any = None, **cluster: Any) -> Executor:
    """Return an executor on a Dask client, or on a new local cluster made with the keywords.

    All workers must see the results folder and the feature cache (a shared file system).

    Raises
    ------
    MissingExtraError
        Without the extra ``cluster``.
    """
    distributed = need("distributed", "cluster", purpose="running on a Dask cluster")
    return (client if client is not None else distributed.Client(**cluster)).get_executor()


def n_workers(executor: Executor) -> int:
    """Return how many tasks an executor runs at a time, as far as it says."""
    return int(getattr(executor, "n_workers", None) or getattr(executor, "_max_workers", None) or 64)


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Run the block with this many threads in BLAS, OpenMP and torch; afterwards all is as before."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(limits=threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
