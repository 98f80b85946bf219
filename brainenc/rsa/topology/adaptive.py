"""An adaptive test of dependence: the thresholds that suit the data, and a null that chooses too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.linalg.dependence import distance_correlations, unit_centred
from brainenc.linalg.ramps import FAMILIES, ramp
from brainenc.linalg.ranks import n_of_pairs, to_square
from brainenc.metrics.resample import permutations
from brainenc.nouns.persist import Saved
from brainenc.nouns.rdms import RDMs
from brainenc.rsa.topology.transforms import checked_values, thresholds, unit_values

Floats = npt.NDArray[np.float64]
STATISTICS = ("max", "ratio", "standardised")


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveTest(Saved):
    """The largest distance correlation over thresholds, and how often permuted samples reach it.

    Parameters
    ----------
    statistic : float
        The maximum over all cells of x and y.
    p : float
        (1 + #{permuted maximum ≥ statistic}) / (1 + n).
    kind : str
        "max", "ratio" or "standardised".
    correlations : ndarray of shape (n_cells, n_cells)
        Distance correlations before ratio or standardising; rows are the cells of x, columns of y.
    values : ndarray of shape (n_cells, n_cells)
        What the maximum is taken of.
    cells : DataFrame of n_cells rows
        l, u.
    best : dict
        l_x, u_x, l_y, u_y, correlation of the cell with the maximum.
    null : ndarray of shape (n_permutations,)
        Permuted maxima.
    n_samples : int
    """

    statistic: float
    p: float
    kind: str
    correlations: Floats
    values: Floats
    cells: pd.DataFrame
    best: dict[str, float]
    null: Floats
    n_samples: int

    def __repr__(self) -> str:
        at = ", ".join(f"{name} {value:.2g}" for name, value in self.best.items())
        return f"AdaptiveTest({self.kind} {self.statistic:.3f}, p {self.p:.3g} of {len(self.null)} permutations, {at})"

    def _repr_html_(self) -> str:
        return facts("AdaptiveTest", {self.kind: f"{self.statistic:.3f}", "p": f"{self.p:.3g}", "permutations": len(self.null), **self.best})


def adaptive_test(
    x: Any, y: Any, *, n_thresholds: int = 6, statistic: str = "max", family: str = "piecewise", scale: str = "distance",
    n_permutations: int = 999, units: npt.ArrayLike | None = None, seed: int = 0,
) -> AdaptiveTest:  # fmt: skip
    """Test whether two sets of measurements of the same samples depend on each other, at whatever thresholds show it best.

    Distances of x and of y are transformed (`rgtm`) for all l < u of linspace(0, 1, n_thresholds), double-centred to A and B, and
    dCor = √|⟨A, B⟩ / (|A| |B|)| is found for every pair of cells. The statistic is the maximum of

        max: dCor;   ratio: dCor / m;   standardised: 1 + (dCor / m - 1) / s,

    m the mean of dCor of that cell over permutations of the samples, s the standard deviation of dCor / m. The observed order counts as
    one of the permutations in m and s, so that under independence every order is as likely to have the largest maximum.

    Parameters
    ----------
    x, y : array_like of shape (n_samples,) or (n_samples, n_features), or RDMs
        Samples give Euclidean distances; one RDM each over the same conditions is taken as it is.
    n_thresholds : int
        Gives n (n - 1) / 2 cells each.
    statistic : {"max", "ratio", "standardised"}
    family : {"piecewise", "upper", "keep"}
        Third, second and first scaling of the authors.
    scale : {"distance", "rank"}
        Thresholds are shares of the largest distance (as the authors do), or quantiles.
    n_permutations : int
        Of the samples of x, whole rows.
    units : array_like of shape (n_samples,), optional
        Samples of one label are exchanged together, see `brainenc.metrics.resample.permutations`.
    seed : int

    Returns
    -------
    AdaptiveTest

    Raises
    ------
    InputError
        For other numbers of samples, fewer than 4, missing values and constant distances.

    Notes
    -----
    A cell in which nothing varies has dCor 0. The absolute value makes dependence of either sign count, as in the authors' code.

    References
    ----------
    Lin & Kriegeskorte (2018) arXiv:1810.02923. In their code the second and third scaling take the width of the ramp of y from x, and
    permuting keeps only the first column of x; neither is so here.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 30)
    >>> adaptive_test(x, x**2, n_permutations=99).p
    0.01
    """
    one_of(statistic, STATISTICS, "statistic")
    one_of(family, FAMILIES, "family")
    if n_thresholds < 2 or n_permutations < 1:
        raise InputError("nothing to choose or to compare with", where="adaptive_test", expected="n_thresholds ≥ 2, n_permutations ≥ 1")
    first, second = _distances(x, "x"), _distances(y, "y")
    n = first.shape[-1]
    if second.shape[-1] != n:
        raise InputError("x and y have different numbers of samples", where="adaptive_test", expected=n_of_pairs(n), got=n_of_pairs(second.shape[-1]))
    levels = np.linspace(0, 1, n_thresholds)
    row, column = np.triu_indices(n_thresholds, 1)
    samples = n_of_pairs(n)
    orders = np.stack([np.arange(samples), *permutations(samples, n_permutations, seed, "adaptive", units=units)])
    a, b = (_transformed(one, levels, row, column, family, scale) for one in (first, second))
    found = distance_correlations(a, b, torch.from_numpy(orders)).numpy()
    values = _of_kind(found, statistic)
    largest = values.reshape(len(values), -1).max(axis=1)
    cells = pd.DataFrame({"l": levels[row], "u": levels[column]})
    i, j = np.unravel_index(int(values[0].argmax()), values[0].shape)
    best = {"l_x": levels[row[i]], "u_x": levels[column[i]], "l_y": levels[row[j]], "u_y": levels[column[j]], "correlation": found[0, i, j]}
    # an order that gives the same matrices again must count as at least as large, whatever the rounding
    hits = int((largest[1:] >= largest[0] - 1e-10 * abs(largest[0])).sum())
    return AdaptiveTest(
        float(largest[0]), (1 + hits) / (1 + n_permutations), statistic, found[0], values[0], cells,
        {name: float(value) for name, value in best.items()}, largest[1:], samples,
    )  # fmt: skip


def _distances(samples: Any, name: str) -> torch.Tensor:
    """Return condensed distances (n_pairs,)."""
    if isinstance(samples, RDMs):
        if samples.n_rdms != 1:
            raise InputError("one RDM at a time", where=name, got=f"{samples.n_rdms} RDMs", fix="choose one with RDMs.take or RDMs.where")
        return checked_values(samples, f"adaptive_test {name}")[0]
    from scipy.spatial.distance import pdist

    array = np.asarray(samples, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) < 4:
        raise InputError("not samples", where=f"adaptive_test {name}", expected="(n_samples, n_features), at least 4", got=f"shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{int((~np.isfinite(array)).sum())} values are not finite", where=f"adaptive_test {name}", fix="drop those samples")
    return checked_values(pdist(array), f"adaptive_test {name}")


def _transformed(values: torch.Tensor, levels: Floats, row: Any, column: Any, family: str, scale: str) -> torch.Tensor:
    """Return unit double-centred matrices (n_cells, n, n) of every cell."""
    unit = unit_values(values, scale)
    edges = thresholds(unit, levels, scale)
    return unit_centred(to_square(ramp(unit, edges[row, None], edges[column, None], family)))


def _of_kind(found: Floats, kind: str) -> Floats:
    """Return the statistic of each cell (n_orders, n_cells, n_cells); the first order is the observed one."""
    if kind == "max":
        return found
    mean = found.mean(axis=0)
    ratio = np.divide(found, mean, out=np.zeros_like(found), where=mean > 1e-12)
    if kind == "ratio":
        return ratio
    spread = ratio.std(axis=0)
    # authors: a spread below 1e-5 is taken as 1e-5
    return np.where(mean > 1e-12, 1 + (ratio - 1) / np.maximum(spread, 1e-5), 0.0)
