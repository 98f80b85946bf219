"""What several estimators share: means of cells, and noise models where values are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from brainenc.linalg.distances import Cells
from brainenc.rsa.noise import NoiseModel

Tensor = torch.Tensor
Noise = NoiseModel | Sequence[NoiseModel]
Distances = Callable[[Cells, Any], Tensor]


def means(cells: Cells) -> tuple[Tensor, Tensor | None]:
    """Return the means (n_batch, n_cells, n_channels) and which of them are valid (None: all)."""
    if cells.counts.ndim == 1:
        if bool((cells.counts == 1).all()):
            return cells.sums, None
        return cells.sums / cells.counts.to(cells.sums.dtype)[:, None], None
    counts = cells.counts.to(cells.sums.dtype)
    return cells.sums / counts.clamp_min(1e-300 if counts.dtype == torch.float64 else 1e-30), cells.counts > 0


def over_shared_channels(cells: Cells, noise: Noise, distances: Distances) -> tuple[Tensor, Tensor]:
    """Return distances and numbers of channels where values are missing and noise is correlated.

    Each pair takes the channels valid in all cells of both conditions, with the inverse of that block of the covariance; pairs that
    share a set of channels are computed together.

    Parameters
    ----------
    cells : Cells
        With counts (n_batch, n_cells, n_channels). A cell is the mean of its valid trials, with the weight of its best-measured channel.
    noise : NoiseModel or sequence of NoiseModel
        Of all channels; one per fold.
    distances : function
        Of complete cells and a noise model, summed over channels.
    """
    n = cells.n_conditions
    rows, columns = torch.triu_indices(n, n, 1, device=cells.sums.device)
    pattern, valid = means(cells)
    assert valid is not None
    totals, channels = [], []
    for item in range(len(cells.sums)):
        weight = cells.counts[item].amax(dim=-1)
        known = torch.ones((n, cells.sums.shape[2]), dtype=torch.bool, device=cells.sums.device)
        for cell, condition in enumerate(cells.condition.tolist()):
            known[condition] &= valid[item, cell]
        both = known[rows] & known[columns]
        total = torch.full((len(rows),), torch.nan, dtype=torch.float64, device=cells.sums.device)
        masks, which = torch.unique(both, dim=0, return_inverse=True)
        for group, mask in enumerate(masks):
            index = torch.nonzero(mask)[:, 0]
            pairs = torch.nonzero(which == group)[:, 0]
            if not len(index):
                continue
            part = _among(cells, pattern[item][:, index], weight, torch.unique(torch.cat([rows[pairs], columns[pairs]])))
            full = torch.full((n, n), torch.nan, dtype=torch.float64, device=total.device)
            a, b = torch.triu_indices(len(part.ids), len(part.ids), 1, device=total.device)
            full[part.ids[a], part.ids[b]] = distances(part.cells, _at(noise, index))[0]
            total[pairs] = full[rows[pairs], columns[pairs]]
        totals.append(total)
        channels.append(both.sum(dim=1).to(torch.float64))
    return torch.stack(totals), torch.stack(channels)


class _Part(NamedTuple):
    cells: Cells
    ids: Tensor


def _among(cells: Cells, pattern: Tensor, weight: Tensor, wanted: Tensor) -> _Part:
    """Return the cells of the wanted conditions as one item without missing values, and which conditions these are."""
    inside = torch.isin(cells.condition, wanted)
    place = torch.full((cells.n_conditions,), -1, device=wanted.device)
    place[wanted] = torch.arange(len(wanted), device=wanted.device)
    counts = weight[inside]
    sums = (pattern[inside] * counts.to(pattern.dtype)[:, None])[None]
    return _Part(Cells(sums, counts, place[cells.condition[inside]], cells.fold[inside], len(wanted), cells.n_folds), wanted)


def _at(noise: Noise, channels: Tensor) -> Noise:
    index = channels.cpu().numpy()
    return noise.take(index) if isinstance(noise, NoiseModel) else [one.take(index) for one in noise]
