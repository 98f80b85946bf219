"""Run a study: expand the plan, do the tasks that are not stored yet, write the results."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainenc.core.checks import slug
from brainenc.core.errors import DataError, InputError, MissingExtraError, NotFoundError
from brainenc.io.store import Store
from brainenc.study import inputs
from brainenc.study.executors import SerialExecutor, check_jobs, n_workers, process_pool
from brainenc.study.plan import Plan
from brainenc.study.steps import Outcome, execute
from brainenc.study.tasks import Expansion, Failure, Settings, Task, expand

if TYPE_CHECKING:
    import pandas as pd

    from brainenc.study.results import Results

logger = logging.getLogger(__name__)

STORE = "store"
_ERRORS = {kind.__name__: kind for kind in (InputError, DataError, MissingExtraError, NotFoundError)}


def run(
    plan: Plan | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    *,
    n_jobs: int = 1,
    executor: Executor | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
) -> Results:
    """Score every layer of every model on every unit of a plan, and write tables, maps and provenance to a folder.

    Every finished task is kept in ``out/store`` under the hash of its content, so a run that was interrupted or killed
    goes on where it stopped when it is started again. A task that fails is listed in ``failures.csv`` and the rest goes
    on. For one resolved plan and environment the results are the same to the byte whether tasks ran serially, in
    parallel, in another order or in several attempts.

    Parameters
    ----------
    plan : Plan, mapping or path
        A plan, its TOML form as a mapping, or the path of a TOML file.
    out : path, optional
        Results folder; ``<name of the plan>-results`` when not given.
    n_jobs : int
        Worker processes; 1 runs in this process, -1 uses all cores. Each task has ``plan.threads`` threads and up to
        ``plan.memory`` of working memory.
    executor : concurrent.futures.Executor, optional
        Runs the tasks instead; see `brainenc.study.executors`.
    progress : bool, optional
        Show a progress bar; by default only on a terminal.
    overwrite : bool
        Replace what an earlier run left in ``out``, also one of another plan; its store of finished tasks is kept.

    Returns
    -------
    Results
        Also written to ``out``: ``scores.parquet`` (one row per entry, fold and target), ``summary.csv`` (one row per region; of recordings per region
        or channel, at the moment that training rows choose), ``maps/``, ``failures.csv``, ``provenance.json``, ``plan.toml`` (resolved).

    Raises
    ------
    InputError, DataError
        For a plan that cannot be used or of which nothing can be listed, for a folder that holds the finished study of another
        plan, and when the folder cannot be written. A run that is refused writes nothing.

    Examples
    --------
    >>> results = run("study.toml", out="results")                           # doctest: +SKIP
    """
    from brainenc.study import folder, outputs
    from brainenc.study.results import read_results

    check_jobs(n_jobs)
    resolved = as_plan(plan).resolve()
    root = Path(out) if out is not None else Path(f"{slug(resolved.name)}-results")
    folder.check(root, resolved, overwrite=overwrite)
    inputs.forget()
    try:
        expansion = _expand(resolved)
        folder.prepare(root, resolved, overwrite=overwrite)
        if expansion.failures:
            logger.warning("%d parts of the plan cannot be listed and are left out", len(expansion.failures))
        outcomes = run_tasks(expansion, resolved, root, n_jobs=n_jobs, executor=executor, progress=progress)
        outputs.write(root, resolved, expansion, [*expansion.failures, *_failures(expansion, outcomes)])
    finally:
        inputs.forget()
    return read_results(root)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do: the resolved plan, one row a task, and what could not even be listed."""

    plan: Plan
    table: pd.DataFrame
    failures: tuple[Failure, ...]


def preview(plan: Plan | Mapping[str, Any] | str | Path, out: str | Path | None = None) -> Preview:
    """List the tasks of a plan with their estimated memory and whether they are done; nothing is run or written."""
    import pandas as pd

    resolved = as_plan(plan).resolve()
    store = Store((Path(out) if out is not None else Path(f"{slug(resolved.name)}-results")) / STORE)
    inputs.forget()
    try:
        expansion = _expand(resolved)
    finally:
        inputs.forget()
    tasks = [*expansion.extractions, *expansion.scorings]
    rows = [{**task.describe(), "memory": task.memory, "done": store.has(task.key), "key": task.key} for task in tasks]
    table = pd.DataFrame(rows)
    if len(table):
        table["seed"] = table["seed"].astype("Int64")
    return Preview(resolved, table, expansion.failures)


def as_plan(plan: Plan | Mapping[str, Any] | str | Path) -> Plan:
    """Return a checked plan from a plan, a mapping or a path."""
    if isinstance(plan, Plan):
        return Plan.from_dict(plan.to_dict())  # its fields were never looked at if it was put together in Python
    if isinstance(plan, Mapping):
        return Plan.from_dict(plan)
    if isinstance(plan, str | Path):
        return Plan.from_toml(plan)
    raise InputError("not a plan", expected="a Plan, a mapping or the path of a TOML file", got=type(plan).__name__)


def run_tasks(
    expansion: Expansion, plan: Plan, root: Path, *, n_jobs: int = 1, executor: Executor | None = None, progress: bool | None = None
) -> dict[str, Outcome]:
    """Do the tasks of an expansion that are not stored yet; return the outcome of each by key.

    Extractions come first, each only where a scoring that needs it is missing.
    """
    store = Store(root / STORE)
    done = {task.key: Outcome(task.key, True) for task in expansion.scorings if store.has(task.key)}
    missing = [task for task in expansion.scorings if task.key not in done]
    needed = {task.needs for task in missing if task.needs is not None}
    extractions = [task for task in expansion.extractions if task.key in needed]
    logger.info("%d of %d scoring tasks are stored already", len(done), len(expansion.scorings))
    if not missing:
        return done
    with _Pool(executor, n_jobs, Settings.of(plan), str(root / STORE)) as pool, _bar(len(extractions) + len(missing), progress) as bar:
        outcomes = pool.map(extractions, bar)
        ready, blocked = _sort_out(missing, outcomes)
        outcomes |= blocked
        bar.update(len(blocked))
        outcomes |= pool.map(ready, bar)
    return {**done, **outcomes}


