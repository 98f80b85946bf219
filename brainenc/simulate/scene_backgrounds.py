"""The nine backgrounds of a simulated scene: five patterns and four places, all in muted colours.

Every function takes a generator and the size in pixels and returns (size, size, 3) float32, 0-255.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Canvas = npt.NDArray[np.float32]
Colour = tuple[int, int, int]
_OVERSAMPLING = 2


def _muted(rng: np.random.Generator, low: float = 0.4, high: float = 0.85) -> npt.NDArray[np.float32]:
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.03, 0.32), rng.uniform(low, high))
    return np.array(rgb, dtype=np.float32) * 255


def _two_muted(rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    pair = _muted(rng, 0.34, 0.5), _muted(rng, 0.68, 0.9)
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def _coordinate(rng: np.random.Generator, size: int) -> Canvas:
    """Return the signed position along a random direction, in units of the image (about -0.7 to 0.7)."""
    angle = rng.uniform(0, 2 * np.pi)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    return np.asarray(np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None], dtype=np.float32)


def _mix(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], share: Canvas) -> Canvas:
    return np.asarray(a + (b - a) * share[..., None], dtype=np.float32)


def _square_wave(phase: npt.NDArray[np.floating[Any]], sharpness: float) -> Canvas:
    """Return a wave between 0 and 1 with soft edges (so that it does not alias)."""
    return np.clip(0.5 + sharpness * np.sin(2 * np.pi * phase), 0, 1).astype(np.float32)


def _plain(rng: np.random.Generator, size: int) -> Canvas:
    return np.broadcast_to(_muted(rng), (size, size, 3)).astype(np.float32)


def _gradient(rng: np.random.Generator, size: int) -> Canvas:
    return _mix(*_two_muted(rng), np.clip(0.5 + 0.85 * _coordinate(rng, size), 0, 1).astype(np.float32))


def _stripes(rng: np.random.Generator, size: int) -> Canvas:
    phase = _coordinate(rng, size) * rng.uniform(4.5, 8.0) + rng.random()
    return _mix(*_two_muted(rng), _square_wave(phase, 2.0))


def _checker(rng: np.random.Generator, size: int) -> Canvas:
    n = rng.uniform(4.0, 7.0) / 2
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    across = 2 * _square_wave(axis * n + rng.random(), 3.0) - 1
    down = 2 * _square_wave(axis * n + rng.random(), 3.0) - 1
    return _mix(*_two_muted(rng), ((1 + across[None, :] * down[:, None]) / 2).astype(np.float32))


def _noise(rng: np.random.Generator, size: int) -> Canvas:
    clouds = np.zeros((size, size), dtype=np.float32)
    for cells, weight in ((8, 0.5), (16, 0.7), (32, 0.8)):
        coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
        clouds += weight * np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    return _mix(*_two_muted(rng), np.clip(0.5 + 0.33 * clouds, 0, 1).astype(np.float32))


def _jitter(colour: Colour, rng: np.random.Generator, amount: float = 14.0) -> Colour:
    values = np.clip(np.array(colour) + rng.normal(0, amount, 3) * 0.4 + rng.normal(0, amount), 0, 255)
    return int(values[0]), int(values[1]), int(values[2])


class _Sketch:
    """Rectangles and polygons in units of the image, antialiased by oversampling."""

    def __init__(self, size: int, colour: Colour) -> None:
        self.size, self.extent = size, size * _OVERSAMPLING
        self.image = Image.new("RGB", (self.extent, self.extent), colour)
        self.draw = ImageDraw.Draw(self.image)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(x * self.extent, y * self.extent) for x, y in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def disc(self, x: float, y: float, r: float, colour: Colour) -> None:
        e = self.extent
        self.draw.ellipse([(x - r) * e, (y - r) * e, (x + r) * e, (y + r) * e], fill=colour)

    def line(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        self.draw.line([(x * self.extent, y * self.extent) for x, y in points], fill=colour, width=max(1, round(width * self.extent)))

    def finish(self) -> Canvas:
        return np.asarray(self.image.reduce(_OVERSAMPLING), dtype=np.float32)


def _sky(rng: np.random.Generator) -> Colour:
    return _jitter((172, 196, 214), rng)


def _indoor(rng: np.random.Generator, size: int) -> Canvas:
    wall, floor = _jitter((206, 194, 176), rng, 16), _jitter((134, 108, 84), rng, 14)
    sketch, line = _Sketch(size, wall), rng.uniform(0.64, 0.74)
    sketch.box(0, line, 1, 1, floor)
    for x in np.linspace(-0.6, 1.6, 9):
        sketch.line([(0.5 + (x - 0.5) * 0.6, line), (0.5 + (x - 0.5) * 1.5, 1.0)], 0.012, _jitter((104, 82, 62), rng, 3))
    sketch.box(0, line - 0.035, 1, line, (232, 228, 220))
    x = rng.choice([0.08, 0.62]) + rng.uniform(-0.03, 0.03)
    sketch.box(x, 0.1, x + 0.3, 0.46, (238, 236, 230))
    pane = _jitter((158, 190, 214), rng, 10)
    for dx in (0.025, 0.16):
        for dy in (0.125, 0.295):
            sketch.box(x + dx, dy, x + dx + 0.115, dy + 0.14, pane)
    other = 0.72 if x < 0.4 else 0.12
    sketch.box(other, 0.14, other + 0.18, 0.36, (94, 74, 60))
    sketch.box(other + 0.025, 0.165, other + 0.155, 0.335, _jitter((182, 172, 150), rng, 18))
    return sketch.finish()


def _field(rng: np.random.Generator, size: int) -> Canvas:
    sketch, line = _Sketch(size, _sky(rng)), rng.uniform(0.36, 0.5)
    for _ in range(3):
        x, y = rng.uniform(0.05, 0.95), rng.uniform(0.06, 0.2)
        for dx, r in ((-0.07, 0.045), (0.0, 0.06), (0.07, 0.045)):
            sketch.disc(x + dx, y, r, (226, 232, 236))
    middle, height = rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.18)
    xs = np.linspace(0, 1, 17)
    sketch.shape([(0, 1), *((float(x), float(line - height * np.exp(-((x - middle) ** 2) / 0.06))) for x in xs), (1, 1)], _jitter((120, 146, 110), rng, 8))
    sketch.box(0, line, 1, 1, _jitter((124, 152, 84), rng, 10))
    blade = _jitter((92, 122, 66), rng, 6)
    for x, y in zip(rng.uniform(0, 1, 34), rng.uniform(line + 0.03, 1.0, 34)):
        reach = 0.02 + 0.05 * (y - line)
        sketch.line([(x, y), (x + 0.3 * reach, y - reach)], 0.01, blade)
    return sketch.finish()


def _sea(rng: np.random.Generator, size: int) -> Canvas:
    sketch, line, shore = _Sketch(size, _sky(rng)), rng.uniform(0.34, 0.44), rng.uniform(0.78, 0.86)
    sketch.disc(rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.24), 0.07, (246, 236, 206))
    sketch.box(0, line, 1, 1, _jitter((78, 118, 142), rng, 10))
    crest = _jitter((162, 194, 206), rng, 6)
    for y in np.linspace(line + 0.05, shore - 0.05, 6):
        start = rng.uniform(-0.2, 0.0)
        while start < 1:
            length = rng.uniform(0.08, 0.2)
            sketch.line([(start, y), (start + length / 2, y - 0.018), (start + length, y)], 0.012, crest)
            start += length + rng.uniform(0.04, 0.16)
    xs = np.linspace(0, 1, 13)
    phase = rng.uniform(0, 6)
    sketch.shape([(0, 1), *((float(x), float(shore + 0.025 * np.sin(9 * x + phase))) for x in xs), (1, 1)], _jitter((216, 202, 164), rng, 8))
    return sketch.finish()


def _city(rng: np.random.Generator, size: int) -> Canvas:
    sketch, x = _Sketch(size, _jitter((196, 198, 204), rng, 12)), rng.uniform(-0.1, 0.0)
    while x < 1:
        width, top = rng.uniform(0.15, 0.26), rng.uniform(0.08, 0.4)
        tone = int(rng.uniform(84, 140))
        sketch.box(x, top, x + width, 0.86, _jitter((tone, tone, tone + 8), rng, 5))
        lit = _jitter((214, 206, 172), rng, 8) if rng.random() < 0.6 else (tone - 34, tone - 32, tone - 22)
        columns = max(2, int(width / 0.07))
        for row in np.arange(top + 0.05, 0.78, 0.1):
            for c in range(columns):
                left = x + width * (c + 0.28) / columns
                sketch.box(left, row, left + 0.42 * width / columns, row + 0.055, lit)
        x += width + rng.uniform(0.0, 0.015)
    sketch.box(0, 0.84, 1, 1, (78, 78, 84))
    for dash in np.arange(rng.uniform(-0.1, 0.05), 1, 0.2):
        sketch.box(dash, 0.91, dash + 0.1, 0.93, (222, 220, 210))
    return sketch.finish()


PAINTERS: dict[str, Callable[[np.random.Generator, int], Canvas]] = {
    "plain": _plain, "gradient": _gradient, "stripes": _stripes, "checker": _checker, "noise": _noise,
    "indoor": _indoor, "field": _field, "sea": _sea, "city": _city,
}  # fmt: skip
BACKGROUNDS = tuple(PAINTERS)
