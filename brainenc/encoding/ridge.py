"""Ridge regression for brain responses: a penalty per target, chosen on held-out rows, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainenc.core.checks import one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding.saving import Savable

if TYPE_CHECKING:
    from brainenc.linalg import ChunkPlan, RidgeFit

Array = npt.NDArray[Any]
_ROW_BLOCK = 4096


class Ridge(Savable, RegressorMixin, BaseEstimator):
    """Linear regression with a squared penalty of its own for every target.

    ``coef_v, b_v = argmin sum_i s_i (y_iv - b_v - x_i . w)^2 + alpha_v |w|^2``, where ``alpha_v`` is the entry of the grid whose
    predictions of held-out rows have the least squared error; of two equal ones the larger.

    Parameters
    ----------
    alphas : "auto", float or sequence of float, default="auto"
        Penalties to try, non-negative. ``"auto"``: 17 values, half a decade apart, from 1e-6 to 1e2 times the largest
        eigenvalue of the centred (and weighted) features' Gram matrix.
    cv : int, "loo", "gcv", scikit-learn splitter, iterable of (train, test) or None, default=5
        Held-out rows: an int gives that many contiguous, unshuffled folds, so that neighbouring rows stay together.
        ``"loo"`` leaves one row out, in closed form and exactly, intercept and weights included; ``"gcv"`` replaces each row's
        leverage by the mean; both only for exchangeable rows, not for time series. None needs a single penalty.
    search : {"full", "hybrid"}, default="full"
        How folds are searched. ``"full"``: every penalty on every fold. ``"hybrid"``: every penalty by GCV, which costs next to
        nothing, then the exact held-out error of the minima of that curve and of their neighbours, climbing until both neighbours of
        the best are worse. Evenly spaced targets (at least 32) are also searched in full; where fewer than 98 % of them end within a
        step of their best penalty, all are (the one way in which a target's penalty can depend on the others). Short grids (under 6)
        and fewer than 64 targets are searched in full.
    conservative : bool, default=False
        Take the largest penalty whose mean held-out error is within one standard error, over folds, of the least one.
    fit_intercept : bool, default=True
        Centre features and targets with the (weighted) means of the training rows of each fold.
    solver : {"auto", "primal", "kernel"}, default="auto"
        Work with the features' or the samples' Gram matrix. ``"auto"``: primal where n_features <= n_samples. Same numbers.
    memory : str, int, float or None, default=None
        Working memory beside X, y and the fitted weights, in bytes or as ``"4GB"``; None takes half of what is free. It sets
        how many targets are handled at once and never changes the result beyond rounding.
    device : str, default="auto"
        ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Attributes
    ----------
    alpha_ : ndarray, (n_targets,)
        Chosen penalties; the largest for constant targets, NaN for those with too few rows. One entry where y is 1-D.
    alphas_ : ndarray, (n_alphas,)
        The grid, ascending.
    cv_scores_ : ndarray, (n_targets,)
        ``1 - E / E0``: E the held-out squared error, summed over folds, at the chosen penalty; E0 that of predicting each
        fold's training mean (zero without an intercept). 1 is perfect, 0 no better than the mean; NaN for constant targets
        and where ``cv=None``. It is an optimistic estimate, as the penalty was chosen on it: use it to choose among layers on
        training rows, and report scores on other rows.
    coef_ : ndarray, (n_targets, n_features), or (n_features,) where y is 1-D
        Formed when asked for: it is the largest array of all.
    intercept_ : ndarray, (n_targets,), or float where y is 1-D
    edge_fraction_ : float
        Share of the targets that are not constant whose penalty is the smallest or the largest of the grid.
    edge_counts_ : tuple of int
        How many at the smallest, how many at the largest.
    n_tried_ : ndarray of int, (n_targets,)
        Penalties tried on held-out rows.
    search_ : str
        How the search went, with the agreement of the targets that were checked.
    n_patterns_, n_unfit_ : int
        Sets of rows that targets were observed in, one decomposition each; targets with too few rows, whose numbers are all NaN.
    solver_ : str
        "primal" or "kernel".
    plan_ : brainenc.linalg.ChunkPlan
        The chunks used.
    n_features_in_ : int
    feature_names_in_, target_names_ : ndarray of str
        Where X, y are tables whose column names are all text.

    See Also
    --------
    fit_path : the same for training and test rows in one call.

    Notes
    -----
    With float32 features a full search of folds tries the penalties of a long grid on some nodes and interpolates the residuals of the
    others; shrinkage factors are then off by less than 3e-4 (`brainenc.linalg.ridge_folds`). In float64 nothing is interpolated.

    References
    ----------
    Hoerl & Kennard (1970), doi:10.1080/00401706.1970.10488634. Leave-one-out and GCV: Golub, Heath & Wahba (1979),
    doi:10.1080/00401706.1979.10489751. The one-standard-error rule: Breiman, Friedman, Olshen & Stone (1984), Classification and
    Regression Trees. The hybrid search and the interpolation are ours.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> Y = X @ rng.normal(size=(5, 3)) + 0.1 * rng.normal(size=(60, 3))
    >>> model = Ridge(cv="loo").fit(X, Y)
    >>> model.coef_.shape, bool(model.cv_scores_.min() > 0.9)
    ((3, 5), True)
    """

    saved_arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alphas_": ("alphas",), "alpha_": ("targets",), "cv_scores_": ("targets",), "n_tried_": ("targets",), "_x_mean": ("features",),
        "_y_mean": ("targets",), "_intercept": ("targets",), "_coef": ("features", "targets"), "_dual": ("samples", "targets"),
        "_X_fit": ("samples", "features"),
    }  # fmt: skip
    saved_either: ClassVar[tuple[tuple[str, ...], ...]] = (("_coef",), ("_dual", "_X_fit"))
    saved_plain: ClassVar[tuple[str, ...]] = (
        "solver_", "plan_", "edge_counts_", "edge_fraction_", "search_", "n_patterns_", "n_unfit_", "_is_1d",
    )  # fmt: skip

    def __init__(
        self, alphas: Any = "auto", *,
        cv: Any = 5, search: str = "full", conservative: bool = False, fit_intercept: bool = True, solver: str = "auto",
        memory: str | int | float | None = None, device: str = "auto",
    ) -> None:  # fmt: skip
        self.alphas = alphas
        self.cv = cv
        self.search = search
        self.conservative = conservative
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.memory = memory
        self.device = device

    def fit(self, X: Any, y: Any, *, groups: Any = None, sample_weight: Any = None, out: Array | None = None) -> Self:
        """Choose a penalty for every target and fit.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Features; float32 is computed in float32, anything else in float64. May be a memmap: it is read in blocks.
        y : array_like, (n_samples, n_targets) or (n_samples,)
            Responses; may be a memmap. NaN marks a missing one: targets that lack the same rows share a decomposition of the other
            rows, and those rows leave their folds. Penalties of ``alphas="auto"`` come from all rows.
        groups : array_like, (n_samples,), optional
            Passed to the splitter in ``cv`` (runs, images, sessions).
        sample_weight : float or array_like, (n_samples,), optional
            Non-negative weights, for instance the number of repeats that a row averages.
        out : ndarray, optional
            Where the weights are written, for instance a memmap in the features' dtype, (n_features, n_targets) in primal form
            (n_features <= n_samples, or as ``solver`` says), (n_samples, n_targets) in kernel form.

        Returns
        -------
        Ridge

        Raises
        ------
        InputError
            For parameters, shapes or values that cannot be used; infinity, and y none of whose targets has enough rows, among them.

        Warns
        -----
        BrainencWarning
            For targets with too few rows.
        """
        X = self._features(X, reset=True)
        Y, is_1d = _targets(y, len(X))
        fitted = _fit(self, X, Y, groups=groups, sample_weight=sample_weight, out=out)
        assert fitted.weights is not None
        self.alphas_, self.alpha_, self.cv_scores_ = fitted.alphas, fitted.alpha, fitted.cv_scores
        self.solver_, self.plan_ = fitted.solver, fitted.plan
        self.edge_counts_, self.edge_fraction_ = _edges(fitted)
        self.n_tried_, self.search_, self.n_patterns_, self.n_unfit_ = fitted.n_tried, fitted.search, fitted.n_patterns, fitted.n_unfit
        _keep_names(self, y)
        self._is_1d, self._x_mean, self._y_mean = is_1d, fitted.x_mean.astype(X.dtype), fitted.y_mean.astype(X.dtype)
        self._coef: Array | None = fitted.weights if fitted.solver == "primal" else None
        self._dual: Array | None = None if fitted.solver == "primal" else fitted.weights
        self._X_fit: Array | None = None if fitted.solver == "primal" else X
        shift = self._project(np.zeros((1, X.shape[1]), dtype=X.dtype))[0]  # what the prediction at the origin adds to the mean
        self._intercept: Array = self._y_mean + shift if self.fit_intercept else np.zeros_like(self._y_mean)
        return self

    def predict(self, X: Any) -> Array:
        """Return predicted responses.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples, n_targets), or (n_samples,) where y was 1-D
            In the dtype of the features it was fitted on.

        Raises
        ------
        InputError
            For features that do not fit.
        """
        check_is_fitted(self)
        X = self._features(X, reset=False).astype(self._x_mean.dtype, copy=False)
        out = self._project(X)
        out += self._y_mean
        return out[:, 0] if self._is_1d else out

    @property
    def intercept_(self) -> Any:
        """Prediction at the origin of the features."""
        check_is_fitted(self)
        return self._intercept[0] if self._is_1d else self._intercept

    @property
    def coef_(self) -> Array:
        """Weights of the features, formed on first use."""
        check_is_fitted(self)
        if self._coef is None:
            assert self._X_fit is not None and self._dual is not None
            X, dual = self._X_fit, self._dual
            coef = np.empty((X.shape[1], dual.shape[1]), dtype=dual.dtype)
            for start in range(0, X.shape[1], _ROW_BLOCK):
                cols = slice(start, start + _ROW_BLOCK)
                coef[cols] = (X[:, cols] - self._x_mean[cols]).T @ dual
            self._coef, self._X_fit, self._dual = coef, None, None  # which predicts alone from now on
        return self._coef[:, 0] if self._is_1d else self._coef.T

    def _project(self, X: Array) -> Array:
        """Return ``(X - mean) @ weights``, through the samples' kernel while the weights are not formed."""
        out = np.empty((len(X), len(self._y_mean)), dtype=self._x_mean.dtype)
        for start in range(0, len(X), _ROW_BLOCK):
            rows = X[start : start + _ROW_BLOCK]
            if self._coef is not None:
                out[start : start + _ROW_BLOCK] = (rows - self._x_mean) @ self._coef
                continue
            assert self._X_fit is not None and self._dual is not None
            kernel = np.zeros((len(rows), len(self._X_fit)), dtype=out.dtype)
            for first in range(0, X.shape[1], _ROW_BLOCK):
                cols = slice(first, first + _ROW_BLOCK)
                kernel += (rows[:, cols] - self._x_mean[cols]) @ (self._X_fit[:, cols] - self._x_mean[cols]).T
            out[start : start + _ROW_BLOCK] = kernel @ self._dual
        return out

    def _features(self, X: Any, *, reset: bool) -> Array:
        # Uniform errors: scikit-learn's ValueErrors come out as InputErrors, which are ValueErrors too.
        try:
            return validate_data(self, X=X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1)
        except ValueError as error:
            raise InputError(str(error), where=f"{type(self).__name__}.{'fit' if reset else 'predict'}") from None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class RidgePath(NamedTuple):
    """What `fit_path` returns; entries and columns are targets."""

    predictions: Array | None  # (n_test, n_targets); None where no test rows were given
    alpha: npt.NDArray[np.float64]  # (n_targets,)
    cv_scores: npt.NDArray[np.float64]  # (n_targets,)
    alphas: npt.NDArray[np.float64]  # (n_alphas,)
    edge_counts: tuple[int, int]
    edge_fraction: float
    solver: str
    plan: ChunkPlan
    n_tried: npt.NDArray[np.int64]  # (n_targets,)
    search: str


