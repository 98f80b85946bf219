"""Encoding-predicted RSA: the RDM of predicted responses against the RDM of observed ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.responses import Responses
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column
from brainenc.rsa.building import rdm
from brainenc.rsa.comparing import compare
from brainenc.rsa.similarity._sides import aligned, by_target, named

WHERE = "predicted_rsa"
FEWEST = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """Observed (n_stimuli, n_targets) and predicted (n_layers, n_stimuli, n_targets) responses of one subject, fold and region."""

    facts: dict[str, Any]
    layers: list[str]
    fold: int
    ids: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    observed: npt.NDArray[Any]
    n_nan: int


def predicted_rsa(
    predicted: Any, observed: Any = None, *, by: str | None = "roi", metric: str = "correlation", method: str = "pearson", aggregate: str = "folds",
    **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return how well the RDM of predicted responses matches the RDM of observed ones, for each subject, region and layer.

    An encoding model weighs the features for each target; the RDM of what it predicts for held-out stimuli is the model's geometry after that
    weighting (voxel-encoding RSA). With `Scores` the predictions are held out:

    * ``aggregate="folds"``: RDMs within each fold, compared, and the mean over folds. No pair of stimuli spans two folds.
    * ``aggregate="pooled"``: held-out rows of all folds joined into one RDM (a stimulus tested more than once is averaged). Each fold has
      its own fit, penalty and training mean, and folds that train on one another's stimuli have predictions that go against their own
      mean: pairs across folds carry that too, so unrelated features need not score 0. With a single fold both are the same.

    Parameters
    ----------
    predicted : Scores, or array (n_stimuli, n_targets), FeatureSpace, or a mapping {layer: one of these}
        `Scores` with kept predictions (``score_layers(…, keep_predictions=True)``), or predicted responses.
    observed : Responses, array (n_stimuli, n_targets) or RDMs, optional
        Not with `Scores`, which hold them. `Responses` are averaged over repeats and matched by stimulus_id where both sides have it;
        each of several `RDMs` is compared, and its columns are kept.
    by : str, optional
        Column of the targets that makes regions; None, or no such column "roi", takes all targets together.
    metric : str
        Of both RDMs, see `brainenc.rsa.rdm`.
    method : str
        Of their comparison, see `brainenc.rsa.compare`.
    aggregate : {"folds", "pooled"}
    **options
        Of `brainenc.rsa.rdm` (squared, per_channel …).

    Returns
    -------
    DataFrame
        One row a subject, region and layer: subject, ``by``, model, layer, score, n_folds, n_stimuli (in all RDMs together), n_targets,
        n_nan (targets left out, as some layer has no prediction for them), metric, method, aggregate.

    Raises
    ------
    InputError
        Without kept predictions, with fewer than three stimuli in a fold, or sides that do not match.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.random.default_rng(0).standard_normal((12, 6))
    >>> predicted_rsa({"good": y + 0.1}, y)["score"].round(6).item()
    1.0
    """
    one_of(aggregate, ("folds", "pooled"), "aggregate")
    if isinstance(observed, RDMs):
        return _against_rdms(predicted, observed, metric, method, options)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in _cells(predicted, observed, by, pooled=aggregate == "pooled"):
        theirs, own = (rdm(values, metric=metric, conditions=list(cell.ids), **options) for values in (cell.predicted, cell.observed))
        for layer, score in zip(cell.layers, compare(theirs, own, method)[:, 0], strict=True):
            row = rows.setdefault((*cell.facts.values(), layer), {**cell.facts, **_names(layer), "score": [], "n_stimuli": 0})
            row["score"].append(float(score))
            row["n_stimuli"] += len(cell.ids)
            row |= {"n_targets": cell.observed.shape[1], "n_nan": cell.n_nan}
    table = [{**row, "score": float(np.mean(row["score"])), "n_folds": len(row["score"])} for row in rows.values()]
    return pd.DataFrame(table).assign(metric=metric, method=method, aggregate=aggregate)


