"""Which units of a text model follow sentences, which phrases, which both: two tests of each, and how reliable what they measure is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.frequency.bins import Targets, grid, levels_of
from brainenc.frequency.halves import consistency, half_orders, spearman_brown
from brainenc.frequency.series import Series, named_series
from brainenc.frequency.tagging import coefficients, tag
from brainenc.linalg import spectra
from brainenc.linalg.device import to_numpy
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permutations
from brainenc.nouns.tagging import TagSelection

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
TESTS = ("shift", "sign", "series", "t2circ", "neighbours")


def select_units(
    experiment: Any, control: Any = None, *, targets: Targets | None = None, fs: float | None = None, alpha: float = 0.05, test: str = "shift",
    n: int = 1000, halves: int = 20, trim: bool = False, seed: int = 0, memory: str | int | float | None = None, device: str = "auto",
) -> TagSelection:  # fmt: skip
    """Select the units of a model that follow each level, by two tests that each unit must pass.

    1. A rhythm: the amplitude at the level's frequency, against the null of its own bin (``test``).
    2. More than in the control: the mean amplitude in the experiment less that in the control, trials relabelled ``n`` times.

    The p-value of a unit is the larger of the two, valid for "it has both" whatever their dependence. A level of m frequencies (the phrase
    lengths of natural sentences) takes m times the smallest of theirs (Bonferroni). Then the false discovery rate is held over units ×
    levels, all layers together.

    A difference from the control says that order within sentences matters. It does not say that the unit knows syntax: where words of a
    class stand at fixed places, a unit that answers to the class has the rhythm too.

    Parameters
    ----------
    experiment : mapping of layer names to series, or one series
        From `brainenc.frequency.sequence_activations`, or arrays (n_trials, n_units, n_times); trials are sequences or means of some.
    control : the same, optional
        Of scrambled sentences (`brainenc.frequency.scramble`). Without it the second test is left out, and the provenance says so.
    targets : mapping, optional
        Levels and frequencies in Hz; {"sentence": 1.0, "phrase": 2.0} when not given. See `brainenc.frequency.rates`.
    fs : float, optional
        Units a second; known from activations.
    alpha : float
        False discovery rate.
    test : {"shift", "sign", "series", "t2circ", "neighbours"}
        Of the rhythm, see `brainenc.frequency.tag`. "series" permutes the samples of the mean series: right only for units without memory.
    n : int
        Draws of each test. The smallest p is 1/(1 + n): with many units and few that follow, take more, or "t2circ".
    halves : int
        Random split halves for the reliability.
    trim : bool
        Cut each frequency to its own whole cycles.
    seed : int
    memory, device
        See `brainenc.frequency.tag`.

    Returns
    -------
    TagSelection
        ``statistics``: frequency, amplitude, amplitude_control, index (their difference), p_rhythm, p_control, p, q and consistency, the share
        of the power that two halves of the experiment agree on (1 all; noise gives anything below, more often negative than not).
        ``reliability``: one row a layer and level, the correlation over all units of the index in two halves, stepped up to full length
        (Spearman-Brown), mean and spread over the splits.

    Raises
    ------
    InputError
        Layers, lengths or rates of the two that differ; fewer than four trials.

    Examples
    --------
    >>> t, rng = np.arange(40), np.random.default_rng(0)
    >>> noise = rng.standard_normal((2, 12, 3, 40))
    >>> following = noise[0] + np.array([[0.0], [1.5], [0.0]]) * np.cos(np.pi * t / 2)
    >>> list(select_units(following, noise[1], fs=4.0, n=400).sets)
    ['none', 'sentence', 'none']
    """
    one_of(test, TESTS, "test")
    if not 0 < alpha < 1:
        raise InputError("alpha is a false discovery rate", where="select_units", expected="0 to 1", got=alpha)
    levels = levels_of({"sentence": 1.0, "phrase": 2.0} if targets is None else targets)
    first, second = _both(experiment, control, fs)
    flat = [(level, f) for level, group in levels.items() for f in group]
    rhythm = [
        tag(first, None, {level: f}, test=test, null=test if test in ("shift", "sign", "series") else "shift", trim=trim, seed=seed, spectrum=False,
            n=n if test in ("shift", "sign", "series") else 0, memory=memory, device=device)
        for level, f in flat
    ]  # fmt: skip
    p_rhythm = np.concatenate([found["p"] for found in rhythm], axis=1)
    z = _coefficients(first, flat, trim, memory, device)
    zc = None if second is None else _coefficients(second, flat, trim, memory, device)
    p_control = np.zeros_like(p_rhythm) if zc is None else _against_control(z, zc, n, seed)
    together = np.maximum(p_rhythm, p_control)  # NaN where either is
    control_size = None if zc is None else np.abs(zc.mean(axis=0))
    frame = _by_level(levels, together, np.abs(z.mean(axis=0)), control_size, p_rhythm=p_rhythm, p_control=p_control, flat=flat)
    frame["q"] = fdr_bh(frame["p"])
    frame["consistency"] = _consistency(z, frame["frequency"], flat, halves, seed)
    channels = pd.concat([s.channels for s in first.values()], ignore_index=True)
    reliability = _reliability(z, zc, channels, levels=levels, flat=flat, halves=halves, seed=seed)
    if zc is None:
        for name in ("amplitude_control", "index", "p_control"):
            frame.pop(name)
    facts = {
        "test": test, "n": n, "seed": seed, "control": zc is not None, "n_trials": len(z), "smallest_p": 1 / (1 + n) if test in ("shift", "sign", "series")
        or zc is not None else 0.0, "halves": halves, "trim": trim,
    }  # fmt: skip
    return TagSelection(np.nan_to_num(frame["q"], nan=1.0) <= alpha, channels, tuple(levels), frame, reliability, alpha, facts)


def random_units(selection: TagSelection, of: str, *, seed: int = 0, by: str | None = "layer") -> npt.NDArray[np.intp]:
    """Return the positions of as many unselected units as a set has, drawn at random, layer by layer: the control of what is done with a set.

    Parameters
    ----------
    selection : TagSelection
    of : str
        A set, e.g. ``"sentence"``.
    seed : int
    by : str, optional
        Column within which the numbers agree; None draws from all.

    Raises
    ------
    InputError
        A layer with fewer unselected units than selected ones.
    """
    chosen, free = selection.positions(of), selection.positions("none")
    labels = np.zeros(selection.n_channels, dtype=int) if by is None or by not in selection.channels else pd.factorize(selection.channels[by])[0]
    rng = generator(seed, "random units", of)
    out = []
    for label in np.unique(labels[chosen]):
        wanted, there = int((labels[chosen] == label).sum()), free[labels[free] == label]
        if wanted > len(there):
            raise InputError("too few units outside the set", where="random_units", expected=f"at least {wanted}", got=len(there))
        out.append(np.sort(rng.permutation(there)[:wanted]))
    return np.concatenate(out) if out else np.array([], dtype=np.intp)


def _both(experiment: Any, control: Any, fs: float | None) -> tuple[dict[str, Series], dict[str, Series] | None]:
    first = named_series(experiment, fs, None)
    n_trials = next(iter(first.values())).values.shape[0]
    if n_trials < 4:
        raise InputError("halves of trials are compared", where="select_units", expected="at least four trials", got=n_trials)
    if control is None:
        return first, None
    second = named_series(control, fs, None)
    if list(first) != list(second):
        raise InputError("experiment and control have different layers", where="select_units", expected=", ".join(first), got=", ".join(second))
    for name, one in first.items():
        other = second[name]
        if one.values.shape[1:] != other.values.shape[1:] or one.fs != other.fs:
            raise InputError("experiment and control differ", where=f"layer {name!r}", expected=one.values.shape[1:], got=other.values.shape[1:])
        if other.values.shape[0] < 4:
            raise InputError("halves of trials are compared", where="control", expected="at least four trials", got=other.values.shape[0])
    return first, second


def _coefficients(layers: Mapping[str, Series], flat: list[tuple[str, float]], trim: bool, memory: Any, device: str) -> Complex:
    """Return coefficients as amplitudes (n_trials, n_units, n_frequencies): 2/T X, or X/T at the Nyquist bin."""
    out = []
    for s in layers.values():
        parts = []
        for _, f in flat:
            layout = grid(f, s.fs, s.values.shape[2], trim=trim)
            parts.append(coefficients(s, layout, memory=memory, device=device) * ((1.0 if layout.nyquist[0] else 2.0) / layout.n_times))
        out.append(np.concatenate(parts, axis=2))
    return np.concatenate(out, axis=1)


def _against_control(z: Complex, zc: Complex, n: int, seed: int) -> Floats:
    orders = torch.from_numpy(np.stack(list(permutations(len(z) + len(zc), n, seed, "labels"))))
    difference, hits = spectra.label_null(torch.from_numpy(z), torch.from_numpy(zc), orders)
    return np.where(np.isnan(to_numpy(difference)), np.nan, (1.0 + to_numpy(hits)) / (1.0 + n))


def _by_level(
    levels: Mapping[str, tuple[float, ...]], together: Floats, amplitude: Floats, control: Floats | None, *, p_rhythm: Floats, p_control: Floats,
    flat: list[tuple[str, float]],
) -> dict[str, Floats]:  # fmt: skip
    """Return (n_units, n_levels) of what was measured at the level's best frequency; p is Bonferroni's over the level's frequencies."""
    other = np.full_like(amplitude, np.nan) if control is None else control
    names = ("frequency", "amplitude", "amplitude_control", "index", "p_rhythm", "p_control", "p")
    frame = {name: np.empty((len(together), len(levels))) for name in names}
    every = np.arange(len(together))
    for column, level in enumerate(levels):
        places = np.array([i for i, (name, _) in enumerate(flat) if name == level])
        best = places[np.argmin(np.where(np.isnan(together[:, places]), 2.0, together[:, places]), axis=1)]
        frame["frequency"][:, column] = np.array([f for _, f in flat])[best]
        frame["amplitude"][:, column] = amplitude[every, best]
        frame["amplitude_control"][:, column] = other[every, best]
        frame["index"][:, column] = amplitude[every, best] - other[every, best]
        frame["p_rhythm"][:, column] = p_rhythm[every, best]
        frame["p_control"][:, column] = p_control[every, best]
        frame["p"][:, column] = np.minimum(1.0, len(places) * together[every, best])
    return frame


