"""Images to ``uint8`` arrays, with a limit before anything is decoded."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import human_bytes, parse_bytes
from brainenc.core.errors import DataError
from brainenc.io.paths import existing_file, read_errors

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 50_000_000
MAX_BYTES = "256MB"
_SINGLE = {"PNG", "GIF", "TIFF", "WEBP"}  # kinds whose further frames are other pictures


def read_image(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: str | int = MAX_BYTES,
) -> npt.NDArray[np.uint8]:
    """Read an image as an array ``(height, width, 3)`` of ``uint8``.

    Transparency is composited on white, palettes and greys become RGB, 16-bit greys are divided by 257 and rounded,
    CMYK is converted by Pillow's plain formula. Colour profiles and EXIF orientation are left alone: pixels come as they are stored.

    Parameters
    ----------
    source : str, Path or bytes
        A file, or an encoded image (from an archive member).
    name : str, optional
        What to call a bytes source in messages.
    max_pixels : int
        Limit on width × height, checked before decoding.
    max_bytes : str or int
        Limit on the encoded size.

    Raises
    ------
    DataError
        Missing, damaged, truncated, too large, animated, or of another kind than PNG, JPEG, BMP, GIF, TIFF, WEBP, PPM.

    Examples
    --------
    >>> read_image("scene.png").shape                                    # doctest: +SKIP
    (96, 96, 3)
    """
    where = name or ("image bytes" if isinstance(source, bytes) else source)
    encoded = source if isinstance(source, bytes) else _encoded(source, parse_bytes(max_bytes))
    if len(encoded) > parse_bytes(max_bytes):
        raise DataError("image file is too large", where=where, expected=f"at most {max_bytes}", got=human_bytes(len(encoded)))
    from PIL import Image

    with read_errors(where), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about sizes and damaged EXIF; sizes are checked below
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise DataError("image has too many pixels", where=where, expected=f"at most {max_pixels}", got=f"{image.width} × {image.height}")
            if image.format in _SINGLE and getattr(image, "n_frames", 1) > 1:
                raise DataError("image has several frames", where=where, expected="one", got=image.n_frames)  # type: ignore[attr-defined]
            return _rgb(image, where)


def _rgb(image: Any, where: object) -> npt.NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I;16"):
        grey = np.rint(np.asarray(image, dtype=np.float64) / 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise DataError("image has no fixed range of values", where=where, got=f"mode {image.mode}", fix="store it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    return np.asarray(image.convert("RGB"), dtype=np.uint8).copy()


def _encoded(source: str | Path, limit: int) -> bytes:
    path = existing_file(source)
    with read_errors(path), open(path, "rb") as stream:
        return stream.read(limit + 1)