class _Pool:
    """An executor that survives the death of a worker: the tasks it may have died of are tried again, one at a time."""

    def __init__(self, executor: Executor | None, n_jobs: int, settings: Settings, store_root: str) -> None:
        self.given = executor
        self.n_jobs = n_jobs
        self.settings = settings
        self.store_root = store_root
        self.executor = executor or self._make(n_jobs)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.given is None:
            _stop(self.executor, kill=kind is not None)

    def map(self, tasks: Sequence[Task], bar: Any) -> dict[str, Outcome]:
        """Run tasks, in their order as far as workers are free, and return the outcomes by key."""
        outcomes: dict[str, Outcome] = {}
        suspects: list[Task] = []
        waiting = list(reversed(tasks))
        flying: dict[Future[Outcome], Task] = {}
        while waiting or flying:
            while waiting and len(flying) < self._window():
                task = waiting.pop()
                try:
                    flying[self.executor.submit(execute, task, self.settings, self.store_root)] = task
                except BrokenProcessPool:
                    waiting.append(task)
                    suspects += self._restart(flying)
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in finished:
                try:
                    self._note(flying[future], future.result(), outcomes, bar)
                    del flying[future]
                except BrokenProcessPool:
                    suspects += self._restart(flying)
                    break
        for task in suspects:
            self._note(task, self._alone(task), outcomes, bar)
        return outcomes

    def _note(self, task: Task, outcome: Outcome, outcomes: dict[str, Outcome], bar: Any) -> None:
        if outcome.fatal:
            fix = "make room and start the run again: it resumes"
            raise DataError("a finished task could not be stored", where=self.store_root, got=outcome.message, fix=fix)
        outcomes[task.key] = outcome
        for text in outcome.warnings:
            logger.info("%s %s: %s", task.unit.label, task.layer, text)
        if not outcome.ok:
            what = " ".join(part for part in (task.step, "of", task.unit.label, task.model and task.model.name, task.layer) if part)
            logger.warning("%s failed: %s", what, outcome.message)
        bar.update(1)

    def _restart(self, flying: dict[Future[Outcome], Task]) -> list[Task]:
        """Replace a broken pool; return the tasks that were in it and take them out of ``flying``."""
        logger.warning("a worker process died; the %d tasks that were under way are tried again one by one", len(flying))
        suspects = list(flying.values())
        flying.clear()
        if self.given is None:
            _stop(self.executor, kill=True)
            self.executor = self._make(self.n_jobs)
        elif not suspects:
            raise InputError("the executor is broken and was not made by this run", where="run(executor=…)", fix="make a new one and start again")
        return suspects

    def _alone(self, task: Task) -> Outcome:
        single = self._make(1, in_process=False)
        try:
            return single.submit(execute, task, self.settings, self.store_root).result()
        except BrokenProcessPool:
            return Outcome(task.key, False, "WorkerDied", "the worker process died (killed by the system, perhaps for want of memory)")
        finally:
            _stop(single, kill=True)

    def _make(self, n_jobs: int, *, in_process: bool = True) -> Executor:
        if n_jobs == 1 and in_process:
            return SerialExecutor()
        return process_pool(n_jobs, threads=self.settings.threads)

    def _window(self) -> int:
        n = n_workers(self.executor)
        return n if n == 1 else 2 * n


def _sort_out(tasks: Sequence[Task], outcomes: Mapping[str, Outcome]) -> tuple[list[Task], dict[str, Outcome]]:
    """Split scoring tasks into those whose features are there and, with their outcomes, those whose extraction failed."""
    ready: list[Task] = []
    blocked: dict[str, Outcome] = {}
    for task in tasks:
        fed = Outcome(task.key, True) if task.needs is None else outcomes[task.needs]
        if fed.ok:
            ready.append(task)
        else:
            blocked[task.key] = Outcome(task.key, False, fed.error, f"its features could not be extracted: {fed.message}")
    return ready, blocked


def _failures(expansion: Expansion, outcomes: Mapping[str, Outcome]) -> list[Failure]:
    """Return the failed tasks in canonical order."""
    tasks = [*expansion.extractions, *expansion.scorings]
    failed = [(task, outcomes[task.key]) for task in tasks if task.key in outcomes and not outcomes[task.key].ok]
    return [Failure(task.describe(), outcome.error, outcome.message, outcome.traceback) for task, outcome in failed]


def _expand(plan: Plan) -> Expansion:
    """List the tasks of a resolved plan, or raise what stood in the way of the first where there are none."""
    expansion = expand(plan)
    if expansion.scorings:
        return expansion
    if not expansion.failures:
        raise InputError("the plan lists no layer to score", where=plan.name)
    first = expansion.failures[0]
    raise _ERRORS.get(first.error, InputError)(first.message)


def _stop(executor: Executor, *, kill: bool) -> None:
    if isinstance(executor, SerialExecutor):
        executor.shutdown()
    else:  # loky's shutdown can end its workers
        executor.shutdown(wait=True, kill_workers=kill)  # type: ignore[call-arg]


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    return tqdm(total=total, unit="task", disable=not shown, file=sys.stderr)