def fit_path(
    X_train: Any, Y_train: Any, X_test: Any = None, *,
    alphas: Any = "auto", cv: Any = 5, search: str = "full", conservative: bool = False, fit_intercept: bool = True, solver: str = "auto",
    memory: str | int | float | None = None, device: str = "auto", groups: Any = None, sample_weight: Any = None, out: Array | None = None,
) -> RidgePath:  # fmt: skip
    """Fit on training rows and predict test rows without ever holding the weights; without test rows, choose the penalties alone.

    One decomposition serves all columns of ``Y_train``: responses of several regions or subjects to the same rows go side by side.

    Parameters
    ----------
    X_train, X_test : array_like, (n_train, n_features) and (n_test, n_features)
    Y_train : array_like, (n_train, n_targets)
        May be a memmap; NaN as in `Ridge.fit`.
    alphas, cv, search, conservative, fit_intercept, solver, memory, device
        As in `Ridge`.
    groups, sample_weight
        As in `Ridge.fit`.
    out : ndarray, (n_test, n_targets), optional
        Where predictions are written, for instance a memmap in the features' dtype.

    Returns
    -------
    RidgePath

    Raises
    ------
    InputError
        As `Ridge`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 5))
    >>> Y = X @ rng.normal(size=(5, 3))
    >>> fit_path(X[:50], Y[:50], X[50:], cv="loo").predictions.shape
    (10, 3)
    """
    model = Ridge(
        alphas, cv=cv, search=search, conservative=conservative, fit_intercept=fit_intercept, solver=solver, memory=memory, device=device
    )
    X = model._features(X_train, reset=True)
    new = None if X_test is None else model._features(X_test, reset=False).astype(X.dtype, copy=False)
    if new is None and out is not None:
        raise InputError("out holds predictions, and there are no rows to predict", where="fit_path", fix="pass X_test")
    Y, _ = _targets(Y_train, len(X))
    fitted = _fit(model, X, Y, groups=groups, sample_weight=sample_weight, X_test=new, keep_weights=False, out=out)
    counts, share = _edges(fitted)
    return RidgePath(
        fitted.predictions, fitted.alpha, fitted.cv_scores, fitted.alphas, counts, share, fitted.solver, fitted.plan, fitted.n_tried, fitted.search
    )


