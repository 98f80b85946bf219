"""Which channels of a brain follow a rhythm, and how much by trials that did not choose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.frequency.bins import Grid, Targets, grid
from brainenc.frequency.halves import Halves, consistency, half_orders, spearman_brown
from brainenc.frequency.series import as_series
from brainenc.frequency.statistics import t2_circ
from brainenc.frequency.tagging import coefficients, tag
from brainenc.metrics.multiple import fdr_bh
from brainenc.nouns.tagging import TagSelection

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]


def select_channels(
    series: Any, fs: float | None = None, targets: Targets | None = None, *, alpha: float = 0.05, test: str = "t2circ", n: int = 0, halves: int = 50,
    local: bool = True, trim: bool = False, detrend: bool = False, trials: str | None = None, seed: int = 0, memory: str | int | float | None = None,
    device: str = "auto",
) -> TagSelection:  # fmt: skip
    """Select the channels that follow each rhythm, and estimate how much on trials that had no say in it.

    ``selected`` is q ≤ ``alpha`` over channels × targets on all trials, p being the larger one of ``test`` and of the bins beside the target.
    Phases agree over trials at every frequency where trials begin with a response to their onset; a rhythm also stands out from its
    neighbours. The amplitude of the selected on the same trials is too large, the
    more so the fewer the trials: it is what selected them. So the trials are halved ``halves`` times at random; half a selects by T²circ and
    the same false discovery rate, half b tells the amplitude along the phase of half a,

        amplitude_held_out = mean over the splits in which a selects the channel of Re(X̄_b X̄_a*) / |X̄_a| · 2/T

    (1/T at the Nyquist bin), both ways. Over selected channels average it with the weights ``share``: that mean is right (noise gives 0). One
    channel that few halves select was there large by luck, and the other half of the same trials is then small.

    Parameters
    ----------
    series, fs, targets
        See `brainenc.frequency.tag`; one recording, at least six trials.
    alpha : float
        False discovery rate.
    test : {"t2circ", "shift", "sign", "rayleigh"}
        Of the selection on all trials.
    n : int
        Draws of "shift" and "sign".
    halves : int
        Random splits.
    local : bool
        Ask for a peak as well, with its neighbours' F-test (see `tag`). False selects whatever is locked to the trials.
    trim, detrend, trials, seed, memory, device
        See `brainenc.frequency.tag`.

    Returns
    -------
    TagSelection
        ``statistics``: amplitude (all trials), amplitude_held_out (NaN where no half selected the channel), share (of the half-splits that
        select it), consistency (see `brainenc.frequency.select_units`), snr, effect, p, q. ``reliability``: one row a level, the
        correlation over all channels of the amplitude in two halves (Spearman-Brown), mean and spread over the splits.

    Examples
    --------
    >>> t, rng = np.arange(64) / 16, np.random.default_rng(0)
    >>> noise = rng.standard_normal((20, 3, 64))
    >>> found = select_channels(noise + np.array([[0.0], [0.8], [0.0]]) * np.cos(4 * np.pi * t), 16, {"phrase": 2.0})
    >>> list(found.sets)
    ['none', 'phrase', 'none']
    """
    one_of(test, ("t2circ", "shift", "sign", "rayleigh"), "test")
    data = as_series(series, fs, trials=trials)
    n_trials = data.values.shape[0]
    if n_trials < 6:
        raise InputError("each half needs three trials", where="select_channels", expected="at least six trials", got=n_trials)
    if not 0 < alpha < 1:
        raise InputError("alpha is a false discovery rate", where="select_channels", expected="0 to 1", got=alpha)
    whole = tag(
        data, None, targets, test=test, null=test if test == "sign" else "shift", n=n, seed=seed, trim=trim, detrend=detrend, spectrum=False,
        memory=memory, device=device,
    )  # fmt: skip
    assert targets is not None
    layout = grid(targets, data.fs, data.values.shape[2], trim=trim)
    scale = np.where(layout.nyquist, 1.0, 2.0) / layout.n_times
    z = np.asarray(coefficients(data, layout, detrend=detrend, memory=memory, device=device) * scale, dtype=np.complex128)
    splits = half_orders(n_trials, halves, seed, "channels")
    held_out, share = _held_out(z, layout, splits, alpha)
    several = whole.tags["level"].duplicated(keep=False)
    names = [f"{row.level} {row.frequency:g} Hz" if twice else str(row.level) for row, twice in zip(whole.tags.itertuples(), several)]
    p = np.maximum(whole["p"], whole["p_neighbours"]) if local else whole["p"]
    q = fdr_bh(p)
    statistics = {
        "amplitude": whole["amplitude"], "amplitude_held_out": held_out, "share": share, "consistency": consistency(z, splits), "snr": whole["snr"],
        "effect": whole["effect"], "p": p, "q": q,
    }  # fmt: skip
    selected = np.nan_to_num(q, nan=1.0) <= alpha
    facts = {**whole.provenance, "test": test, "local": local, "halves": halves, "n_trials": n_trials}
    return TagSelection(selected, whole.channels, tuple(names), statistics, _reliability(z, names, splits), alpha, facts)


def _held_out(z: Complex, layout: Grid, splits: Halves, alpha: float) -> tuple[Floats, Floats]:
    """Return what the other half says of the channels that a half selects, and how often a half selects them (n_channels, n_tags)."""
    total, count = np.zeros(z.shape[1:]), np.zeros(z.shape[1:])
    for a, b in (pair for first, second in splits for pair in ((first, second), (second, first))):
        p = np.stack([t2_circ(z[a][..., k], real=bool(real))["p"] for k, real in enumerate(layout.nyquist)], axis=1)
        chosen = np.nan_to_num(fdr_bh(p), nan=1.0) <= alpha
        mean, other = z[a].mean(axis=0), z[b].mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            along = (other * mean.conj()).real / np.abs(mean)
        total += np.where(chosen, along, 0.0)
        count += chosen
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(count > 0, total / count, np.nan)), count / (2 * len(splits))


def _reliability(z: Complex, names: list[str], splits: Halves) -> pd.DataFrame:
    rows = []
    for k, name in enumerate(names):
        r = np.array([spearman_brown(np.abs(z[a][..., k].mean(axis=0)), np.abs(z[b][..., k].mean(axis=0))) for a, b in splits])
        rows.append({"level": name, "reliability": r.mean(), "sd": r.std(ddof=1) if len(r) > 1 else np.nan, "n_channels": z.shape[1]})
    return pd.DataFrame(rows)
