"""Short sentences of four units made from word lists, and orders of units that keep no neighbours.

Every sentence is a noun phrase of two units and a verb phrase of two units ("shy monk rings bells", 画家喝茶), so that units come at one
rate, phrases at half of it and sentences at a quarter.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.nouns.stimuli import StimulusSet

ENGLISH = (
    (("shy", "proud", "brave", "calm", "poor", "stern", "glad", "wise", "tired", "young"),
     ("monk", "nurse", "guard", "clerk", "queen", "maid", "scout", "bride", "judge", "prince"),
     (("rings", "bells"), ("bakes", "pies"), ("mends", "nets"), ("sells", "boats"), ("reads", "maps"), ("folds", "sheets"), ("grows", "beans"),
      ("counts", "coins"), ("locks", "gates"), ("hums", "tunes"), ("sweeps", "floors"), ("lights", "lamps"), ("builds", "sheds"))),
    (("brown", "wild", "lame", "small", "plump", "fierce", "swift", "old"),
     ("bear", "wolf", "horse", "duck", "crow", "mouse", "sheep", "goose"),
     (("finds", "seeds"), ("hides", "nuts"), ("chews", "leaves"), ("licks", "salt"), ("steals", "corn"), ("climbs", "rocks"), ("fears", "storms"),
      ("leads", "herds"), ("swims", "lakes"))),
)  # fmt: skip
CHINESE = (
    (("画家", "歌手", "工人", "店主", "爷爷", "奶奶", "叔叔", "阿姨", "船长", "木匠", "裁缝", "邻居"),
     ("喝茶", "跑步", "洗碗", "买菜", "写信", "扫地", "骑车", "种花", "修路", "浇水", "唱歌", "看报")),
    (("小狗", "白兔", "山羊", "黄牛", "乌鸦", "松鼠", "大象", "灰狼", "公鸡", "花猫"),
     ("喝水", "过河", "找食", "打架", "挖土", "追鸟", "睡觉", "吃饭")),
)  # fmt: skip
ENUMERATED = 7
TRIES = 10_000
MOST = 200


def sentences(n: int = 50, seed: int = 0, *, language: str = "english") -> StimulusSet:
    """Return ``n`` different sentences of four units, their noun phrases used as evenly as can be.

    Parameters
    ----------
    n : int
        At most 200.
    seed : int
    language : {"english", "chinese"}
        Units are words (``unit`` "word") or characters ("character").

    Examples
    --------
    >>> len(sentences(3).load("english_001").split())
    4
    """
    one_of(language, ("english", "chinese"), "language")
    pairs = _english() if language == "english" else _chinese()
    if not 1 <= n <= MOST:
        raise InputError("too many sentences, or none", where="sentences", expected=f"1 to {MOST}", got=n)
    rng = generator(seed, "sentences", language)
    limit = -(-n // len({noun for noun, _ in pairs}))
    used: dict[str, int] = {}
    texts: list[str] = []
    for i in rng.permutation(len(pairs)):
        noun, verb = pairs[int(i)]
        if len(texts) < n and used.get(noun, 0) < limit:
            used[noun] = used.get(noun, 0) + 1
            texts.append(f"{noun} {verb}" if language == "english" else noun + verb)
    ids = [f"{language}_{i + 1:03d}" for i in range(n)]
    unit = "word" if language == "english" else "character"
    return StimulusSet({"stimulus_id": ids, "text": texts, "language": language, "unit": unit}, kind="text", name=f"{language} sentences, seed {seed}")


def units_of(text: str, unit: str) -> list[str]:
    """Return the units of a text: words at white space, or characters without white space."""
    return text.split() if one_of(unit, ("word", "character"), "unit") == "word" else [c for c in text if not c.isspace()]


def scrambled_order(n_units: int, rng: np.random.Generator, *, direction: str = "both") -> npt.NDArray[np.intp]:
    """Return a random order of 0 … n − 1 in which no two units stand side by side that do so in the original.

    Parameters
    ----------
    n_units : int
    rng : numpy.random.Generator
    direction : {"both", "forward"}
        "both" forbids i, i + 1 and i + 1, i: there are 2 such orders of four units, 14 of five, none of two or three. "forward" forbids
        i, i + 1 alone: 1 of two, 3 of three, 11 of four.

    Raises
    ------
    InputError
        Where there is no such order.
    """
    one_of(direction, ("both", "forward"), "direction")
    if n_units <= ENUMERATED:
        known = _orders(n_units, direction)
        if not known:
            raise InputError(
                f"no order of {n_units} units avoids all neighbours", where="scramble", expected="at least four units" if direction == "both" else
                "at least two units", got=n_units, fix='use direction="forward"' if direction == "both" and n_units > 1 else None,
            )  # fmt: skip
        return np.array(known[int(rng.integers(len(known)))], dtype=np.intp)
    for _ in range(TRIES):  # about one in seven is free of neighbours, however many units
        order = rng.permutation(n_units)
        if _free(order, direction):
            return order
    raise InputError("no order was found", where="scramble", got=n_units)  # pragma: no cover


@lru_cache(maxsize=32)
def _orders(n_units: int, direction: str) -> tuple[tuple[int, ...], ...]:
    return tuple(order for order in permutations(range(n_units)) if n_units > 1 and _free(np.array(order), direction))


def _free(order: npt.NDArray[np.intp], direction: str) -> bool:
    step = np.diff(order)
    return not bool((step == 1).any() or (direction == "both" and (step == -1).any()))


def _english() -> list[tuple[str, str]]:
    return [(f"{a} {b}", " ".join(verb)) for kind in ENGLISH for a, b, verb in product(*kind)]


def _chinese() -> list[tuple[str, str]]:
    return [pair for kind in CHINESE for pair in product(*kind)]