def _consistency(z: Complex, frequency: Floats, flat: list[tuple[str, float]], halves: int, seed: int) -> Floats:
    known = np.array([f for _, f in flat])
    whole = consistency(z, half_orders(len(z), halves, seed, "experiment"))
    return np.take_along_axis(whole, np.abs(known[None, None] - frequency[..., None]).argmin(axis=2), axis=1)


def _reliability(
    z: Complex, zc: Complex | None, channels: pd.DataFrame, *, levels: Mapping[str, tuple[float, ...]], flat: list[tuple[str, float]], halves: int,
    seed: int,
) -> pd.DataFrame:  # fmt: skip
    """Return the split-half reliability over units of the mean index of each level, layer by layer."""
    layer = channels["layer"].to_numpy(dtype=object) if "layer" in channels else np.array(["all"] * len(channels), dtype=object)
    orders = half_orders(len(z), halves, seed, "experiment")
    other = half_orders(len(zc), halves, seed, "control") if zc is not None else None
    rows = []
    for level in levels:
        places = [i for i, (name, _) in enumerate(flat) if name == level]
        sides = []
        for k, (a, b) in enumerate(orders):
            pair = [np.abs(z[half][..., places].mean(axis=0)).mean(axis=1) for half in (a, b)]
            if zc is not None and other is not None:
                pair = [x - np.abs(zc[half][..., places].mean(axis=0)).mean(axis=1) for x, half in zip(pair, other[k])]
            sides.append(pair)
        for name in dict.fromkeys(layer):
            here = layer == name
            r = np.array([spearman_brown(a[here], b[here]) for a, b in sides])
            rows.append({"layer": name, "level": level, "reliability": r.mean(), "sd": r.std(ddof=1) if len(r) > 1 else np.nan, "n_units": int(here.sum())})
    return pd.DataFrame(rows)
