"""What users have, as trials: values, which condition and fold each row is, and the tables that travel along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.nouns import FeatureSpace, Responses
from brainenc.nouns.spaces import ContactSpace, SensorSpace
from brainenc.nouns.tables import as_table, need_column, text_ids
from brainenc.rsa._mne import from_epochs, from_evokeds, is_epochs, is_evoked

Index = npt.NDArray[np.intp]
NOT_KEPT = ("subject", "n_repeats")


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Rows of one data set, for one or more groups of as many channels.

    ``values`` (n_groups, n_samples, n_channels); ``condition`` and ``fold`` (n_samples,) codes into ``table`` and ``folds``; ``weight``
    (n_samples,) how many measurements each row is the mean of; ``rows`` one row a group; ``channels`` (n_groups, n_channels) places among the
    channels of the data set (of which there are ``n_total``), None for all of them; ``alike`` where these are the same channels in every group,
    as in the times of epochs.
    """

    values: npt.NDArray[Any]
    condition: Index
    table: pd.DataFrame
    fold: Index
    folds: tuple[Any, ...]
    weight: npt.NDArray[np.float64] | None
    rows: pd.DataFrame
    channels: Index | None
    name: str
    n_total: int | None = None
    alike: bool = False

    @property
    def n_conditions(self) -> int:
        """Number of conditions."""
        return len(self.table)


@dataclass(frozen=True, slots=True)
class Labels:
    """How rows are labelled: column names or one label a row, as given to `brainenc.rsa.rdm`; ``crossvalidated`` asks for folds."""

    conditions: Any = None
    folds: Any = None
    weights: Any = None
    crossvalidated: bool = False


def datasets(X: Any, name: str | None = None) -> list[tuple[str, dict[str, Any], Any]]:
    """Return (key, facts for the table of RDMs, data set) of each data set in ``X``; what mne made becomes `Responses`."""
    if isinstance(X, Mapping):
        if X and all(is_evoked(one) for one in X.values()):
            return [("subject", {}, from_evokeds(X))]
        items = [(str(key), one) for key, one in X.items()]
    elif isinstance(X, list | tuple) and len(X) and is_evoked(X[0]):
        return [("subject", {}, from_evokeds(X))]
    elif isinstance(X, list | tuple) and len(X) and not np.isscalar(X[0]) and (not isinstance(X[0], list | tuple)):
        items = [(_own_name(one) or str(i), one) for i, one in enumerate(X)]
        items = items if len({key for key, _ in items}) == len(items) else [(str(i), one) for i, one in enumerate(X)]
    else:
        return [_dataset(_own_name(X) or "", X, name, alone=True)]
    if not items:
        raise InputError("nothing to make an RDM of", where="rdm", got="an empty list or mapping")
    return [_dataset(key, one, name, alone=False) for key, one in items]


def each(option: Any, keys: Sequence[str], position: int) -> Any:
    """Return the share of one data set in an option given for all: by name in a mapping, by place in a list of labels for each."""
    if isinstance(option, Mapping) and len(keys) and set(map(str, option)) >= set(keys):
        return {str(key): value for key, value in option.items()}[keys[position]]
    nested = isinstance(option, list | tuple) and len(option) == len(keys) and all(not np.isscalar(one) and one is not None for one in option)
    return option[position] if nested and len(keys) > 1 else option


def trials(data: Any, facts: dict[str, Any], labels: Labels, *, by: Any = None, axes: Sequence[str] | None = None) -> list[Trials]:
    """Return the trials of one data set, groups of as many channels together."""
    if isinstance(data, Responses):
        return _from_responses(data, facts, labels, by)
    if by is not None:
        raise InputError("by names columns of the targets of Responses", where="rdm", got=f"by={by!r} with {type(data).__name__}")
    if isinstance(data, FeatureSpace):
        made = labelled(len(data.values), labels, samples=data.samples, default="stimulus_id", where=f"FeatureSpace {data.name!r}")
        return [Trials(data.values[None], **made, rows=pd.DataFrame([facts], index=[0]), channels=None, name=data.name)]
    values = _array(data)
    if isinstance(data, pd.DataFrame) and labels.conditions is None and data.index.is_unique and not isinstance(data.index, pd.RangeIndex):
        # rows with names are conditions of these names
        labels = replace(labels, conditions=list(data.index))
    made = labelled(values.shape[-2], labels, samples=None, default=None, where="rdm")
    lead = values.shape[:-2]
    names = [axes] if isinstance(axes, str) else list(axes) if axes is not None else [f"axis{i}" for i in range(len(lead))]
    if len(names) != len(lead):
        raise InputError("axes name the leading axes of the array", where="rdm", expected=f"{len(lead)} names for shape {values.shape}", got=names)
    places = np.indices(lead).reshape(len(lead), -1) if lead else np.zeros((0, 1), dtype=int)
    rows = pd.DataFrame({**{k: [v] * places.shape[1] for k, v in facts.items()}, **dict(zip(names, places, strict=True))}, index=range(places.shape[1]))
    return [Trials(values.reshape(-1, *values.shape[-2:]), **made, rows=rows, channels=None, name=facts.get("subject", "array"))]