def _fit(
    model: Ridge, X: Array, Y: Array, *,
    groups: Any, sample_weight: Any, X_test: Array | None = None, keep_weights: bool = True, out: Array | None = None,
) -> RidgeFit:  # fmt: skip
    from brainenc.linalg import ridge_fit

    one_of(model.solver, ("auto", "primal", "kernel"), "solver")
    one_of(model.search, ("full", "hybrid"), "search")
    for name in ("fit_intercept", "conservative"):
        one_of(getattr(model, name), (True, False), name)
    alphas = _grid(model.alphas)
    cv = _folds(model.cv, X, Y, groups)
    if cv is None and (alphas is None or len(alphas) > 1):
        raise InputError(
            "cv=None leaves nothing to choose a penalty by", where="Ridge", expected="one penalty", got=f"alphas={model.alphas!r}",
            fix='pass cv=5 or cv="loo", or a single number as alphas',
        )  # fmt: skip
    if model.conservative and not isinstance(cv, list):
        raise InputError(
            "conservative=True needs folds: one standard error is taken over them", where="Ridge", expected="cv=5, a splitter or folds", got=f"cv={model.cv!r}",
        )  # fmt: skip
    fitted = ridge_fit(
        X, Y, alphas=alphas, cv=cv, sample_weight=_weights(sample_weight, len(X)), fit_intercept=bool(model.fit_intercept), solver=model.solver,
        memory=model.memory, device=model.device, X_test=X_test, keep_weights=keep_weights, search=model.search,
        conservative=bool(model.conservative), out=out,
    )  # fmt: skip
    if fitted.n_unfit:
        warnings.warn(f"{fitted.n_unfit} of {Y.shape[1]} targets have too few rows without NaN: their numbers are NaN", BrainencWarning, stacklevel=3)
    return fitted


