"""What may be claimed from an evaluation: tests of the models, and a table that says it in words."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.metrics.multiple import fdr_bh
from brainenc.nouns.evaluation import Evaluation
from brainenc.rsa._zero import check_zero, unrelated_score_zero

AGAINST = ("zero", "ceiling", "pairs")
KINDS = ("t", "bootstrap", "wilcoxon")
NO_CLAIM = "no claim: the lower ceiling's interval includes 0"
NO_INTERVAL = "no claim: nothing says how the lower ceiling varies"
NO_NULL = "not tested: RDMs of noise are alike above zero too; permutations or pairs of models tell"
ROUNDING = 1e-12
Floats = npt.NDArray[np.float64]


def claims_table(evaluation: Evaluation, *, level: float = 0.95, alpha: float = 0.05) -> pd.DataFrame:
    """Return one row per group and model with score, interval, ceilings, p, q and the claim; see `Evaluation.to_frame`.

    p is the permutation p-value where there is one, and otherwise that of the t-test against zero; q controls the false discovery
    rate over all rows of the table (Benjamini and Hochberg). Where the interval of the lower ceiling includes 0 the subjects have no
    RDM in common that could be told from noise, so no model of that group is significant, whatever its p; nor is one where a ceiling has
    no interval (two subjects without resampled conditions, flexible models without a bootstrap). The upper ceiling says
    nothing there: for S subjects of pure noise it is 1/√S on average, as each subject is part of the pooled RDM.
    Cosines and the Bures similarity have no test against zero: they are above it for noise, and so are their ceilings.

    Parameters
    ----------
    evaluation : Evaluation
    level : float
        Coverage of the intervals.
    alpha : float
        Largest q of a significant model.
    """
    n_groups, n_models = len(evaluation.groups), len(evaluation.models)
    table = pd.concat([_repeat(evaluation.groups, n_models, each=True), _repeat(evaluation.models, n_groups, each=False)], axis=1)
    interval = evaluation.interval(level)
    ceiling = np.full((n_groups, 2), np.nan) if evaluation.ceiling is None else evaluation.ceiling
    p, test = (evaluation.p, "permutation") if evaluation.p is not None else (_zero_p(evaluation), "t")
    q = fdr_bh(p)
    p_ceiling = _reshape(_t(evaluation, "ceiling"), "p", evaluation)
    no_ceiling = ~np.isfinite(ceiling[:, 0])
    # two subjects, resampled without conditions, have one ceiling in all samples: its error is not known, and not zero
    vague = ~(evaluation.se()[:, n_models] > ROUNDING)
    no_signal = ~(interval[:, n_models, 0] > 0) | vague
    if evaluation.kind == "distance":
        no_signal = vague = np.zeros(n_groups, dtype=bool)
    significant = (q <= alpha) & ~(no_signal & ~no_ceiling)[:, None]
    claim = [
        [
            _claim(evaluation, significant[g, m], q[g, m], ceiling=not no_ceiling[g], signal=not no_signal[g], vague=bool(vague[g]),
                   below=bool(evaluation.mean[g, m] < ceiling[g, 0] and p_ceiling[g, m] <= alpha))
            for m in range(n_models)
        ]
        for g in range(n_groups)
    ]  # fmt: skip
    columns = {
        "score": evaluation.mean, "se": evaluation.se()[:, :n_models], "ci_low": interval[:, :n_models, 0], "ci_high": interval[:, :n_models, 1],
        "ceiling_low": ceiling[:, :1], "ceiling_high": ceiling[:, 1:], "p": p, "test": test, "q": q,
        "p_max": np.nan if evaluation.p_max is None else evaluation.p_max, "p_ceiling": p_ceiling,
        "n_subjects": np.isfinite(evaluation.scores).sum(axis=1), "n_conditions": evaluation.n_conditions, "n_draws": evaluation.n_draws,
        "significant": significant, "claim": np.array(claim, dtype=object).reshape(n_groups, n_models),
    }  # fmt: skip
    table["method"] = evaluation.method
    for name, value in columns.items():
        table[name] = np.broadcast_to(np.asarray(value), (n_groups, n_models)).reshape(-1)
    return table


def test_models(evaluation: Evaluation, *, against: str = "zero", kind: str = "t") -> pd.DataFrame:
    """Test models against zero, the lower ceiling, or one another.

    "t": estimate / se with the corrected covariance (of the difference, ceilings included) and ``dof`` of the evaluation.
    "bootstrap": p = 2 min(p_low, p_high) with p = (1 + hits) / (1 + n) over the draws (one of the two, not doubled, against zero); draws over
    one factor of L levels are spread by √(L / (L − 1)) about the estimate, as they are too narrow by as much.
    Of subjects alone it is still liberal where they are few (5 people: about 7 % below 0.05 without any effect), as shares lack the tails of t.
    "wilcoxon": signed ranks of the subjects' scores, so it speaks of new subjects and these conditions, whatever was resampled: a model that
    is like the data by the chance of these conditions is like them in every subject. The ceiling is a constant there.

    Against zero the tests are one-sided (larger), else two-sided.

    Parameters
    ----------
    evaluation : Evaluation
    against : {"zero", "ceiling", "pairs"}
    kind : {"t", "bootstrap", "wilcoxon"}

    Returns
    -------
    DataFrame
        One row per group and model (or pair of models): against, kind, estimate, statistic, dof, n, p, q (Benjamini and Hochberg
        over the table).

    Raises
    ------
    InputError
        Distances against zero, or cosines of RDMs that noise makes positive; a ceiling or draws that are not there; a covariance that nothing estimated.
    """
    one_of(against, AGAINST, "against")
    one_of(kind, KINDS, "kind")
    if against == "zero":
        check_zero(evaluation, "Evaluation.test")
    if against == "ceiling" and evaluation.ceiling is None:
        raise InputError("there is no ceiling", where="Evaluation.test", fix="evaluate with ceiling=True and at least two subjects")
    if kind == "bootstrap" and not evaluation.n_draws:
        raise InputError("there are no bootstrap draws", where="Evaluation.test", fix="evaluate with n=1000")
    test = {"t": _t, "bootstrap": _bootstrap, "wilcoxon": _wilcoxon}[kind]
    table = test(evaluation, against)
    if kind == "t" and len(table) and not np.isfinite(table["p"]).any():
        raise InputError("nothing says how the scores vary", where="Evaluation.test", got=f"dof {evaluation.dof:g}",
                         fix="evaluate with n=1000, or with at least two subjects")  # fmt: skip
    return table.assign(against=against, kind=kind, q=fdr_bh(table["p"]))


test_models.__test__ = False  # type: ignore[attr-defined]  # a test runner must not take it for a test of its own


def contrasts(n_models: int, against: str) -> tuple[Floats, list[tuple[int, ...]]]:
    """Return the contrasts (n_tests, n_models + 2) of mean scores and ceilings, and the models of each."""
    eye = np.eye(n_models + 2)
    if against == "pairs":
        pairs = list(combinations(range(n_models), 2))
        rows = np.array([eye[i] - eye[j] for i, j in pairs]).reshape(len(pairs), n_models + 2)
        return rows, [tuple(pair) for pair in pairs]
    rows = eye[:n_models] - (eye[n_models] if against == "ceiling" else 0.0)
    return rows, [(i,) for i in range(n_models)]


def _t(evaluation: Evaluation, against: str) -> pd.DataFrame:
    from scipy.stats import t

    rows, models = contrasts(len(evaluation.models), against)
    assert evaluation.covariance is not None
    estimate = _combine(_estimates(evaluation), rows)
    variance = np.stack([_variance(evaluation.covariance, row) for row in rows], axis=-1) if len(rows) else np.empty(estimate.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = estimate / np.sqrt(np.where(variance > 0, variance, np.nan))
    p = t.sf(statistic, evaluation.dof) if against == "zero" else 2 * t.sf(np.abs(statistic), evaluation.dof)
    n = np.broadcast_to(np.isfinite(evaluation.scores).any(axis=2).sum(axis=1)[:, None], estimate.shape)
    return _rows(evaluation, models, estimate=estimate, statistic=statistic, dof=np.full(estimate.shape, evaluation.dof), n=n, p=p)


def _bootstrap(evaluation: Evaluation, against: str) -> pd.DataFrame:
    rows, models = contrasts(len(evaluation.models), against)
    assert evaluation.draws is not None
    ceilings = np.full((*evaluation.draws.shape[:2], 2), np.nan) if evaluation.ceiling_draws is None else evaluation.ceiling_draws
    used = _combine(np.concatenate([evaluation.draws, ceilings], axis=2), rows)
    if len(evaluation.resampled) == 1:
        # as in the variances: a bootstrap over L levels of one factor is too narrow by √(1 − 1/L)
        level = min(np.isfinite(evaluation.scores).any(axis=2).sum(axis=1)) if evaluation.resampled == ("subjects",) else evaluation.n_conditions
        middle = _combine(_estimates(evaluation), rows)
        used = middle + (used - middle) * np.sqrt(level / (level - 1))
    known = np.isfinite(used)
    n = known.sum(axis=0)
    low = (1 + ((used <= ROUNDING) & known).sum(axis=0)) / (1 + n)
    high = (1 + ((used >= -ROUNDING) & known).sum(axis=0)) / (1 + n)
    p = low if against == "zero" else np.minimum(2 * np.minimum(low, high), 1.0)
    unknown = np.full(n.shape, np.nan)
    estimate = _combine(_estimates(evaluation), rows)
    return _rows(evaluation, models, estimate=estimate, statistic=unknown, dof=unknown, n=n, p=np.where(n > 0, p, np.nan))


def _wilcoxon(evaluation: Evaluation, against: str) -> pd.DataFrame:
    from scipy.stats import wilcoxon

    rows, models = contrasts(len(evaluation.models), against)
    n_groups, n_subjects, _ = evaluation.scores.shape
    ceiling = np.full((n_groups, 2), np.nan) if evaluation.ceiling is None else evaluation.ceiling
    wide = np.concatenate([evaluation.scores, np.broadcast_to(ceiling[:, None], (n_groups, n_subjects, 2))], axis=2)
    each = _combine(wide, rows)
    found = {name: np.full((n_groups, len(models)), np.nan) for name in ("estimate", "statistic", "dof", "n", "p")}
    for group, row in np.ndindex(n_groups, len(models)):
        used = each[group, np.isfinite(each[group, :, row]), row]
        used = np.where(np.abs(used) <= ROUNDING, 0.0, used)  # models that are the same but for rounding do not differ
        found["n"][group, row] = len(used)
        if np.any(used != 0):
            result = wilcoxon(used, alternative="greater" if against == "zero" else "two-sided")
            found["estimate"][group, row] = used.mean()
            found["statistic"][group, row], found["p"][group, row] = result.statistic, result.pvalue
    return _rows(evaluation, models, **found)


def _estimates(evaluation: Evaluation) -> Floats:
    """Return mean scores and ceilings (n_groups, n_models + 2), NaN for ceilings that are not there."""
    ceiling = np.full((len(evaluation.groups), 2), np.nan) if evaluation.ceiling is None else evaluation.ceiling
    return np.concatenate([evaluation.mean, ceiling], axis=1)


def _combine(wide: Floats, rows: Floats) -> Floats:
    """Return the contrasts of the last axis; what takes no part in one (an unknown ceiling) does not spoil it."""
    parts = [wide[..., row != 0] @ row[row != 0] for row in rows]
    return np.stack(parts, axis=-1) if parts else np.empty((*wide.shape[:-1], 0))


def _variance(covariance: Floats, row: Floats) -> Floats:
    used = np.flatnonzero(row)
    return np.einsum("i,gij,j->g", row[used], covariance[:, used][:, :, used], row[used])


def _rows(evaluation: Evaluation, models: list[tuple[int, ...]], **columns: npt.NDArray[np.generic]) -> pd.DataFrame:
    n_groups = len(evaluation.groups)
    parts = [_repeat(evaluation.groups, len(models), each=True)]
    suffixes = ("",) if not models or len(models[0]) == 1 else ("_a", "_b")
    for position, suffix in enumerate(suffixes):
        one = evaluation.models.iloc[[pair[position] for pair in models]]
        parts.append(_repeat(one, n_groups, each=False).add_suffix(suffix))
    table = pd.concat(parts, axis=1)
    for name, value in columns.items():
        table[name] = np.asarray(value).reshape(-1)
    return table


def _repeat(table: pd.DataFrame, n: int, *, each: bool) -> pd.DataFrame:
    index = np.repeat(np.arange(len(table)), n) if each else np.tile(np.arange(len(table)), n)
    return table.iloc[index].reset_index(drop=True)


def _reshape(table: pd.DataFrame, column: str, evaluation: Evaluation) -> Floats:
    return np.asarray(table[column], dtype=np.float64).reshape(len(evaluation.groups), len(evaluation.models))


def _zero_p(evaluation: Evaluation) -> Floats:
    if not unrelated_score_zero(evaluation):
        return np.full(evaluation.mean.shape, np.nan)
    return _reshape(_t(evaluation, "zero"), "p", evaluation)


def _claim(evaluation: Evaluation, significant: bool, q: float, *, ceiling: bool, signal: bool, vague: bool, below: bool) -> str:
    if ceiling and not signal:
        return NO_INTERVAL if vague else NO_CLAIM
    if not np.isfinite(q):
        if evaluation.kind == "distance":
            return "not tested: a distance has no null at zero"
        return "not tested: nothing says how the scores vary" if evaluation.p is not None or unrelated_score_zero(evaluation) else NO_NULL
    what = "better than relabelled conditions" if evaluation.p is not None else "above zero"
    text = f"{what} (q = {q:.3g})" if significant else f"not {what} (q = {q:.3g})"
    if not ceiling:
        return f"{text}; no noise ceiling"
    if not significant or evaluation.kind == "distance":
        return text
    return f"{text}; {'below' if below else 'not below'} the lower noise ceiling"
