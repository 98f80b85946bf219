"""Which feature spaces explain a response, and what each explains that no other does, in held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed
from brainenc.encoding._bands import COLUMN, join, labels_of, resolve_bands
from brainenc.encoding._fit import check_encoder
from brainenc.encoding._partition import VariancePartition, subsets_of
from brainenc.encoding._partition_fit import Data, Found, fit_subsets
from brainenc.encoding._rows import Fold, Subject
from brainenc.encoding._rows import prepare as prepare_rows
from brainenc.encoding.banded import BandedRidge
from brainenc.encoding.score import _rows_of, _test_table
from brainenc.encoding.stacking import MAX_BANDS
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.splits import Split

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
WHERE = "partition_variance"


def partition_variance(
    spaces: Mapping[str, FeatureSpace] | FeatureSpace, responses: Responses, *,
    split: Split, encoder: Any = None, average: str | bool = "auto", n: int = 1000, seed: int = 0, memory: str | int | float | None = None,
    device: str = "auto", progress: bool | None = None,
) -> VariancePartition:  # fmt: skip
    """Partition the variance that feature spaces explain in held-out rows: unique and shared parts, Shapley values, product measure.

    A model is fitted to every subset of the spaces, 2^k − 1 of them, each with hyper-parameters of its own chosen on training rows.
    R²(S) = 1 − Σ (y − ŷ_S)² / Σ (y − ȳ)² over the test rows of all folds, ȳ the mean of the fold's training rows. The part of S is what all of its
    spaces explain together and no space outside does,

        part(S) = Σ over U ⊆ S of (−1)^(|U| + 1) R²((Ω \\ S) ∪ U),

    so a single space has its unique part, R²(Ω) − R²(Ω \\ k), and the parts sum to R²(Ω) exactly. Negative parts are kept: spaces that
    suppress one another, or overfitting.

    Parameters
    ----------
    spaces : {name: FeatureSpace}, or a FeatureSpace with the column ``band``
        2 to 10.
    responses : Responses
        Of one subject. Targets with NaN or infinity are NaN throughout.
    split : Split
        Outer folds, as in `score_layers`; inner folds follow their grouping.
    encoder : estimator, optional
        Default `BandedRidge`, whose Gram matrices serve all subsets. `Stacking`: single-space models are fitted once, and a subset is a
        stack of its spaces. `Ridge` or any scikit-learn regressor: fitted to the columns of each subset.
    average : {"auto", True, False}
        As in `score_layers`.
    n : int
        Bootstrap samples of test rows (blocks of scans for time series) for intervals, the same for all subsets. They need the squared errors of
        every subset, row and target, 4 · 2^k · n_test · n_targets bytes, which the result holds; 0 for no intervals, and none are held.
    seed : int
        Of the bootstrap.
    memory, device, progress
        As in `score_layers`.

    Returns
    -------
    VariancePartition

    Raises
    ------
    InputError
        As `score_layers`; for one space or more than 10.

    References
    ----------
    Commonality analysis: Mood (1971); Nimon & Oswald (2013), doi:10.1177/1094428113493929. Shapley values of R²: Lindeman, Merenda & Gold
    (1980). Shares of the joint prediction: Pratt (1987), Dupré la Tour et al. (2022), doi:10.1016/j.neuroimage.2022.119728.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"image{i}" for i in range(90)]
    >>> spaces = {name: be.FeatureSpace(rng.standard_normal((90, 4)), {"stimulus_id": ids}, name=name) for name in ("a", "b")}
    >>> values = spaces["a"].values @ rng.standard_normal((4, 3)) + rng.standard_normal((90, 3))
    >>> found = partition_variance(spaces, be.Responses(values, {"stimulus_id": ids}), split=be.split.kfold(3), n=0)
    >>> bool((found.unique[0] > 0.5).all()), bool(np.allclose(found.parts.sum(axis=0), found.joint))
    (True, True)
    """
    space, bands = _bands(spaces)
    check_seed(seed)
    check_encoder(encoder)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 or n == 1:
        raise InputError("n counts bootstrap samples", where=WHERE, expected="0, or 2 or more", got=repr(n))
    if not isinstance(split, Split):
        raise InputError("split is not a brainenc split", where=WHERE, expected="brainenc.split.images(…), .runs(), .blocks(…) …", got=type(split).__name__)
    subject = prepare_rows(responses.name, responses, split, {space.name: space}, average)
    columns = list(bands.values())
    subsets = subsets_of(len(columns))
    encoder = BandedRidge() if encoder is None else encoder
    if not subject.usable.any():
        raise InputError("no target is complete", where=WHERE, got=f"NaN or infinity in all {responses.n_targets} targets")
    found = [
        fit_subsets(encoder, _data(space, columns, subject, fold), subsets, memory=memory, device=device, keep=n > 0)
        for fold in _shown(subject.folds, progress)
    ]  # fmt: skip
    return _wrap(found, subject, list(bands), subsets, (type(encoder).__name__, split.describe()), int(n), seed)


def product_measure(observed: Array, parts: Array, *, mean: npt.ArrayLike | None = None) -> Floats:
    """Return each space's share of the joint R²: r_k = Σ ŷ_k (2y − ŷ) / Σ y², ŷ = Σ_k ŷ_k.

    The shares sum to R² = 1 − Σ (y − ŷ)² / Σ y² exactly; one is negative where a space makes the joint prediction worse.

    Parameters
    ----------
    observed : ndarray of shape (n_samples, n_targets)
    parts : ndarray of shape (n_spaces, n_samples, n_targets)
        What each space adds to the prediction, without the intercept: ``model.predict_by_space(X, intercept=False)``.
    mean : array_like of shape (n_targets,), optional
        What the predictions without features are, and what is taken off ``observed``: the means of the training rows. Default: 0, for
        responses that are centred already.

    Returns
    -------
    ndarray of shape (n_spaces, n_targets)
        NaN where the observed values do not differ from ``mean``.

    Raises
    ------
    InputError
        When shapes do not fit.

    References
    ----------
    Pratt (1987); Dupré la Tour et al. (2022), doi:10.1016/j.neuroimage.2022.119728.

    Examples
    --------
    >>> y = np.array([[1.0], [-1.0]])
    >>> product_measure(y, np.stack([0.5 * y, 0.25 * y]))[:, 0].tolist()
    [0.625, 0.3125]
    """
    observed, parts = np.asarray(observed, dtype=np.float64), np.asarray(parts, dtype=np.float64)
    if observed.ndim != 2 or parts.ndim != 3 or parts.shape[1:] != observed.shape:
        raise InputError(
            "observed and parts differ in shape", where="product_measure", expected="(n_samples, n_targets) and (n_spaces, n_samples, n_targets)",
            got=f"{observed.shape} and {parts.shape}",
        )  # fmt: skip
    y = observed if mean is None else observed - np.asarray(mean, dtype=np.float64)
    total = (y**2).sum(axis=0)
    return np.einsum("kiv,iv->kv", parts, 2 * y - parts.sum(axis=0)) / np.where(total > 0, total, np.nan)


def _bands(spaces: Mapping[str, FeatureSpace] | FeatureSpace) -> tuple[FeatureSpace, dict[str, npt.NDArray[np.intp]]]:
    space = spaces if isinstance(spaces, FeatureSpace) else join(spaces)
    bands = resolve_bands(labels_of(space, COLUMN, WHERE), space.n_features)
    if not 2 <= len(bands) <= MAX_BANDS:
        raise InputError("variance is partitioned among several spaces", where=WHERE, expected=f"2 to {MAX_BANDS} spaces", got=len(bands))
    return space, bands


def _data(space: FeatureSpace, bands: list[npt.NDArray[np.intp]], subject: Subject, fold: Fold) -> Data:
    X, X_test = (_rows_of(space, space.name, side, subject) for side in (fold.train, fold.test))
    Y, Y_test = (side.values(subject.responses, subject.usable) for side in (fold.train, fold.test))
    return Data(X, Y, X_test, Y_test, np.average(Y.astype(np.float64), axis=0, weights=fold.weights), bands, fold)


def _wrap(found: list[Found], subject: Subject, names: list[str], subsets: list[list[int]], how: tuple[str, str], n: int, seed: int) -> VariancePartition:
    n_targets, usable = subject.responses.n_targets, subject.usable
    sums = sum(one.sums for one in found)
    base = np.where(sums[0] > 0, sums[0], np.nan)  # type: ignore[index]
    r2 = np.full((len(subsets), n_targets), np.nan)
    r2[:, usable] = 1.0 - sums[1:] / base  # type: ignore[index]
    terms = product = None
    if all(one.term_sums is not None for one in found):
        product = np.full((len(names), n_targets), np.nan)
        product[:, usable] = sum(one.term_sums for one in found) / base  # type: ignore[misc]
        terms = _all_targets([one.terms for one in found], usable)
    return VariancePartition(
        tuple(names), tuple(tuple(names[k] for k in one) for one in subsets), r2, product, subject.responses.targets,
        _all_targets([one.errors for one in found], usable), terms, _test_table(subject), n, seed, *how,
    )  # fmt: skip


def _all_targets(parts: list[Any], usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return arrays of folds one after the other, NaN for the targets that were kept apart."""
    joined = np.concatenate(parts, axis=1)
    if usable.all():
        return joined
    out = np.full((*joined.shape[:2], len(usable)), np.nan, dtype=np.float32)
    out[:, :, usable] = joined
    return out


def _shown(folds: list[Fold], progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(folds, desc="folds", disable=None if progress is None else not progress, leave=False)
