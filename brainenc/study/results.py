"""What a study found: tables, maps and failures of a results folder, and the scores behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.errors import BrainencError, DataError
from brainenc.core.html import facts
from brainenc.io.store import Store
from brainenc.nouns import Evaluation, RDMs, Scores
from brainenc.study import folder, outputs, stored
from brainenc.study.plan import Plan

NAMES = ("analysis", "dataset", "subject", "session", "model", "layer", "metric", "roi", "map", "hemi", "step", "error", "message", "traceback")


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """The results of a study, as they lie in a folder.

    Parameters
    ----------
    root : Path
        The folder.
    plan : Plan
        Resolved, with the versions it ran under.
    summary : DataFrame
        Encoding: one row per unit, region, layer, metric and seed: score (median over targets), ceiling, n_targets, n_test, split …
        RSA: one row per region, layer and comparison: score (mean over subjects), interval, ceilings, p, q, claim …
    maps : DataFrame
        analysis, dataset, subject, session, map ("best", a model, "ceiling"), value, metric, hemi, path (below ``root``).
    failures : DataFrame
        step, analysis, dataset, subject, session, model, layer, seed, error, message, traceback.
    provenance : mapping
        The plan, the stored tasks with their keys, warnings.
    """

    root: Path
    plan: Plan
    summary: pd.DataFrame
    maps: pd.DataFrame
    failures: pd.DataFrame
    provenance: Mapping[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """The tidy table, read when asked for: one row per unit, layer, metric, seed, fold and target."""
        return pd.read_parquet(self.root / outputs.TABLE)

    def scores(self, *, seed: int | None = None, predictions: bool = True) -> dict[str, Scores]:
        """Return the encoding scores of every unit, keyed ``analysis/dataset/subject[/session]``, all layers stacked.

        Parameters
        ----------
        seed : int, optional
            Only this split seed. By default all of them: their entries stand one after the other (column ``seed``), and
            predictions, which belong to one split, are kept only where there is a single seed.
        predictions : bool
            Read kept predictions too; False is quicker and needs less memory.
        """
        store = Store(self.root / "store")
        groups: dict[str, dict[Any, list[str]]] = {}
        kinds = {analysis.name: analysis.kind for analysis in self.plan.analyses}
        for task in self.provenance["tasks"]:
            if kinds[task["analysis"]] == "encoding" and (seed is None or task["seed"] == seed):
                name = "/".join(str(part) for part in (task["analysis"], task["dataset"], task["subject"], task["session"]) if part is not None)
                groups.setdefault(name, {}).setdefault(task["seed"], []).append(task["key"])
        found = {}
        for name, seeds in groups.items():
            full = predictions and len(seeds) == 1
            stacked = [stored.stack([stored.read_scores(store, key, full=full) for key in keys]) for keys in seeds.values()]
            found[name] = _join_seeds(stacked)
        return found

    def evaluations(self) -> dict[str, Evaluation]:
        """Return the comparisons of every RSA, keyed ``analysis/dataset/method``."""
        from brainenc.nouns import read

        found = {}
        for row in self.provenance["evaluations"]:
            noun = read(self.root / row["path"])
            if not isinstance(noun, Evaluation):
                raise DataError("file holds no evaluation", where=self.root / row["path"])
            found["/".join(row[name] for name in ("analysis", "dataset", "method"))] = noun
        return found

    def rdms(self) -> dict[str, tuple[RDMs, RDMs]]:
        """Return, for every RSA with finished tasks, the RDMs of the data (subject, roi …) and those of the layers (model, layer)."""
        from brainenc.study.evaluations import collect

        store = Store(self.root / "store")
        found = {}
        for analysis in self.plan.analyses:
            mine = [task for task in self.provenance["tasks"] if task["analysis"] == analysis.name and analysis.kind == "rsa"]
            data, layers = ([task["key"] for task in mine if (task["layer"] is None) == wanted] for wanted in (True, False))
            if data and layers:
                found[analysis.name] = collect(store, data, layers, name=analysis.name)
        return found

    def card(self, *, n_boot: int = 1000) -> str:
        """Return the claims of the study in words: per unit and region the best layer with score, interval, ceiling, n, split, caveats.

        Where inner scores allow it the layer is chosen on training rows, so the held-out score is not inflated by the choice;
        else the text says that it is. The interval is the 95 % percentile bootstrap over test stimuli of the median over targets,
        where predictions were kept.

        Of an RSA: per group the layer with the best mean score, with interval, ceilings and claim, or that nothing may be claimed because the
        interval of the lower ceiling includes zero.
        """
        from brainenc.study.card import write_card

        return write_card(self, n_boot=n_boot)

    def __repr__(self) -> str:
        done, of = self.provenance["n_done"], self.provenance["n_tasks"]
        return f"Results({self.plan.name!r}, {done} of {of} tasks, {len(self.failures)} failures, {str(self.root)!r})"

    def _repr_html_(self) -> str:
        rows = {
            "folder": self.root,
            "tasks": f"{self.provenance['n_done']} of {self.provenance['n_tasks']} done",
            "failures": len(self.failures),
            "maps": len(self.maps),
        }
        columns = [name for name in ("subject", "session", "roi", "model", "layer", "metric", "score", "ceiling", "n_test") if name in self.summary]
        shown = self.summary.sort_values("score", ascending=False).head(12)[columns] if len(self.summary) else self.summary
        return facts(f"Results of {self.plan.name}", rows) + shown.to_html(escape=True, index=False, float_format="%.3f", na_rep="")


def read_results(path: str | Path) -> Results:
    """Read the results folder that `run` wrote.

    Raises
    ------
    DataError
        When the folder is not there, or a run in it is unfinished: outputs are missing, or belong to another plan.
    """
    root = Path(path)
    if not (root / outputs.PROVENANCE).is_file():
        if (root / folder.PLAN).is_file():
            raise _unfinished(root, f"no {outputs.PROVENANCE}")
        raise DataError("no finished results here", where=root, expected=outputs.PROVENANCE, fix="give the folder that a run wrote")
    try:
        provenance = json.loads((root / outputs.PROVENANCE).read_text(encoding="utf-8"))
        plan = Plan.from_dict(provenance["plan"], where=outputs.PROVENANCE)
        missing = folder.what_is_missing(root, provenance)
        if missing:
            raise _unfinished(root, missing)
        tables = [_read_csv(root / name) for name in (outputs.SUMMARY, outputs.MAPS, outputs.FAILURES)]
    except BrainencError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "run the plan again: stored tasks are used"
        raise DataError("results folder is damaged", where=root, got=f"{type(error).__name__}: {error}", fix=fix) from error
    summary, maps, failures = tables
    return Results(root=root, plan=plan, summary=summary, maps=maps, failures=failures, provenance=provenance)


def _unfinished(root: Path, got: str) -> DataError:
    fix = f"start it again: brainenc run {root / folder.PLAN} --out {root}" if (root / folder.PLAN).is_file() else "start it again from its plan"
    return DataError("the run is unfinished", where=root, got=got, fix=fix)


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=dict.fromkeys(NAMES, "object"), keep_default_na=False, na_values=[""])


def _join_seeds(per_seed: list[Scores]) -> Scores:
    """Stack scores of several split seeds: entries one after the other, the split in words without its seed."""
    first = per_seed[0]
    if len(per_seed) == 1:
        return first
    seeds = ", ".join(str(scores.entries["seed"].iloc[0]) for scores in per_seed)
    text = f"{first.split.rsplit(', seed', 1)[0]}, seeds {seeds}"
    n_test = np.minimum.reduce([scores.n_test for scores in per_seed])
    ceiling = first.ceiling
    if ceiling is not None:
        ceiling = replace(ceiling, values=np.mean([s.ceiling.values for s in per_seed if s.ceiling is not None], axis=0), ci=None)
    bare = [replace(s, split=text, n_test=n_test, ceiling=ceiling, predictions={}, observed={}, test_rows={}) for s in per_seed]
    return Scores.stack(bare)
