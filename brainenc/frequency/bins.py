"""Which bin of the spectrum a rhythm falls on, and which bins about it tell the noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError

EXACT = 1e-6
_WHAT, _EXPECTED = "targets are positive frequencies in Hz", "1.0, [1.0, 2.0] or {'sentence': 1.0}"
NYQUIST = "Nyquist bin: one real degree of freedom, no phase"
Targets = float | Sequence[float] | Mapping[str, float | Sequence[float]]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The bins that are asked for: ``tags`` has one row each (level, target, harmonic, frequency, bin, degrees, note)."""

    n_times: int
    fs: float
    tags: pd.DataFrame
    facts: dict[str, Any]

    @property
    def bins(self) -> list[int]:
        """The bins of the tags."""
        return [int(b) for b in self.tags["bin"]]

    @property
    def nyquist(self) -> npt.NDArray[np.bool_]:
        """Which tags are the Nyquist bin."""
        return (self.tags["degrees"] == 1).to_numpy()


def levels_of(targets: Targets) -> dict[str, tuple[float, ...]]:
    """Return the frequencies of each named level; frequencies without a name are called after themselves."""
    if isinstance(targets, Mapping):
        levels = {str(name): _frequencies(value, targets) for name, value in targets.items()}
    else:
        found = _frequencies(targets, targets)
        levels = {f"{f:g} Hz": (float(f),) for f in found}
        if len(levels) < len(found):
            raise InputError("a frequency is asked for twice", where="targets", got=", ".join(f"{f:g} Hz" for f in found))
    flat = [f for group in levels.values() for f in group]
    if not flat or not all(np.isfinite(f) and f > 0 for f in flat):
        raise InputError(_WHAT, where="targets", expected=_EXPECTED, got=repr(targets))
    return {name: tuple(float(f) for f in group) for name, group in levels.items()}


def _frequencies(value: Any, targets: Any) -> tuple[float, ...]:
    try:
        return tuple(float(f) for f in np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel())
    except (TypeError, ValueError):
        raise InputError(_WHAT, where="targets", expected=_EXPECTED, got=repr(targets)) from None


def grid(targets: Targets, fs: float, n_times: int, *, harmonics: int = 1, tolerance: float = 1e-3, trim: bool = False) -> Grid:
    """Place frequencies on the bins k = f T / f_s of a series of T samples.

    Raises
    ------
    InputError
        A frequency at or above half the sampling rate that no bin holds, or one that falls between two bins; the message names the
        lengths that would fit.
    """
    levels = levels_of(targets)
    if not (isinstance(harmonics, int) and not isinstance(harmonics, bool) and harmonics >= 1):
        raise InputError("harmonics is a whole number of at least 1", where="tag", got=repr(harmonics))
    if not (np.isfinite(tolerance) and 0 <= tolerance < 0.5):
        raise InputError("tolerance is a part of a bin", where="tag", expected="0 to 0.5", got=tolerance)
    base = [f for group in levels.values() for f in group]
    for f in base:
        if f > fs / 2 * (1 + 1e-12):
            raise InputError(
                f"{f:g} Hz cannot be seen at {fs:g} samples a second", where="targets", expected=f"at most {fs / 2:g} Hz (half the sampling rate)",
                got=f"{f:g} Hz", fix="leave it out; the rate of the units themselves is the sampling rate of a model's activations",
            )  # fmt: skip
    used, facts = _length(base, fs, n_times, tolerance, trim)
    rows, taken, shared, above = [], {round(f * used / fs) for f in base}, [], []
    if len(taken) < len(base):
        raise InputError("two targets fall on one bin", where="targets", got=base, fix="use longer epochs")
    for name, group in levels.items():
        for f in group:
            for h in range(1, harmonics + 1):
                k = round(h * f * used / fs)
                if 2 * k > used:
                    above.append(h * f)
                elif h > 1 and k in taken:
                    shared.append(h * f)
                else:
                    taken.add(k)
                    degrees = 1 if 2 * k == used else 2
                    rows.append((name, f, h, k * fs / used, k, degrees, NYQUIST if degrees == 1 else ""))
    tags = pd.DataFrame(rows, columns=["level", "target", "harmonic", "frequency", "bin", "degrees", "note"])
    if shared:
        facts["harmonics_that_are_other_targets"] = sorted(shared)
    if above:
        facts["harmonics_above_nyquist"] = sorted(above)
    return Grid(used, fs, tags, facts)


def neighbours_of(layout: Grid, n: int, skip: int) -> list[npt.NDArray[np.intp]]:
    """Return the neighbouring bins of each tag: ``n`` on each side, ``skip`` next to it left out; never a tag, DC or the Nyquist bin.

    A side that has too few leaves fewer; at the Nyquist bin there is only the lower side.
    """
    for name, value, least in (("neighbours", n, 1), ("skip", skip, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} is a whole number of at least {least}", where="tag", got=repr(value))
    tagged = set(layout.bins)
    top = (layout.n_times - 1) // 2
    out = []
    for k in layout.bins:
        near = [b for b in (*range(k - skip - n, k - skip), *range(k + skip + 1, k + skip + n + 1)) if 1 <= b <= top and b not in tagged]
        out.append(np.array(near, dtype=np.intp))
    return out


def _length(base: Sequence[float], fs: float, n_times: int, tolerance: float, trim: bool) -> tuple[int, dict[str, Any]]:
    """Return how many samples are used: all of them, or with ``trim`` the most on which every target has whole cycles."""
    limit = 2 * n_times + 1
    cycles = np.arange(1, limit)[:, None] * (np.asarray(base) / fs)
    misfit = np.where(np.round(cycles) >= 1, np.abs(cycles - np.round(cycles)), 1.0).max(axis=1)
    if misfit[n_times - 1] <= (EXACT if trim else tolerance):
        return n_times, {}
    fits = np.flatnonzero(misfit <= EXACT) + 1
    fits = fits if len(fits) else np.flatnonzero(misfit <= tolerance) + 1
    shorter = fits[fits <= n_times]
    if trim and len(shorter):
        return int(shorter[-1]), {"n_times_cut": int(n_times - shorter[-1])}
    if misfit[n_times - 1] <= tolerance:
        return n_times, {}
    between = [f"{f:g} Hz has {f * n_times / fs:.4g} cycles" for f in base if abs(f * n_times / fs - max(1, round(f * n_times / fs))) > tolerance]
    near = [int(n) for n in (*shorter[-1:], *fits[fits > n_times][:1])]
    words = " or ".join(f"{n} samples ({n / fs:.6g} s)" for n in near)
    raise InputError(
        "a target falls between two bins", where=f"{n_times} samples at {fs:g} Hz ({n_times / fs:.6g} s)", expected="whole cycles in the epoch",
        got="; ".join(between), fix=f"epochs of {words} would fit" + ("; trim=True cuts to the shorter" if len(shorter) and not trim else "")
        if near else "no length up to twice this one fits; check fs and the targets",
    )  # fmt: skip
