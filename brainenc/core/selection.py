"""Selections written as text, read by a small parser of our own and never by ``eval``.

``"roi == 'V4' and noise_ceiling > 0.3"`` may hold columns, literals, comparisons (chained too), ``in`` and ``not in``
with a list of literals, ``and``, ``or``, ``not`` and parentheses. Everything else (calls, attributes, arithmetic,
subscripts, names of functions) is refused before any value is looked at.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError

Mask = npt.NDArray[np.bool_]
MAX_LENGTH = 2000
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """A parsed selection: ``text`` as given and the ``columns`` it reads."""

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr

    def mask(self, table: pd.DataFrame) -> Mask:
        """Return the boolean mask (n_rows,) of the rows of ``table`` that the selection keeps."""
        for column in self.columns:
            _column(table, column, self.text)
        return _truth(self._tree, table, self.text)


def parse(text: str) -> Selection:
    """Parse a selection, or raise `InputError` naming the part that is not allowed."""
    if not isinstance(text, str) or not text.strip():
        raise InputError("a selection is a non-empty text", got=repr(text))
    if len(text) > MAX_LENGTH:
        raise InputError("selection is too long", expected=f"at most {MAX_LENGTH} characters", got=len(text))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError("selection cannot be read", where=repr(text), got=str(error)) from None
    columns: dict[str, None] = {}
    _check_truth(tree, text, columns)
    return Selection(text=text, columns=tuple(columns), _tree=tree)


def select(table: pd.DataFrame, text: str | None = None, **equals: Any) -> npt.NDArray[np.intp]:
    """Return the row positions of ``table`` kept by a text selection and by column=value pairs.

    A list, tuple or set as value means "is one of".
    """
    mask = np.ones(len(table), dtype=bool) if text is None else parse(text).mask(table)
    for name, wanted in equals.items():
        column = _column(table, name, f"{name}=…")
        options = list(wanted) if isinstance(wanted, list | tuple | set | frozenset | np.ndarray) else [wanted]
        mask &= _is_in(column, options)
    return np.flatnonzero(mask)


def _check_truth(node: ast.expr, text: str, columns: dict[str, None]) -> None:
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            _check_truth(value, text, columns)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check_truth(node.operand, text, columns)
    elif isinstance(node, ast.Compare):
        _check_compare(node, text, columns)
    elif isinstance(node, ast.Name):
        columns[node.id] = None
    else:
        _refuse(node, text)


def _check_compare(node: ast.Compare, text: str, columns: dict[str, None]) -> None:
    terms = [node.left, *node.comparators]
    for position, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
        if isinstance(op, ast.In | ast.NotIn):
            if len(node.ops) != 1 or position != 0 or not isinstance(right, ast.List | ast.Tuple | ast.Set):
                _refuse(right, text)
            for item in right.elts:  # type: ignore[attr-defined]
                _literal(item, text)
            terms = [node.left]
        elif type(op) not in _COMPARE:
            _refuse(node, text)
    for term in terms:
        if isinstance(term, ast.Name):
            columns[term.id] = None
        else:
            _literal(term, text)
    if not any(isinstance(term, ast.Name) for term in terms):
        _refuse(node, text)


def _literal(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    return _refuse(node, text)


def _refuse(node: ast.AST, text: str) -> Any:
    part = ast.get_source_segment(text.strip(), node) if isinstance(node, ast.expr) else None
    raise InputError(
        "selection uses something that is not allowed",
        where=repr(text),
        expected="columns, literals, comparisons, in, and/or/not",
        got=repr(part) if part else type(node).__name__,
    )


def _truth(node: ast.expr, table: pd.DataFrame, text: str) -> Mask:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, table, text) for value in node.values]
        reduce = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return np.asarray(reduce.reduce(parts), dtype=bool)
    if isinstance(node, ast.UnaryOp):
        return ~_truth(node.operand, table, text)
    if isinstance(node, ast.Compare):
        return _compare(node, table, text)
    column = _column(table, node.id, text)  # type: ignore[attr-defined]
    if not pd.api.types.is_bool_dtype(column):
        raise InputError("a bare column must be boolean", where=repr(text), got=f"{column.name!r} of dtype {column.dtype}")
    return np.asarray(column.fillna(False), dtype=bool)


def _compare(node: ast.Compare, table: pd.DataFrame, text: str) -> Mask:
    mask = np.ones(len(table), dtype=bool)
    left: ast.expr = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            options = [_literal(item, text) for item in right.elts]  # type: ignore[attr-defined]
            inside = _is_in(_term(left, table, text), options)
            mask &= inside if isinstance(op, ast.In) else ~inside
        else:
            mask &= _apply(_COMPARE[type(op)], _term(left, table, text), _term(right, table, text), text)
        left = right
    return mask


def _apply(compare: Callable[[Any, Any], Any], left: Any, right: Any, text: str) -> Mask:
    try:
        return np.asarray(pd.Series(compare(left, right)).fillna(False), dtype=bool)
    except TypeError as error:
        raise InputError("selection compares values of different kinds", where=repr(text), got=str(error)) from None


def _term(node: ast.expr, table: pd.DataFrame, text: str) -> Any:
    if isinstance(node, ast.Name):
        return _column(table, node.id, text).reset_index(drop=True)
    return _literal(node, text)


def _is_in(column: Any, options: list[Any]) -> Mask:
    series = pd.Series(np.asarray(column, dtype=object))
    return np.asarray(series.isin(options), dtype=bool)


def _column(table: pd.DataFrame, name: str, text: str) -> pd.Series:
    if name in table.columns:
        return table[name]
    if name == table.index.name:
        return pd.Series(table.index, name=name)
    raise NotFoundError(
        f"no column {name!r}", where=f"selection {text!r}", expected=examples(table.columns, 12), fix=did_you_mean(name, table.columns)
    )
