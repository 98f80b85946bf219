"""From a decoded image to the pixels a network was trained on: resize, centre crop, scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

KEYS = ("size", "interpolation", "crop", "mean", "std")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
SQUASH = "squash"


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How an image becomes the input of a network.

    The shorter side is resized to ``size / crop`` (antialiased, in uint8), the centre is cropped to ``size``, and the values,
    scaled to 0–1, become (value − mean) / std. With ``crop="squash"`` the image is resized to ``size`` whatever its shape.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels.
    interpolation : str
        One of nearest, bilinear, bicubic, lanczos, box, hamming.
    crop : float or "squash"
        Share of the resized image that the crop keeps, above 0 and at most 1.
    mean, std : three floats
        Per colour channel, for values in 0–1.
    """

    size: tuple[int, int] = (224, 224)
    interpolation: str = "bicubic"
    crop: float | str = 1.0
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @classmethod
    def build(cls, own: Mapping[str, Any], override: Mapping[str, Any] | None = None) -> Preprocess:
        """Return a network's own settings with those of the user in their place.

        Raises
        ------
        InputError
            For an unknown key or a value that makes no sense.
        """
        override = dict(override or {})
        for key in override:
            if key not in KEYS:
                raise InputError(f"unknown key {key!r}", where="preprocess", expected=f"one of {', '.join(KEYS)}", fix=did_you_mean(key, KEYS))
        given = {**own, **override}
        return cls(
            size=_size(given.get("size", (224, 224))),
            interpolation=_interpolation(given.get("interpolation", "bicubic")),
            crop=_crop(given.get("crop", 1.0)),
            mean=_triple(given.get("mean", (0.5, 0.5, 0.5)), "mean"),
            std=_triple(given.get("std", (0.5, 0.5, 0.5)), "std", positive=True),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON data, for keys and provenance."""
        return {"size": list(self.size), "interpolation": self.interpolation, "crop": self.crop, "mean": list(self.mean), "std": list(self.std)}

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Resize and crop one image (height, width, 3) to uint8 (3, *size)."""
        from PIL import Image

        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise InputError("not an RGB image", where="preprocess", expected="uint8 (height, width, 3)", got=f"{image.dtype} {image.shape}")
        picture = Image.fromarray(image)
        wanted = self._resized(image.shape[0], image.shape[1])
        if wanted != image.shape[:2]:
            picture = picture.resize((wanted[1], wanted[0]), resample=Image.Resampling[self.interpolation.upper()])
        top, left = (round((have - want) / 2) for have, want in zip(wanted, self.size, strict=True))
        cut = np.asarray(picture)[top : top + self.size[0], left : left + self.size[1]]
        return np.ascontiguousarray(cut.transpose(2, 0, 1))

    def normalise(self, batch: npt.NDArray[np.uint8], device: str = "cpu") -> Tensor:
        """Return float32 (n, 3, height, width) on ``device``: scaled to 0–1, minus the mean, over the standard deviation."""
        import torch

        x = torch.from_numpy(batch).to(device).to(torch.float32).div_(255.0)
        mean, std = (torch.tensor(v, dtype=torch.float32, device=x.device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return x.sub_(mean).div_(std)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.crop == SQUASH:
            return self.size
        # one scale for both axes, such that the crop fits; a hair is added so that 224 / (224 / 232) is 232
        targets = [math.floor(side / float(self.crop) + 1e-6) for side in self.size]
        if self.size[0] == self.size[1]:
            short, target = min(height, width), targets[0]
            return (target, int(target * width / short)) if height <= width else (int(target * height / short), target)
        scale = max(targets[0] / height, targets[1] / width)
        return max(targets[0], round(height * scale)), max(targets[1], round(width * scale))


def _size(value: Any) -> tuple[int, int]:
    sides = (value, value) if isinstance(value, int | np.integer) else tuple(value) if isinstance(value, Sequence) else ()
    if len(sides) != 2 or not all(isinstance(s, int | np.integer) and not isinstance(s, bool) and 1 <= s <= 8192 for s in sides):
        raise InputError("not a size in pixels", where="preprocess size", expected="one integer, or height and width", got=repr(value))
    return int(sides[0]), int(sides[1])


def _interpolation(value: Any) -> str:
    name = str(value).lower()
    if name not in INTERPOLATIONS:
        raise InputError("unknown interpolation", where="preprocess", expected=f"one of {', '.join(INTERPOLATIONS)}", got=repr(value))
    return name


def _crop(value: Any) -> float | str:
    if value == SQUASH:
        return SQUASH
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value <= 1:
        raise InputError("not a crop", where="preprocess", expected='a share above 0 and at most 1, or "squash"', got=repr(value))
    return float(value)


def _triple(value: Any, name: str, *, positive: bool = False) -> tuple[float, ...]:
    try:
        numbers = tuple(float(v) for v in ([value] * 3 if isinstance(value, int | float) else value))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(math.isfinite(v) and (v > 0 or not positive) for v in numbers):
        raise InputError(f"not a {name} per colour channel", where="preprocess", expected="three numbers", got=repr(value))
    return numbers
