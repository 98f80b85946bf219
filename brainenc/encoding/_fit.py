"""One fit: the features of a layer on the training rows, any encoder, predictions of the test rows."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import BrainencError, BrainencWarning, InputError
from brainenc.core.rng import derive
from brainenc.encoding._rows import Fold
from brainenc.nouns.features import FeatureSpace

Array = npt.NDArray[Any]
_ONE_EACH = "{0} fits one target at a time: pass sklearn.multioutput.MultiOutputRegressor({0}(…))"


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Predictions (n_test, n_targets) with the penalty and the inner score of each target, and who sits at the grid's edges."""

    predictions: Array
    alpha: npt.NDArray[np.float64]
    inner: npt.NDArray[np.float64]
    edges: tuple[int, int]
    solver: str


def check_encoder(encoder: Any) -> None:
    """Refuse what is not an instance of a scikit-learn regressor."""
    if inspect.isclass(encoder):
        name = encoder.__name__
        raise InputError("encoder is a class, pass an instance", where="score_layers", expected=f"{name}(…)", got=name, fix=f"pass encoder={name}()")
    if encoder is not None and not all(callable(getattr(encoder, name, None)) for name in ("fit", "predict", "get_params")):
        raise InputError(
            "encoder is not an estimator", where="score_layers", expected="a scikit-learn regressor with fit, predict and get_params",
            got=type(encoder).__name__,
        )  # fmt: skip


def fits_targets_apart(encoder: Any) -> bool:
    """Return whether a target's fit is known not to depend on which other targets are fitted beside it."""
    from brainenc.encoding.ridge import Ridge

    return encoder is None or type(encoder) is Ridge


def goes_by_order(encoder: Any) -> bool:
    """Return whether a fit may depend on the order of the rows: where inner folds are made from it, and for encoders from elsewhere."""
    from brainenc.encoding.ridge import Ridge

    if encoder is None:
        return False
    return type(encoder) is not Ridge or not (encoder.cv is None or (isinstance(encoder.cv, str) and encoder.cv in ("loo", "gcv")))


def goes_by_run(encoder: Any) -> bool:
    """Return whether an encoder looks at neighbouring rows and is told, for fits and predictions, which ones are neighbours."""
    return bool(getattr(encoder, "goes_by_run", False))


def check_series(encoder: Any, names: list[str]) -> None:
    """Refuse closed-form leave-one-out and GCV on time series, whose neighbouring rows are no independent test, and flag a GCV scan."""
    cv = getattr(encoder, "cv", None)
    if not names:
        return
    if isinstance(cv, str) and cv in ("loo", "gcv"):
        raise InputError(
            f"cv={cv!r} chooses penalties by single rows, whose neighbours in time are in the training set", where=f"score_layers, {', '.join(names)}",
            expected="folds of runs or blocks for a time series", fix="leave the encoder out, or give it a number of folds: Ridge(cv=5) follows the split",
        )  # fmt: skip
    if getattr(encoder, "search", None) == "hybrid":
        warnings.warn(
            f"{', '.join(names)}: a GCV scan takes neighbouring scans for independent, so a hybrid search may start far from the best penalty; "
            'its choice is by folds, and checked on some targets (search="full" is exact)', BrainencWarning, stacklevel=3,
        )  # fmt: skip


def describe_encoder(encoder: Any) -> dict[str, Any]:
    """Return the name and the parameters of an encoder as plain text and numbers."""
    from brainenc.encoding.ridge import Ridge

    one = Ridge() if encoder is None else encoder
    params = {key: _plain(value) for key, value in sorted(one.get_params().items())}
    if encoder is None:
        params["cv"] = "follows the outer split"
    return {"name": type(one).__name__, "params": params}


def reduced(X: Array, X_test: Array, how: str | None, seed: int) -> tuple[Array, Array]:
    """Return the training and test features, reduced by what is fitted to the training rows alone."""
    if how is None:
        return X, X_test
    from brainenc.features.projection import Reducer

    reducer = Reducer(how, derive(seed, "reduce")).fit(X)
    return reducer.transform(X), reducer.transform(X_test)


def fit_fold(encoder: Any, X: Array, Y: Array, X_test: Array, fold: Fold, *, memory: Any, device: str, layer: str) -> Fit:
    """Fit all targets of one fold and predict its test rows; the encoder itself is never changed."""
    from brainenc.encoding.ridge import Ridge

    if encoder is None:
        encoder = Ridge(cv="loo" if fold.inner is None else fold.inner)
    if type(encoder) is Ridge:
        return _fit_ridge(encoder, X, Y, X_test, fold, memory=memory, device=device)
    if hasattr(encoder, "for_features") or goes_by_run(encoder):
        encoder = banded_like(encoder, fold, len(X), memory=memory, device=device)
    return _fit_any(encoder, X, Y, X_test, fold, layer)


