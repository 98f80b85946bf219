"""The twelve kinds of things in a simulated scene, drawn as polygons in their own coordinates.

Every kind is drawn in the square [-1, 1]² (y downwards) by a `Brush`, which turns, scales and places it. Parts painted as
"body" carry the colour and the texture of the thing; all other parts have colours of their own.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

OVERSAMPLING = 4
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
TEXTURES = ("plain", "striped", "dotted")
# hue, saturation, value of each colour; darker marks are put on the light ones
_HSV = {
    "red": (0.995, 0.85, 0.84), "orange": (0.075, 0.90, 0.96), "yellow": (0.150, 0.82, 0.97), "green": (0.365, 0.70, 0.62),
    "blue": (0.605, 0.78, 0.80), "purple": (0.755, 0.62, 0.62), "pink": (0.915, 0.42, 0.98), "white": (0.100, 0.03, 0.97),
}  # fmt: skip
_LIGHT = ("orange", "yellow", "pink", "white")
_PARTS: dict[str, Colour] = {
    "line": (38, 34, 44), "dark": (72, 58, 60), "skin": (226, 178, 146), "light": (226, 232, 236), "wood": (112, 82, 58),
    "glass": (176, 200, 212), "tyre": (44, 44, 50), "metal": (150, 152, 158), "hair": (62, 46, 40),
}  # fmt: skip


def shade(name: str, rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Return a jittered RGB of a colour and the RGB of the marks (stripes, dots) that a texture puts on it."""
    hue, saturation, value = _HSV[name]
    hue = (hue + rng.uniform(-0.012, 0.012)) % 1.0
    saturation = float(np.clip(saturation * rng.uniform(0.9, 1.1), 0, 1))
    value = float(np.clip(value * rng.uniform(0.93, 1.03), 0, 1))
    if name in _LIGHT or rng.random() < 0.5:
        mark = (hue, saturation, 0.45 * value)
    else:
        mark = (hue, 0.4 * saturation, min(1.0, value + 0.3))
    return _rgb(hue, saturation, value), _rgb(*mark)


