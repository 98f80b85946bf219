"""The command line: ``brainenc demo``, ``brainenc score v4_cowley2023 --model …``, ``brainenc run study.toml``.

Exit codes: 0 done, 1 some tasks failed, 2 usage or input error, 130 interrupted. Nothing heavy is imported before a
command runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from brainenc.cli.parser import build_parser

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is one message on stderr (a traceback only with ``-vv``)."""
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if not args.command:
        parser.print_help()
        return USAGE
    from brainenc.cli.console import quiet_libraries
    from brainenc.core.errors import BrainencError

    level = args.verbose - args.quiet
    try:
        with quiet_libraries(level):
            return int(importlib.import_module(f"brainenc.cli.commands.{args.command}").execute(args))
    except KeyboardInterrupt:
        print(f"\ninterrupted: {args.resume}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, e.g. `brainenc list models | head`
        sys.stderr.close()
        return DONE
    except (BrainencError, MemoryError) as error:
        if level >= 2:
            raise
        print(f"brainenc {args.command}: {error or 'out of memory'}", file=sys.stderr)
        return USAGE
    except Exception as error:
        if level >= 2:
            raise
        print(f"brainenc {args.command}: unexpected {type(error).__name__}: {error} (-vv shows where; please report it)", file=sys.stderr)
        return USAGE


__all__ = ["main"]
