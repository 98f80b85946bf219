"""Geo-topological maps of condensed RDMs: ranks between 0 and 1, quantiles of them, and the ramp between two thresholds."""

from __future__ import annotations

import torch

from brainenc.linalg.ranks import midranks

Tensor = torch.Tensor

FAMILIES = ("piecewise", "keep", "upper")
_WHOLE = 1e-9  # a quantile's place this near to an order statistic is that order statistic: 0.7 × 10 is not 7 in binary


def unit_ranks(values: Tensor) -> Tensor:
    """Return the mid-ranks along the last axis scaled to 0 … 1, in float64; NaN stays NaN and is not ranked.

    Parameters
    ----------
    values : Tensor of shape (…, n_pairs)
        A vector that is constant gives NaN.

    Examples
    --------
    >>> unit_ranks(torch.tensor([5.0, 1.0, 30.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    known = ~torch.isnan(values)
    ranks = midranks(torch.where(known, values, torch.full_like(values, torch.inf)))
    low = torch.where(known, ranks, torch.full_like(ranks, torch.inf)).amin(-1, keepdim=True)
    high = torch.where(known, ranks, torch.full_like(ranks, -torch.inf)).amax(-1, keepdim=True)
    return torch.where(known, (ranks - low) / (high - low), torch.full_like(ranks, torch.nan))


def quantiles(values: Tensor, at: Tensor) -> Tensor:
    """Return quantiles along the last axis, by linear interpolation between order statistics, all from one sort.

    Parameters
    ----------
    values : Tensor of shape (…, n_pairs)
        NaN are left out.
    at : Tensor of shape (n_quantiles,)
        Between 0 and 1.

    Returns
    -------
    Tensor of shape (…, n_quantiles)

    Examples
    --------
    >>> quantiles(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), torch.tensor([0.5, 0.75], dtype=torch.float64)).tolist()
    [1.0, 1.5]
    """
    known = (~torch.isnan(values)).sum(-1, keepdim=True)
    ordered = torch.sort(values, dim=-1).values  # NaN come last
    place = at.to(torch.float64) * (known - 1)
    place = torch.where((place - place.round()).abs() < _WHOLE, place.round(), place)
    below = place.floor().long().clamp(min=0)
    first, second = torch.gather(ordered, -1, below), torch.gather(ordered, -1, place.ceil().long().clamp(min=0))
    return first + (place - below) * (second - first)


def ramp(values: Tensor, low: Tensor, high: Tensor, family: str = "piecewise") -> Tensor:
    """Return 0 up to ``low``, 1 from ``high`` on, and between them a ramp; where low = high, a step.

    piecewise: (z - low) / (high - low). keep: z itself. upper: high (z - low) / (high - low), so that a gap is left below 1.
    In every family a value equal to ``low`` becomes 0, also where low = high; a value above both becomes 1.

    Parameters
    ----------
    values : Tensor of shape (…, n_pairs)
        Between 0 and 1; NaN stays.
    low, high : Tensor of shape (…, 1)
        low ≤ high.
    family : {"piecewise", "keep", "upper"}

    Examples
    --------
    >>> z = torch.tensor([0.0, 0.25, 0.5, 1.0])
    >>> ramp(z, torch.tensor([0.25]), torch.tensor([0.75])).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {FAMILIES}, not {family!r}")
    width = high - low
    slope = (values - low) / torch.where(width > 0, width, torch.ones_like(width))
    if family == "piecewise":
        return torch.where(width > 0, slope.clamp(0, 1), (slope > 0).to(slope.dtype)) + 0.0 * values  # the last term carries NaN
    middle = values if family == "keep" else high * slope
    out = torch.where(values >= high, torch.ones_like(values), middle)
    return torch.where(values <= low, torch.zeros_like(values), out)