class Brush:
    """Draws the parts of one thing on an oversampled RGBA canvas.

    Parameters
    ----------
    canvas : Image
        RGBA, ``OVERSAMPLING`` times the size of the scene.
    centre : (float, float)
        Pixels of the canvas.
    radius : float
        Half the extent of the thing, in pixels of the canvas.
    angle : float
        Radians, clockwise.
    body, marks : RGB
        Colour of the body and of the marks on it.
    texture : {"plain", "striped", "dotted"}
    slant : float
        Direction of the stripes, radians.
    """

    def __init__(
        self, canvas: Image.Image, centre: Point, radius: float, *, angle: float, body: Colour, marks: Colour, texture: str, slant: float
    ) -> None:  # fmt: skip
        self.canvas, self.draw = canvas, ImageDraw.Draw(canvas)
        self.centre, self.radius = centre, radius
        self.cos, self.sin = math.cos(angle), math.sin(angle)
        self.body = body
        self.line_width = max(3, round(0.075 * radius))
        self.skin = None if texture == "plain" else self._fabric(body, marks, texture, slant)

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Return points of the thing as points of the canvas."""
        (cx, cy), r = self.centre, self.radius
        return [(cx + r * (x * self.cos - y * self.sin), cy + r * (x * self.sin + y * self.cos)) for x, y in points]

    def polygon(self, points: Sequence[Point], part: str = "body", *, outline: bool = True) -> None:
        """Fill a polygon and draw its outline."""
        placed = self.place(points)
        self._fill(placed, part)
        if outline:
            self._outline(placed)

    def ellipse(self, x: float, y: float, rx: float, ry: float, part: str = "body", *, outline: bool = True) -> None:
        """Fill an ellipse with this centre and these radii."""
        self.polygon(oval(x, y, rx, ry), part, outline=outline)

    def union(self, shapes: Sequence[Sequence[Point]], part: str = "body") -> None:
        """Fill overlapping polygons as one shape with one outline."""
        placed = [self.place(shape) for shape in shapes]
        for shape in placed:
            self._outline(shape)
        for shape in placed:
            self._fill(shape, part)

    def annulus(self, outer: float, inner: float) -> None:
        """Fill a disc with a hole."""
        rim, hole = self.place(oval(0, 0, outer, outer)), self.place(oval(0, 0, inner, inner))
        self._fill([*rim, rim[0], hole[0], *hole[::-1]], "body")
        self._outline(rim)
        self._outline(hole)

    def stroke(self, points: Sequence[Point], part: str = "line", *, width: float = 0.09) -> None:
        """Draw a line of this width (in units of the radius)."""
        self.draw.line(self.place(points), fill=self._colour(part), width=max(2, round(width * self.radius)), joint="curve")

    def _colour(self, part: str) -> Colour:
        return self.body if part == "body" else _PARTS[part]

    def _outline(self, placed: list[Point]) -> None:
        self.draw.line([*placed, placed[0], placed[1]], fill=_PARTS["line"], width=self.line_width, joint="curve")

    def _fill(self, placed: list[Point], part: str) -> None:
        if part != "body" or self.skin is None:
            self.draw.polygon(placed, fill=self._colour(part))
            return
        mask = Image.new("L", self.skin.size)
        left, top = self._corner()
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in placed], fill=255)
        self.canvas.paste(self.skin, (left, top), mask)

    def _corner(self) -> tuple[int, int]:
        return round(self.centre[0] - 1.3 * self.radius), round(self.centre[1] - 1.3 * self.radius)

    def _fabric(self, body: Colour, marks: Colour, texture: str, slant: float) -> Image.Image:
        """Return a patch of textured cloth that covers the thing."""
        extent = round(2.6 * self.radius)
        period = max(0.5 * self.radius, 4.6 * OVERSAMPLING)
        axis = (np.arange(extent) - extent / 2) / period
        u = np.cos(slant) * axis[None, :] + np.sin(slant) * axis[:, None]
        if texture == "striped":
            marked = (u % 1.0) < 0.46
        else:
            v = np.cos(slant) * axis[:, None] - np.sin(slant) * axis[None, :]
            row = np.floor(v)
            marked = ((u + 0.5 * (row % 2)) % 1.0 - 0.5) ** 2 + (v - row - 0.5) ** 2 < 0.30**2
        cloth = np.where(marked[..., None], np.array(marks, np.uint8), np.array(body, np.uint8))
        return Image.fromarray(cloth)


def oval(x: float, y: float, rx: float, ry: float, n: int = 26) -> list[Point]:
    """Return n points on an ellipse."""
    turns = [2 * math.pi * i / n for i in range(n)]
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in turns]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Return the corners of a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _circle(b: Brush) -> None:
    b.ellipse(0, 0, 0.92, 0.92)


def _square(b: Brush) -> None:
    b.polygon(box(-0.8, -0.8, 0.8, 0.8))


def _triangle(b: Brush) -> None:
    b.polygon([(0, -0.92), (0.96, 0.78), (-0.96, 0.78)])


def _star(b: Brush) -> None:
    reach = [1.02 if i % 2 == 0 else 0.46 for i in range(10)]
    b.polygon([(r * math.sin(math.pi * i / 5), -r * math.cos(math.pi * i / 5)) for i, r in enumerate(reach)])


def _ring(b: Brush) -> None:
    b.annulus(0.95, 0.46)


def _cross(b: Brush) -> None:
    a, c = 0.34, 0.95
    b.polygon([(-a, -c), (a, -c), (a, -a), (c, -a), (c, a), (a, a), (a, c), (-a, c), (-a, a), (-c, a), (-c, -a), (-a, -a)])


def _face(b: Brush) -> None:
    b.ellipse(0, -0.24, 0.88, 0.76, "hair")
    b.ellipse(0, 0.08, 0.74, 0.86)
    for side in (-1, 1):
        b.ellipse(0.3 * side, -0.12, 0.19, 0.15, "light", outline=False)
        b.ellipse(0.3 * side, -0.11, 0.09, 0.11, "line", outline=False)
        b.stroke([(0.14 * side, -0.36), (0.46 * side, -0.38)], width=0.08)
    b.stroke([(0, 0.0), (0.08, 0.26), (-0.06, 0.28)], width=0.06)
    b.stroke([(-0.34, 0.5), (-0.16, 0.61), (0.16, 0.61), (0.34, 0.5)], width=0.1)


def _person(b: Brush) -> None:
    limbs = [
        [(-0.3, -0.42), (-0.78, 0.14), (-0.62, 0.26), (-0.2, -0.16)],
        [(0.3, -0.42), (0.78, 0.14), (0.62, 0.26), (0.2, -0.16)],
        [(-0.3, 0.2), (-0.42, 0.92), (-0.12, 0.92), (0.0, 0.3)],
        [(0.3, 0.2), (0.42, 0.92), (0.12, 0.92), (0.0, 0.3)],
        [(-0.34, -0.44), (0.34, -0.44), (0.31, 0.34), (-0.31, 0.34)],
    ]
    for side in (-1, 1):
        b.ellipse(0.73 * side, 0.24, 0.13, 0.13, "skin")
        b.polygon(box(0.27 * side - 0.19, 0.86, 0.27 * side + 0.19, 1.0), "tyre")
    b.union(limbs)
    b.ellipse(0, -0.78, 0.28, 0.24, "hair")
    b.ellipse(0, -0.68, 0.23, 0.24, "skin", outline=False)


def _house(b: Brush) -> None:
    b.polygon(box(0.36, -0.9, 0.58, -0.3), "dark")
    b.polygon(box(-0.78, -0.22, 0.78, 0.88))
    b.polygon([(0, -1.0), (1.0, -0.16), (-1.0, -0.16)], "dark")
    b.polygon(box(-0.14, 0.34, 0.2, 0.88), "wood")
    for x in (-0.52, 0.5):
        b.polygon(box(x - 0.17, 0.04, x + 0.17, 0.36), "glass")


def _tree(b: Brush) -> None:
    b.polygon([(-0.15, 0.2), (0.15, 0.2), (0.22, 1.0), (-0.22, 1.0)], "wood")
    b.union([oval(x, y, r, 0.9 * r) for x, y, r in ((-0.44, 0.04, 0.46), (0.44, 0.04, 0.46), (0.0, -0.48, 0.52), (0.0, 0.08, 0.5))])


def _car(b: Brush) -> None:
    b.polygon([(-1.0, 0.02), (-0.66, -0.06), (-0.4, -0.52), (0.36, -0.52), (0.66, -0.06), (1.0, 0.04), (1.0, 0.44), (-1.0, 0.44)])
    b.polygon([(-0.48, -0.08), (-0.3, -0.4), (-0.04, -0.4), (-0.04, -0.08)], "glass", outline=False)
    b.polygon([(0.08, -0.08), (0.08, -0.4), (0.3, -0.4), (0.48, -0.08)], "glass", outline=False)
    for x in (-0.54, 0.54):
        b.ellipse(x, 0.46, 0.28, 0.28, "tyre", outline=False)
        b.ellipse(x, 0.46, 0.11, 0.11, "metal", outline=False)


def _cup(b: Brush) -> None:
    b.union([box(0.4, -0.36, 0.96, -0.18), box(0.8, -0.36, 0.98, 0.4), box(0.4, 0.24, 0.96, 0.42)])
    b.polygon([(-0.78, -0.62), (0.6, -0.62), (0.46, 0.72), (0.3, 0.86), (-0.48, 0.86), (-0.64, 0.72)])
    b.ellipse(-0.09, -0.62, 0.69, 0.22, "dark")
    b.ellipse(-0.09, -0.56, 0.52, 0.12, "wood", outline=False)


DRAWERS: dict[str, Callable[[Brush], None]] = {
    "circle": _circle, "square": _square, "triangle": _triangle, "star": _star, "ring": _ring, "cross": _cross,
    "face": _face, "person": _person, "house": _house, "tree": _tree, "car": _car, "cup": _cup,
}  # fmt: skip
CATEGORIES = tuple(DRAWERS)


def paste_over(background: npt.NDArray[np.float32], canvas: Image.Image) -> npt.NDArray[np.float32]:
    """Return the background (size, size, 3), 0-255, with the canvas (reduced to its size, antialiased) laid over it."""
    layer = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32)
    alpha = layer[..., 3:] / np.float32(255)
    return background * (1 - alpha) + layer[..., :3] * alpha
