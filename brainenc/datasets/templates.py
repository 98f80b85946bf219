"""Path templates: ``{subject}`` and ``{run:02d}`` filled without `str.format`, and paths that stay inside their folder."""

from __future__ import annotations

import re
from collections.abc import Mapping

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError

_FIELD = re.compile(r"\{([a-z_]+)(?::0?(\d{1,2})d)?\}")
_MAX_WIDTH = 12
_MAX_LENGTH = 1000


def fill(template: str, values: Mapping[str, object], where: str) -> str:
    """Return the template with its fields replaced: ``fill("run-{run:02d}", {"run": 3}, …)`` is ``"run-03"``.

    Only the given names and the form ``:0Nd`` are understood: no attributes, no indices, no other format.
    """
    if len(template) > _MAX_LENGTH:
        raise InputError("template is too long", where=where, expected=f"at most {_MAX_LENGTH} characters", got=len(template))

    def replace(match: re.Match[str]) -> str:
        name, width = match[1], match[2]
        if name not in values:
            raise InputError(
                f"unknown field {{{name}}}", where=f"{where}: {template!r}", expected=_listed(values), fix=did_you_mean(name, values)
            )
        text = str(values[name])
        if width is None:
            return text
        if int(width) > _MAX_WIDTH or not re.fullmatch(r"-?\d+", text):
            raise InputError("field cannot be written as a number of that width", where=f"{where}: {template!r}", got=f"{name} = {text!r}")
        return f"{int(text):0{int(width)}d}"

    rest = _FIELD.sub("", template)
    if "{" in rest or "}" in rest:
        raise InputError(
            "template cannot be read", where=f"{where}: {template!r}", expected=f"fields like {_listed(values)}, or {{run:02d}}"
        )
    return _FIELD.sub(replace, template)


def parse(template: str, text: str, where: str) -> dict[str, int]:
    """Return the whole numbers that stand in ``text`` where the template has its fields: the reverse of `fill`."""
    expression = ""
    position = 0
    for match in _FIELD.finditer(template):
        expression += re.escape(template[position : match.start()]) + rf"(?P<{match[1]}>\d{{1,18}})"
        position = match.end()
    found = re.fullmatch(expression + re.escape(template[position:]), text)
    if found is None:
        raise InputError("text does not have the form of the template", where=f"{where}: {template!r}", got=repr(text))
    return {name: int(digits) for name, digits in found.groupdict().items()}


def field_names(template: str) -> set[str]:
    """Return the names of the fields of a template."""
    return {match[1] for match in _FIELD.finditer(template)}


def inside(path: str, where: str) -> str:
    """Return a relative path that cannot leave its folder, or raise `InputError`."""
    parts = re.split(r"/|\\|::", path)
    bad = (
        not path.strip()
        or path.startswith(("/", "~"))
        or "\\" in path
        or ".." in parts
        or bool(re.match(r"[A-Za-z]:(?!:)", path))
        or any(ord(c) < 32 or ord(c) == 127 for c in path)
    )
    if bad:
        raise InputError(
            "path leaves the folder of the data set or is not portable", where=where, expected="a relative path without ..", got=repr(path)
        )
    return path


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{{{name}}}" for name in values) or "no field here"
