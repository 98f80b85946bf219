"""Captions of simulated scenes, and the prompts that ask for one attribute.

A scene's attributes are ``category``, ``colour``, ``count``, ``position``, ``texture``, ``background`` and the smaller second
thing. A caption mentions some of them; every phrase is true of the scene.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from brainenc.simulate.scene_backgrounds import BACKGROUNDS
from brainenc.simulate.scene_objects import CATEGORIES, COLOURS, TEXTURES

COUNTS = ("one", "two", "three")
POSITIONS = ("left", "right", "top", "bottom", "centre")
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "category": CATEGORIES, "colour": COLOURS, "count": COUNTS, "position": POSITIONS, "texture": TEXTURES, "background": BACKGROUNDS,
}  # fmt: skip
MENTIONS = (*ATTRIBUTES, "second")
OPENINGS = ("{}", "a photo of {}", "a picture of {}", "an image of {}", "this shows {}", "a scene with {}", "we see {}", "a drawing of {}")

_PLURAL = {"cross": "crosses", "person": "people", "thing": "things", "object": "objects"}
_PLACES = {
    "left": ("on the left", "at the left side"),
    "right": ("on the right", "at the right side"),
    "top": ("at the top", "in the upper part"),
    "bottom": ("at the bottom", "in the lower part"),
    "centre": ("in the centre", "in the middle"),
}
_GROUNDS = {
    "plain": ("on a plain background", "in front of a plain wall"),
    "gradient": ("on a gradient background", "in front of a smooth gradient"),
    "stripes": ("on a striped background", "in front of stripes"),
    "checker": ("on a checkered background", "in front of a checkerboard"),
    "noise": ("on a noisy background", "in front of noise"),
    "indoor": ("in a room", "indoors"),
    "field": ("in a field", "on a meadow"),
    "sea": ("by the sea", "on the beach"),
    "city": ("in a city", "in the street"),
}


def compose(scene: Mapping[str, Any], mention: Collection[str], rng: np.random.Generator | None = None) -> str:
    """Return a caption that mentions these attributes of a scene.

    Parameters
    ----------
    scene : mapping
        ``category``, ``colour``, ``count`` (1 to 3), ``position``, ``texture``, ``background``, ``second_category``, ``second_colour``.
    mention : collection of str
        Out of ``MENTIONS``. An attribute left out leaves no trace: without "category" the noun is "thing", without "count" one
        thing is "a" and more are "some".
    rng : Generator, optional
        Chooses between wordings; the first wording of each phrase when not given.

    Examples
    --------
    >>> scene = dict(category="star", colour="red", count=2, position="left", texture="striped", background="sea",
    ...              second_category="none", second_colour="none")
    >>> compose(scene, ["category", "colour", "count", "background"])
    'two red stars by the sea'
    """
    noun = str(scene["category"]) if "category" in mention else _pick(("thing", "object"), rng)
    words = [str(scene[name]) for name in ("texture", "colour") if name in mention]
    count = int(scene["count"])
    if "count" in mention:
        first = COUNTS[count - 1]
    elif count > 1:
        first = "some"
    else:
        first = "an" if (words[0] if words else noun)[0] in "aeiou" else "a"
    phrase = " ".join([first, *words, noun if count == 1 else plural(noun)])
    if "second" in mention and scene["second_category"] != "none":
        phrase += f" and a small {scene['second_colour']} {scene['second_category']}"
    if "position" in mention:
        phrase += " " + _pick(_PLACES[str(scene["position"])], rng)
    if "background" in mention:
        phrase += " " + _pick(_GROUNDS[str(scene["background"])], rng)
    return _pick(OPENINGS, rng).format(phrase)


def captions(scene: Mapping[str, Any], rng: np.random.Generator) -> tuple[str, str, str]:
    """Return three captions of a scene: one that says everything, one about the thing, one about where it is."""
    thing = [name for name in ("texture", "colour", "count") if rng.random() < 0.6]
    place = [name for name in ("colour", "count", "second") if rng.random() < 0.5]
    return (
        compose(scene, MENTIONS, None),
        compose(scene, ["category", *thing], rng),
        compose(scene, ["category", "position", "background", *place], rng),
    )


def prompts(attribute: str, *, opening: str = "a photo of {}", wording: int = 0) -> list[str]:
    """Return one prompt for each value of an attribute, e.g. "a photo of a red thing" for each colour.

    Parameters
    ----------
    attribute : str
        A key of ``ATTRIBUTES``; the prompts follow its order.
    opening : str
        With a ``{}`` for the phrase.
    wording : {0, 1}
        Which of the two wordings of things, places and backgrounds.
    """
    noun = ("thing", "object")[wording]
    phrases = {
        "category": [f"a {value}" for value in CATEGORIES],
        "colour": [f"{'an' if value[0] in 'aeiou' else 'a'} {value} {noun}" for value in COLOURS],
        "count": [f"{value} {noun if value == 'one' else plural(noun)}" for value in COUNTS],
        "position": [f"a {noun} {_PLACES[value][wording]}".replace("a o", "an o") for value in POSITIONS],
        "texture": [f"a {value} {noun}" for value in TEXTURES],
        "background": [f"a {noun} {_GROUNDS[value][wording]}".replace("a o", "an o") for value in BACKGROUNDS],
    }[attribute]
    return [opening.format(phrase) for phrase in phrases]


def phrases() -> list[str]:
    """Return phrases that together contain every word a caption or prompt may contain (apart from the openings)."""
    nouns = [*CATEGORIES, "thing", "object"]
    wordings = [phrase for pair in (*_PLACES.values(), *_GROUNDS.values()) for phrase in pair]
    return [*nouns, *map(plural, nouns), *COLOURS, *COUNTS, *TEXTURES, *wordings, "a", "an", "some", "and a small"]


def plural(noun: str) -> str:
    """Return the plural of one of our nouns."""
    return _PLURAL.get(noun, noun + "s")


def _pick(options: tuple[str, ...], rng: np.random.Generator | None) -> str:
    return options[0] if rng is None else options[int(rng.integers(len(options)))]