def residual_rows(X: Any, conditions: Any, folds: Any, by: Any) -> tuple[npt.NDArray[Any], Index, npt.NDArray[Any] | None]:
    """Return values (n_samples, n_channels), the cell whose mean each row loses, and the values of ``by``."""
    data = from_epochs(X) if is_epochs(X) else X
    samples = data.samples if isinstance(data, Responses | FeatureSpace) else None
    values = np.asarray(data.values) if samples is not None else _array(data)
    if values.ndim != 2:
        raise InputError("residuals are two-dimensional", where="noise_model", expected="(n_samples, n_channels)", got=f"shape {values.shape}")
    if isinstance(data, Responses):
        if data.is_time_series:
            folds = "run" if folds is None and "run" in data.samples else folds
        elif conditions is None:
            conditions = "stimulus_id"
    columns = [_label(option, len(values), samples, "noise_model") for option in (conditions, folds) if option is not None]
    cells = pd.DataFrame(dict(enumerate(columns)), index=range(len(values)))
    codes = cells.groupby(list(cells.columns), sort=False).ngroup().to_numpy() if len(columns) else np.zeros(len(values), dtype=np.intp)
    return values, np.asarray(codes, dtype=np.intp), None if by is None else np.asarray(_label(by, len(values), samples, "noise_model"), dtype=object)


def with_times(responses: Responses) -> Responses:
    """Return responses whose targets have the columns ``channel`` and ``time`` of their space, where they lacked them."""
    found: dict[str, Any] = {}
    if isinstance(responses.space, SensorSpace):
        found = {"channel": responses.space.channels["channel"].to_numpy()[responses.space.channel], "time": responses.space.times[responses.space.time]}
    elif isinstance(responses.space, ContactSpace):
        found = {name: responses.space.table[name].to_numpy() for name in ("channel", "time") if name in responses.space.table}
    new = {name: value for name, value in found.items() if name not in responses.targets}
    return replace(responses, targets=responses.targets.assign(**new)) if new else responses


def in_order(values: Any) -> list[Any]:
    """Return the different values sorted, numbers before text."""
    return sorted(dict.fromkeys(values), key=lambda v: (isinstance(v, str), v if isinstance(v, str | int | float | np.number) else str(v)))


def _dataset(key: str, one: Any, name: str | None, *, alone: bool) -> tuple[str, dict[str, Any], Any]:
    if is_epochs(one):
        one = from_epochs(one, key or "subject")
    if isinstance(one, FeatureSpace):
        facts = {"model": one.model, "layer": one.layer} if "/" in one.name else {"layer": one.name}
        if not alone and key not in (one.name, one.layer):
            facts[name or "layer"] = key
        return key, facts, one
    if isinstance(one, Responses):
        subjects = pd.unique(one.samples["subject"].dropna()) if "subject" in one.samples else []
        own = str(subjects[0]) if len(subjects) == 1 else one.name
        return key, {name or "subject": own if alone else key}, one
    if type(one).__module__.startswith(("nibabel", "nilearn")) or hasattr(one, "affine"):
        raise InputError(
            "an image has no rows and columns yet", where="rdm", got=type(one).__name__,
            fix="give Responses from brainenc.loaders.load_nifti(path, mask=…), or the array of masker.fit_transform(image)",
        )  # fmt: skip
    return key, {} if alone else {name or "subject": key}, one


def _own_name(one: Any) -> str | None:
    return one.name if isinstance(one, Responses | FeatureSpace) else None