def predicted_rdms(
    predicted: Any, observed: Any = None, *, by: str | None = "roi", metric: str = "correlation", fold: int | None = None, **options: Any
) -> tuple[RDMs, RDMs]:
    """Return the RDMs of predicted and of observed responses that `predicted_rsa` compares, row for row.

    Parameters
    ----------
    predicted, observed, by, metric, **options
        As of `predicted_rsa`; ``observed`` is no `RDMs` here.
    fold : int, optional
        Of `Scores`: this fold alone; otherwise all folds joined ("pooled").

    Returns
    -------
    predicted, observed : RDMs
        ``rdms`` has subject, the column ``by``, model and layer; the observed RDM of a region comes once for each layer.

    Raises
    ------
    InputError
        Where subjects were tested with different stimuli: take them one by one (``scores.where(subject=…)``).
    """
    cells = list(_cells(predicted, observed, by, pooled=fold is None))
    if fold is not None:
        cells = [cell for cell in cells if cell.fold == fold]
        if not cells:
            raise InputError("no such fold", where="predicted_rdms", got=fold)
    if len({tuple(sorted(map(str, cell.ids))) for cell in cells}) > 1:
        raise InputError("subjects were tested with different stimuli", where="predicted_rdms", fix="take them one by one: scores.where(subject=…)")
    first = cells[0].ids
    parts: dict[str, list[RDMs]] = {"predicted": [], "observed": []}
    for cell in cells:
        order = pd.Index(cell.ids).get_indexer(pd.Index(first))
        parts["predicted"].append(rdm(cell.predicted[:, order], metric=metric, conditions=list(first), **options))
        parts["observed"] += [rdm(cell.observed[order], metric=metric, conditions=list(first), **options)] * len(cell.layers)
    table = pd.DataFrame([{**cell.facts, **_names(layer)} for cell in cells for layer in cell.layers])
    out = [
        RDMs(np.concatenate([one.values for one in some]), some[0].conditions, table, metric, {"source": f"{side} responses"}) for side, some in parts.items()
    ]  # fmt: skip
    return out[0], out[1]


def _cells(predicted: Any, observed: Any, by: str | None, *, pooled: bool) -> Iterator[_Cell]:
    if isinstance(predicted, Scores):
        if observed is not None:
            raise InputError("scores hold the observed responses themselves", where=WHERE, fix="leave observed out")
        yield from _cells_of_scores(predicted, by, pooled)
    else:
        yield from _cells_of_values(predicted, observed, by)


def _cells_of_scores(scores: Scores, by: str | None, pooled: bool) -> Iterator[_Cell]:
    if not scores.predictions:
        raise InputError("predicted RSA needs the held-out predictions", where=WHERE, fix="score with keep_predictions=True")
    by = None if by == "roi" and "roi" not in scores.targets else by
    for subject, layers in scores.predictions.items():
        targets = scores.targets[scores.targets["subject"] == subject].reset_index(drop=True)
        groups = {"all": np.arange(len(targets))} if by is None else targets.groupby(need_column(targets, by, "Scores.targets"), sort=False).indices
        rows = scores.test_rows[subject]
        if "stimulus_id" not in rows or rows["stimulus_id"].isna().any():
            raise InputError("the test rows are no stimuli, so there are no conditions", where=f"{WHERE}, subject {subject!r}")
        for fold, part in _parts(rows, pooled):
            ids, mean = _by_stimulus(rows["stimulus_id"].to_numpy(dtype=object)[part])
            _enough(ids, fold, subject)
            for label, index in groups.items():
                observed = mean(scores.observed[subject][np.ix_(part, index)])
                predicted = np.stack([mean(values[np.ix_(part, index)]) for values in layers.values()])
                known = np.isfinite(predicted).all(axis=(0, 1)) & np.isfinite(observed).all(axis=0)
                if not known.any():
                    raise InputError("a region has no target with a prediction", where=f"{WHERE}, subject {subject!r}", got=label)
                facts = {"subject": subject, **({} if by is None else {by: label})}
                yield _Cell(facts, list(layers), fold, ids, predicted[:, :, known], observed[:, known], int((~known).sum()))


