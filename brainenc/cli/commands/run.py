"""``brainenc run STUDY.toml``, and what it shares with ``score`` and ``demo``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from brainenc.cli.console import progress, say, show
from brainenc.core.checks import human_bytes

if TYPE_CHECKING:
    import pandas as pd

    from brainenc.study import Plan, Results


MAX_CHANNELS = 24  # rows of recordings that are printed


def execute(args: argparse.Namespace) -> int:
    """Run or preview a plan read from a file."""
    from brainenc.study import Plan

    return run_plan(Plan.from_toml(args.plan), args)


def run_plan(plan: Plan, args: argparse.Namespace) -> int:
    """Run a plan, or print its tasks with ``--dry-run``; return the exit code."""
    if args.dry_run:
        return _preview(plan, args)
    from brainenc.study import run

    results = run(plan, args.out, n_jobs=args.n_jobs, progress=progress(args), overwrite=args.overwrite)
    best = best_layers(results)
    shown = best.nlargest(MAX_CHANNELS, "score") if "channel" in best and len(best) > MAX_CHANNELS else best
    for table in (shown, compared_layers(results)):
        show(table)
    if len(shown) < len(best):
        say(f"the {len(shown)} highest of {len(best)} rows; summary.csv holds them all")
    say(f"\ntables, maps and provenance: {results.root}")
    if args.report:
        from brainenc.reporting import report

        say(f"report: {report(results, results.root / 'report.html')}")
    return finish(results)


def finish(results: Results) -> int:
    """Say what failed; return 1 if anything did."""
    if not len(results.failures):
        return 0
    say(f"\n{len(results.failures)} failed; all are listed in {results.root / 'failures.csv'}:")
    grouped = results.failures.groupby(["step", "message"], sort=False, dropna=False).size()
    for (step, message), count in list(grouped.items())[:10]:
        say(f"  {step} ({count}): {message}")
    return 1


def best_layers(results: Results) -> pd.DataFrame:
    """Return one row per unit and region (or channel): the layer with the best score, averaged over split seeds, when, and its ceiling."""
    import pandas as pd

    summary = _summary_of(results, "encoding")
    if not len(summary):
        return pd.DataFrame()
    first = summary.groupby("analysis", sort=False)["metric"].transform("first")
    timed = [name for name in ("channel", "time") if name in summary and summary[name].notna().any()]
    keys = ["analysis", "dataset", "subject", "session", "roi", *(name for name in timed if name == "channel")]
    when = {"time": ("time", "mean")} if "time" in timed else {}
    layers = summary[summary["metric"] == first].groupby([*keys, "model", "layer", "metric"], sort=False, dropna=False)
    counts = {name: (name, "first") for name in ("n_targets", "n_test")}
    table = layers.agg(**when, score=("score", "mean"), ceiling=("ceiling", "mean"), **counts).reset_index()
    top = table.loc[table.groupby(keys, sort=False, dropna=False)["score"].transform("max") == table["score"]]
    shown = top.drop_duplicates(keys).reset_index(drop=True)
    constant = [name for name in ("analysis", "session", "roi") if shown[name].isna().all() or (name == "analysis" and shown[name].nunique() == 1)]
    return shown.drop(columns=constant)


def compared_layers(results: Results) -> pd.DataFrame:
    """Return one row per group and model of each RSA: its best layer by the first comparison, with interval, ceilings and q."""
    import pandas as pd

    summary = _summary_of(results, "rsa")
    if not len(summary):
        return pd.DataFrame()
    first = summary[summary["metric"] == summary.groupby("analysis", sort=False)["metric"].transform("first")]
    keys = [name for name in ("analysis", "dataset", "roi", "hemi", "channel", "time", "model") if name in first]
    better = first["score"].where(~first["metric"].str.endswith("distance"), -first["score"])
    top = first.loc[better.groupby([first[name] for name in keys], sort=False, dropna=False).transform("max") == better].drop_duplicates(keys)
    listed = [*keys, "layer", "metric", "score", "ci_low", "ci_high", "ceiling_low", "ceiling", "q", "claim"]
    shown = top[[name for name in listed if name in top]].reset_index(drop=True)
    return shown.drop(columns=["analysis"] if shown["analysis"].nunique() == 1 else [])


def _summary_of(results: Results, kind: str) -> pd.DataFrame:
    """Return the rows of the summary that belong to analyses of one kind, without the columns of the others."""
    names = [analysis.name for analysis in results.plan.analyses if analysis.kind == kind]
    summary = results.summary[results.summary["analysis"].isin(names)]
    return summary if "score" in summary else summary.iloc[:0]


def _preview(plan: Plan, args: argparse.Namespace) -> int:
    from brainenc.study import preview

    seen = preview(plan, args.out)
    table = seen.table
    for dataset, model, message in dict.fromkeys((f.where["dataset"], f.where["model"], f.message) for f in seen.failures):
        say(f"cannot be listed: {' '.join(part for part in (dataset, model) if part)}: {message}")
    if len(table):
        shown = table.drop(columns=["key"]).assign(memory=[human_bytes(n) for n in table["memory"]])
        show(shown.dropna(axis=1, how="all"))
        todo = table[~table["done"]]
        peak = int(table["memory"].max()) * max(1, args.n_jobs)
        say(f"\n{len(table)} tasks, {len(table) - len(todo)} done, {len(todo)} to do; about {human_bytes(peak)} at most with {args.n_jobs} job(s)")
    say(f"settings: memory {plan.memory}, {seen.plan.dtype}, {seen.plan.device}, {plan.threads} thread(s) a task, batches of {plan.batch_size}")
    return 1 if seen.failures else 0
