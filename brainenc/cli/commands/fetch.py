"""``brainenc fetch NAME``."""

from __future__ import annotations

import argparse

from brainenc.cli.console import progress, say


def execute(args: argparse.Namespace) -> int:
    """Say what a download takes, do it, and print where the files are."""
    from brainenc import datasets

    which = {"subject": args.subject, "session": args.session, "variant": args.variant, "root": args.root}
    say(str(datasets.fetch_plan(args.dataset, **which)))
    if not args.dry_run:
        say(str(datasets.fetch(args.dataset, **which, progress=progress(args))))
    return 0
