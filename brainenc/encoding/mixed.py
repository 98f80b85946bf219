"""A mixed model of scores: regions and layers as fixed effects, subjects as random intercepts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.core.extras import need
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
EDGE = 1e-4  # of the residual variance; where the estimate is zero the optimiser stops at about 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class MixedEffects:
    """What a mixed model found.

    Parameters
    ----------
    table : DataFrame
        One row a fixed effect: term, estimate, se, z, p (Wald), ci_low, ci_high (95 %).
    subject_sd, residual_sd : float
        Standard deviation of the subjects' intercepts, and of what is left.
    icc : float
        Share of the variance that lies between subjects.
    reference : mapping
        Level of each factor that the others are compared with; the intercept is its mean.
    n_rows, n_missing, n_subjects : int
        Rows used, rows left out because the score is missing, subjects.
    converged : bool
    messages : tuple of str
        What the fit warned of.
    """

    table: pd.DataFrame
    subject_sd: float
    residual_sd: float
    icc: float
    reference: Mapping[str, str]
    n_rows: int
    n_missing: int
    n_subjects: int
    converged: bool
    messages: tuple[str, ...]

    def __repr__(self) -> str:
        told = "" if self.converged else "NOT CONVERGED; "
        spread = f"subject sd {self.subject_sd:.3g}, residual sd {self.residual_sd:.3g}"
        facts = f"{told}{self.n_rows} rows of {self.n_subjects} subjects ({self.n_missing} missing), {spread}"
        return f"MixedEffects({facts}\n{self.table.to_string(index=False)}\n)"


def mixed_effects(
    scores: Scores | pd.DataFrame, *, fixed: Sequence[str] = ("roi", "layer"), value: str = "score", subject: str = "subject",
    reference: Mapping[str, str] | None = None, interaction: bool = False, reml: bool = True,
) -> MixedEffects:  # fmt: skip
    """Fit score = fixed effects + intercept of the subject + residual, by (restricted) maximum likelihood in statsmodels.

    y_si = x_i β + b_s + e_si,  b_s ~ N(0, σ_b²),  e_si ~ N(0, σ²)

    Parameters
    ----------
    scores : Scores, or DataFrame
        `Scores` of one metric and seed are summarised by region first (``scores.by("roi")``). Any table with one row an observation will do.
    fixed : sequence of str
        Columns of levels. Columns of `Scores` that do not vary (a single layer) cannot be estimated: leave them out.
    value, subject : str
    reference : mapping of column to level, optional
        By default the level that comes first.
    interaction : bool
        Add the products of the first two factors.
    reml : bool
        Variances by restricted likelihood; maximum likelihood to compare models with different fixed effects.

    Returns
    -------
    MixedEffects

    Raises
    ------
    MissingExtraError
        Without statsmodels: ``pip install "brainenc[mixed]"``.
    InputError
        For one subject, factors of one level, or effects that cannot be told apart.

    Warns
    -----
    BrainencWarning
        When the fit has not converged, or the variance between subjects is at its edge, zero.

    Notes
    -----
    Laird & Ware 1982, doi:10.2307/2529876. The p-values are Wald tests, which take the number of subjects for large: with fewer than about
    ten they are too small, and `brainenc.encoding.sign_flip_test` is the safer test. Voxels are no observations here; regions of one subject are.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> table = pd.DataFrame([(s, r) for s in "abcdef" for r in ("V1", "V4")], columns=["subject", "roi"])
    >>> noise = np.random.default_rng(0).standard_normal((6, 2))
    >>> table["score"] = (0.3 + 0.1 * noise[:, :1] + [0.0, 0.2] + 0.02 * noise).ravel()
    >>> mixed_effects(table, fixed=["roi"]).table[["term", "estimate"]].round(1).values.tolist()
    [['intercept', 0.3], ['roi[V4]', 0.2]]
    """
    module = need("statsmodels.regression.mixed_linear_model", "mixed", purpose="mixed-effects summaries")
    table, missing = _observations(scores, [*fixed], value, subject)
    columns, terms, first = _design(table, [*fixed], dict(reference or {}), interaction)
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise InputError("fixed effects cannot be told apart", where="mixed_effects", got=f"{columns.shape[1]} terms", fix="cells are missing: drop a factor")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = module.MixedLM(table[value].to_numpy(dtype=np.float64), columns, groups=pd.factorize(table[subject])[0])
        try:
            fit = model.fit(reml=reml)
        except np.linalg.LinAlgError as error:
            text = "the mixed model could not be fitted"
            raise InputError(text, where="mixed_effects", got=str(error), fix="is there variance within subjects beyond the fixed effects?") from error
        estimates, errors = np.asarray(fit.fe_params), np.asarray(fit.bse_fe)
        between, within = float(np.asarray(fit.cov_re)[0, 0]), float(fit.scale)
    messages = tuple(dict.fromkeys(str(one.message) for one in caught))
    converged = bool(fit.converged)
    if not converged:
        warnings.warn(f"the mixed model has not converged: {examples(messages)}", BrainencWarning, stacklevel=2)
    elif between <= EDGE * within:
        warnings.warn("no variance between subjects is left (estimate at zero): the intervals are those of independent rows", BrainencWarning, stacklevel=2)
    return MixedEffects(
        _wald(terms, estimates, errors), np.sqrt(max(between, 0.0)), np.sqrt(within), between / (between + within), first, len(table), missing,
        table[subject].nunique(), converged, messages,
    )  # fmt: skip


def _observations(scores: Any, fixed: list[str], value: str, subject: str) -> tuple[pd.DataFrame, int]:
    if isinstance(scores, Scores):
        if scores.entries["metric"].nunique() > 1 or scores.entries["seed"].nunique() > 1:
            raise InputError("several metrics or seeds are no repeats of one score", where="mixed_effects", fix="scores.entry(metric=…, seed=…)")
        scores = scores.by("roi") if "roi" in scores.targets else scores.by("subject")
    table = pd.DataFrame(scores).reset_index(drop=True)
    for name in (*fixed, value, subject):
        need_column(table, name, "mixed_effects")
    if not fixed:
        raise InputError("a mixed model needs a fixed effect", where="mixed_effects", expected="columns of levels")
    good = np.isfinite(table[value].to_numpy(dtype=np.float64)) & table[[*fixed, subject]].notna().all(axis=1).to_numpy()
    kept = table[good]
    if kept[subject].nunique() < 2:
        raise InputError("random intercepts need several subjects", where="mixed_effects", got=examples(pd.unique(kept[subject])))
    return kept, int((~good).sum())


def _design(table: pd.DataFrame, fixed: list[str], reference: dict[str, str], interaction: bool) -> tuple[Floats, list[str], dict[str, str]]:
    """Return the columns of the fixed effects (treatment coding), their names and the reference levels."""
    unknown = set(reference) - set(fixed)
    if unknown:
        raise InputError("reference of a column that is no fixed effect", where="mixed_effects", expected=examples(fixed), got=examples(unknown))
    columns, terms, first = [np.ones(len(table))], ["intercept"], {}
    parts: list[list[tuple[str, Floats]]] = []
    for name in fixed:
        levels = list(pd.unique(table[name]))
        base = reference.get(name, levels[0])
        if base not in levels or len(levels) < 2:
            expected = f"at least two levels, {base!r} among them"
            raise InputError("factor cannot be estimated", where=f"mixed_effects, {name}", expected=expected, got=examples(levels))
        first[name] = str(base)
        parts.append([(f"{name}[{level}]", (table[name] == level).to_numpy(dtype=np.float64)) for level in levels if level != base])
    if interaction and len(parts) < 2:
        raise InputError("an interaction is of two factors", where="mixed_effects", got=examples(fixed))
    crossed = [(f"{a}:{b}", u * v) for a, u in parts[0] for b, v in parts[1]] if interaction else []
    for term, column in [one for part in parts for one in part] + crossed:
        terms.append(term)
        columns.append(column)
    return np.stack(columns, axis=1), terms, first


def _wald(terms: list[str], estimates: Floats, errors: Floats) -> pd.DataFrame:
    from scipy.special import ndtr, ndtri

    z = estimates / errors
    reach = float(ndtri(0.975)) * errors
    return pd.DataFrame({
        "term": terms, "estimate": estimates, "se": errors, "z": z, "p": 2 * ndtr(-np.abs(z)), "ci_low": estimates - reach, "ci_high": estimates + reach,
    })  # fmt: skip