def _keep_names(model: Ridge, y: Any) -> None:
    """Keep the names of the targets where y is a table whose column names are all text, as scikit-learn does for X."""
    names = list(getattr(y, "columns", []))
    if names and all(isinstance(name, str) for name in names):
        model.target_names_ = np.array(names, dtype=object)
    elif hasattr(model, "target_names_"):
        del model.target_names_


def _grid(alphas: Any) -> npt.NDArray[np.float64] | None:
    if isinstance(alphas, str) and alphas == "auto":
        return None
    try:
        grid = np.unique(np.atleast_1d(np.asarray(alphas, dtype=np.float64)))
    except (TypeError, ValueError):
        grid = np.zeros(0)
    if grid.ndim != 1 or len(grid) == 0 or not np.isfinite(grid).all() or grid[0] < 0 or np.ndim(alphas) > 1:
        raise InputError(
            "alphas cannot be used as penalties", where="Ridge", expected='"auto" or finite numbers >= 0', got=repr(alphas)[:80],
        )  # fmt: skip
    return grid


def _folds(cv: Any, X: Array, Y: Array, groups: Any) -> Any:
    """Return None, "loo", "gcv" or a list of (train, test) row indices."""
    n = len(X)
    if isinstance(cv, str) and cv == "hybrid":
        raise InputError("hybrid is a way to search folds", where="cv", fix='pass cv=5, search="hybrid"')
    if cv is None or (isinstance(cv, str) and cv in ("loo", "gcv")):
        return cv
    if isinstance(cv, int | np.integer) and not isinstance(cv, bool):
        if not 2 <= cv <= n:
            raise InputError("too many or too few folds", where="cv", expected=f"2 to {n} (n_samples)", got=cv, fix='cv="loo" leaves one row out')
        test_rows = np.array_split(np.arange(n), cv)
        return [(np.setdiff1d(np.arange(n), test), test) for test in test_rows]
    if hasattr(cv, "split") and not isinstance(cv, str | bytes):
        try:
            pairs: Iterable[Any] = list(cv.split(X, Y, groups))
        except ValueError as error:
            raise InputError(str(error), where=f"cv={type(cv).__name__}") from None
    elif isinstance(cv, Iterable) and not isinstance(cv, str | bytes):
        pairs = cv
    else:
        raise InputError(
            "cv cannot be used", where="Ridge", expected='a number of folds, "loo", "gcv", a splitter, (train, test) pairs or None', got=repr(cv)[:80],
        )  # fmt: skip
    folds = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError("a fold is not a pair (train, test)", where="cv", got=repr(pair)[:80])
        folds.append((_rows(pair[0], n, "train"), _rows(pair[1], n, "test")))
        if len(np.intersect1d(*folds[-1])):
            raise InputError("a fold has rows in both training and test", where=f"cv, fold {len(folds) - 1}")
    if not folds:
        raise InputError("the splitter yields no folds", where="cv", fix="an iterator can be used once only: pass a list")
    return folds