def _cells_of_values(predicted: Any, observed: Any, by: str | None) -> Iterator[_Cell]:
    if observed is None:
        raise InputError("predicted responses need observed ones to be compared with", where=WHERE, fix="give observed=, or Scores with kept predictions")
    whole = named(observed, "observed")
    if len(whole) > 1:
        raise InputError("observed responses are those of one subject", where=WHERE, got=f"{len(whole)} entries")
    xs, ys, ids = aligned(named(predicted, "predicted"), whole, WHERE)
    ((subject, values),) = ys.items()
    groups: dict[str, npt.NDArray[np.intp]] = {"all": np.arange(values.shape[1])}
    if isinstance(observed, Responses) and by is not None and (by != "roi" or "roi" in observed.targets):
        own = {target: place for place, target in enumerate(observed.targets["target_id"])}
        groups = {label: np.array([own[t] for t in part.targets["target_id"]]) for label, part in by_target(observed, by).items()}
    else:
        by = None
    names = np.array([f"stimulus{i}" for i in range(len(values))], dtype=object) if ids is None else ids
    _enough(names, 0, subject)
    for layer, one in xs.items():
        if one.shape[1] != values.shape[1]:
            raise InputError("predicted and observed responses have different targets", where=f"{WHERE}, {layer!r}", expected=values.shape[1], got=one.shape[1])
    for label, index in groups.items():
        facts = {"subject": subject, **({} if by is None else {by: label})}
        predicted_here = np.stack([np.asarray(one[:, index], dtype=np.float64) for one in xs.values()])
        yield _Cell(facts, list(xs), 0, names, predicted_here, np.asarray(values[:, index], dtype=np.float64), 0)


def _against_rdms(predicted: Any, observed: RDMs, metric: str, method: str, options: Mapping[str, Any]) -> pd.DataFrame:
    if isinstance(predicted, Scores):
        raise InputError("scores hold the observed responses themselves", where=WHERE, fix="leave observed out, or give predicted responses")
    rows = []
    for name, one in named(predicted, "predicted").items():
        values, ids = one.take(observed.ids).values if isinstance(one, FeatureSpace) else np.asarray(one), list(observed.ids)
        if len(values) != len(ids):
            raise InputError("predicted responses and RDMs differ in their stimuli", where=WHERE, expected=observed.n_conditions, got=len(values))
        own = rdm(values, metric=metric, conditions=ids, **options)
        labelled = RDMs(observed.values, pd.DataFrame({"condition": observed.ids}), observed.rdms, observed.metric)
        for row, score in enumerate(compare(own, labelled, method)[0]):
            facts = {**observed.rdms.iloc[row].to_dict(), **_names(name)}
            rows.append({**facts, "score": float(score), "n_folds": 1, "n_stimuli": len(ids), "n_targets": values.shape[1], "n_nan": 0})
    return pd.DataFrame(rows).assign(metric=metric, method=method, aggregate="pooled")


def _names(name: str) -> dict[str, str]:
    return {"model": name.rsplit("/", 1)[0], "layer": name.rsplit("/", 1)[-1]}


def _parts(rows: pd.DataFrame, pooled: bool) -> list[tuple[int, npt.NDArray[np.intp]]]:
    if pooled:
        return [(0, np.arange(len(rows)))]
    return [(int(fold), np.flatnonzero(rows["fold"] == fold)) for fold in pd.unique(rows["fold"])]


def _by_stimulus(ids: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Any]:
    """Return each stimulus once, and the function that averages rows of a stimulus in float64."""
    codes, unique = pd.factorize(ids)
    counts = np.bincount(codes)

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        wide = np.asarray(values, dtype=np.float64)
        if len(unique) == len(ids):
            return wide
        sums = np.zeros((len(unique), wide.shape[1]))
        np.add.at(sums, codes, wide)
        return sums / counts[:, None]

    return np.asarray(unique, dtype=object), mean


def _enough(ids: npt.NDArray[Any], fold: int, subject: object) -> None:
    if len(ids) < FEWEST:
        raise InputError(
            f"an RDM to compare needs at least {FEWEST} stimuli", where=f"{WHERE}, subject {subject!r}, fold {fold}", got=len(ids),
            fix='use larger folds, or aggregate="pooled"',
        )  # fmt: skip
