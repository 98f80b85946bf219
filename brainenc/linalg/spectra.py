"""Fourier coefficients of a few bins as matrix products, and their nulls.

Frequency tagging reads a handful of bins, so the columns of the discrete Fourier transform that belong to them are written down and
multiplied: (channels × times) @ (times × 2 bins). Permuting a series in time permutes the rows of those columns, which makes a
thousand permutations of every channel one larger product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

Tensor = torch.Tensor
MAX_ELEMENTS = 2**23
TIE = 1e-9  # a draw that repeats the observed arrangement counts as at least as large, whatever the rounding


def fourier_columns(n_times: int, bins: Sequence[int], *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Tensor:
    """Return the columns cos(2πkt/T) and −sin(2πkt/T) of some bins: shape (n_times, 2 n_bins), the cosines first.

    The angle is reduced in whole numbers before the cosine is taken, so that long series lose no digits; the sine of the Nyquist bin
    (2k = T) is exactly zero.

    Parameters
    ----------
    n_times : int
    bins : sequence of int
        Whole numbers k of cycles in the series, 0 … n_times / 2.

    Examples
    --------
    >>> fourier_columns(4, [2])[:, 0].tolist()
    [1.0, -1.0, 1.0, -1.0]
    """
    times = torch.arange(n_times, dtype=torch.int64)
    steps = (times[:, None] * torch.tensor(list(bins), dtype=torch.int64)[None]) % n_times
    angle = steps.to(torch.float64) * (2 * math.pi / n_times)
    cosine, sine = torch.cos(angle), -torch.sin(angle)
    sine[(2 * steps) % n_times == 0] = 0.0
    return torch.cat([cosine, sine], dim=1).to(dtype).to(device)


def fourier(series: Tensor, columns: Tensor) -> Tensor:
    """Return the coefficients Σ_t x_t exp(−2πikt/T) (…, n_bins), complex128, of series (…, n_times).

    What is smaller than the rounding of the sum is set to exactly zero: a constant series then has no power and no phase.
    """
    n_bins = columns.shape[1] // 2
    product = (series @ columns).to(torch.float64)
    found = torch.complex(product[..., :n_bins], product[..., n_bins:])
    size = series.abs().sum(dim=-1, dtype=torch.float64, keepdim=True)
    noise = 4 * torch.finfo(series.dtype).eps * size
    return torch.where(found.abs() <= noise, torch.zeros_like(found), found)


def without_line(series: Tensor) -> Tensor:
    """Return the series (…, n_times) less their least-squares straight lines."""
    n = series.shape[-1]
    time = torch.arange(n, dtype=series.dtype, device=series.device) - (n - 1) / 2
    centred = series - series.mean(dim=-1, keepdim=True)
    return centred - (centred @ time)[..., None] * (time / (time @ time).clamp_min(1e-30))


def shift_phases(shifts: Tensor, bins: Sequence[int], n_times: int) -> Tensor:
    """Return what a circular shift of a series by s samples does to its coefficients: exp(−2πiks/T), shape (*shifts.shape, n_bins).

    At the Nyquist bin that is a change of sign and nothing else, so this null has there the single degree of freedom that the bin has.
    """
    steps = (shifts.to(torch.int64)[..., None] * torch.tensor(list(bins), dtype=torch.int64, device=shifts.device)) % n_times
    angle = steps.to(torch.float64) * (-2 * math.pi / n_times)
    return torch.complex(torch.cos(angle), torch.where((2 * steps) % n_times == 0, torch.zeros_like(angle), torch.sin(angle)))


def rotation_null(coefficients: Tensor, phases: Tensor) -> tuple[Tensor, Tensor]:
    """Return how often the power of a sum over trials is reached when the trials are rotated, and the largest share of each draw.

    The power is |Σ_j r_j c_j|², its share the power over Σ_j |c_j|², which a rotation leaves.

    Parameters
    ----------
    coefficients : complex Tensor of shape (n_trials, n_channels, n_bins)
    phases : complex Tensor of shape (n_draws, n_trials, n_bins)
        Of modulus one, the same for all channels, so that what channels have in common stays.

    Returns
    -------
    hits : int64 Tensor of shape (n_channels, n_bins)
    maxima : Tensor of shape (n_draws, n_bins)
        Over the channels, of the share; channels without power or with NaN do not take part.
    """
    n_draws, _, n_bins = phases.shape
    n_channels = coefficients.shape[1]
    hits = torch.zeros((n_channels, n_bins), dtype=torch.int64, device=coefficients.device)
    maxima = torch.full((n_draws, n_bins), -math.inf, dtype=torch.float64, device=coefficients.device)
    for b in range(n_bins):
        trials = coefficients[..., b]
        observed = trials.sum(dim=0).abs() ** 2
        whole = (trials.abs() ** 2).sum(dim=0)
        for part in _parts(n_draws, n_channels):
            power = (phases[part, :, b] @ trials).abs() ** 2
            hits[:, b] += (power >= observed * (1 - TIE)).sum(dim=0)
            maxima[part, b] = _largest(power / whole)
    return hits, maxima


def permutation_null(series: Tensor, columns: Tensor, orders: Tensor) -> tuple[Tensor, Tensor]:
    """Return how often the power |X_k|² of a series is reached when its samples are permuted, and the largest share of each draw.

    Parameters
    ----------
    series : Tensor of shape (n_channels, n_times)
    columns : Tensor of shape (n_times, 2 n_bins)
        From `fourier_columns`.
    orders : int64 Tensor of shape (n_draws, n_times)
        Permutations; draw d has the series x[orders[d]].

    Returns
    -------
    hits : int64 Tensor of shape (n_channels, n_bins)
    maxima : Tensor of shape (n_draws, n_bins)
        Over the channels, of the power over the sum of squares Σ (x_t − x̄)².
    """
    n_draws, n_times = orders.shape
    n_bins = columns.shape[1] // 2
    centred = series - series.mean(dim=-1, keepdim=True)
    whole = (centred.to(torch.float64) ** 2).sum(dim=-1)
    observed = fourier(centred, columns).abs() ** 2
    hits = torch.zeros((len(series), n_bins), dtype=torch.int64, device=series.device)
    maxima = torch.full((n_draws, n_bins), -math.inf, dtype=torch.float64, device=series.device)
    places = torch.argsort(orders, dim=1)
    for part in _parts(n_draws, 2 * n_bins * max(n_times, len(series))):
        drawn = columns[places[part]]  # (draws, times, 2 bins): x[order] @ C = x @ C[place]
        product = (centred @ drawn.permute(1, 0, 2).reshape(n_times, -1)).reshape(len(series), -1, 2 * n_bins).to(torch.float64)
        power = product[..., :n_bins] ** 2 + product[..., n_bins:] ** 2
        hits += (power >= observed[:, None] * (1 - TIE)).sum(dim=1)
        for b in range(n_bins):
            maxima[part, b] = _largest((power[..., b] / whole[:, None]).T)
    return hits, maxima


def label_null(first: Tensor, second: Tensor, orders: Tensor) -> tuple[Tensor, Tensor]:
    """Return |mean of the first set| − |mean of the second| and how often relabelled trials reach it.

    Parameters
    ----------
    first, second : complex Tensors of shape (n_first, n_channels, n_bins) and (n_second, n_channels, n_bins)
    orders : int64 Tensor of shape (n_draws, n_first + n_second)
        Permutations of all trials; the first ``n_first`` of an order make the first set.

    Returns
    -------
    difference : Tensor of shape (n_channels, n_bins)
    hits : int64 Tensor of shape (n_channels, n_bins)
    """
    n_first, n_second = len(first), len(second)
    difference = first.mean(dim=0).abs() - second.mean(dim=0).abs()
    trials = torch.cat([first, second]).reshape(n_first + n_second, -1)
    total = trials.sum(dim=0)
    observed = difference.reshape(-1)
    slack = TIE * (trials.abs().amax(dim=0) + 1e-300)
    hits = torch.zeros(observed.shape, dtype=torch.int64, device=first.device)
    for part in _parts(len(orders), trials.shape[1]):
        chosen = torch.zeros((orders[part].shape[0], len(trials)), dtype=trials.dtype, device=first.device)
        chosen.scatter_(1, orders[part, :n_first], 1.0)
        one = chosen @ trials
        drawn = one.abs() / n_first - (total - one).abs() / n_second
        hits += (drawn >= observed - slack).sum(dim=0)
    return difference, hits.reshape(difference.shape)


def _largest(share: Tensor) -> Tensor:
    """Return the largest finite value over the channels (n_draws,) of shares (n_draws, n_channels)."""
    return torch.where(torch.isfinite(share), share, torch.full_like(share, -math.inf)).amax(dim=1)


def _parts(n: int, width: int) -> Iterator[slice]:
    step = max(1, MAX_ELEMENTS // max(width, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
