"""``brainenc fetch NAME``."""

from __future__ import annotations

import argparse

from brainenc.cli.console import progress, say


def execute(args: argparse.Namespace) -> int:
    """Download a data set and print where it is."""
    from brainenc import datasets

    say(str(datasets.fetch(args.dataset, root=args.root, progress=progress(args))))
    return 0
