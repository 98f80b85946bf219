"""Sequences of sentences as stimuli: random orders, scrambled controls, and the rates at which sentences and phrases come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of, whole
from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.features.words import texts_of
from brainenc.metrics.resample import permutations
from brainenc.nouns import StimulusSet
from brainenc.simulate.sentences import scrambled_order, units_of

SEPARATORS = {"word": " ", "character": ""}


def orderings(stimuli: StimulusSet, n: int = 100, *, seed: int = 0, unit: str | None = None, n_sentences: int | None = None) -> StimulusSet:
    """Return ``n`` sequences of all sentences in random order, one after the other.

    Parameters
    ----------
    stimuli : StimulusSet of kind text
        Sentences of equally many units.
    n : int
        Sequences.
    seed : int
        The same seed gives the same orders, whatever the sentences: the sequences of a scrambled control are paired with these.
    unit : {"word", "character"}, optional
        From the column ``unit`` when not given.
    n_sentences : int, optional
        Length of a sequence. More than there are: all come, and then again in another order. Fewer: the first of the order.

    Returns
    -------
    StimulusSet of ``n`` texts
        ``words`` lists the units of a sequence, ``sentences`` the ids in order, ``n_units`` the units of a sentence.

    Raises
    ------
    InputError
        Sentences of unequal length: their rhythm would not be one.

    Examples
    --------
    >>> two = StimulusSet({"stimulus_id": ["a", "b"], "text": ["wise owl hunts mice", "shy monk rings bells"]}, kind="text")
    >>> orderings(two, 1, unit="word").load("sequence_000")
    'wise owl hunts mice shy monk rings bells'
    """
    kind = _unit(stimuli, unit)
    units = [units_of(text, kind) for text in texts_of(stimuli)]
    length = _equal(units, stimuli)
    whole(n, "n", "orderings", least=1)
    if n_sentences is not None:
        whole(n_sentences, "n_sentences", "orderings", least=1)
    wanted = len(units) if n_sentences is None else int(n_sentences)
    rows = []
    for i, order in enumerate(_orders(len(units), wanted, n, seed)):
        words = [word for s in order for word in units[s]]
        text = SEPARATORS[kind].join(words)
        rows.append({"stimulus_id": f"sequence_{i:03d}", "text": text, "words": words, "sentences": [str(stimuli.ids[s]) for s in order]})
    table = pd.DataFrame(rows).assign(n_units=length, unit=kind)
    return StimulusSet(table, kind="text", name=f"{stimuli.name}, {n} orders of {wanted}")


def scramble(stimuli: StimulusSet, *, seed: int = 0, unit: str | None = None, direction: str = "both") -> StimulusSet:
    """Return the same sentences with their units in an order that keeps no neighbours: units without phrases or sentences.

    Parameters
    ----------
    stimuli : StimulusSet of kind text
    seed : int
    unit : {"word", "character"}, optional
    direction : {"both", "forward"}
        "both": no two units stand side by side that did before, in either order; four units have two such orders. "forward": none follows
        the one that it followed; eleven.

    Raises
    ------
    InputError
        Sentences of fewer than four units ("both") or two ("forward") have no such order.

    Examples
    --------
    >>> one = StimulusSet({"stimulus_id": ["a"], "text": ["shy monk rings bells"]}, kind="text")
    >>> scramble(one, unit="word").load("a") in ("monk bells shy rings", "rings shy bells monk")
    True
    """
    kind = _unit(stimuli, unit)
    texts = []
    for stimulus_id, text in zip(stimuli.ids, texts_of(stimuli), strict=True):
        units = units_of(text, kind)
        order = scrambled_order(len(units), generator(seed, "scramble", stimulus_id), direction=direction)
        texts.append(SEPARATORS[kind].join(units[i] for i in order))
    return replace(stimuli, table=stimuli.table.assign(text=texts, unit=kind), name=f"{stimuli.name}, scrambled")


def rates(n_units: int, *, unit_rate: float = 4.0) -> dict[str, tuple[float, ...]]:
    """Return the rates of sentences and phrases of sentences of ``n_units`` units, in Hz.

    Sentences come at ``unit_rate`` / n. Four units are two phrases of two; in longer, natural sentences a phrase may have 2 … n − 1 units,
    and each length k gives a rate ``unit_rate`` / k; few lengths of a sequence hold whole cycles of all of them, so let
    `brainenc.frequency.select_units` cut each to its own (``trim=True``). The rate of the units is the sampling rate of a model and cannot
    be seen there.

    Examples
    --------
    >>> rates(4)
    {'sentence': (1.0,), 'phrase': (2.0,)}
    >>> len(rates(8)["phrase"])
    6
    """
    if isinstance(n_units, bool) or not isinstance(n_units, int) or n_units < 4:
        raise InputError("a sentence of phrases has at least four units", where="rates", got=repr(n_units))
    phrases = (2,) if n_units == 4 else tuple(range(2, n_units))
    if not unit_rate > 0:
        raise InputError("the rate of the units is positive", where="rates", expected="units a second", got=unit_rate)
    return {"sentence": (unit_rate / n_units,), "phrase": tuple(unit_rate / k for k in phrases)}


def unit_spans(text: str, units: list[str]) -> list[tuple[int, int]]:
    """Return where each unit stands in a text, (first character, one past the last); nothing but white space lies between units.

    Examples
    --------
    >>> unit_spans("a bc", ["a", "bc"])
    [(0, 1), (2, 4)]
    """
    spans, at = [], 0
    for i, word in enumerate(units):
        found = text.find(word, at)
        if found < 0 or text[at:found].strip():
            wanted = f"unit {i} {word!r} at character {at}"
            raise InputError("units are not those of the text", where="unit_spans", expected=wanted, got=repr(text[at : at + 20]))
        at = found + len(word)
        spans.append((found, at))
    if text[at:].strip():
        raise InputError("the text goes on after its last unit", where="unit_spans", got=repr(text[at : at + 20]))
    return spans


def _orders(n_known: int, wanted: int, n: int, seed: int) -> list[npt.NDArray[np.intp]]:
    if n_known < 2:
        return [np.zeros(wanted, dtype=np.intp)] * n
    rounds = -(-wanted // n_known)
    drawn = list(permutations(n_known, n * rounds, seed, "orderings"))
    return [np.concatenate(drawn[i * rounds : (i + 1) * rounds])[:wanted] for i in range(n)]


def _unit(stimuli: StimulusSet, unit: str | None) -> str:
    if not isinstance(stimuli, StimulusSet):
        fix = 'give be.StimulusSet({"stimulus_id": […], "text": […]}, kind="text")'
        raise InputError("sentences are a StimulusSet", where="orderings, scramble", got=type(stimuli).__name__, fix=fix)
    if unit is not None:
        return str(one_of(unit, tuple(SEPARATORS), "unit"))
    found: list[Any] = list(pd.unique(stimuli.table["unit"])) if "unit" in stimuli.table.columns else []
    if len(found) != 1 or found[0] not in SEPARATORS:
        raise InputError(
            "what is a unit?", where=f"StimulusSet {stimuli.name!r}", expected="one kind, word or character", got=examples(found) or "no column unit",
            fix='give unit="word" or unit="character", and select one language',
        )  # fmt: skip
    return str(found[0])


def _equal(units: list[list[str]], stimuli: StimulusSet) -> int:
    lengths = np.array([len(one) for one in units])
    if len(set(lengths)) != 1:
        common = int(np.bincount(lengths).argmax())
        odd = [str(i) for i, n in zip(stimuli.ids, lengths, strict=True) if n != common]
        raise InputError("sentences differ in their number of units", where=f"StimulusSet {stimuli.name!r}", expected=f"{common} units each", got=examples(odd))
    return int(lengths[0])
