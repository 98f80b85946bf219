"""How well a perfect model could do, and in which units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.resolver import resolve
from brainenc.nouns import persist

UNITS = ("variance", "correlation")
METRIC_UNITS = {"pearson": "correlation", "r2": "variance"}


@dataclass(frozen=True, slots=True, eq=False)
class NoiseCeiling:
    """A noise ceiling per target that knows its estimand.

    A variance ceiling is the share of the variance of the mean of ``n_repeats`` responses that is signal: the largest R² a model
    can reach. Its square root is the correlation ceiling. One is never divided by the other.

    Parameters
    ----------
    values : ndarray of shape (n_targets,)
        In ``units``; NaN where it cannot be estimated.
    units : {"variance", "correlation"}
        What ``values`` are.
    n_repeats : float
        Repeats in the mean response that the ceiling is for (harmonic mean where stimuli differ).
    method : str
        How it was estimated, for tables and reports.
    ci : ndarray of shape (2, n_targets), optional
        Lower and upper bound of the 95 % interval, in ``units``.
    floor : float
        Variance ceilings below this are "not measurable": normalised scores there are NaN, never 0 and never clipped.
    """

    values: npt.NDArray[np.float64]
    units: str = "variance"
    n_repeats: float = 1.0
    method: str = "given"
    ci: npt.NDArray[np.float64] | None = None
    floor: float = 0.01

    def __post_init__(self) -> None:
        one_of(self.units, UNITS, "units")
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 1:
            raise InputError("one ceiling per target is needed", where="NoiseCeiling", expected="(n_targets,)", got=f"shape {values.shape}")
        object.__setattr__(self, "values", values)

    @classmethod
    def from_repeats(cls, responses: Any, *, method: str = "ncsnr", n_repeats: float | None = None, n_boot: int = 0, seed: int = 0) -> NoiseCeiling:
        """Estimate from the repeats of the same stimuli in `Responses`; refuses data without repeats.

        ``method``: "ncsnr" (variances, any number of repeats), "split_half" (Spearman-Brown with the right step-up), "anova",
        "signal_power", "explainable_variance" (equal repeats) or "shuffle" (correlated noise); see `brainenc.metrics.from_repeats`.
        ``n_repeats``: for the mean of how many repeats; the data's own when not given. ``n_boot`` > 0 adds an interval over stimuli.
        """
        return resolve("brainenc.metrics.ceilings:from_repeats")(responses, method=method, n_repeats=n_repeats, n_boot=n_boot, seed=seed)

    @classmethod
    def from_halves(cls, responses: Any, *, bound: str = "lower", n: int = 100, n_boot: int = 0, seed: int = 0) -> NoiseCeiling:
        """Bound in correlation units for means of half of the repeats: a random half against the other (``bound="lower"``) or against all
        repeats (``"upper"``), the mean over ``n`` halvings, as in papers on THINGS-EEG; see `brainenc.metrics.from_halves`.
        """  # noqa: D205
        return resolve("brainenc.metrics.ceilings_halves:from_halves")(responses, bound=bound, n=n, n_boot=n_boot, seed=seed)

    @classmethod
    def from_subjects(cls, responses: Any, *, bound: str = "lower", n_boot: int = 0, seed: int = 0) -> NoiseCeiling:
        """Group ceiling in correlation units from three or more subjects in a common space, each against the mean of the others
        (``bound="lower"``) or of all (``"upper"``); see `brainenc.metrics.from_subjects`.
        """  # noqa: D205
        return resolve("brainenc.metrics.ceilings_elsewhere:from_subjects")(responses, bound=bound, n_boot=n_boot, seed=seed)

    @classmethod
    def from_standard_errors(cls, responses: Any, standard_errors: npt.ArrayLike, *, n_boot: int = 0, seed: int = 0) -> NoiseCeiling:
        """Variance ceiling of betas (one a stimulus) from their standard errors, without repeats; see `brainenc.metrics.from_standard_errors`."""
        return resolve("brainenc.metrics.ceilings_elsewhere:from_standard_errors")(responses, standard_errors, n_boot=n_boot, seed=seed)

    @classmethod
    def from_ncsnr(cls, ncsnr: npt.ArrayLike, *, n_repeats: float) -> NoiseCeiling:
        """Variance ceiling from a noise-ceiling signal-to-noise ratio: ncsnr² / (ncsnr² + 1 / n_repeats)."""
        ratio = np.asarray(ncsnr, dtype=np.float64) ** 2
        return cls(ratio / (ratio + 1.0 / n_repeats), units="variance", n_repeats=n_repeats, method="ncsnr")

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """The ceiling on R² (n_targets,)."""
        return self.values if self.units == "variance" else np.sign(self.values) * self.values**2

    @property
    def correlation(self) -> npt.NDArray[np.float64]:
        """The ceiling on Pearson's r (n_targets,); NaN where the variance ceiling is negative."""
        return self.values if self.units == "correlation" else _root(self.values)

    def of(self, metric: str) -> npt.NDArray[np.float64]:
        """Return the ceiling in the units of a metric: correlation for "pearson", variance for "r2"; NaN for others."""
        units = METRIC_UNITS.get(metric)
        return np.full(len(self.values), np.nan) if units is None else getattr(self, units)

    def interval(self, metric: str) -> npt.NDArray[np.float64]:
        """Return the 95 % interval (2, n_targets) of the ceiling in the units of a metric, NaN where there is none.

        In correlation units the bounds are the roots of the variance bounds; a negative lower bound becomes 0, the least a ceiling on r
        can be.
        """
        units = METRIC_UNITS.get(metric)
        if self.ci is None or units is None:
            return np.full((2, len(self.values)), np.nan)
        if units == self.units:
            return self.ci
        return np.sign(self.ci) * self.ci**2 if units == "variance" else np.sqrt(np.where(np.isnan(self.ci), np.nan, np.maximum(self.ci, 0.0)))

    def normalize(self, scores: npt.ArrayLike, metric: str = "pearson") -> npt.NDArray[np.float64]:
        """Divide scores (…, n_targets) by the ceiling of the same units; NaN below the floor, never clipped.

        Raises
        ------
        InputError
            For a metric that is neither a correlation nor a share of variance.
        """
        if metric not in METRIC_UNITS:
            raise InputError("this metric has no ceiling in variance or correlation units", expected=f"one of {', '.join(METRIC_UNITS)}", got=repr(metric))
        ceiling = np.where(self.variance >= self.floor, self.of(metric), np.nan)
        return np.asarray(scores, dtype=np.float64) / ceiling

    def take(self, index: npt.NDArray[np.intp]) -> NoiseCeiling:
        """Return the ceilings of these targets."""
        return replace(self, values=self.values[index], ci=None if self.ci is None else self.ci[:, index])

    def describe(self, metric: str | None = None) -> str:
        """One line for tables and reports: what was estimated, or, beside scores of a metric, the ceiling in that metric's units."""
        estimate = f"{self.units} ceiling of the mean of {self.n_repeats:g} repeats"
        if metric not in METRIC_UNITS:
            return f"{estimate} ({self.method})"
        name = {"correlation": "noise ceiling on r", "variance": "noise ceiling on R²"}[METRIC_UNITS[metric]]
        how = "" if self.units == METRIC_UNITS[metric] else {"variance": "square root of the ", "correlation": "square of the "}[self.units]
        return f"{name} ({how}{estimate}, {self.method})"

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        return f"NoiseCeiling({len(self.values)} targets, {self.describe()}, median {np.nanmedian(self.values):.3f})"


def _root(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.sqrt(np.where(values >= 0, values, np.nan))
