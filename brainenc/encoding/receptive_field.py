"""Temporal receptive fields by ridge over delays, from second moments: the delayed matrix is never formed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.encoding.delays import Delays, as_delays
from brainenc.encoding.receptive import penalty_root
from brainenc.encoding.ridge import _folds, _grid, _keep_names, _targets
from brainenc.encoding.saving import Savable

if TYPE_CHECKING:
    from brainenc.linalg.lagged_ridge import LaggedFit

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
_WHERE = "ReceptiveField"


class ReceptiveField(Savable, RegressorMixin, BaseEstimator):
    """Linear regression on features at several delays, with a penalty of its own for every target.

    ``y(i) = b + sum_d x(i - d)' w(d)``, ``w = argmin sum_i (y(i) - ŷ(i))² + alpha_v sum_f w_f' M w_f`` with w_f the weights of feature f over
    delays, ``M = (1 - s) diag(k) + s D'D``, D the differences of neighbouring delays, s the smoothness and k the penalties of the delays.
    s = 0 and k = 1 is ridge on ``features.delay(delays, step=step)``, to rounding.

    Parameters
    ----------
    delays : sequence of float or Delays, default=(0.0,)
        Seconds, ascending multiples of ``step``; a negative one looks ahead. Without weights.
    step : float, default=1.0
        Seconds between rows, 1 / sampling rate; 1.0 counts delays in rows.
    smoothness : float or sequence of float, default=0.0
        s, from 0 (ridge) to below 1 (Laplacian: differences alone). Of several, each target takes the one that predicts held-out rows best.
        Needs evenly spaced delays where it is not 0.
    delay_penalties : sequence of float, or several of them, optional
        k: one positive number a delay, for instance growing with the delay, or one value for each band of delays; 1 for all by default. Of
        several, each target takes the best, together with s.
    alphas : "auto", float or sequence of float, default="auto"
        As in `Ridge`; ``"auto"`` brackets the largest eigenvalue under the first s and k.
    cv : int, scikit-learn splitter, iterable of (train, test) or None, default=5
        As in `Ridge`, without closed forms: rows next to each other in time are no independent test. Folds are rows of the delayed
        matrix: features reach across their borders, within a run; leave a gap by passing folds that have one.
    fit_intercept : bool, default=True
    solver : {"auto", "cholesky", "eigen"}, default="auto"
        A Cholesky decomposition for every alpha and fold, or one eigendecomposition a fold; ``"auto"``: Cholesky for at most 14 alphas.
    memory, device
        As in `Ridge`.

    Attributes
    ----------
    receptive_fields_ : ndarray, (n_delays, n_features, n_targets)
        w, in units of response per feature.
    coef_ : ndarray, (n_targets, n_delays · n_features), or (n_columns,) where y is 1-D
        The same in the order of `FeatureSpace.delay`.
    intercept_ : ndarray, (n_targets,), or float where y is 1-D
    alpha_, smoothness_ : ndarray, (n_targets,)
        Chosen.
    delay_penalties_ : ndarray, (n_targets, n_delays)
        k, chosen.
    alphas_ : ndarray, (n_alphas,)
    cv_scores_ : ndarray, (n_targets,)
        ``1 - E / E0`` at the choice, as in `Ridge`.
    fold_r_, fold_r2_ : ndarray, (n_penalties, n_alphas, n_folds, n_targets)
        Held-out Pearson's r, and 1 - E / E0, at every penalty: of every smoothness, and delay_penalties within each.
    edge_counts_, edge_fraction_, n_features_in_, feature_names_in_, target_names_, plan_
        As in `Ridge`.
    shifts_ : list of int
        Delays in rows.
    solver_ : str
        "cholesky" or "eigen".

    See Also
    --------
    smooth_delays : the same penalty as a change of features, for any encoder.
    BandedRidge : bands of delays whose penalties are searched (``compact_delays(…, by_delay=True)``).

    Notes
    -----
    The products of one delay with all others take all rows, once for all folds, penalties and targets; the others follow by shifting
    (`brainenc.linalg.lagged`). Errors and correlations of held-out rows come from the rows' second moments, not from predictions. Products of
    float32 features are float32, summed in float64, and all else is float64. In `brainenc.score_layers` delays reach neither into nor
    across a test block that is cut out of a run: features count as zero there, as before the start of a run.

    References
    ----------
    The smooth penalty is the "laplacian" over time of mne's ``TimeDelayingRidge`` (near s = 1); after Lalor, Pearlmutter, Reilly, McDarby & Foxe
    (2006), doi:10.1016/j.neuroimage.2006.05.054. Mixing it with ridge, k, and scores from second moments are our choice.

    Examples
    --------
    >>> import numpy as np
    >>> sound = np.random.default_rng(0).standard_normal((600, 1))
    >>> lags = np.arange(8) / 64
    >>> brain = np.convolve(sound[:, 0], np.hanning(8))[:600, None]
    >>> model = ReceptiveField(lags, step=1 / 64, smoothness=0.5).fit(sound, brain)
    >>> bool(np.abs(model.receptive_fields_[:, 0, 0] - np.hanning(8)).max() < 0.01)
    True
    """

    goes_by_run: ClassVar[bool] = True  # `score_layers` passes the pieces of runs as groups, for predictions too
    saved_arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alphas_": ("alphas",), "alpha_": ("targets",), "smoothness_": ("targets",), "delay_penalties_": ("targets", "delays"), "cv_scores_": ("targets",),
        "fold_r_": ("penalties", "alphas", "folds", "targets"), "fold_r2_": ("penalties", "alphas", "folds", "targets"),
        "_fields": ("delays", "features", "targets"), "_intercept": ("targets",),
    }  # fmt: skip
    saved_plain: ClassVar[tuple[str, ...]] = ("solver_", "plan_", "edge_counts_", "edge_fraction_", "shifts_", "_is_1d")

    def __init__(
        self, delays: Any = (0.0,), *,
        step: float = 1.0, smoothness: Any = 0.0, delay_penalties: Any = None, alphas: Any = "auto", cv: Any = 5, fit_intercept: bool = True,
        solver: str = "auto", memory: str | int | float | None = None, device: str = "auto",
    ) -> None:  # fmt: skip
        self.delays = delays
        self.step = step
        self.smoothness = smoothness
        self.delay_penalties = delay_penalties
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.memory = memory
        self.device = device

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> Self:
        """Choose a penalty for every target and fit.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            One row a sample of time, not delayed; float32 is multiplied in float32, anything else in float64.
        y : array_like, (n_samples, n_targets) or (n_samples,)
            Finite; may be a memmap.
        groups : array_like, (n_samples,), optional
            Run of each row; rows of a run stand together, in order, a step apart. Delays never cross a run. Also passed to the splitter in ``cv``.

        Returns
        -------
        ReceptiveField

        Raises
        ------
        InputError
            For parameters, shapes or values that cannot be used.
        """
        from brainenc.linalg.lagged_ridge import lagged_fit

        X = self._features(X, reset=True)
        Y, is_1d = _targets(y, len(X))
        _check_finite(Y)
        shifts = _shifts(self.delays, self.step)
        choices = list(product(_smoothness(self.smoothness, shifts), _profiles(self.delay_penalties, len(shifts))))
        one_of(self.solver, ("auto", "cholesky", "eigen"), "solver")
        one_of(self.fit_intercept, (True, False), "fit_intercept")
        alphas, cv = self._search(X, Y, groups, len(choices))
        roots = [None if s == 0 and (k == 1).all() else penalty_root(len(shifts), s, k) for s, k in choices]
        fitted = lagged_fit(
            X, Y, _run_codes(groups, len(X)), shifts, alphas=alphas, penalties=roots, cv=cv, fit_intercept=bool(self.fit_intercept),
            solver=self.solver, memory=self.memory, device=self.device,
        )  # fmt: skip
        self._keep(fitted, choices)
        self.shifts_, self._is_1d = shifts, is_1d
        _keep_names(self, y)
        return self

    def predict(self, X: Any, *, groups: Any = None) -> Array:
        """Return predicted responses, (n_samples, n_targets) or (n_samples,) where y was 1-D, in the dtype of the features it was fitted on.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Rows of whole runs, in order: features before the first row of a run count as zero.
        groups : array_like, (n_samples,), optional
            Run of each row.

        Raises
        ------
        InputError
            For features that do not fit.
        """
        from brainenc.linalg.lagged_ridge import convolve

        check_is_fitted(self)
        X = self._features(X, reset=False).astype(self._fields.dtype, copy=False)
        out = convolve(X, _run_codes(groups, len(X)), self.shifts_, self._fields, self._intercept, device=self.device)
        return out[:, 0] if self._is_1d else out

    @property
    def receptive_fields_(self) -> Array:
        """Weights of each delay and feature."""
        check_is_fitted(self)
        return self._fields

    @property
    def coef_(self) -> Array:
        """Weights in the order of the delayed matrix."""
        check_is_fitted(self)
        flat = self._fields.reshape(-1, self._fields.shape[2])
        return flat[:, 0] if self._is_1d else flat.T

    @property
    def intercept_(self) -> Any:
        """Prediction where features are zero."""
        check_is_fitted(self)
        return self._intercept[0] if self._is_1d else self._intercept

    def _search(self, X: Array, Y: Array, groups: Any, n_choices: int) -> tuple[Floats | None, Any]:
        if isinstance(self.cv, str):
            raise InputError("rows that are neighbours in time are no independent test", where="cv", expected="a number of folds, folds, or None", got=self.cv)
        alphas = _grid(self.alphas)
        cv = _folds(self.cv, X, Y, groups)
        if cv is None and (n_choices > 1 or alphas is None or len(alphas) > 1):
            raise InputError(
                "cv=None leaves nothing to choose a penalty by", where=_WHERE, expected="one alpha, smoothness and delay_penalties",
                got=f"alphas={self.alphas!r}, {n_choices} penalties over delays"[:120], fix="pass cv=5, or a single number as alphas",
            )  # fmt: skip
        return alphas, cv

    def _keep(self, fitted: LaggedFit, choices: list[tuple[float, Floats]]) -> None:
        smoothness, profiles = np.array([s for s, _ in choices]), np.stack([k for _, k in choices])
        self.alphas_, self.alpha_, self.cv_scores_ = fitted.alphas, fitted.alpha, fitted.cv_scores
        self.smoothness_, self.delay_penalties_ = smoothness[fitted.penalty], profiles[fitted.penalty]
        self.fold_r_, self.fold_r2_ = fitted.r, fitted.r2
        self.solver_, self.plan_ = fitted.solver, fitted.plan
        self._fields, self._intercept = fitted.weights, fitted.intercept
        chosen = fitted.alpha[~fitted.constant] if len(fitted.alphas) > 1 else np.zeros(0)
        self.edge_counts_ = (int((chosen == fitted.alphas[0]).sum()), int((chosen == fitted.alphas[-1]).sum()))
        self.edge_fraction_ = sum(self.edge_counts_) / len(chosen) if len(chosen) else 0.0

    def _features(self, X: Any, *, reset: bool) -> Array:
        try:
            return validate_data(self, X=X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1)
        except ValueError as error:
            raise InputError(str(error), where=f"{_WHERE}.{'fit' if reset else 'predict'}") from None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _shifts(delays: Sequence[float] | Delays, step: float) -> list[int]:
    try:
        lags = as_delays(delays if isinstance(delays, Delays) else [float(one) for one in np.atleast_1d(np.asarray(delays, dtype=np.float64))])
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("delays are numbers of seconds", where=_WHERE, got=repr(delays)[:80]) from None
    if lags.weights is not None:
        raise InputError("weights of delays belong to kernels", where=_WHERE, fix="pass delays in seconds and delay_penalties, the inverse of weights")
    shifts = lags.shifts(step)
    if shifts != sorted(set(shifts)):
        raise InputError("delays must ascend", where=_WHERE, got=examples(lags.lags, 6))
    return shifts


def _smoothness(given: Any, shifts: list[int]) -> list[float]:
    try:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.ndim != 1 or not len(values) or isinstance(given, bool) or not ((values >= 0) & (values < 1)).all():
        raise InputError("smoothness lies between 0 and 1", where=_WHERE, expected="at least 0, below 1; one or several", got=repr(given)[:80])
    if values.any() and len(set(np.diff(shifts))) > 1:
        raise InputError("smooth weights need evenly spaced delays", where=_WHERE, expected="one gap between delays", got=f"{examples(shifts, 6)} rows")
    return [float(value) for value in values]


def _profiles(given: Any, n_delays: int) -> Floats:
    if given is None:
        return np.ones((1, n_delays))
    try:
        values = np.atleast_2d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.zeros((0, 0))
    if values.ndim != 2 or values.shape[1] != n_delays or not len(values) or not np.isfinite(values).all() or (values <= 0).any():
        raise InputError("delay_penalties do not fit", where=_WHERE, expected=f"{n_delays} positive numbers, or several such rows", got=repr(given)[:80])
    return values


def _run_codes(groups: Any, n: int) -> Index:
    """Return 0, 1, … for the rows of each run."""
    if groups is None:
        return np.zeros(n, dtype=np.intp)
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise InputError("groups do not fit", where=_WHERE, expected=f"the run of each of {n} rows", got=f"shape {labels.shape}")
    starts = np.r_[False, labels[1:] != labels[:-1]]
    if starts.sum() + 1 != len(np.unique(labels)):
        raise InputError("rows of a run do not stand together", where=f"{_WHERE}, groups", fix="sort by run; give each stretch without gaps a label")
    return np.cumsum(starts)


def _check_finite(Y: Array) -> None:
    for start in range(0, len(Y), 8192):
        if Y.dtype.kind == "f" and not np.isfinite(Y[start : start + 8192]).all():
            raise InputError("Input y contains NaN or infinity", where=f"{_WHERE}.fit", expected="finite", fix="fit complete targets, or complete runs")