def with_bands(encoder: Any, space: FeatureSpace, reduce: str | None) -> Any:
    """Return an encoder whose bands are those of the features' table; any other encoder as it is."""
    if not hasattr(encoder, "for_features"):
        return encoder
    where = f"features {space.name!r}"
    one = encoder.for_features(space, where)
    if reduce is not None and one.bands is not None:
        raise InputError("a reduction mixes the bands", where=where, got=f"reduce={reduce!r}", fix="reduce each space before join({name: space})")
    return one


def banded_like(encoder: Any, fold: Fold, n_rows: int, *, memory: Any, device: str) -> Any:
    """Return a copy whose inner folds follow the outer grouping, within the memory and on the device of the call."""
    from sklearn.base import clone

    params = encoder.get_params(deep=False)
    cv = _folds_like(fold, int(params["cv"]), n_rows) if isinstance(params["cv"], int | np.integer) else params["cv"]
    return clone(encoder).set_params(cv=cv, memory=params["memory"] or memory, device=device if params["device"] == "auto" else params["device"])


def _fit_ridge(encoder: Any, X: Array, Y: Array, X_test: Array, fold: Fold, *, memory: Any, device: str) -> Fit:
    from brainenc.encoding.ridge import fit_path

    params = encoder.get_params(deep=False)
    if isinstance(params["cv"], int | np.integer):
        params["cv"] = _folds_like(fold, int(params["cv"]), len(X))
    params["memory"] = params["memory"] or memory
    if params["device"] == "auto":
        params["device"] = device
    path = fit_path(X, Y, X_test, sample_weight=fold.weights, groups=fold.groups, **params)
    assert path.predictions is not None
    return Fit(path.predictions, path.alpha, path.cv_scores, path.edge_counts, path.solver)


def _folds_like(fold: Fold, n: int, n_rows: int) -> Any:
    """Return ``n`` inner folds that keep the outer grouping: exchangeable images in contiguous folds, else runs or blocks."""
    if fold.inner is None:
        return min(n, n_rows)
    return fold.inner if n >= len(fold.inner) else _merge(fold.inner, n)


def _merge(folds: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]], n: int) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    merged = []
    for part in np.array_split(np.arange(len(folds)), n):
        train = folds[part[0]][0]
        for i in part[1:]:
            train = np.intersect1d(train, folds[i][0])
        merged.append((train, np.sort(np.concatenate([folds[i][1] for i in part]))))
    return merged


def _fit_any(encoder: Any, X: Array, Y: Array, X_test: Array, fold: Fold, layer: str) -> Fit:
    from sklearn.base import clone

    model = clone(encoder)
    takes = inspect.signature(model.fit).parameters
    extra: dict[str, Any] = {}
    if "sample_weight" in takes and fold.weights is not None:
        extra["sample_weight"] = fold.weights
    if "groups" in takes and fold.groups is not None:
        extra["groups"] = fold.groups
    name = type(model).__name__
    where = f"encoder {name}, layer {layer!r}"
    new: dict[str, Any] = {}
    if goes_by_run(model):
        if fold.pieces is None:
            raise InputError("delays need the rows of a time series", where=where, got="trials", fix="pass responses with a t_r or sampling_rate")
        extra["groups"], new["groups"] = fold.pieces
    try:
        model.fit(X, Y[:, 0] if Y.shape[1] == 1 else Y, **extra)
        predictions = np.asarray(model.predict(X_test, **new)).reshape(len(X_test), -1)
    except (BrainencError, MemoryError):
        raise
    except Exception as error:  # an encoder from elsewhere may raise anything
        fix = _ONE_EACH.format(name) if Y.shape[1] > 1 and _fits_one_target(encoder, X, Y, extra) else None
        raise InputError("encoder cannot be fitted", where=where, got=f"{type(error).__name__}: {error}", fix=fix) from error
    if predictions.shape[1] != Y.shape[1]:
        fix = _ONE_EACH.format(name) if predictions.shape[1] == 1 else None
        raise InputError("encoder predicts another number of targets", where=where, expected=Y.shape[1], got=predictions.shape[1], fix=fix)
    return Fit(predictions, _per_target(model, "alpha_", Y), _per_target(model, "cv_scores_", Y), getattr(model, "edge_counts_", (0, 0)), name)


def _fits_one_target(encoder: Any, X: Array, Y: Array, extra: dict[str, Any]) -> bool:
    """Return whether an encoder that failed on all targets can be fitted to the first alone."""
    from sklearn.base import clone

    try:
        clone(encoder).fit(X, Y[:, 0], **extra)
    except Exception:
        return False
    return True


def _per_target(model: Any, name: str, Y: Array) -> npt.NDArray[np.float64]:
    """Return a fitted number of each target, one number for all, or NaN where the encoder has none."""
    value = np.asarray(getattr(model, name, np.nan))
    fits = value.dtype.kind in "fiu" and value.shape in ((), (1,), (Y.shape[1],))
    return np.broadcast_to(value.astype(np.float64) if fits else np.float64("nan"), (Y.shape[1],)).copy()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value):
        return list(value)
    return repr(value)[:200]
