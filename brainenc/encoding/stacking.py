"""Stacking: convex combinations of ridge models, one a band, weighted by what they predict in held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.encoding._band_fit import BandModel, Fitted, Prepared, prepare, search_bands
from brainenc.encoding._band_search import Listed
from brainenc.encoding._bands import labels_of, resolve_bands
from brainenc.encoding.ridge import _folds, _grid, _keep_names, _targets, _weights
from brainenc.encoding.saving import Savable

if TYPE_CHECKING:
    from brainenc.nouns.features import FeatureSpace

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
MAX_BANDS = 10


class Stacking(Savable, RegressorMixin, BaseEstimator):
    """Weighted mean of ridge models of single bands.

    ``y_v = b_v + sum_k w_vk f_vk(x)``: f_vk is ridge on band k with its own penalty, and ``w_v`` on the simplex minimises
    ``sum_i (y_i - sum_k w_k f_k^(-i)(x_i))^2`` over predictions of rows that were held out of each model.

    Parameters
    ----------
    bands, alphas, cv, fit_intercept, solver, memory, device
        As in `BandedRidge`; ``cv`` is needed, and at most 10 bands.

    Attributes
    ----------
    weights_ : ndarray, (n_targets, n_bands)
    alphas_ : ndarray, (n_targets, n_bands)
        Penalty of each band's model.
    space_scores_ : ndarray, (n_targets, n_bands)
        Inner score of each band alone.
    cv_scores_ : ndarray, (n_targets,)
        Inner score of the stack, as in `Ridge`.
    coef_ : ndarray, (n_targets, n_features), or (n_features,) where y is 1-D
    intercept_ : ndarray, (n_targets,), or float where y is 1-D
    bands_ : dict of str to ndarray
    n_features_in_, feature_names_in_, target_names_, solver_

    References
    ----------
    Lin, Naselaris, Kay & Wehbe (2024), Stacked regressions and structured variance partitioning for interpretable brain maps,
    doi:10.1016/j.neuroimage.2024.120772; Breiman (1996), doi:10.1007/BF00117832. Ties between models that predict the same are split evenly.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 30))
    >>> Y = X[:, :10] @ rng.normal(size=(10, 3)) + 0.1 * rng.normal(size=(80, 3))
    >>> bool((Stacking([10, 20]).fit(X, Y).weights_[:, 0] > 0.9).all())
    True
    """

    saved_arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "weights_": ("targets", "bands"), "alphas_": ("targets", "bands"), "space_scores_": ("targets", "bands"), "cv_scores_": ("targets",),
        "_coef": ("features", "targets"), "_x_mean": ("features",), "_y_mean": ("targets",), "_band_of": ("features",),
    }  # fmt: skip
    saved_plain: ClassVar[tuple[str, ...]] = ("solver_", "intercept_", "_is_1d", "_band_names")

    def __init__(
        self, bands: Any = None, alphas: Any = "auto", *,
        cv: Any = 5, fit_intercept: bool = True, solver: str = "auto", memory: str | int | float | None = None, device: str = "auto",
    ) -> None:  # fmt: skip
        self.bands = bands
        self.alphas = alphas
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.memory = memory
        self.device = device

    def fit(self, X: Any, y: Any, *, groups: Any = None, sample_weight: Any = None) -> Self:
        """Fit a model to every band and weigh them.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
        y : array_like, (n_samples, n_targets) or (n_samples,)
        groups, sample_weight
            As in `Ridge.fit`.

        Returns
        -------
        Stacking

        Raises
        ------
        InputError
            For parameters, shapes or values that cannot be used.
        """
        X = self._features(X, reset=True)
        Y, self._is_1d = _targets(y, len(X))
        bands = resolve_bands(self.bands, X.shape[1])
        alphas, cv = self._options(X, Y, groups, len(bands))
        prepared = prepare(
            X, Y, list(bands.values()), cv=cv, weights=_weights(sample_weight, len(X)), intercept=bool(self.fit_intercept), solver=self.solver,
            memory=self.memory, device=self.device,
        )  # fmt: skip
        found = stack(prepared, alphas)
        self.weights_, self.solver_ = found.weights(), prepared.form
        self.alphas_ = np.stack([one.alpha for one in found.fits], axis=1)
        self.space_scores_ = np.stack([one.cv_scores for one in found.fits], axis=1)
        self.cv_scores_ = found.scores(self.weights_)
        self._x_mean, self._y_mean, self._band_names = prepared.x_mean, found.y_mean, tuple(bands)
        self._band_of = np.empty(X.shape[1], dtype=np.int64)
        self._coef: Array = np.empty((X.shape[1], Y.shape[1]), dtype=X.dtype)
        for k, columns in enumerate(bands.values()):
            self._band_of[columns] = k
            self._coef[columns] = found.fits[k].model.coefficients()[columns] * self.weights_[:, k].astype(X.dtype)
        origin = np.zeros((1, X.shape[1]), dtype=X.dtype)
        intercept = self._model().predict(origin)[0] if self.fit_intercept else np.zeros(Y.shape[1], dtype=X.dtype)
        self.intercept_: Any = intercept[0] if self._is_1d else intercept
        _keep_names(self, y)
        return self

    def predict(self, X: Any) -> Array:
        """Return predicted responses, (n_samples, n_targets) or (n_samples,) where y was 1-D."""
        check_is_fitted(self)
        out = self._model().predict(self._features(X, reset=False))
        return out[:, 0] if self._is_1d else out

    def predict_by_space(self, X: Any, *, intercept: bool = True) -> Array:
        """Return the weighted prediction of each band (n_bands, n_samples, n_targets); see `BandedRidge.predict_by_space`."""
        check_is_fitted(self)
        out = self._model().parts(self._features(X, reset=False))
        if intercept:
            out += self._y_mean / len(out)
        return out[:, :, 0] if self._is_1d else out

    def for_features(self, space: FeatureSpace, where: str) -> Stacking:
        """Return a copy whose bands are read from the features' table, see `BandedRidge.for_features`."""
        from sklearn.base import clone

        if not (self.bands is None or isinstance(self.bands, str)):
            return self
        labels = labels_of(space, self.bands, where)
        return self if labels is None else clone(self).set_params(bands=labels)

    @property
    def coef_(self) -> Array:
        """Weights of the features, (n_targets, n_features) or (n_features,)."""
        check_is_fitted(self)
        return self._coef[:, 0] if self._is_1d else self._coef.T

    @property
    def bands_(self) -> dict[str, npt.NDArray[np.intp]]:
        """Columns of each band, by name."""
        check_is_fitted(self)
        return {name: np.flatnonzero(self._band_of == i) for i, name in enumerate(self._band_names)}

    def _model(self) -> BandModel:
        return BandModel(None, list(self.bands_.values()), self._x_mean, self._y_mean, self._coef, self.weights_)

    def _options(self, X: Array, Y: Array, groups: Any, n_bands: int) -> tuple[Floats | None, Any]:
        one_of(self.solver, ("auto", "primal", "kernel"), "solver")
        one_of(self.fit_intercept, (True, False), "fit_intercept")
        check_number(n_bands, "Stacking")
        alphas = _grid(self.alphas)
        if alphas is not None and alphas[0] <= 0:
            raise InputError("penalties must be positive", where="Stacking", expected="alphas > 0", got=repr(self.alphas)[:80])
        cv = _folds(self.cv, X, Y, groups)
        if cv is None:
            raise InputError("stacking weighs models by held-out rows", where="Stacking", expected='cv=5, "loo", a splitter or folds', got="cv=None")
        return alphas, cv

    def _features(self, X: Any, *, reset: bool) -> Array:
        try:
            found = validate_data(self, X=X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2 if reset else 1)
        except ValueError as error:
            raise InputError(str(error), where=f"{type(self).__name__}.{'fit' if reset else 'predict'}") from None
        return found if reset else found.astype(self._x_mean.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Models of single bands with the products of their held-out errors, from which any subset can be weighed."""

    fits: list[Fitted]
    gram: Floats  # (n_targets, k, k)
    base: Floats  # (n_targets,) held-out error of the training means

    @property
    def y_mean(self) -> Array:
        """Training means of the targets."""
        return self.fits[0].y_mean

    def weights(self, members: list[int] | None = None) -> Floats:
        """Return the weights (n_targets, k) of a stack of these bands; 0 for the others, NaN for targets that have none."""
        from brainenc.linalg.banded_stack import simplex_weights

        k = self.gram.shape[1]
        members = list(range(k)) if members is None else members
        known = np.isfinite(self.gram).all(axis=(1, 2))
        out = np.full((len(self.gram), k), np.nan)
        out[known] = 0.0
        out[np.ix_(np.flatnonzero(known), np.array(members))] = simplex_weights(self.gram[known][:, members][:, :, members])
        return out

    def scores(self, weights: Floats) -> Floats:
        """Return ``1 - w' G w / E0``."""
        error = np.einsum("vi,vij,vj->v", weights, self.gram, weights)
        return 1.0 - error / np.where(self.base > 0, self.base, np.nan)

    def parts(self, X: Array) -> Array:
        """Return what each band's own model adds to the training means, (k, n_samples, n_targets)."""
        return np.stack([one.model.parts(X).sum(axis=0) for one in self.fits])


def stack(prepared: Prepared, alphas: Floats | None) -> Stack:
    """Fit ridge to every band alone and multiply their held-out errors."""
    from brainenc.linalg.banded_stack import held_out_gram

    k = len(prepared.bands)
    fits = [search_bands(prepared, lambda _, row=row: Listed(row[None]), alphas=alphas, full=True) for row in np.eye(k)]  # type: ignore[misc]
    gram = np.full((prepared.n_targets, k, k), np.nan)
    for part in prepared.parts:
        columns = part.targets.columns
        penalties = np.stack([one.alpha[columns] for one in fits])
        gram[columns] = held_out_gram(part.design, part.targets, penalties, part.cv, prepared.memory)
    return Stack(fits, gram, fits[0].base)


def check_number(n_bands: int, where: str) -> None:
    """Refuse more bands than there is time for: every support is looked at."""
    if n_bands > MAX_BANDS:
        raise InputError("too many bands", where=where, expected=f"at most {MAX_BANDS}", got=n_bands, fix="join bands that belong together")
