"""``brainenc rsa DATASET --model …``: a plan with one representational similarity analysis, made from arguments."""

from __future__ import annotations

import argparse
from typing import Any

from brainenc.cli.commands.run import run_plan
from brainenc.cli.commands.score import out_of, plan_of


def execute(args: argparse.Namespace) -> int:
    """Build the plan, then run or preview it."""
    args.out = out_of(args, "rsa")
    return run_plan(make_plan(args), args)


def make_plan(args: argparse.Namespace) -> Any:
    """Return the plan that the arguments of ``rsa`` describe."""
    options: dict[str, Any] = {
        "kind": "rsa", "metric": args.metric, "folds": args.folds, "noise": args.noise, "model_metric": args.model_metric, "compare": args.compare,
        "by": args.by, "conditions": args.conditions, "average": True if args.average else None, "bootstrap": args.bootstrap,
        "permutations": args.permutations, "resample": args.resample, "ceiling": not args.no_ceiling,
    }  # fmt: skip
    return plan_of(args, options, out_of(args, "rsa"), seed=args.seed)