def _rows(rows: Any, n: int, side: str) -> npt.NDArray[np.intp]:
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n,):
        rows = np.flatnonzero(rows)
    least = 2 if side == "train" else 1
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) < least or rows.min() < 0 or rows.max() >= n:
        raise InputError(f"{side} rows of a fold do not fit", where="cv", expected=f"at least {least} row numbers below {n}", got=repr(rows)[:80])
    if len(np.unique(rows)) < len(rows):
        raise InputError(f"{side} rows of a fold repeat", where="cv", expected="each row once", fix="use sample_weight to count a row more than once")
    return rows.astype(np.intp)


def _targets(y: Any, n: int) -> tuple[Array, bool]:
    """Return the targets as a matrix, without a copy where they are one already, and whether they came as a vector."""
    if y is None:
        raise InputError("Ridge requires y to be passed, but the target y is None", where="Ridge.fit")
    values = np.asanyarray(y)
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError("y does not hold numbers", where="Ridge.fit", got=f"dtype {values.dtype}") from None
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2) or values.size == 0:
        raise InputError(
            "y cannot be used", where="Ridge.fit", expected="real numbers, (n_samples, n_targets) or (n_samples,)",
            got=f"shape {values.shape}, dtype {values.dtype}",
        )  # fmt: skip
    if len(values) != n:
        raise InputError("X and y have different numbers of samples", where="Ridge.fit", expected=f"{n} rows, as in X", got=len(values))
    return (values[:, None], True) if values.ndim == 1 else (values, False)


def _weights(sample_weight: Any, n: int) -> npt.NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("sample_weight does not hold numbers", where="Ridge.fit") from None
    weights = np.full(n, float(weights)) if weights.ndim == 0 else weights
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("sample_weight does not fit", where="Ridge.fit", expected=f"{n} finite numbers >= 0", got=f"shape {weights.shape}")
    if (weights > 0).sum() < 2:
        raise InputError("all or all but one entry of sample_weight are zero", where="Ridge.fit", expected="at least two rows that count")
    return weights


def _edges(fitted: RidgeFit) -> tuple[tuple[int, int], float]:
    if len(fitted.alphas) == 1:
        return (0, 0), 0.0
    chosen = fitted.alpha[~fitted.constant & ~np.isnan(fitted.alpha)]
    low, high = int((chosen == fitted.alphas[0]).sum()), int((chosen == fitted.alphas[-1]).sum())
    return (low, high), (low + high) / len(chosen) if len(chosen) else 0.0
