"""Tests of maps: sign flips over subjects with a maximum statistic, and clusters over space and time for a group or for one subject."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, InputError, NotFoundError
from brainenc.encoding._resampled import (
    SUMMARIES,
    folds_of,
    need_predictions,
    reblocked,
    refuse_overlap,
    stimuli_move,
    units_of,
    warn_of_slow_trials,
)
from brainenc.linalg.plan import plan_chunks
from brainenc.metrics.clusters import Clusters, clusters_of, flipped_clusters
from brainenc.metrics.flips import flipped_t
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permutation_null, sign_flips
from brainenc.metrics.tails import TAILS, probabilities
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


def sign_flip_test(
    scores: Scores, *, by: str = "roi", minus: str | None = None, metric: str | None = None, n: int = 1000, seed: int = 0, tail: str = "greater",
    statistic: str = "t", summary: str = "median", maximum_over: str | Sequence[str] = ("layer", "region"),
) -> pd.DataFrame:  # fmt: skip
    """Test the scores of several subjects against zero, or against another layer's, by flipping the signs of whole subjects.

    Each subject gives one score a layer and region. Under the null they are symmetric about zero, in all cells of a subject together.
    Where 2^n_subjects − 1 ≤ n every pattern of signs is used and the test is exact; six subjects cannot reach p = 0.01 (1 / 64), whatever they score.

    Parameters
    ----------
    scores : Scores
        Of at least two subjects.
    by : str
        Column of the targets that all subjects share: ``"roi"``, or ``"target_id"`` in a common space.
    minus : str, optional
        ``"model/layer"`` that is subtracted from every other layer: a paired comparison across subjects.
    metric : str, optional
        By default the first.
    n, seed : int
    tail : {"greater", "two-sided"}
    statistic : {"t", "mean"}
        t = mean / (sd / √n_subjects), or the mean.
    summary : {"median", "mean"}
        Over the targets of a region.
    maximum_over : sequence of {"layer", "region"}
        Cells among which ``p_max`` takes the maximum.

    Returns
    -------
    DataFrame
        One row a layer and region: ``by``, model, layer, score (mean over subjects), sd, t, p, p_max, q (Benjamini-Hochberg over all rows), n
        (patterns drawn), n_subjects.

    Raises
    ------
    InputError
        One subject, or a subject without a score in some cell.

    Notes
    -----
    Scores of single voxels of one subject, or of folds, are no sample of anything a t-test could be about: subjects are.

    Examples
    --------
    >>> import numpy as np, pandas as pd, brainenc as be
    >>> targets = pd.DataFrame({"subject": [f"0{i}" for i in range(1, 9)], "target_id": "v1", "roi": "V1"})
    >>> entries = pd.DataFrame({"model": ["toy"], "layer": ["one"], "metric": ["pearson"], "seed": [0]})
    >>> values = np.linspace(0.1, 0.4, 8).reshape(1, 1, 8)
    >>> spaces = {name: be.ArraySpace(1) for name in targets["subject"]}
    >>> sign_flip_test(be.Scores(values, entries, targets, spaces, "toy", n_test=[[50]]), n=255)["p"].tolist()
    [0.00390625]
    """
    one_of(statistic, ("t", "mean"), "statistic")
    one_of(tail, TAILS, "tail")
    over = {one_of(name, ("layer", "region"), "maximum_over") for name in ([maximum_over] if isinstance(maximum_over, str) else maximum_over)}
    chosen = _one_metric(scores, metric)
    values, entries, regions = _by_subject(chosen, by, SUMMARIES[one_of(summary, tuple(SUMMARIES), "summary")])
    if minus is not None:
        values, entries = _minus(values, entries, minus)
    if len(values) < 2 or not np.isfinite(values).all():
        got = "one subject" if len(values) < 2 else f"{int((~np.isfinite(values)).sum())} of {values.size} scores missing"
        fix = "select complete subjects and regions"
        raise InputError("every one of several subjects needs a score in each cell", where="sign_flip_test", got=got, fix=fix)
    shape, flat = values.shape[1:], values.reshape(len(values), -1)
    signs = np.concatenate([np.ones((1, len(flat))), sign_flips(len(flat), n, seed, "sign_flip_test")])
    t = flipped_t(flat, signs)
    layer, region = (axis.reshape(-1) for axis in np.indices(shape))
    families = np.zeros(len(layer), dtype=np.intp) if len(over) == 2 else {"layer": region, "region": layer}[next(iter(over))]
    p, p_max = probabilities(t if statistic == "t" else signs @ flat / len(flat), families, tail)
    names = entries.iloc[layer].reset_index(drop=True)
    out = pd.DataFrame({by: np.asarray(regions)[region], "model": names["model"], "layer": names["layer"]})
    return out.assign(score=flat.mean(axis=0), sd=flat.std(axis=0, ddof=1), t=t[0], p=p, p_max=p_max, q=fdr_bh(p), n=len(signs) - 1, n_subjects=len(flat))


def cluster_test(
    scores: Scores, *, minus: str | None = None, metric: str | None = None, adjacency: Any = None, threshold: float | str | None = None,
    tail: str = "greater", n: int = 1000, seed: int = 0, alpha: float = 0.05, block: int | None = None, memory: str | int = "1GB",
) -> Clusters:  # fmt: skip
    """Find clusters of neighbouring targets, in space, time or both, that one layer predicts.

    Of several subjects with the same targets, the signs of whole subjects are flipped and cells are t-values. Of one subject, the observed test
    rows are permuted (blocks of scans for a time series) and cells are r divided by its standard deviation under the null; p then holds for that
    person. Cells beyond ``threshold`` that touch make a cluster of mass Σ t, compared with the largest of each draw: p = (1 + #{largest* ≥ mass}) /
    (1 + n), which says that there is an effect, not where it begins.

    Parameters
    ----------
    scores : Scores
        With one layer (``scores.entry(layer=…)``), or two and ``minus``. One subject needs kept predictions.
    minus : str, optional
        ``"model/layer"`` that is subtracted; several subjects only.
    metric : str, optional
        By default the first; of one subject it is Pearson's r.
    adjacency : Neighbourhoods, lists of positions, or sparse matrix, optional
        Neighbours of each target among the targets of a subject: ``space.neighbourhoods(radius_mm)``, with ``time_window=`` for sensors and
        contacts. By default consecutive times of the same channel.
    threshold : float or "tfce", optional
        Of t (one subject: of r / sd); by default that of p = 0.05 in a single cell.
    tail : {"greater", "two-sided"}
    n, seed : int
    alpha : float
        Of the mask.
    block : int, optional
        One subject only: consecutive samples (or single trials, as they stand in the responses) that move together, where noise remembers longer
        than the 20 s (1 s) of the kept blocks, or features change slowly from trial to trial.
    memory : str or int
        Bound on the maps held at once.

    Returns
    -------
    Clusters
        One cell a target. The table also says target_id of the peak, first and last time and the channels or regions where they are known.

    Raises
    ------
    InputError
        Subjects with different targets, several layers, no neighbours.

    Warns
    -----
    BrainencWarning
        For targets without a score, which are left out of every cluster; where single trials are exchanged although predictions of consecutive
        trials are alike.

    Notes
    -----
    Maris & Oostenveld 2007, doi:10.1016/j.jneumeth.2007.03.024. Dividing r by its own null is our choice: it lets targets with different
    autocorrelation share a threshold.

    What one subject's test assumes is that the units may change places: trials in random order always may, however long the noise remembers and
    however much epochs overlap, since order was the experimenter's choice. Samples of a time series, and events whose features are themselves
    autocorrelated (words of a film), only as blocks much longer than the memory of the noise. For several folds the null of `permutation_p` is wide
    enough for any number of features, so that noise makes clusters less often than the level says (in 1 to 2 % at 5 %; with one test set in 5 %).
    """
    chosen = _one_metric(scores, metric)
    tables = [chosen.targets[chosen.targets["subject"] == name].reset_index(drop=True) for name in chosen.subjects]
    if any(list(table["target_id"]) != list(tables[0]["target_id"]) for table in tables):
        raise InputError("clusters need the same targets in every subject", where="cluster_test", fix="project to a common space first")
    neighbours = _matrix(adjacency, tables[0])
    how: dict[str, Any] = {"threshold": threshold, "tail": tail, "alpha": alpha, "memory": memory}
    if len(tables) == 1:
        if minus is not None:
            raise InputError("permuted rows are no null for a difference of two layers", where="cluster_test, minus", fix="use compare(scores, first, second)")
        _need_layers(chosen, 1)
        chosen = reblocked(chosen, block, "cluster_test")
        known = np.asarray(np.isfinite(chosen.mean()[0]))
        maps = _null_maps(chosen, known, n, seed, memory)
        drawn = np.isfinite(maps).all(axis=0)  # not where the kept predictions of a fold are constant to single precision
        known[known] = drawn
        found = clusters_of(maps[:, drawn], adjacency=_kept(neighbours, known, len(known)), **how)
        return _described(found, known, tables[0])
    if block is not None:
        raise InputError("blocks are of one subject's rows, of several the signs of whole subjects are flipped", where="cluster_test, block", got=block)
    values = np.stack([chosen.where(subject=name).mean() for name in chosen.subjects])
    if minus is not None:
        values, _ = _minus(values, chosen.entries, minus)
    _need_layers(chosen, 1 + (minus is not None))
    known = np.asarray(np.isfinite(values[:, 0]).all(axis=0))
    found = flipped_clusters(values[:, 0][:, known], adjacency=_kept(neighbours, known, len(known)), n=n, seed=seed, **how)
    return _described(found, known, tables[0])


def _one_metric(scores: Scores, metric: str | None) -> Scores:
    metrics = list(dict.fromkeys(scores.entries["metric"]))
    chosen = scores.entry(metric=one_of(metric or metrics[0], metrics, "metric"))
    if chosen.entries["seed"].nunique() > 1:
        fix = "select one: scores.entry(seed=…)"
        raise InputError("scores hold several split seeds", got=examples(chosen.entries["seed"].unique()), fix=fix)
    return chosen


def _need_layers(scores: Scores, n: int) -> None:
    if len(scores.layers) != n:
        fix = "select one: scores.entry(layer=…)"
        got = f"{len(scores.layers)} layers"
        raise InputError("clusters are of one layer's scores, or of one difference", where="cluster_test", expected=n, got=got, fix=fix)


def _by_subject(scores: Scores, by: str, collapse: Any) -> tuple[Floats, pd.DataFrame, list[Any]]:
    """Return scores (n_subjects, n_layers, n_regions), the entries and the regions, in the order in which they come first."""
    need_column(scores.targets, by, "Scores.targets")
    regions = list(pd.unique(scores.targets[by].dropna()))
    mean, subjects, labels = scores.mean(), scores.targets["subject"].to_numpy(), scores.targets[by].to_numpy()
    out = np.full((len(scores.subjects), len(mean), len(regions)), np.nan)
    for i, subject in enumerate(scores.subjects):
        for k, region in enumerate(regions):
            here = mean[:, (subjects == subject) & (labels == region)]
            some = np.isfinite(here).any(axis=1)
            if some.any():
                out[i, some, k] = collapse(here[some], axis=1)
    return out, scores.entries, regions


def _minus(values: Floats, entries: pd.DataFrame, minus: str) -> tuple[Floats, pd.DataFrame]:
    names = (entries["model"] + "/" + entries["layer"]).to_list()
    if minus not in names:
        raise NotFoundError(f"no layer {minus!r} in these scores", where="minus", expected=examples(names, 12))
    at = names.index(minus)
    rest = [i for i in range(len(names)) if i != at]
    if not rest:
        raise InputError("a difference needs two layers", where="minus", got=names)
    return values[:, rest] - values[:, [at]], entries.iloc[rest].reset_index(drop=True)


def _null_maps(scores: Scores, known: npt.NDArray[np.bool_], n: int, seed: int, memory: str | int) -> npt.NDArray[np.float32]:
    """Return the observed map of r and n maps of permuted rows (1 + n, n_known) of the only subject and layer."""
    need_predictions(scores, "cluster_test", n, 1)
    subject, name = scores.subjects[0], scores.layers[0]
    rows = scores.test_rows[subject]
    refuse_overlap(rows, "cluster_test")
    alike = stimuli_move(scores, subject)
    if alike:
        warn_of_slow_trials(rows, scores.predictions[subject], "cluster_test")
    plan_chunks(memory, 1, fixed=4 * (1 + n) * int(known.sum()), per_column=0, smallest=1)  # says how much is needed where it does not fit
    pairs = folds_of(scores.observed[subject][:, known], scores.predictions[subject][name][:, known], rows)
    maps, start = np.empty((1 + n, int(known.sum())), dtype=np.float32), 0
    parts = permutation_null(pairs, n=n, seed=seed, keys=(subject,), units=units_of(rows), aggregate=scores.aggregate, alike=alike)
    for observed, null in parts:
        stop = start + len(observed)
        maps[0, start:stop], maps[1:, start:stop] = observed, null
        start = stop
    return maps


def _matrix(adjacency: Any, table: pd.DataFrame) -> Any:
    """Return neighbours as a sparse matrix (n_targets, n_targets); by default consecutive times of the same channel."""
    from scipy import sparse

    n = len(table)
    if adjacency is None:
        if "time" not in table:
            fix = "pass adjacency=space.neighbourhoods(radius_mm)"
            raise InputError("targets without times have no neighbours by themselves", where="cluster_test, adjacency", fix=fix)
        series = table["channel"] if "channel" in table else pd.Series(np.zeros(n))
        order = np.lexsort([table["time"].to_numpy(), pd.factorize(series)[0]])
        same = series.to_numpy()[order][1:] == series.to_numpy()[order][:-1]
        if (np.diff(table["time"].to_numpy()[order])[same] == 0).any():
            raise InputError("a channel has one time twice", where="cluster_test, adjacency", fix="pass adjacency= yourself")
        rows, columns = order[:-1][same], order[1:][same]
    elif sparse.issparse(adjacency):
        matrix = sparse.csr_array(adjacency)
        if matrix.shape != (n, n):
            raise InputError("adjacency does not fit the targets", where="cluster_test", expected=(n, n), got=matrix.shape)
        return matrix
    else:
        lists = [np.asarray(one, dtype=np.intp).reshape(-1) for one in adjacency]
        if len(lists) != n:
            raise InputError("adjacency does not fit the targets", where="cluster_test", expected=f"{n} lists of positions", got=f"{len(lists)} lists")
        rows, columns = np.repeat(np.arange(n), [len(one) for one in lists]), np.concatenate([*lists, np.empty(0, dtype=np.intp)])
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))


def _kept(neighbours: Any, known: npt.NDArray[np.bool_], n: int) -> Any:
    """Return the neighbours among targets with a score; says how many have none."""
    if not known.any():
        raise InputError("no target has a score in every subject", where="cluster_test")
    if not known.all():
        warnings.warn(f"{int((~known).sum())} of {n} targets lack a score and are in no cluster", BrainencWarning, stacklevel=3)
    return neighbours[known][:, known]


def _described(found: Clusters, known: npt.NDArray[np.bool_], table: pd.DataFrame) -> Clusters:
    """Return the clusters with one cell a target, and a table that says where and when they are."""
    where = np.flatnonzero(known)
    rows = []
    for label in found.table["cluster"]:
        inside = found.labels == label
        mine = table.iloc[where[inside]]
        row = {"peak_target": mine["target_id"].iloc[int(np.abs(found.t[inside]).argmax())]}
        if "time" in mine:
            row |= {"start": mine["time"].min(), "stop": mine["time"].max()}
        row |= {f"{name}s": ", ".join(map(str, pd.unique(mine[name].dropna()))) for name in ("channel", "roi") if name in mine}
        rows.append(row)
    bare = found.table.drop(columns=[name for name in found.table if name.startswith("n_") and name != "n_cells"])
    described = pd.concat([bare, pd.DataFrame(rows, index=bare.index)], axis=1)

    def spread(values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        out = np.full(len(known), fill, dtype=values.dtype)
        out[known] = values
        return out

    return replace(
        found, table=described, mask=spread(found.mask, False), labels=spread(found.labels, 0), t=spread(found.t, np.nan), p=spread(found.p, np.nan)
    )  # fmt: skip
