"""From activations to one vector a stimulus.

====== ============================== ============================================= ==================
how    maps (C, H, W)                 tokens (T, D)                                 vectors (D,)
====== ============================== ============================================= ==================
none   all C·H·W values               all T·D values (images)                       as they are
gap    mean over the map              mean of the patch tokens, or of a text's own  as they are
mean   the same as gap                the same as gap                               as they are
max    maximum over the map           maximum over the same tokens                  as they are
gridK  mean in K × K cells            mean in K × K cells of the patch grid         as they are
cls    refused                        the class token, where the model has one      as they are
last   refused                        the last token of a text                      as they are
first  refused                        the first token of a text                     as they are
====== ============================== ============================================= ==================

Flattened maps and grids run over channel, row, column (C order).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainenc.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

WORDS = ("none", "gap", "max", "cls", "mean", "last", "first")
_TEXT_ONLY = ("last", "first")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer puts out for one stimulus.

    Parameters
    ----------
    name : str
        The library's own name of the module.
    kind : {"map", "tokens", "words", "vector"}
        "words" are the tokens of a text, whose number varies.
    shape : tuple of int
        Without the batch axis: (C, H, W) or (H, W, C), (T, D), (D,).
    channels_last : bool
        True for maps (H, W, C).
    batch_axis : int
        Where the library puts the batch (some transformers have it second).
    n_prefix : int
        Tokens before the patches (class and register tokens).
    has_cls : bool
        Whether token 0 is a class token.
    passive : bool
        True for modules that only pass their input on (identity, dropout).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    channels_last: bool = False
    batch_axis: int = 0
    n_prefix: int = 0
    has_cls: bool = False
    passive: bool = False

    def width(self, how: str) -> int:
        """Return the number of features after pooling; raises `InputError` where the pooling does not fit."""
        import torch

        if self.kind == "words":
            check(self, how)
            return self.shape[-1]
        return int(pool(torch.empty((1, *self.shape), device="meta"), self, how).shape[1])

    @property
    def n_values(self) -> int:
        """Number of values before pooling."""
        return math.prod(self.shape)


def parse(how: str) -> tuple[str, int]:
    """Split ``"grid4"`` into ("grid", 4); other words come with 0."""
    match = re.fullmatch(r"grid([1-9][0-9]{0,2})", how) if isinstance(how, str) else None
    if match:
        return "grid", int(match[1])
    if how not in WORDS:
        raise InputError("unknown pooling", expected=f"one of {', '.join(WORDS)}, gridK (K × K cells)", got=repr(how))
    return how, 0


def check(layer: Layer, how: str) -> None:
    """Raise `InputError` where a pooling does not fit a layer."""
    word, cells = parse(how)
    if layer.kind == "vector":
        return
    if layer.kind == "words":
        if word in ("none", "grid"):
            raise _misfit(layer, how, "texts have unequal numbers of tokens", "mean, max, last, first or cls")
        return
    if word in _TEXT_ONLY:
        raise _misfit(layer, how, "it is for texts", "gap, max or gridK")
    if word == "cls" and not layer.has_cls:
        reason = "it is a map" if layer.kind == "map" else "the model has no class token"
        raise _misfit(layer, how, reason, "gap, max or gridK")
    if word == "grid":
        height, width = _extent(layer, how)
        if cells > min(height, width):
            raise _misfit(layer, how, f"its map is only {height} × {width}", f"grid{min(height, width)} or less")


def pool(x: Tensor, layer: Layer, how: str, mask: Tensor | None = None) -> Tensor:
    """Return (n, n_features) in float32, never sharing memory with ``x``.

    Parameters
    ----------
    x : Tensor of shape (n, *layer.shape)
        Activations as the module gave them, with the batch first.
    layer : Layer
    how : str
        See the table at the top of the module.
    mask : bool Tensor of shape (n, T), optional
        For texts: the tokens that belong to the unit.
    """
    check(layer, how)
    word, cells = parse(how)
    if layer.kind == "vector" or word == "none":
        if layer.kind == "map" and layer.channels_last:
            x = x.permute(0, 3, 1, 2)
        return _fresh(x)
    if layer.kind == "words":
        return _pool_words(x, word, mask)
    if layer.kind == "tokens":
        if word == "cls":
            return _fresh(x[:, 0])
        x = x[:, layer.n_prefix :]
        if word == "grid":
            height, width = _extent(layer, how)
            return _grid(x.reshape(len(x), height, width, -1).permute(0, 3, 1, 2), cells)
        return _mean(x, (1,)) if word in ("gap", "mean") else _fresh(x.amax(1))
    if layer.channels_last:
        x = x.permute(0, 3, 1, 2)
    if word == "grid":
        return _grid(x, cells)
    return _mean(x, (2, 3)) if word in ("gap", "mean") else _fresh(x.amax((2, 3)))


def _pool_words(x: Tensor, word: str, mask: Tensor | None) -> Tensor:
    import torch

    if word == "cls":
        return _fresh(x[:, 0])
    keep = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
    if word in _TEXT_ONLY:
        positions = torch.arange(x.shape[1], device=x.device)
        at = torch.where(keep, positions, -1).amax(1) if word == "last" else torch.where(keep, positions, x.shape[1]).amin(1)
        return _fresh(x[torch.arange(len(x), device=x.device), at])
    if word == "max":
        return _fresh(x.masked_fill(~keep[..., None], -torch.inf).amax(1))
    weight = keep[..., None].to(torch.float32)
    return (x.to(torch.float32) * weight).sum(1) / weight.sum(1)


def _mean(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    import torch

    return x.mean(axes, dtype=torch.float32)


def _grid(x: Tensor, cells: int) -> Tensor:
    import torch

    return torch.nn.functional.adaptive_avg_pool2d(x.to(torch.float32), cells).flatten(1)


def _fresh(x: Tensor) -> Tensor:
    """Return a float32 copy: a module after this one may work in place on the same memory."""
    import torch

    return x.flatten(1).to(torch.float32, copy=True)


def _extent(layer: Layer, how: str) -> tuple[int, int]:
    if layer.kind == "map":
        return (layer.shape[0], layer.shape[1]) if layer.channels_last else (layer.shape[1], layer.shape[2])
    n_patches = layer.shape[0] - layer.n_prefix
    side = math.isqrt(max(n_patches, 0))
    if side * side != n_patches or side == 0:
        raise _misfit(layer, how, f"its {n_patches} patch tokens form no square grid", "gap or max")
    return side, side


def _misfit(layer: Layer, how: str, reason: str, fits: str) -> InputError:
    return InputError(
        f"pooling {how!r} does not fit layer {layer.name!r}", where=f"output {layer.shape} ({layer.kind})", got=reason, fix=f"use pooling {fits}"
    )
