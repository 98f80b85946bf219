"""The verb of the room: tests of every channel at every tagged frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.frequency import bins as places
from brainenc.frequency.bins import Grid, Targets
from brainenc.frequency.series import Series, named_series
from brainenc.frequency.statistics import against_neighbours, rayleigh, t2_circ
from brainenc.linalg import spectra
from brainenc.linalg.device import resolve_device, to_numpy, working_dtype
from brainenc.linalg.plan import plan_chunks
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permutations, shifts, sign_flips
from brainenc.nouns.tagging import Tagging

TESTS = ("auto", "t2circ", "neighbours", "rayleigh", "shift", "sign", "itpc", "series")
DRAWN = ("shift", "sign", "series")
KEEP_SPECTRA = 4_000_000
Floats = npt.NDArray[np.float64]


class Draws(NamedTuple):
    """One null for all channels: how it is drawn, how often, and from which seed."""

    kind: str
    n: int
    seed: int


def tag(
    series: Any, fs: float | None = None, targets: Targets | None = None, *, test: str = "auto", neighbours: int = 5, skip: int = 1,
    slope: float | str = 0.0, harmonics: int = 1, tolerance: float = 1e-3, trim: bool = False, detrend: bool = False, null: str = "shift",
    n: int = 0, seed: int = 0, trials: str | None = None, spectrum: bool | None = None, memory: str | int | float | None = None, device: str = "auto",
) -> Tagging:  # fmt: skip
    """Test which channels follow which rhythm.

    With X_jk = Σ_t x_j(t) exp(−2πikt/T) the coefficient of trial j in the bin k = f T / f_s, X̄ its mean over n trials:

    * ``amplitude`` 2|X̄|/T (|X̄|/T at the Nyquist bin) and ``phase`` of the mean over trials;
    * ``snr``, ``z``, ``p_neighbours``: |X̄| against bins about it, `brainenc.frequency.against_neighbours`;
    * ``itpc`` |mean exp(iφ_j)| with ``p_rayleigh``, and ``ppc`` = (n ITPC² − 1)/(n − 1), which noise does not push up;
    * ``t2circ``, ``f``, ``p_t2circ`` and ``effect``, `brainenc.frequency.t2_circ`;
    * with ``n`` draws ``p_shift`` (|X̄|²), ``p_itpc`` and ``p_max`` (|X̄|² as a share of its trials, against the largest of all channels in
      the same bin: the chance that any channel of a silent brain does as well).

    Every test but the one against neighbours asks whether trials agree in phase, as whatever repeats in all of them does: the response to the
    onset of a trial has every frequency. Cut onsets off (the first sentence), compare with a control without the rhythm, or read
    ``p_neighbours`` beside the others: only a rhythm stands out of the bins about it.

    Every test is of its own bin. The Nyquist bin has one real degree of freedom: there T²circ is a t-test, the neighbours are compared
    with F(1, 2m), a shift is a change of sign, and what is about phase is NaN.

    Parameters
    ----------
    series : array, Responses, FeatureSpace, or mapping of layer names to any of these
        (n_trials, n_channels, n_times), (n_channels, n_times), or see `brainenc.frequency.as_series`.
    fs : float, optional
        Samples a second; from the data where they know it (units a second for activations).
    targets : float, sequence, or mapping of names to either
        Hz, e.g. ``{"sentence": 1.0, "phrase": 2.0}``.
    test : str
        Which p is corrected to ``q`` over channels × tags: "t2circ" (the default with three trials or more), "neighbours" (the default with
        fewer), "rayleigh", or one of the draws: "shift", "sign", "itpc", "series".
    neighbours, skip : int
        Bins on each side, and how many next to the target are left out.
    slope : float or "fit"
        The noise power falls as f^−slope over the neighbourhood; neighbours are brought to the level at the target by it. 0 takes it to be flat
        (with 1/f noise ``p_neighbours`` is then too large); "fit" estimates the slope of each channel from the logarithms of all bins that are
        looked at and not tagged.
    harmonics : int
        Rows for f, 2f … up to the Nyquist bin; a harmonic that is another target is not repeated.
    tolerance : float
        How far, in bins, a target may lie from the middle of one.
    trim : bool
        Cut the end of the trials to whole cycles of every target.
    detrend : bool
        Take a straight line off every trial first.
    null : {"shift", "sign", "series"}
        Of the draws. "shift": every trial is moved round by a random number of samples, all channels alike; right for stationary noise of
        any spectrum. "sign": trials change sign; right for any symmetric noise. "series": the samples of the mean over trials are permuted;
        right only for samples without memory, and too liberal at low frequencies otherwise (1/f noise).
    n : int
        Draws.
    seed : int
    trials : str, optional
        Column of ``samples`` that names the trials.
    spectrum : bool, optional
        Keep the amplitudes of all bins up to a little above the highest tag; by default where that is at most 4 million numbers.
    memory : str, int, float, optional
        Working memory.
    device : str
        "auto", "cpu", "cuda".

    Returns
    -------
    Tagging

    Raises
    ------
    InputError
        A target between two bins (lengths that fit are named), above the Nyquist frequency, or a test that the data cannot give.

    Examples
    --------
    >>> t = np.arange(64) / 16
    >>> noise = np.random.default_rng(0).standard_normal((6, 2, 64))
    >>> found = tag(noise + np.array([[0.0], [2.0]]) * np.cos(2 * np.pi * 2 * t), 16, 2.0)
    >>> found["q"][:, 0] < 0.01
    array([False,  True])
    """
    if targets is None:
        raise InputError("which frequencies?", where="tag", fix='give targets, e.g. {"sentence": 1.0, "phrase": 2.0}')
    one_of(test, TESTS, "test")
    layers = named_series(series, fs, trials)
    first = next(iter(layers.values()))
    n_trials, _, n_times = first.values.shape
    layout = places.grid(targets, first.fs, n_times, harmonics=harmonics, tolerance=tolerance, trim=trim)
    draws = _draws(test, null, n, seed, n_trials)
    chosen = test if test != "auto" else ("t2circ" if n_trials >= 3 else "neighbours")
    _possible(chosen, n_trials)
    near = places.neighbours_of(layout, neighbours, skip)
    if slope != "fit" and (isinstance(slope, str | bool) or not np.isfinite(slope)):
        raise InputError("slope is an exponent", where="tag", expected='a number or "fit"', got=repr(slope))
    nulls = _null_of(draws, n_trials, layout)
    draws = draws._replace(n=0 if nulls is None else len(nulls))
    shown = _shown(layout, near, sum(s.values.shape[1] for s in layers.values()), spectrum)
    job = _Job(layout, near, shown, nulls, draws, detrend, slope, memory, resolve_device(device))
    parts = [_measure(s, job) for s in layers.values()]
    statistics = {name: np.concatenate([part.statistics[name] for part in parts]) for name in parts[0].statistics}
    if draws.n:
        statistics["p_max"] = _p_max(statistics.pop("_share"), np.max([part.maxima for part in parts], axis=0))
    statistics["p"] = statistics[_column(chosen, draws)]
    statistics["q"] = fdr_bh(statistics["p"])
    facts = {
        **layout.facts, "neighbours": [len(b) for b in near], "skip": skip, "slope": slope, "detrended": detrend,
        "n_channels_with_nan": sum(p.n_nan for p in parts), "n_constant_channels": sum(p.n_constant for p in parts),
        "null": draws.kind if draws.n else "", "n": draws.n, "seed": seed, "name": first.name,
    }  # fmt: skip
    return Tagging(
        statistics, pd.concat([s.channels for s in layers.values()], ignore_index=True), layout.tags, n_trials, layout.n_times, layout.fs, chosen,
        np.concatenate([p.spectra for p in parts]) if len(shown) else None, np.asarray(shown) * layout.fs / layout.n_times if len(shown) else None, facts,
    )  # fmt: skip


def coefficients(series: Series, layout: Grid, *, detrend: bool = False, memory: str | int | float | None = None, device: str = "auto") -> npt.NDArray[Any]:
    """Return the complex coefficients of every trial (n_trials, n_channels, n_tags) at the tags of a grid."""
    where = resolve_device(device)
    dtype = working_dtype(series.values)
    columns = spectra.fourier_columns(layout.n_times, layout.bins, dtype=_torch(dtype), device=where)
    out = np.empty((*series.values.shape[:2], len(layout.bins)), dtype=np.complex128)
    for part in _chunks(series, layout, memory, dtype):
        block = _block(series, part, layout.n_times, dtype, where)
        out[:, part] = to_numpy(spectra.fourier(spectra.without_line(block) if detrend else block, columns))
    return out


class _Job(NamedTuple):
    """What is asked of every channel."""

    layout: Grid
    near: Sequence[npt.NDArray[np.intp]]
    shown: Sequence[int]
    nulls: torch.Tensor | None
    draws: Draws
    detrend: bool
    slope: float | str
    memory: str | int | float | None
    device: torch.device


class _Part(NamedTuple):
    statistics: dict[str, Floats]
    maxima: Floats
    spectra: npt.NDArray[np.float32]
    n_nan: int
    n_constant: int


def _measure(series: Series, job: _Job) -> _Part:
    """Return the statistics of one layer or recording, chunk by chunk of its channels."""
    layout, shown, draws = job.layout, job.shown, job.draws
    dtype = working_dtype(series.values)
    n_channels, n_tags = series.values.shape[1], len(layout.bins)
    wide = sorted({*(int(b) for group in job.near for b in group), *shown})
    columns = spectra.fourier_columns(layout.n_times, layout.bins, dtype=_torch(dtype), device=job.device)
    around = spectra.fourier_columns(layout.n_times, wide, dtype=_torch(dtype), device=job.device)
    nulls = None if job.nulls is None else job.nulls.to(job.device)
    scale = [(1.0 if 2 * b == layout.n_times else 2.0) / layout.n_times for b in shown]
    found: dict[str, Floats] = {}
    maxima = np.full((draws.n, n_tags), -np.inf)
    kept = np.empty((n_channels, len(shown)), dtype=np.float32)
    n_nan = n_constant = 0
    for part in _chunks(series, layout, job.memory, dtype):
        block = _block(series, part, layout.n_times, dtype, job.device)
        flat = (block.amax(dim=2) == block.amin(dim=2)).all(dim=0)
        block = spectra.without_line(block) if job.detrend else block
        trials, mean = spectra.fourier(block, columns), block.mean(dim=0)
        magnitude = to_numpy(spectra.fourier(mean, around).abs()) if wide else np.empty((mean.shape[0], 0))
        lost = torch.isnan(trials.abs()).any(dim=2).any(dim=0)
        n_nan, n_constant = n_nan + int(lost.sum()), n_constant + int(flat.sum())
        here = _statistics(to_numpy(trials), [_levelled(magnitude, wide, layout, k, (bins, job.slope)) for k, bins in zip(layout.bins, job.near)], layout)
        if nulls is not None:
            drawn, top = _against_draws(trials, mean, columns, nulls, layout, draws)
            here |= drawn
            maxima = np.maximum(maxima, top)
        silent = to_numpy(flat | lost)
        for name, values in here.items():
            values[silent] = np.nan
            found.setdefault(name, np.empty((n_channels, n_tags)))[part] = values
        kept[part] = magnitude[:, [wide.index(b) for b in shown]] * scale
    return _Part(found, maxima, kept, n_nan, n_constant)


def _levelled(magnitude: Floats, wide: Sequence[int], layout: Grid, k: int, about: tuple[npt.NDArray[np.intp], float | str]) -> Floats:
    """Return the magnitudes of the neighbours (n_channels, m), brought to the level that a power law gives bin ``k``."""
    near, slope = about
    chosen = magnitude[:, [wide.index(int(b)) for b in near]]
    if slope == 0 or not len(near):
        return chosen
    if slope == "fit":
        free = [i for i, b in enumerate(wide) if b not in set(layout.bins) and 2 * b != layout.n_times]
        x = np.log([wide[i] for i in free])
        with np.errstate(divide="ignore", invalid="ignore"):
            y = 2.0 * np.log(magnitude[:, free])
            exponent = -((y - y.mean(axis=1, keepdims=True)) @ (x - x.mean())) / ((x - x.mean()) ** 2).sum()
    else:
        exponent = np.full(len(magnitude), float(slope))
    return np.asarray(chosen * (near / k)[None] ** (exponent[:, None] / 2))


def _statistics(trials: npt.NDArray[Any], around: Sequence[Floats], layout: Grid) -> dict[str, Floats]:
    """Return every statistic that needs no draws (n_channels, n_tags); ``around`` holds the magnitudes of the neighbours of each tag."""
    n_trials, n_channels, n_tags = trials.shape
    names = ("amplitude", "phase", "snr", "z", "p_neighbours", "itpc", "ppc", "p_rayleigh", "t2circ", "f", "effect", "p_t2circ")
    out = {name: np.full((n_channels, n_tags), np.nan) for name in names}
    mean = trials.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        itpc = np.abs((trials / np.abs(trials)).mean(axis=0))
    for b, real in enumerate(layout.nyquist):
        size = np.abs(mean[:, b])
        out["amplitude"][:, b] = size * ((1.0 if real else 2.0) / layout.n_times)
        against = against_neighbours(size, around[b], real=bool(real))
        out["snr"][:, b], out["z"][:, b], out["p_neighbours"][:, b] = against["snr"], against["z"], against["p"]
        if n_trials > 1:
            test = t2_circ(trials[..., b], real=bool(real))
            for name, key in (("t2circ", "t2circ"), ("f", "f"), ("effect", "effect"), ("p_t2circ", "p")):
                out[name][:, b] = test[key]
        if not real:
            out["phase"][:, b] = np.angle(mean[:, b])
            if n_trials > 1:
                out["itpc"][:, b] = itpc[:, b]
                out["ppc"][:, b] = (n_trials * itpc[:, b] ** 2 - 1) / (n_trials - 1)
                out["p_rayleigh"][:, b] = rayleigh(itpc[:, b], n_trials)
    return out


def _against_draws(
    trials: torch.Tensor, mean: torch.Tensor, columns: torch.Tensor, nulls: torch.Tensor, layout: Grid, draws: Draws
) -> tuple[dict[str, Floats], Floats]:
    """Return the p-values of the draws, the observed share of power, and the largest share of each draw."""
    if draws.kind == "series":
        hits, top = spectra.permutation_null(mean, columns, nulls)
        centred = mean - mean.mean(dim=-1, keepdim=True)
        share = spectra.fourier(centred, columns).abs() ** 2 / (centred.to(torch.float64) ** 2).sum(dim=-1, keepdim=True)
        return {"p_series": _p(hits, draws.n), "_share": to_numpy(share)}, to_numpy(top)
    hits, top = spectra.rotation_null(trials, nulls)
    share = trials.sum(dim=0).abs() ** 2 / (trials.abs() ** 2).sum(dim=0)
    phasors = trials / trials.abs()
    itpc = _p(spectra.rotation_null(phasors, nulls)[0], draws.n)
    itpc[:, layout.nyquist] = np.nan
    itpc[to_numpy(torch.isnan(phasors.abs()).any(dim=0))] = np.nan
    return {f"p_{draws.kind}": _p(hits, draws.n), "p_itpc": itpc, "_share": to_numpy(share)}, to_numpy(top)


def _null_of(draws: Draws, n_trials: int, layout: Grid) -> torch.Tensor | None:
    """Return what is drawn, the same for every channel and layer: rotations (n, n_trials, n_tags) or orders (n, n_times)."""
    if not draws.n:
        return None
    if draws.kind == "series":
        return torch.from_numpy(np.stack(list(permutations(layout.n_times, draws.n, draws.seed, "series"))))
    if draws.kind == "sign":
        flips = torch.from_numpy(sign_flips(n_trials, draws.n, draws.seed)).to(torch.complex128)
        return flips[..., None].expand(-1, -1, len(layout.bins)).contiguous()
    moved = torch.from_numpy(shifts(n_trials, layout.n_times, draws.n, draws.seed))
    return spectra.shift_phases(moved, layout.bins, layout.n_times)


def _draws(test: str, null: str, n: int, seed: int, n_trials: int) -> Draws:
    one_of(null, DRAWN, "null")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise InputError("n is a number of draws", where="tag", got=repr(n))
    kind = test if test in DRAWN else null
    if test in (*DRAWN, "itpc") and n == 0:
        raise InputError(f"test={test!r} needs draws", where="tag", fix="give n, e.g. n=1000")
    if test == "itpc" and kind == "series":
        raise InputError("phases over trials are drawn by shifts or signs", where="tag", got="null='series'")
    if n and kind != "series" and n_trials < 2:
        raise InputError("trials are moved against each other", where="tag", expected="at least two trials", got=n_trials, fix='use null="series" or n=0')
    return Draws(kind, int(n), seed)


def _possible(test: str, n_trials: int) -> None:
    least = {"t2circ": 2, "rayleigh": 5, "shift": 2, "sign": 2, "itpc": 2}.get(test, 1)
    if n_trials < least:
        raise InputError(f"test={test!r} compares trials", where="tag", expected=f"at least {least}", got=n_trials, fix='use test="neighbours"')


def _column(test: str, draws: Draws) -> str:
    return {"itpc": "p_itpc"}.get(test, f"p_{test}")


def _p(hits: torch.Tensor, n: int) -> Floats:
    return np.asarray((1.0 + to_numpy(hits)) / (1.0 + n), dtype=np.float64)


def _p_max(share: Floats, maxima: Floats) -> Floats:
    """Return (1 + #{largest share of a draw ≥ share}) / (1 + n) in each bin."""
    out = np.full(share.shape, np.nan)
    for b in range(share.shape[1]):
        ordered = np.sort(maxima[:, b])
        known = np.isfinite(share[:, b])
        above = len(ordered) - np.searchsorted(ordered, share[known, b] * (1 - spectra.TIE), side="left")
        out[known, b] = (1 + above) / (1 + len(ordered))
    return out


def _shown(layout: Grid, near: Sequence[npt.NDArray[np.intp]], n_channels: int, spectrum: bool | None) -> list[int]:
    """Return the bins of the spectrum that is kept: from 1 to the highest tag or neighbour."""
    top = max([*layout.bins, *(int(b) for group in near for b in group)])
    if spectrum is False or (spectrum is None and top * n_channels > KEEP_SPECTRA):
        return []
    return list(range(1, top + 1))


def _chunks(series: Series, layout: Grid, memory: str | int | float | None, dtype: np.dtype[Any]) -> list[slice]:
    n_trials, n_channels, _ = series.values.shape
    per_channel = 3 * n_trials * layout.n_times * dtype.itemsize + 64 * n_trials * len(layout.bins) + 16 * layout.n_times
    return plan_chunks(memory, n_channels, fixed=0, per_column=per_channel, smallest=1).slices()


def _block(series: Series, part: slice, n_times: int, dtype: np.dtype[Any], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.array(series.values[:, part, :n_times], dtype=dtype, order="C")).to(device)


def _torch(dtype: np.dtype[Any]) -> torch.dtype:
    return torch.float32 if dtype == np.float32 else torch.float64