def _array(data: Any) -> npt.NDArray[Any]:
    try:
        values = data.detach().cpu().numpy() if hasattr(data, "detach") else np.asanyarray(data)
    except ValueError:  # rows of different lengths, or an object that pretends to be a sequence
        raise InputError("patterns are an array of real numbers", where="rdm", expected="(…, n_samples, n_channels)", got=type(data).__name__) from None
    if values.ndim < 2 or values.dtype.kind not in "fiub" or not values.shape[-1]:
        got = f"shape {values.shape}, dtype {values.dtype}" if values.ndim else type(data).__name__
        raise InputError("patterns are an array of real numbers", where="rdm", expected="(…, n_samples, n_channels)", got=got)
    if np.ma.is_masked(values):
        # numpy would read what lies under the mask
        fix = 'x.filled(np.nan) makes them missing values, which nan="omit" or nan="propagate" take'
        raise InputError("values are masked", where="rdm", got=f"{int(np.ma.count_masked(values))} of {values.size}", fix=fix)
    return np.asarray(values) if isinstance(values, np.ma.MaskedArray) else values


def _from_responses(data: Responses, facts: dict[str, Any], labels: Labels, by: Any) -> list[Trials]:
    where = f"Responses {data.name!r}"
    if data.is_time_series and (labels.conditions is None or isinstance(labels.conditions, str)) and (labels.conditions or "stimulus_id") not in data.samples:
        raise InputError(
            "scans of a time series are no trials", where=where,
            fix="estimate betas or average the scans of each block first, or name a column of the samples with conditions=",
        )  # fmt: skip
    made = labelled(data.n_samples, labels, samples=data.samples, default="stimulus_id", where=where)
    if by is None:
        return [Trials(data.values[None], **made, rows=pd.DataFrame([facts], index=[0]), channels=None, name=data.name)]
    data = with_times(data)
    columns = [by] if isinstance(by, str) else list(by)
    for column in columns:
        need_column(data.targets, column, f"targets of {where}")
    codes = data.targets.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
    groups = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    out = []
    start = 0
    # neighbours of as many channels, such as the times of epochs, are computed together
    for stop in range(1, len(groups) + 1):
        if stop == len(groups) or len(groups[stop]) != len(groups[start]):
            index = np.stack(groups[start:stop])
            rows = data.targets.iloc[index[:, 0]][columns].reset_index(drop=True)
            rows = pd.concat([pd.DataFrame([facts] * len(rows), index=rows.index), rows], axis=1)
            values = np.moveaxis(data.values[:, index], 1, 0) if stop - start > 1 else data.values[:, index[0]][None]
            names = data.targets["channel"].to_numpy()[index] if "channel" in data.targets else None
            alike = names is not None and bool((names == names[0]).all()) and len(set(names[0])) == len(names[0])
            out.append(Trials(values, **made, rows=rows, channels=index, name=data.name, n_total=data.n_targets, alike=alike))
            start = stop
    return out


def labelled(n: int, labels: Labels, *, samples: pd.DataFrame | None, default: str | None, where: str) -> dict[str, Any]:
    """Return what `Trials` says of the rows: condition, table, fold, folds, weight."""
    conditions = default if labels.conditions is None else labels.conditions
    condition, table = _conditions(conditions, n, samples, where)
    if len(table) < 2:
        raise InputError("an RDM needs at least two conditions", where=where, got=f"{len(table)}: {examples(table.iloc[:, 0])}")
    weight = _weights(labels.weights, n, samples, where)
    fold, folds = np.zeros(n, dtype=np.intp), ()
    if labels.crossvalidated:
        fold, folds = _folds(labels.folds, n, samples, where)
        _check_folds(condition, fold, folds, table, where)
    return {"condition": condition, "table": table, "fold": fold, "folds": folds, "weight": weight}


