"""What models and layers there are, without running anything."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainenc.core.errors import NotFoundError
from brainenc.core.fingerprint import canonical_json
from brainenc.features import hooks
from brainenc.features.adapters import FAMILIES, build, split_name
from brainenc.features.pooling import Layer

if TYPE_CHECKING:
    from brainenc.nouns import StimulusSet


def list_models(pattern: str | None = None) -> list[str]:
    """Return the names of models.

    Parameters
    ----------
    pattern : str, optional
        A glob over full names, e.g. ``"timm:*resnet*"``; a family's name alone gives all of its variants. Without a pattern,
        families are listed with ``":*"`` where they have variants.

    Examples
    --------
    >>> "gabor" in list_models()
    True
    """
    if pattern is None:
        return [_headline(family) for family in FAMILIES.names()]
    family, variant = split_name(pattern)
    if not any(c in family for c in "*?["):
        FAMILIES.get(family)
    families = [f for f in FAMILIES.names() if fnmatch.fnmatchcase(f, family)]
    names = [name for f in families for name in _names(f)]
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern if variant or ":" in pattern else f"{pattern}*")]
    if not found:
        raise NotFoundError(f"no model matches {pattern!r}", expected="names like " + ", ".join(names[:5]))
    return found


def list_layers(
    model: str, layers: str | Sequence[str] = "**", *, weights: Any = "pretrained", model_kwargs: Mapping[str, Any] | None = None, pooling: str = "gap",
    reduce: str | None = None, preprocess: Mapping[str, Any] | None = None, stimuli: StimulusSet | None = None,
) -> dict[str, int]:  # fmt: skip
    """Return the number of features of each layer, in the order of the network, without extracting anything.

    One probing pass of an untrained network tells (no weights are read or downloaded); it is kept in memory.

    Parameters
    ----------
    model, layers, model_kwargs, pooling, reduce, preprocess
        As in `extract`.
    weights
        Only a folder (of a text model) is looked at, for its configuration; no weights are read.
    stimuli : StimulusSet, optional
        Needed by the family ``table``; otherwise chooses the tower of a model that reads both images and texts.

    Returns
    -------
    dict of str to int
        Names without the model's name; layers for which the pooling does not fit are refused when named and left out of globs.
    """
    known, default = _layers(model, weights, model_kwargs, preprocess, stimuli)
    names = hooks.match(layers, known, default, model=model)
    exact = {layers} if isinstance(layers, str) else set(layers)
    widths: dict[str, int] = {}
    for name in names:
        try:
            widths[name] = known[name].width(pooling)
        except ValueError:
            if name in exact or "default" in exact:
                raise
    if reduce is not None:
        from brainenc.features.projection import parse

        widths = {name: min(width, parse(reduce)[1]) for name, width in widths.items()}
    return widths


def _layers(
    model: str, weights: Any, model_kwargs: Mapping[str, Any] | None, preprocess: Mapping[str, Any] | None, stimuli: StimulusSet | None
) -> tuple[Mapping[str, Layer], tuple[str, ...]]:
    kind = "any" if stimuli is None else stimuli.kind
    family = split_name(model)[0]
    if "table" in FAMILIES.get(family).KINDS:
        adapter = build(model, kind=kind, model_kwargs=model_kwargs, preprocess=preprocess)
        return adapter.layers(None if stimuli is None else adapter.inputs(stimuli)), adapter.default_layers
    folder = str(weights) if isinstance(weights, str | Path) and Path(weights).is_dir() else None
    return _probed(model, kind, folder, _Options(model_kwargs), _Options(preprocess))


class _Options:
    """A mapping that can be the key of a memory: compared by its canonical JSON."""

    def __init__(self, values: Mapping[str, Any] | None) -> None:
        self.values = values
        self._text = canonical_json(dict(values or {}))

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Options) and other._text == self._text


@lru_cache(maxsize=32)
def _probed(model: str, kind: str, folder: str | None, model_kwargs: _Options, preprocess: _Options) -> tuple[Mapping[str, Layer], tuple[str, ...]]:
    family = FAMILIES.get(split_name(model)[0])
    weights = folder or ("random" if getattr(family, "HAS_WEIGHTS", True) else "pretrained")
    adapter = build(model, kind=kind, weights=weights, model_kwargs=model_kwargs.values, preprocess=preprocess.values)
    return adapter.layers(), adapter.default_layers


def _names(family: str) -> list[str]:
    variants = FAMILIES.get(family).variants()
    return [f"{family}:{variant}" for variant in variants] or [family]


def _headline(family: str) -> str:
    return family if not getattr(FAMILIES.get(family), "VARIED", True) else f"{family}:*"
