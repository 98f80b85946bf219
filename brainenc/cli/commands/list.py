"""``brainenc list datasets|models``."""

from __future__ import annotations

import argparse

from brainenc.cli.console import say, show
from brainenc.core.errors import NotFoundError


def execute(args: argparse.Namespace) -> int:
    """Print the names that are known."""
    return _datasets(args.pattern) if args.what == "datasets" else _models(args.pattern)


def _datasets(contains: str) -> int:
    import pandas as pd

    from brainenc import datasets

    rows = []
    for name in datasets.names():
        if contains.lower() in name.lower():
            manifest = datasets.manifest(name)
            rows.append({"name": name, "kind": manifest.kind, "subjects": len(manifest.subjects), "title": manifest.title})
    if not rows:
        raise NotFoundError(f"no data set's name contains {contains!r}", expected=f"one of {', '.join(datasets.names())}")
    show(pd.DataFrame(rows))
    return 0


def _models(pattern: str) -> int:
    from brainenc.features import list_models

    names = list_models(pattern) if any(c in pattern for c in ":*?[") else [name for name in list_models() if pattern.lower() in name.lower()]
    if not names:
        expected = f"a part of one of {', '.join(list_models())}"
        raise NotFoundError(f"no family of models contains {pattern!r}", expected=expected, fix=f"look for variants with a glob: '*:*{pattern}*'")
    for name in names:
        say(name)
    return 0
