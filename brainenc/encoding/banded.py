"""Banded ridge: a penalty for every feature space, chosen for every target, by a search that all targets share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainenc.core.checks import one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.core.rng import check_seed
from brainenc.encoding._band_fit import BandModel, Fitted, positive, prepare, search_bands
from brainenc.encoding._band_search import Guided, Listed, Within, first_weights, random_weights
from brainenc.encoding._bands import labels_of, resolve_bands
from brainenc.encoding.ridge import _folds, _grid, _keep_names, _targets, _weights
from brainenc.encoding.saving import Savable

if TYPE_CHECKING:
    from brainenc.linalg.banded import BandDesign
    from brainenc.nouns.features import FeatureSpace

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
_KEPT = 16


class BandedRidge(Savable, RegressorMixin, BaseEstimator):
    """Linear regression in which every band of features has a penalty of its own, for every target.

    ``W_v, b_v = argmin sum_i s_i (y_iv - b_v - sum_k x_ik . w_k)^2 + alpha_v sum_k |w_k|^2 / g_vk`` with band weights ``g_v`` on the
    simplex; a band of weight zero is left out. Weights and penalty are those of least squared error on held-out rows among all that
    were tried. Every set of weights that is tried costs one decomposition and serves all targets, folds and penalties.

    Parameters
    ----------
    bands : None, sequence, mapping or str, default=None
        Column counts, one label a column, slices or lists of columns, or a mapping of names to these. None: all columns are one band,
        but in `brainenc.score_layers` the column ``band`` of the features' table (`join`) where there is one. A str names another
        column of that table, for instance ``"delay"``.
    alphas : "auto", float or sequence of float, default="auto"
        Penalties to try, positive. ``"auto"``: 17 values, half a decade apart, from 1e-6 to 1e2 times the largest eigenvalue of each
        weighted Gram matrix ``sum_k g_k X_k X_k'``.
    cv : int, "loo", "gcv", scikit-learn splitter, iterable of (train, test) or None, default=5
        Held-out rows, as in `Ridge`. None needs a single penalty and a single set of weights.
    search : "guided", "random" or array_like of shape (n, n_bands), default="guided"
        ``"random"``: Dirichlet draws of the bands' shares of the weighted variance, concentrations 0.1 and 1 in turn. ``"guided"``: the next
        weights are those of the largest expected gain over all targets, under a Gaussian process of the errors so far; it begins
        with each band alone. Of 200 targets and more it leaves out, for each set, those whose expected error there is more than four standard
        deviations above their best. Both begin with one penalty for all features (plain ridge) and with equal shares. An array lists the weights to try;
        ``np.eye(n_bands)`` makes the best single band win.
    n_iter : int, default=100
        Sets of weights; the most for ``"guided"``.
    tol : float, default=1e-4
        ``"guided"`` stops when 8 sets together raised the mean inner score by less.
    full : bool, default=False
        Take the held-out error of every set and penalty for every target. Otherwise from the one that generalised cross-validation prefers downhill, which
        finds the same where the error has a single minimum.
    seed : int, default=0
    warm_start : bool, default=False
        Begin with the weights that the last fit chose.
    fit_intercept, solver, memory, device
        As in `Ridge`.

    Attributes
    ----------
    alpha_ : ndarray, (n_targets,)
        The largest of the grid for constant targets, NaN for those with too few rows.
    band_weights_ : ndarray, (n_targets, n_bands)
        On the simplex, in units of the features: the penalty of band k is ``alpha_ / band_weights_[:, k]``.
    cv_scores_ : ndarray, (n_targets,)
        ``1 - E / E0`` as in `Ridge`; optimistic, as weights and penalty were chosen on it.
    candidates_ : ndarray, (n_tried, n_bands)
        The weights that were tried, in order (those of groups of targets that lack different rows one after the other).
    search_scores_ : ndarray, (n_tried, n_targets)
        Inner score of each, at the best penalty that was looked at; estimated, by generalised cross-validation or the
        Gaussian process, where a set had no chance.
    coef_ : ndarray, (n_targets, n_features), or (n_features,) where y is 1-D
        Formed when asked for.
    intercept_ : ndarray, (n_targets,), or float where y is 1-D
    bands_ : dict of str to ndarray
        Columns of each band, ascending.
    edge_fraction_, edge_counts_, solver_, plan_, n_features_in_, feature_names_in_, target_names_
        As in `Ridge`.
    n_iter_ : int
        Sets of weights tried.

    See Also
    --------
    join : feature spaces as bands of one space.
    product_measure : the bands' shares of the joint score.
    partition_variance : unique and shared parts.

    Notes
    -----
    Penalties of bands: Nunez-Elizalde, Huth & Gallant (2019), doi:10.1016/j.neuroimage.2019.04.012. Random search: Dupré la Tour,
    Eickenberg, Nunez-Elizalde & Gallant (2022), doi:10.1016/j.neuroimage.2022.119728. Shares of variance rather than weights are drawn, so that
    bands of any scale and number of columns start equal. The guided search and the one decomposition for all folds are ours.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 30))
    >>> Y = X[:, :10] @ rng.normal(size=(10, 3)) + 0.1 * rng.normal(size=(80, 3))
    >>> model = BandedRidge([10, 20]).fit(X, Y)
    >>> bool((model.band_weights_[:, 0] > 0.9).all()), model.predict_by_space(X).shape
    (True, (2, 80, 3))
    """

    saved_arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "alpha_": ("targets",), "band_weights_": ("targets", "bands"), "cv_scores_": ("targets",), "candidates_": ("tried", "bands"),
        "search_scores_": ("tried", "targets"), "_x_mean": ("features",), "_y_mean": ("targets",), "_band_of": ("features",),
        "_weights": ("features", "targets"), "_dual": ("samples", "targets"), "_X_fit": ("samples", "features"), "_favourites": ("kept", "bands"),
    }  # fmt: skip
    saved_either: ClassVar[tuple[tuple[str, ...], ...]] = (("_weights",), ("_dual", "_X_fit"))
    saved_plain: ClassVar[tuple[str, ...]] = (
        "solver_", "plan_", "edge_counts_", "edge_fraction_", "n_iter_", "intercept_", "_is_1d", "_band_names",
    )  # fmt: skip

    def __init__(
        self, bands: Any = None, alphas: Any = "auto", *,
        cv: Any = 5, search: Any = "guided", n_iter: int = 100, tol: float = 1e-4, full: bool = False, seed: int = 0, warm_start: bool = False,
        fit_intercept: bool = True, solver: str = "auto", memory: str | int | float | None = None, device: str = "auto",
    ) -> None:  # fmt: skip
        self.bands = bands
        self.alphas = alphas
        self.cv = cv
        self.search = search
        self.n_iter = n_iter
        self.tol = tol
        self.full = full
        self.seed = seed
        self.warm_start = warm_start
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.memory = memory
        self.device = device

    def fit(self, X: Any, y: Any, *, groups: Any = None, sample_weight: Any = None) -> Self:
        """Choose weights and a penalty for every target and fit.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Features; float32 is computed in float32, anything else in float64.
        y : array_like, (n_samples, n_targets) or (n_samples,)
            Responses; may be a memmap. NaN as in `Ridge.fit`; groups of targets that lack different rows are searched one by one.
        groups : array_like, (n_samples,), optional
            Passed to the splitter in ``cv`` (runs, images, sessions).
        sample_weight : float or array_like, (n_samples,), optional
            Non-negative weights, for instance the number of repeats that a row averages.

        Returns
        -------
        BandedRidge

        Raises
        ------
        InputError
            For parameters, shapes or values that cannot be used.

        Warns
        -----
        BrainencWarning
            For targets with too few rows.
        """
        X = self._features(X, reset=True)
        Y, is_1d = _targets(y, len(X))
        bands = resolve_bands(self.bands, X.shape[1])
        alphas, cv, search = self._options(X, Y, groups, len(bands))
        prepared = prepare(
            X, Y, list(bands.values()), cv=cv, weights=_weights(sample_weight, len(X)), intercept=bool(self.fit_intercept), solver=self.solver,
            memory=self.memory, device=self.device,
        )  # fmt: skip
        fitted = search_bands(prepared, lambda design: make_search(self, search, design), alphas=alphas, full=self.full)
        if np.isnan(fitted.alpha).any():
            n = int(np.isnan(fitted.alpha).sum())
            warnings.warn(f"{n} of {Y.shape[1]} targets have too few rows without NaN: their numbers are NaN", BrainencWarning, stacklevel=2)
        self._keep(fitted, bands, is_1d)
        _keep_names(self, y)
        return self

    def predict(self, X: Any) -> Array:
        """Return predicted responses, (n_samples, n_targets) or (n_samples,) where y was 1-D.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
        """
        check_is_fitted(self)
        out = self._model().predict(self._new(X))
        return out[:, 0] if self._is_1d else out

    def predict_by_space(self, X: Any, *, intercept: bool = True) -> Array:
        """Return what each band adds to the prediction.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
        intercept : bool
            Give every band an equal part of the targets' training means, so that the bands sum to the prediction. Without, each band has
            mean zero over the (weighted) training rows, as `product_measure` wants it.

        Returns
        -------
        ndarray, (n_bands, n_samples, n_targets), or (n_bands, n_samples) where y was 1-D
            In the order of ``bands_``.
        """
        check_is_fitted(self)
        out = self._model().parts(self._new(X))
        if intercept:
            out += self._y_mean / len(out)
        return out[:, :, 0] if self._is_1d else out

    @property
    def coef_(self) -> Array:
        """Weights of the features, formed on first use."""
        check_is_fitted(self)
        formed: Array | None = getattr(self, "_formed", None)
        coef = self._model().coefficients() if formed is None else formed
        self._formed = coef
        return coef[:, 0] if self._is_1d else coef.T

    @property
    def bands_(self) -> dict[str, npt.NDArray[np.intp]]:
        """Columns of each band, by name."""
        check_is_fitted(self)
        return {name: np.flatnonzero(self._band_of == i) for i, name in enumerate(self._band_names)}

    def for_features(self, space: FeatureSpace, where: str) -> BandedRidge:
        """Return a copy whose bands are read from the features' table, where this one's are None or the name of a column.

        Parameters
        ----------
        space : FeatureSpace
        where : str
            For messages.
        """
        from sklearn.base import clone

        if not (self.bands is None or isinstance(self.bands, str)):
            return self
        labels = labels_of(space, self.bands, where)
        return self if labels is None else clone(self).set_params(bands=labels)

    def _options(self, X: Array, Y: Array, groups: Any, n_bands: int) -> tuple[Floats | None, Any, Any]:
        check_options(self)
        alphas = _grid(self.alphas)
        if alphas is not None and alphas[0] <= 0:
            raise InputError("a penalty of zero leaves nothing for the bands to weigh", where="BandedRidge", expected="alphas > 0", got=repr(self.alphas)[:80])
        search = search_of(self.search, n_bands)
        cv = _folds(self.cv, X, Y, groups)
        single = alphas is not None and len(alphas) == 1 and (n_bands == 1 or (not isinstance(search, str) and len(search) == 1))
        if cv is None and not single:
            raise InputError(
                "cv=None leaves nothing to choose by", where="BandedRidge", expected="one penalty and one set of weights",
                got=f"alphas={self.alphas!r}, search={self.search!r}"[:120], fix='pass cv=5 or cv="loo", or a number as alphas and one row as search',
            )  # fmt: skip
        return alphas, cv, search

    def _keep(self, fitted: Fitted, bands: dict[str, npt.NDArray[np.intp]], is_1d: bool) -> None:
        model = fitted.model
        self._is_1d, self._band_names = is_1d, tuple(bands)
        self.__dict__.pop("_formed", None)
        self._band_of = np.empty(len(model.x_mean), dtype=np.int64)
        for i, columns in enumerate(bands.values()):
            self._band_of[columns] = i
        self._x_mean, self._y_mean, self._X_fit = model.x_mean, model.y_mean, model.X
        self._weights: Array | None = model.weights if model.X is None else None
        self._dual: Array | None = None if model.X is None else model.weights
        self.alpha_, self.band_weights_, self.cv_scores_ = fitted.alpha, model.band_weights, fitted.cv_scores
        self.candidates_, self.search_scores_, self.n_iter_ = fitted.candidates, 1.0 - fitted.history, len(fitted.candidates)
        self.solver_, self.plan_ = fitted.prepared.form, fitted.plan
        used = np.bincount(fitted.choice[fitted.choice >= 0], minlength=len(fitted.candidates))
        self._favourites = fitted.candidates[np.argsort(-used, kind="stable")[: min(_KEPT, int((used > 0).sum()))]]
        counted = np.isfinite(fitted.alpha)
        for part in fitted.prepared.parts:
            counted[part.targets.columns] &= ~part.targets.constant
        self.edge_counts_ = int((fitted.edge[counted] < 0).sum()), int((fitted.edge[counted] > 0).sum())
        self.edge_fraction_ = sum(self.edge_counts_) / max(int(counted.sum()), 1)
        origin = np.zeros((1, len(model.x_mean)), dtype=model.x_mean.dtype)
        intercept = model.predict(origin)[0] if self.fit_intercept else np.zeros_like(model.y_mean)
        self.intercept_: Any = intercept[0] if is_1d else intercept

    def _model(self) -> BandModel:
        weights = self._weights if self._dual is None else self._dual
        return BandModel(self._X_fit, list(self.bands_.values()), self._x_mean, self._y_mean, weights, self.band_weights_)  # type: ignore[arg-type]

    def _new(self, X: Any) -> Array:
        return self._features(X, reset=False).astype(self._x_mean.dtype, copy=False)

    def _features(self, X: Any, *, reset: bool) -> Array:
        try:
            return validate_data(self, X=X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1)
        except ValueError as error:
            raise InputError(str(error), where=f"{type(self).__name__}.{'fit' if reset else 'predict'}") from None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def make_search(model: Any, search: Any, design: BandDesign) -> Any:
    """Return the search for one group of targets."""
    scale = positive(design.traces)
    if not isinstance(search, str):
        return Listed(search)
    first = first_weights(scale, corners=search == "guided")
    if model.warm_start and getattr(model, "_favourites", np.zeros((0, 0))).shape[1] == len(scale):
        first = np.concatenate([first[:2], model._favourites])
    if len(scale) == 1:
        return Listed(np.ones((1, 1)))
    if search == "random":
        return Listed(random_weights(first, scale, int(model.n_iter), int(model.seed)))
    return Guided(first, scale, n_iter=int(model.n_iter), seed=int(model.seed), tol=float(model.tol))


def search_subset(model: Any, search: Any, design: BandDesign, members: list[int]) -> Any:
    """Return the search of a subset of the bands: weights are 0 outside; listed ones are cut to the subset."""
    traces = design.traces[members]
    if not isinstance(search, str):
        rows = search[:, members]
        rows = rows[rows.sum(axis=1) > 0]
        rows = rows if len(rows) else np.full((1, len(members)), 1.0 / len(members))
        inner: Any = Listed(rows / rows.sum(axis=1, keepdims=True))
    else:
        inner = make_search(model, search, design._replace(traces=traces))
    return Within(inner, members, len(design.traces))


def check_options(model: Any) -> None:
    """Refuse knobs that cannot be used."""
    one_of(model.solver, ("auto", "primal", "kernel"), "solver")
    for name in ("fit_intercept", "full", "warm_start"):
        one_of(getattr(model, name), (True, False), name)
    check_seed(model.seed)
    if isinstance(model.n_iter, bool) or not isinstance(model.n_iter, int | np.integer) or model.n_iter < 1:
        raise InputError("n_iter is a count", where=type(model).__name__, expected="1 or more", got=repr(model.n_iter))
    if isinstance(model.tol, bool) or not isinstance(model.tol, int | float | np.number) or not model.tol >= 0:
        raise InputError("tol is a score", where=type(model).__name__, expected="0 or more", got=repr(model.tol))


def search_of(search: Any, n_bands: int) -> Any:
    """Return the name of the search, or the listed weights with rows that sum to 1."""
    if isinstance(search, str):
        return one_of(search, ("guided", "random"), "search")
    try:
        rows = np.atleast_2d(np.asarray(search, dtype=np.float64))
    except (TypeError, ValueError):
        rows = np.zeros((0, 0))
    fits = rows.ndim == 2 and len(rows) and rows.shape[1] == n_bands
    if not fits or not np.isfinite(rows).all() or (rows < 0).any() or (rows.sum(axis=1) <= 0).any():
        expected = f'"guided", "random" or rows of {n_bands} weights >= 0, not all zero'
        raise InputError("search cannot be used", where="search", expected=expected, got=repr(search)[:80])
    return rows / rows.sum(axis=1, keepdims=True)
