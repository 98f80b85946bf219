"""What a results folder holds, and how a run takes hold of it: nothing is written before the plan is known to be usable.

``plan.toml`` is written first and ``provenance.json`` last, so a folder holds a finished study exactly where both are there
and name the same plan.
"""

from __future__ import annotations

import json
import logging
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainenc.core.errors import InputError
from brainenc.io import atomic
from brainenc.study import tomltext
from brainenc.study.outputs import EVALUATIONS, FAILURES, MAPS, PROVENANCE, SUMMARY, TABLE
from brainenc.study.plan import Plan

logger = logging.getLogger(__name__)

PLAN = "plan.toml"
OUTPUTS = (TABLE, SUMMARY, MAPS, FAILURES)
REPORT = "report.html"


def check(root: Path, plan: Plan, *, overwrite: bool) -> None:
    """Refuse a folder that holds the finished study of another plan, unless that may be overwritten; nothing is changed."""
    held = _finished_plan(root)
    if held is None or overwrite or same_study(held, plan.to_dict()):
        return
    fix = "choose another folder (--out, out=…), or replace its outputs (--overwrite, overwrite=True); finished tasks that still apply are used"
    raise InputError("the folder holds a finished study of another plan", where=root, got=f"plan {held.get('name')!r}", fix=fix)


def prepare(root: Path, plan: Plan, *, overwrite: bool) -> None:
    """Write the resolved plan: the first write of a run, so that a place that cannot be written is known before any work.

    Outputs of another plan, or all of them with ``overwrite``, are removed before; the store is kept.
    """
    text = plan.to_toml()
    before = written_plan(root)
    other = before is not None and not same_study(before, plan.to_dict())
    if other:
        logger.info("%s was begun with another plan; finished tasks that still apply are used", root)
    if other or overwrite:
        _clear(root)
    atomic.write_text(root / PLAN, text)


def written_plan(root: Path) -> Mapping[str, Any] | None:
    """Return the keys of ``plan.toml``, or None where there is none that can be read."""
    try:
        return tomllib.loads((root / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def same_study(one: Mapping[str, Any], other: Mapping[str, Any], *, environment: bool = False) -> bool:
    """Return whether two plans, as their keys, ask for the same; with ``environment`` under the same versions too."""
    first, second = (tomllib.loads(tomltext.dumps({k: v for k, v in keys.items() if environment or k != "environment"})) for keys in (one, other))
    return first == second


def what_is_missing(root: Path, provenance: Mapping[str, Any]) -> str | None:
    """Say what shows that a run in the folder did not end, or None for a finished one."""
    missing = [name for name in (PLAN, *OUTPUTS) if not (root / name).is_file()]
    if missing:
        return f"no {', '.join(missing)}"
    plan = written_plan(root)
    if plan is None or not same_study(plan, provenance["plan"], environment=True):
        return f"{PLAN} and {PROVENANCE} name different plans"
    return None


def _finished_plan(root: Path) -> Mapping[str, Any] | None:
    """Return the plan of the outputs in the folder, or None where there are none or they are damaged."""
    try:
        plan = json.loads((root / PROVENANCE).read_text(encoding="utf-8"))["plan"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return plan if isinstance(plan, dict) else None


def _clear(root: Path) -> None:
    """Remove the outputs of a run, provenance first; a folder that no run has written to is left as it is."""
    if not any((root / name).is_file() for name in (PLAN, PROVENANCE)):
        return
    with atomic.write_errors(root):
        for name in (PROVENANCE, *OUTPUTS, REPORT):
            (root / name).unlink(missing_ok=True)
        for name in ("maps", EVALUATIONS):
            if (root / name).is_dir():
                shutil.rmtree(root / name)
