"""How well models explain RDMs, with what is needed to say how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.core.resolver import resolve
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.tables import as_table

Floats = npt.NDArray[np.float64]
KINDS = ("similarity", "distance")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Comparisons of models with the RDMs of each subject in each group (region, time point …), resampled or not.

    Parameters
    ----------
    scores : ndarray of shape (n_groups, n_subjects, n_models)
        In the units of ``method``; NaN where a subject lacks the group.
    models : DataFrame of n_models rows
        model, layer …
    groups : DataFrame of n_groups rows
        The columns that told the groups apart; one row ``group = "all"`` where nothing did.
    subjects : DataFrame of n_subjects rows
        subject.
    method : str
        The comparator.
    kind : {"similarity", "distance"}
        Whether larger is better.
    ceiling : ndarray of shape (n_groups, 2), optional
        Lower and upper noise ceiling: each subject against the pooled RDM of the others, and of all.
    draws : ndarray of shape (n_draws, n_groups, n_models), optional
        Mean scores of each bootstrap sample (of all resampled factors together); NaN where a sample could not be scored.
    ceiling_draws : ndarray of shape (n_draws, n_groups, 2), optional
        Ceilings of the same samples.
    covariance : ndarray of shape (n_groups, n_models + 2, n_models + 2), optional
        Of the mean scores and of the two ceilings, corrected for the number of subjects and conditions. NaN where unknown.
    dof : float
        Degrees of freedom of tests and intervals.
    p, p_max : ndarray of shape (n_groups, n_models), optional
        Permutation p-values, and the same from the maximum over what was searched.
    n_conditions : int
    resampled : tuple of str
        "subjects", "conditions", both, or neither.
    seed : int
    provenance : mapping
        Left-out pairs, failed samples, versions.
    """

    scores: Floats
    models: pd.DataFrame
    groups: pd.DataFrame
    subjects: pd.DataFrame
    method: str
    kind: str = "similarity"
    ceiling: Floats | None = None
    draws: Floats | None = None
    ceiling_draws: Floats | None = None
    covariance: Floats | None = None
    dof: float = float("nan")
    p: Floats | None = None
    p_max: Floats | None = None
    n_conditions: int = 0
    resampled: tuple[str, ...] = ()
    seed: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores, dtype=np.float64)
        if scores.ndim != 3:
            raise InputError("scores have three axes", where="Evaluation", expected="(n_groups, n_subjects, n_models)", got=f"shape {scores.shape}")
        one_of(self.kind, KINDS, "kind")
        n_groups, n_subjects, n_models = scores.shape
        for name, n_rows in (("groups", n_groups), ("subjects", n_subjects), ("models", n_models)):
            object.__setattr__(self, name, as_table(getattr(self, name), f"Evaluation.{name}", n_rows=n_rows))
        if "model" not in self.models:
            raise InputError("models have no names", where="Evaluation.models", expected="a column 'model'", got=list(self.models.columns))
        unknown = np.full((n_groups, n_models + 2, n_models + 2), np.nan)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "covariance", unknown if self.covariance is None else self.covariance)
        n_draws = len(self.draws) if self.draws is not None else 0
        shapes = {
            "covariance": unknown.shape, "ceiling": (n_groups, 2), "draws": (n_draws, n_groups, n_models),
            "ceiling_draws": (n_draws, n_groups, 2), "p": (n_groups, n_models), "p_max": (n_groups, n_models),
        }  # fmt: skip
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is None:
                continue
            value = np.asarray(value, dtype=np.float64)
            if value.shape != shape:
                raise InputError(f"{name} does not fit the scores", where="Evaluation", expected=f"shape {shape}", got=f"shape {value.shape}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "resampled", tuple(self.resampled))

    @property
    def mean(self) -> Floats:
        """Mean scores over the subjects that have them (n_groups, n_models)."""
        known = np.isfinite(self.scores)
        with np.errstate(invalid="ignore"):
            return np.where(known, self.scores, 0.0).sum(axis=1) / known.sum(axis=1)

    @property
    def n_draws(self) -> int:
        """Number of bootstrap samples, failed ones included."""
        return 0 if self.draws is None else len(self.draws)

    def se(self) -> Floats:
        """Standard errors of the mean scores and of the two ceilings (n_groups, n_models + 2); NaN where a corrected variance is negative."""
        variance = np.diagonal(self._covariance, axis1=1, axis2=2)
        return np.sqrt(np.where(variance >= 0, variance, np.nan))

    def interval(self, level: float = 0.95) -> Floats:
        """Return t-intervals (n_groups, n_models + 2, 2) of the mean scores and of the two ceilings.

        estimate ± t(dof) · se, with the corrected covariance. Percentiles of ``draws`` would be too wide where subjects and conditions
        are resampled together, as measurement noise then enters three times.
        """
        from scipy.stats import t

        ceiling = np.full((len(self.groups), 2), np.nan) if self.ceiling is None else self.ceiling
        middle = np.concatenate([self.mean, ceiling], axis=1)
        reach = self.se() * (t.ppf(0.5 + level / 2, self.dof) if self.dof >= 1 else np.nan)
        return np.stack([middle - reach, middle + reach], axis=-1)

    def to_frame(self, *, level: float = 0.95, alpha: float = 0.05) -> pd.DataFrame:
        """Return one row per group and model.

        Columns: those of ``groups`` and ``models``, method, score (mean over subjects), se, ci_low, ci_high, ceiling_low, ceiling_high,
        p, test (which gave p: "permutation", or "t" against zero, which distances, cosines and the Bures similarity do not have), q (false
        discovery rate over all rows), p_max, p_ceiling (t-test against the lower ceiling), n_subjects, n_conditions, n_draws, significant, claim.

        Parameters
        ----------
        level : float
            Coverage of the intervals.
        alpha : float
            A model is significant when q ≤ alpha and the lower ceiling's interval does not include 0.
        """
        return resolve("brainenc.rsa.claims:claims_table")(self, level=level, alpha=alpha)

    def test(self, against: str = "zero", kind: str = "t") -> pd.DataFrame:
        """Test the models against zero, against the lower ceiling, or in pairs.

        Parameters
        ----------
        against : {"zero", "ceiling", "pairs"}
            One-sided for zero, two-sided for the others.
        kind : {"t", "bootstrap", "wilcoxon"}
            t with the corrected covariance, shares of the bootstrap draws with p = (1 + hits) / (1 + n), or signed ranks over subjects.

        Returns
        -------
        DataFrame
            Columns of ``groups`` and ``models`` (model_a, model_b … for pairs), against, kind, estimate, statistic, dof, n, p and q
            (false discovery rate over the whole table).
        """
        return resolve("brainenc.rsa.claims:test_models")(self, against=against, kind=kind)

    def where(self, selection: str | None = None, **equals: Any) -> Evaluation:
        """Return the groups that a selection keeps, e.g. ``where(roi="IT")``."""
        index = select(self.groups, selection, **equals)
        if not len(index):
            raise InputError(f"selection keeps none of {len(self.groups)} groups", got=repr(selection or equals))
        return self.take(groups=index)

    def take(self, *, groups: npt.ArrayLike | None = None, models: npt.ArrayLike | None = None) -> Evaluation:
        """Return the groups and models at these positions."""
        rows = _positions(groups, len(self.groups))
        columns = _positions(models, len(self.models))
        wide = np.concatenate([columns, len(self.models) + np.arange(2)])
        cut = lambda array: None if array is None else array[np.ix_(rows, columns)]  # noqa: E731
        return replace(
            self, scores=self.scores[rows][:, :, columns], models=self.models.iloc[columns], groups=self.groups.iloc[rows],
            ceiling=None if self.ceiling is None else self.ceiling[rows],
            draws=None if self.draws is None else self.draws[:, rows][:, :, columns],
            ceiling_draws=None if self.ceiling_draws is None else self.ceiling_draws[:, rows],
            covariance=self._covariance[np.ix_(rows, wide, wide)], p=cut(self.p), p_max=cut(self.p_max),
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    @property
    def _covariance(self) -> Floats:
        assert self.covariance is not None  # filled in when the evaluation was made
        return self.covariance

    def _facts(self) -> dict[str, object]:
        how = f"{self.n_draws} draws over {' and '.join(self.resampled)}, seed {self.seed}" if self.n_draws else "none"
        n_groups, n_subjects, n_models = self.scores.shape
        size = {"models": n_models, "groups": n_groups, "subjects": n_subjects, "conditions": self.n_conditions}
        return {"method": f"{self.method} ({self.kind})", **size, "bootstrap": how, "ceiling": "none" if self.ceiling is None else "lower and upper"}

    def __repr__(self) -> str:
        f = self._facts()
        size = ", ".join(f"{f[name]} {name}" for name in ("models", "groups", "subjects", "conditions"))
        return f"Evaluation({size}; {f['method']}; bootstrap: {f['bootstrap']})"

    def _repr_html_(self) -> str:
        return facts("Evaluation", self._facts()) + self.to_frame().head(24).to_html(escape=True, index=False, float_format="%.3f")


def _positions(index: npt.ArrayLike | None, n: int) -> npt.NDArray[np.intp]:
    return np.arange(n) if index is None else np.asarray(index, dtype=np.intp).reshape(-1)
