"""The HTML report of scores or of a whole study: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from typing import Any

__all__ = ["report"]


def __getattr__(name: str) -> Any:
    if name != "report":
        raise AttributeError(f"module 'brainenc.reporting' has no attribute {name!r}")
    from brainenc.reporting.page import report

    globals()[name] = report
    return report


def __dir__() -> list[str]:
    return __all__
