"""``brainenc score DATASET --model …``: a plan with one analysis, made from arguments."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brainenc.cli.commands.run import run_plan
from brainenc.core.checks import slug
from brainenc.core.errors import InputError


def execute(args: argparse.Namespace) -> int:
    """Build the plan, then run or preview it."""
    args.out = out_of(args)
    return run_plan(make_plan(args), args)


def out_of(args: argparse.Namespace, kind: str = "scores") -> str:
    """Return the results folder: ``--out``, or one that is named after the data set."""
    return args.out or f"{slug(Path(args.dataset).stem if args.dataset.endswith('.toml') else args.dataset)}-{kind}"


def make_plan(args: argparse.Namespace) -> Any:
    """Return the plan that the arguments of ``score`` describe."""
    analysis: dict[str, Any] = {
        "split": split_of(args), "metric": args.metric or ["pearson"], "aggregate": args.aggregate, "reduce": args.score_reduce,
        "permutations": args.permutations, "bootstrap": args.bootstrap, "keep_predictions": not args.no_predictions,
    }  # fmt: skip
    if args.single_trials:
        analysis["average"] = False
    if args.hrf or args.delays:
        analysis["design"] = {k: v for k, v in (("hrf", args.hrf), ("delays", args.delays)) if v}
    if args.detrend or args.standardize:
        analysis["clean"] = {"detrend": args.detrend, **({"standardize": args.standardize} if args.standardize else {})}
    return plan_of(args, analysis, out_of(args))


def plan_of(args: argparse.Namespace, options: dict[str, Any], out: str, **settings: Any) -> Any:
    """Return the plan with one analysis: its options, and what every command that scores has arguments for."""
    from brainenc.study import Plan

    analysis: dict[str, Any] = {
        "dataset": args.dataset, "subjects": args.subject, "sessions": args.session, "variant": args.variant, "root": args.root, "roi": args.roi,
        "where": args.where, "models": models_of(args), **options,
    }  # fmt: skip
    table = {
        "name": Path(out).name or "study", "memory": args.memory, "threads": args.threads, "dtype": args.dtype, "device": args.device,
        "batch_size": args.batch_size, **settings, "analysis": [{name: value for name, value in analysis.items() if value is not None}],
    }  # fmt: skip
    return Plan.from_dict(table, where="arguments", base=Path.cwd())


def models_of(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the model tables of the arguments; layers, weights and the like go to every model."""
    shared = {
        "layers": (args.layers[0] if len(args.layers) == 1 else args.layers) if args.layers else None,
        "weights": args.weights, "pooling": args.pooling, "reduce": args.reduce,
        "model_kwargs": pairs(args.model_arg, "--model-arg") or None, "preprocess": pairs(args.preprocess, "--preprocess") or None,
    }  # fmt: skip
    return [{"name": name, **{k: v for k, v in shared.items() if v is not None}} for name in args.model]


def split_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the split table of the arguments."""
    kind = args.split
    table: dict[str, Any] = {"kind": kind}
    if args.test is not None:
        table["test"] = args.test if kind == "column" else _share(args.test)
    if args.folds is not None:
        table["n"] = args.folds
    if args.groups is not None:
        table["name" if kind == "column" else "groups"] = args.groups
    if args.gap is not None:
        table["gap"] = args.gap
    if args.gap_seconds is not None:
        table["seconds"] = args.gap_seconds
    if args.seed is not None:
        table |= {"seed": args.seed[0]} if len(args.seed) == 1 else {"seeds": args.seed}
    return table


def pairs(items: Sequence[str], option: str) -> dict[str, Any]:
    """Return ``{key: value}`` of ``KEY=VALUE`` texts; a value is TOML where it reads as such, else text."""
    found = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise InputError("not of the form KEY=VALUE", where=option, got=repr(item))
        try:
            found[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = text
    return found


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError("must be a share between 0 and 1", where="--test", got=repr(text)) from None
