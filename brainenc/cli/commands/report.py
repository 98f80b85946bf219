"""``brainenc report FOLDER``."""

from __future__ import annotations

import argparse
from pathlib import Path

from brainenc.cli.console import say


def execute(args: argparse.Namespace) -> int:
    """Write the report of a results folder and print its path."""
    from brainenc.reporting import report
    from brainenc.study import read_results

    results = read_results(args.folder)
    say(str(report(results, args.out or Path(args.folder) / "report.html", title=args.title)))
    return 0