def _conditions(conditions: Any, n: int, samples: pd.DataFrame | None, where: str) -> tuple[Index, pd.DataFrame]:
    key = "condition"
    if conditions is None:
        return np.arange(n), pd.DataFrame({key: [str(i) for i in range(n)]})
    if isinstance(conditions, pd.DataFrame):
        samples = as_table(conditions, "conditions", n_rows=n)
        conditions = "stimulus_id" if "stimulus_id" in samples else "condition"
        need_column(samples, conditions, "conditions, a table with a column condition or stimulus_id")
    label = _label(conditions, n, samples, where)
    if isinstance(conditions, str):
        key = conditions if conditions == "stimulus_id" else key
        others = samples.drop(columns=conditions) if samples is not None else pd.DataFrame(index=range(n))
    else:
        others = pd.DataFrame(index=range(n)) if samples is None else samples
    ids = text_ids(label, str(conditions) if isinstance(conditions, str) else "conditions")
    known = list(dict.fromkeys(ids))
    if isinstance(getattr(label, "dtype", None), pd.CategoricalDtype):
        present = set(known)
        known = [i for i in text_ids(label.dtype.categories, "categories") if i in present]
    codes = pd.Index(known).get_indexer(pd.Index(ids))
    table = pd.DataFrame({key: known})
    first = np.unique(codes, return_index=True)[1]
    for column in others.columns:
        if column not in (*NOT_KEPT, key) and bool((others[column].groupby(codes).nunique(dropna=False) == 1).all()):
            table[column] = others[column].iloc[first].to_numpy()
    return np.asarray(codes, dtype=np.intp), table


def _label(option: Any, n: int, samples: pd.DataFrame | None, where: str) -> Any:
    """Return one label a row: a column of the samples, or the labels themselves."""
    if isinstance(option, str):
        if samples is None:
            raise InputError("a column name needs a table of samples", where=where, got=repr(option), fix="give one label for each row of the array")
        return need_column(samples, option, f"samples of {where}")
    column = option.reset_index(drop=True) if isinstance(option, pd.Series) else option
    column = column if isinstance(column, pd.Series | pd.Categorical) else np.asarray(column, dtype=object)
    if column.ndim != 1:
        raise InputError("labels are one a row", where=where, expected=f"({n},)", got=f"shape {column.shape}")
    if len(column) != n:
        raise InputError("labels and rows differ in number", where=where, expected=n, got=len(column))
    return column


def _weights(weights: Any, n: int, samples: pd.DataFrame | None, where: str) -> npt.NDArray[np.float64] | None:
    if weights is None:
        if samples is None or "n_repeats" not in samples:
            return None
        weights = samples["n_repeats"]
    elif isinstance(weights, str):
        weights = _label(weights, n, samples, where)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (n,) or not np.isfinite(found).all() or (found <= 0).any():
        got = f"shape {found.shape}" if found.shape != (n,) else f"values like {found[~(np.isfinite(found) & (found > 0))][0]:g}"
        raise InputError("weights are one positive number a row", where=where, expected=f"{n} numbers", got=got)
    return None if (found == found[0]).all() else found


def _folds(folds: Any, n: int, samples: pd.DataFrame | None, where: str) -> tuple[Index, tuple[Any, ...]]:
    if folds is None and (samples is None or "run" not in samples):
        raise InputError(
            "a cross-validated metric needs folds", where=where, expected="one label a row" if samples is None else 'a column, by default "run"',
            got="none", fix="folds=the run, session or repeat of each row",
        )  # fmt: skip
    label = _label("run" if folds is None else folds, n, samples, where)
    if pd.isna(pd.Series(np.asarray(label, dtype=object))).any():
        raise InputError("a fold is missing for some rows", where=where, got=f"{int(pd.isna(pd.Series(np.asarray(label, dtype=object))).sum())} of {n}")
    known = in_order(np.asarray(label, dtype=object).tolist())
    return np.asarray(pd.Index(known, dtype=object).get_indexer(pd.Index(np.asarray(label, dtype=object), dtype=object)), dtype=np.intp), tuple(known)


def _check_folds(condition: Index, fold: Index, folds: tuple[Any, ...], table: pd.DataFrame, where: str) -> None:
    if len(folds) < 2:
        raise InputError("cross-validation needs at least two folds", where=where, got=f"{len(folds)}: {examples(folds)}")
    seen = np.zeros((len(table), len(folds)), dtype=bool)
    seen[condition, fold] = True
    few = np.flatnonzero(seen.sum(axis=1) < 2)
    if len(few):
        raise InputError(
            f"{len(few)} of {len(table)} conditions are in one fold only, so that nothing can be cross-validated", where=where,
            got=examples(table.iloc[few, 0]), fix="leave them out, or use coarser folds",
        )  # fmt: skip
