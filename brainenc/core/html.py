"""Escaped HTML fragments for ``_repr_html_``; whole pages are made by reporting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def facts(title: str, rows: Mapping[str, object]) -> str:
    """Return a small two-column table with a title; every text is escaped."""
    body = "".join(f"<tr><th style='text-align:left'>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in rows.items())
    return f"<div><b>{escape(title)}</b><table>{body}</table></div>"


def grid(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a plain table with a header row; every cell is escaped."""
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
