"""The listed ways from a stored array to an image; nothing else is ever applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import DataError, InputError

Array = npt.NDArray[Any]


def _transpose(array: Array, where: str) -> Array:
    if array.ndim < 2:
        raise DataError("a stimulus with one axis cannot be transposed", where=where, got=f"shape {array.shape}", fix="use matlab_square")
    return np.swapaxes(array, 0, 1)


def _matlab_square(array: Array, where: str) -> Array:
    side = round(array.size**0.5)
    if side * side != array.size:
        raise DataError("stimulus is not a square image", where=where, expected="a square number of pixels", got=array.size)
    return array.reshape(-1).reshape(side, side, order="F")


def _matlab28(array: Array, where: str) -> Array:
    if array.size != 784:
        raise DataError("stimulus is not an image of 28 × 28 pixels", where=where, expected=784, got=array.size)
    return _matlab_square(array, where)


def _channels_first(array: Array, where: str) -> Array:
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise DataError("stimulus has no leading channel axis", where=where, expected="(1 or 3, height, width)", got=f"shape {array.shape}")
    return np.moveaxis(array, 0, -1)


def _flip_rows(array: Array, where: str) -> Array:
    return array[::-1]


def _unit(array: Array, where: str) -> Array:
    return _scaled(array, 0.0, 1.0, where)


def _signed(array: Array, where: str) -> Array:
    return _scaled(array, -1.0, 1.0, where)


def _byte(array: Array, where: str) -> Array:
    return _scaled(array, 0.0, 255.0, where)


def _gray(array: Array, where: str) -> Array:
    if array.ndim != 3 or array.shape[2] != 3:
        raise DataError("stimulus has no three colours", where=where, got=f"shape {array.shape}")
    luma = array.astype(np.float64) @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    return np.rint(luma).astype(np.uint8) if array.dtype.kind in "iu" else luma


def _invert(array: Array, where: str) -> Array:
    return 255 - _bytes(array, where)


TRANSFORMS: dict[str, Callable[[Array, str], Array]] = {
    "byte": _byte,
    "channels_first": _channels_first,
    "flip_rows": _flip_rows,
    "gray": _gray,
    "invert": _invert,
    "matlab28": _matlab28,
    "matlab_square": _matlab_square,
    "signed": _signed,
    "transpose": _transpose,
    "unit": _unit,
}
"""What each name does: ``transpose`` swaps rows and columns; ``matlab_square`` and ``matlab28`` fold a flat, column-major row;
``channels_first`` moves the first axis last; ``flip_rows`` turns upside down; ``unit`` (0 to 1), ``signed`` (-1 to 1) and ``byte``
(0 to 255) turn floats into bytes; ``gray`` is BT.601 luma; ``invert`` swaps black and white."""


def check_transform(names: str, where: str = "transform") -> tuple[str, ...]:
    """Return the names of a ``"first+second"`` transform, or raise `InputError` with the ones there are."""
    parts = tuple(name.strip() for name in names.split("+")) if names else ()
    for name in parts:
        if name not in TRANSFORMS:
            raise InputError(
                "unknown transform", where=where, expected=", ".join(TRANSFORMS), got=repr(name), fix=did_you_mean(name, TRANSFORMS)
            )
    return parts


def as_image(array: Array, transform: str, where: str) -> npt.NDArray[np.uint8]:
    """Return a stored array as ``uint8 (height, width, 3)`` after the listed transforms.

    Raises
    ------
    DataError
        When the values are no bytes (floats need ``unit``, ``signed`` or ``byte``) or the shape is no image.
    """
    for name in check_transform(transform, where):
        array = TRANSFORMS[name](array, where)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise DataError(
            "stored stimulus is no image", where=where, expected="(height, width) or (height, width, 3)", got=f"shape {array.shape}",
            fix="name a transform such as matlab_square or channels_first",
        )  # fmt: skip
    return np.ascontiguousarray(_bytes(array, where))


def _bytes(array: Array, where: str) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind in "iu":
        if array.size and (array.min() < 0 or array.max() > 255):
            raise DataError("stimulus values are not bytes", where=where, expected="0 to 255", got=f"{array.min()} to {array.max()}")
        return array.astype(np.uint8)
    raise DataError(
        "stimulus holds fractions", where=where, got=f"dtype {array.dtype}", fix="say their range: transform unit, signed or byte"
    )


def _scaled(array: Array, low: float, high: float, where: str) -> Array:
    values = array.astype(np.float64)
    span = (float(values.min()), float(values.max())) if values.size else (low, high)
    if not (span[0] >= low - 1e-6 and span[1] <= high + 1e-6):
        raise DataError(
            "stimulus values are outside their range", where=where, expected=f"{low:g} to {high:g}", got=f"{span[0]:.4g} to {span[1]:.4g}"
        )
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
