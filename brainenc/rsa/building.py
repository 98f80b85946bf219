"""From patterns to RDMs: one verb for arrays, responses, features and recordings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import examples
from brainenc.core.errors import BrainencWarning
from brainenc.nouns.rdms import RDMs, frozen
from brainenc.rsa._blocks import total_and_channels
from brainenc.rsa._choices import How, choices
from brainenc.rsa._noises import Noises, noise_for_groups
from brainenc.rsa._trials import Labels, Trials, datasets, each, trials

Floats = npt.NDArray[np.float64]


def rdm(
    X: Any,
    *,
    metric: str = "correlation",
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    squared: bool = True,
    per_channel: bool = True,
    nan: str = "raise",
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    weighting: str = "trials",
    center: bool = True,
    prior: tuple[float, float] = (1.0, 0.1),
    axes: Sequence[str] | None = None,
    name: str | None = None,
    join: str = "same",
    memory: str | int | float | None = None,
    device: str = "auto",
) -> RDMs:
    """Return the dissimilarity of every pair of conditions.

    Rows of one condition are averaged first (weighted by how many measurements each is the mean of). With d_ij the pair (i, j), x the means,
    p the channels and Σ the noise covariance:

    ============== ===================================================================================================
    euclidean      ‖x_i − x_j‖²/p
    correlation    1 − Pearson's r over channels
    cosine         1 − cos
    mahalanobis    (x_i − x_j) Σ⁻¹ (x_i − x_j)'/p
    crossnobis     the same with one difference from each of two folds, mean over all pairs of folds: unbiased, can be negative
    poisson        Σ_k (λ_ik − λ_jk)(log λ_ik − log λ_jk)/p of counts pulled towards a prior rate
    poisson_cv     the same with λ from the other folds and log λ from each fold, mean over folds
    ============== ===================================================================================================

    Parameters
    ----------
    X : array, Responses, FeatureSpace, mne Epochs or list of Evoked, or a list or mapping of these
        Arrays are (…, n_samples, n_channels): leading axes (subjects, times …) give one RDM each. Several data sets give the RDMs of
        each, matched by the names of the conditions. Epochs are taken as channels × times patterns (``by="time"`` gives one RDM a time);
        images become Responses with `brainenc.loaders.load_nifti` or arrays with a masker of nilearn.
    metric : str
        One of the table, or what another package registered.
    conditions : str, sequence or DataFrame, optional
        A column of the samples (Responses: ``"stimulus_id"``), one label a row, or a table with a column ``condition`` or ``stimulus_id``. Columns
        that are constant within condition travel along. Without it each row of an array is a condition (of a DataFrame, with the names of
        its index). Conditions stand in the order of their first row; a categorical in the order of its categories.
    folds : str or sequence, optional
        Of cross-validated metrics only: a column (Responses: ``"run"``) or one label a row.
    noise : NoiseModel, array, str, sequence or mapping, optional
        Σ. A `NoiseModel`; an array (n_channels, n_channels), taken as a *precision* as in rsatoolbox; a method of `noise_model`, to estimate it
        from the trials less the mean of their condition (and fold, where cells have repeats; where none has, crossnobis of pure noise lies
        above 0, by about 2(c − 1)/n_folds a channel with c = mean tr(Σ Σ̂⁻¹)/p, and a warning says so); a sequence in the order of the sorted folds
        or {fold: model} for noise per fold; with several data sets also one of these for each, as a sequence or {name: …}. With ``by``
        a model of all channels gives its sub-block. ``mahalanobis`` requires one.
    squared : bool
        False gives the root, sign(d) √|d|, of the metrics that are squares (euclidean, mahalanobis, crossnobis).
    per_channel : bool
        False gives sums over channels instead of means over channels (all but correlation and cosine).
    nan : {"raise", "omit", "propagate"}
        ``"raise"`` says where values are missing. ``"omit"`` takes for each pair the channels measured in both conditions, with their own
        means, norms and numbers. ``"propagate"`` gives NaN to the pairs of a condition in which anything is missing.
    by : str or sequence of str, optional
        Columns of the targets of Responses (``"roi"``, ``"time"``): one RDM for each value.
    weights : str or sequence, optional
        How many measurements each row is the mean of; ``n_repeats`` of the samples where there is one.
    weighting : {"trials", "folds"}
        Cross-validated metrics: every pair of trials weighs the same, or every pair of folds. The same with equal counts.
    center : bool
        Remove the mean pattern first where only differences between patterns matter: nothing changes but rounding, except that
        unbalanced crossnobis no longer picks up noise in proportion to what is common to all conditions.
    prior : (float, float)
        Rate and weight, in trials, of the prior of Poisson metrics.
    axes : sequence of str, optional
        Names of the leading axes of an array, as columns of ``rdms``: ``("subject", "time")``.
    name : str, optional
        The column of ``rdms`` for the names of several data sets: ``"subject"``, for features ``"layer"``.
    join : {"same", "common", "all"}
        What to do with data sets of different conditions, see `brainenc.RDMs.concat`.
    memory : str or number, optional
        Working memory, e.g. ``"2GB"``; half of what is free when not given.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Returns
    -------
    RDMs
        float64; products run in the dtype of X (float32 or float64). ``rdms`` has subject or model and layer, the columns of ``by``, and the axes.

    Raises
    ------
    InputError
        Unknown metric, missing folds or noise, values that are not finite (where), conditions in one fold only, fewer than two conditions.

    Notes
    -----
    A pattern that is constant over channels has no correlation: its pairs are NaN and a warning names it. rsatoolbox's convention is
    ``squared=True, per_channel=True``.

    Examples
    --------
    >>> import numpy as np
    >>> rdm(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), metric="euclidean", squared=False, per_channel=False).values
    array([[5.        , 1.        , 4.24264069]])

    References
    ----------
    Walther et al. 2016, doi:10.1016/j.neuroimage.2015.12.012; Schütt et al. 2023, doi:10.7554/eLife.82566.
    """
    how = choices(
        metric, folds=folds, noise=noise, squared=squared, per_channel=per_channel, nan=nan, weighting=weighting, center=center,
        prior=prior, memory=memory, device=device,
    )  # fmt: skip
    sets = datasets(X, name)
    keys = [key for key, _, _ in sets]
    parts = []
    for position, (_, facts, data) in enumerate(sets):
        labels = Labels(
            each(conditions, keys, position), each(folds, keys, position), each(weights, keys, position), crossvalidated=how.estimator.CROSSVALIDATED
        )
        own = each(noise, keys, position)
        for part in trials(data, facts, labels, by=by, axes=axes):
            parts.append(build(part, noise_for_groups(own, part, metric), how, described(own)))
    return RDMs.concat(parts, join=join)


def build(part: Trials, noises: Noises, how: How, noise: str) -> RDMs:
    """Return the RDMs of the groups of one data set; ``noise`` says in words where the noise models come from."""
    total, channels = total_and_channels(part, noises, how)
    values = total
    if how.estimator.PER_CHANNEL:
        with np.errstate(invalid="ignore", divide="ignore"):
            values = total / channels * (1.0 if how.per_channel else part.values.shape[2])
    if how.estimator.SQUARED and not how.squared:
        values = np.sign(values) * np.sqrt(np.abs(values))
    _say_where_nan(values, part, how)
    return RDMs(frozen(np.ascontiguousarray(values)), part.table, part.rows, how.metric, _provenance(noise, how, part))


def _say_where_nan(values: Floats, part: Trials, how: How) -> None:
    missing = np.isnan(values)
    if not missing.any() or how.nan == "propagate":
        return
    n = part.n_conditions
    lost = np.zeros((len(values), n), dtype=np.intp)
    rows, columns = np.triu_indices(n, 1)
    for group, one in enumerate(missing):
        lost[group] = np.bincount(rows[one], minlength=n) + np.bincount(columns[one], minlength=n)
    whole = np.flatnonzero((lost == n - 1).any(axis=0))
    what = f"{int(missing.sum())} of {missing.size} pairs are NaN"
    if len(whole):
        flat = "patterns of zeros" if how.metric == "cosine" else "patterns that are constant over channels"
        why = flat if not how.estimator.PER_CHANNEL else "no channel that is measured throughout"
        what += f", all pairs of {examples(part.table.iloc[whole, 0])}: {why}"
    warnings.warn(f"{how.metric} RDM of {part.name!r}: {what}", BrainencWarning, stacklevel=4)


def _provenance(noise: str, how: How, part: Trials) -> dict[str, Any]:
    facts: dict[str, Any] = {"squared": how.squared, "per_channel": how.per_channel, "nan": how.nan, "noise": noise}
    if how.estimator.CROSSVALIDATED:
        facts |= {"n_folds": len(part.folds), "weighting": how.weighting}
    if how.estimator.NONNEGATIVE:
        facts["prior"] = list(how.prior)
    return facts


def described(noise: Any) -> str:
    """Return in words what was given as noise, for the provenance."""
    if noise is None or isinstance(noise, str):
        return noise or "none"
    if isinstance(noise, Mapping | list | tuple):
        return f"{len(noise)} models"
    return "a precision matrix" if isinstance(noise, np.ndarray) else repr(noise)
