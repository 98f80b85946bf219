"""The four errors of the package, and the grammar of their messages.

A message says what is wrong, where, what was expected, what was found, and what to do next::

    raise InputError(
        "responses and features share no stimulus",
        where="score_layers", expected="overlapping stimulus_id", got="0 of 600", fix="load both from one data set",
    )
"""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"[\w.]+[=(]")


class BrainencError(Exception):
    """Base of every error that brainenc raises on purpose.

    Parameters
    ----------
    what : str
        What is wrong, one sentence.
    where : str, optional
        The function, file, key or column at fault.
    expected, got : object, optional
        What should have been there and what was.
    fix : str, optional
        What the user can do next.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        self.what = what
        super().__init__(compose(what, where=where, expected=expected, got=got, fix=fix))

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InputError(BrainencError, ValueError):
    """An argument, a table or a plan that cannot be used as it is."""


class DataError(BrainencError, OSError):
    """A file that is missing, damaged, hostile or not what it claims to be, or that cannot be written."""


class MissingExtraError(BrainencError, ImportError):
    """An optional dependency that is not installed; the message names the extra to install."""


class NotFoundError(BrainencError, KeyError):
    """A name that no catalogue, registry or table knows; the message names the nearest ones."""


class BrainencWarning(UserWarning):
    """Something the user should know and that does not stop the work."""


def compose(what: str, *, where: Any = None, expected: Any = None, got: Any = None, fix: str | None = None) -> str:
    """Join the parts of a message in the order what, where, expected, got, fix."""
    text = what if where is None else f"{what} [{where}]"
    if expected is not None or got is not None:
        parts = [f"expected {expected}" if expected is not None else "", f"got {got}" if got is not None else ""]
        text += ": " + ", ".join(part for part in parts if part)
    if fix:
        # what is to be typed (folds=…, be.Responses(…)) keeps its case
        sentence = fix if _CODE.match(fix) else fix[0].upper() + fix[1:]
        text = f"{text.rstrip('.')}. {sentence}{'' if sentence[-1] in '.?!' else '.'}"
    return text
