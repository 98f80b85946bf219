"""Scenes drawn by rule: images, captions and the concepts behind them.

A scene shows one to three copies of a thing (its category, colour and texture), at one of five places, on one of nine
backgrounds, sometimes with a smaller second thing; hue, size, turn, light and noise vary freely. All attributes are drawn
independently and uniformly, so that chance is known. Scene i depends on the seed, the stream and i only, never on how many
scenes are drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed, generator
from brainenc.simulate.scene_backgrounds import BACKGROUNDS, PAINTERS
from brainenc.simulate.scene_captions import ATTRIBUTES, COUNTS, POSITIONS, captions
from brainenc.simulate.scene_objects import CATEGORIES, COLOURS, DRAWERS, OVERSAMPLING, TEXTURES, Brush, paste_over, shade

#: The columns that span the concept space: words (one-hot) and numbers; the table repeats them as ``concepts.<name>``.
CONCEPTS = (
    "category", "colour", "count", "position", "texture", "background", "second_category", "second_colour",
    "x", "y", "size", "luminance", "contrast",
)  # fmt: skip
SECOND_SHARE = 0.4
_CENTRES = {"left": (0.25, 0.5), "right": (0.75, 0.5), "top": (0.5, 0.26), "bottom": (0.5, 0.74), "centre": (0.5, 0.5)}
_SIZES = {1: (0.40, 0.50), 2: (0.30, 0.36), 3: (0.265, 0.30)}
# Things with an upright stay nearly upright; shapes turn a little more
_TILT = {name: (0.30 if name in ("circle", "ring", "star", "square", "triangle", "cross") else 0.14) for name in CATEGORIES}


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """Rendered scenes.

    Parameters
    ----------
    images : uint8 array of shape (n_scenes, size, size, 3)
    table : DataFrame of n_scenes rows
        ``stimulus_id``, category, colour, count, position, texture, background, second_category, second_colour, x, y, size
        (fractions of the image), luminance and contrast (0 to 1), caption, caption_2, caption_3, and ``concepts.*``: the columns of
        ``CONCEPTS`` again, with count as a word.
    """

    images: npt.NDArray[np.uint8]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)


def render_scenes(n: int, seed: int, size: int = 64, offset: int = 0, *, stream: str = "scenes") -> Scenes:
    """Draw ``n`` scenes.

    Parameters
    ----------
    n : int
        How many.
    seed : int
    size : int
        Pixels of a side, at least 16.
    offset : int
        Index of the first scene: ``render_scenes(3, 0, offset=5)`` are the last three of ``render_scenes(8, 0)``.
    stream : str
        Name of an independent series of scenes ("scenes" for data sets; ToyCLIP is trained and tested on others).

    Returns
    -------
    Scenes

    Raises
    ------
    InputError
        For a negative number, a size under 16 or an invalid seed.

    Examples
    --------
    >>> render_scenes(2, seed=0).images.shape
    (2, 64, 64, 3)
    """
    check_seed(seed)
    if n < 0 or offset < 0 or size < 16:
        raise InputError("scenes need n >= 0, offset >= 0 and size >= 16", where="render_scenes", got=f"n={n}, offset={offset}, size={size}")
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    rows = []
    for i in range(n):
        images[i], row = render_scene(generator(seed, "scene", stream, offset + i), size)
        rows.append({"stimulus_id": f"scene-{offset + i:05d}", **row})
    table = pd.DataFrame(rows, columns=["stimulus_id", *CONCEPTS, "caption", "caption_2", "caption_3"])
    for name in CONCEPTS:
        table[f"concepts.{name}"] = [COUNTS[int(value) - 1] for value in table["count"]] if name == "count" else table[name]
    return Scenes(images, table)


def render_scene(rng: np.random.Generator, size: int = 64) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """Draw one scene from a generator and return its image (size, size, 3) and its row of the table."""
    scene = _choose(rng)
    image = PAINTERS[str(scene["background"])](rng, size)
    canvas = Image.new("RGBA", (size * OVERSAMPLING,) * 2, (0, 0, 0, 0))
    diameter, spots = _layout(int(scene["count"]), str(scene["position"]), rng)
    colours, slant = shade(str(scene["colour"]), rng), rng.uniform(0, math.pi)
    for spot in spots:
        _draw(canvas, str(scene["category"]), spot, diameter, colours, str(scene["texture"]), slant, rng)
    scene |= _second(canvas, scene, spots, diameter, rng)
    finished = _light(paste_over(image, canvas), rng)
    centre = np.mean(spots, axis=0)
    grey = finished.mean(axis=2) / 255.0
    scene |= {"x": float(centre[0]), "y": float(centre[1]), "size": diameter, "luminance": float(grey.mean()), "contrast": float(grey.std())}
    scene["caption"], scene["caption_2"], scene["caption_3"] = captions(scene, rng)
    return finished, scene


def _choose(rng: np.random.Generator) -> dict[str, Any]:
    options = {**ATTRIBUTES, "count": (1, 2, 3)}
    return {name: options[name][int(rng.integers(len(options[name])))] for name in ATTRIBUTES}


def _layout(count: int, position: str, rng: np.random.Generator) -> tuple[float, list[tuple[float, float]]]:
    """Return the diameter and the centres of the copies, in units of the image."""
    diameter = float(rng.uniform(*_SIZES[count]))
    x, y = np.array(_CENTRES[position]) + rng.uniform(-0.03, 0.03, 2)
    step = diameter * rng.uniform(1.0, 1.06)
    along = (np.arange(count) - (count - 1) / 2) * step
    if position in ("left", "right"):
        spots = [(float(x), float(y + a)) for a in along]
    elif position in ("top", "bottom") or rng.random() < 0.4:
        spots = [(float(x + a), float(y)) for a in along]
    else:
        turn = rng.uniform(0, 2 * math.pi)
        reach = {1: 0.0, 2: 0.52, 3: 0.6}[count] * step
        turns = [turn + 2 * math.pi * i / count for i in range(count)]
        spots = [(float(x + reach * math.cos(t)), float(y + reach * math.sin(t))) for t in turns]
    return diameter, spots


def _second(
    canvas: Image.Image, scene: dict[str, Any], spots: list[tuple[float, float]], diameter: float, rng: np.random.Generator
) -> dict[str, str]:
    """Draw a smaller thing of another kind and colour where there is room, in some of the scenes."""
    if rng.random() >= SECOND_SHARE:
        return {"second_category": "none", "second_colour": "none"}
    size = float(rng.uniform(0.16, 0.19))
    grid = np.array([(x, y) for x in (0.12, 0.31, 0.5, 0.69, 0.88) for y in (0.12, 0.31, 0.5, 0.69, 0.88)])
    gaps = np.min(np.max(np.abs(grid[:, None] - np.array(spots)[None]), axis=2), axis=1)
    free = grid[gaps > (size + diameter) / 2]
    if len(free) == 0:
        return {"second_category": "none", "second_colour": "none"}
    x, y = free[int(rng.integers(len(free)))]
    category = str(rng.choice([name for name in CATEGORIES if name != scene["category"]]))
    colour = str(rng.choice([name for name in COLOURS if name != scene["colour"]]))
    _draw(canvas, category, (float(x), float(y)), size, shade(colour, rng), "plain", 0.0, rng)
    return {"second_category": category, "second_colour": colour}


def _draw(
    canvas: Image.Image, category: str, spot: tuple[float, float], diameter: float, colours: Any, texture: str, slant: float, rng: np.random.Generator
) -> None:
    extent = canvas.size[0]
    brush = Brush(
        canvas, (spot[0] * extent, spot[1] * extent), diameter * extent * float(rng.uniform(0.46, 0.5)), angle=float(rng.uniform(-1, 1)) * _TILT[category],
        body=colours[0], marks=colours[1], texture=texture, slant=slant,
    )  # fmt: skip
    DRAWERS[category](brush)


def _light(image: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the image under a slightly uneven, slightly tinted light, with a little noise of the camera."""
    size = len(image)
    axis = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.14)
    slope = 1 + strength * (math.cos(angle) * axis[None, :] + math.sin(angle) * axis[:, None])
    tint = rng.uniform(0.88, 1.06) * rng.uniform(0.98, 1.02, 3)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(1, 5))
    return np.clip(image * slope[..., None] * tint + noise, 0, 255).astype(np.uint8)


__all__ = ["ATTRIBUTES", "BACKGROUNDS", "CATEGORIES", "COLOURS", "CONCEPTS", "COUNTS", "POSITIONS", "TEXTURES", "Scenes", "render_scene", "render_scenes"]
