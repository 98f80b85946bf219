"""Sites that integrate vision and language: multimodal models against unimodal ones, random ones and their linear sum, on the same resamples."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import BrainencWarning, InputError, NotFoundError
from brainenc.core.rng import check_seed
from brainenc.encoding._bands import join
from brainenc.encoding._integration import PLACE, Integration
from brainenc.encoding._resampled import is_crossed, layer_draws, paired_interval, reblocked, summarised
from brainenc.encoding.score import score_layers
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import bootstrap_folds, n_units
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.scores import Scores

Floats = npt.NDArray[np.float64]
WHERE = "multimodal_sites"
CONCATENATION = "concatenation"
PREDICTION, UNIMODAL, RANDOM = "prediction", "unimodal", "random"
_NEAR_ONE = 0.999999
SPAN = 0.25  # seconds that significant bins have to make up
Models = Mapping[str, FeatureSpace | Mapping[str, FeatureSpace]]


def multimodal_sites(
    features: Models, responses: Responses | Mapping[str, Responses], *, multimodal: str, unimodal: Sequence[str], split: Any,
    random: str | None = None, pairs: Sequence[tuple[str, str]] = (), encoder: Any = None, n: int = 1000, seed: int = 0, alpha: float = 0.05,
    min_bins: int | None = None, block: int | None = None, memory: str | int | float | None = None, device: str = "auto", progress: bool | None = None,
) -> Integration:  # fmt: skip
    """Find the sites that a multimodal model predicts better than its parts can, in every event structure.

    For every site and time bin the differences of held-out scores, Δr = r(multimodal) − r(other), are compared with their bootstrap over events:

    - ``prediction``: the multimodal model predicts at all, r > 0;
    - ``unimodal``: it is better than *each* unimodal model (p is the largest of theirs, so that no best one is picked by its score);
    - ``concatenation``: it is better than all unimodal features side by side, so that more than a sum of modalities is needed;
    - ``random``: it is better than the same architecture with random weights;
    - ``first > second`` of each of ``pairs``, for instance the same network trained with and without the other modality.

    Every model sees the same draws of events. q is Benjamini-Hochberg's over sites × bins of a comparison. A site passes a comparison with
    ``min_bins`` bins of q < alpha, and is multimodal when it passes all of them in all event structures.

    Parameters
    ----------
    features : {model: FeatureSpace or {layer: FeatureSpace}}
        One row an event (``stimulus_id``). Of several layers each target takes in each fold the one of the best inner score, which test rows
        never enter.
    responses : Responses or {structure: Responses}
        Epochs of (contact, time) targets around the events of each structure, e.g. ``"language"`` (word onsets) and ``"vision"`` (cuts).
    multimodal : str
        A model.
    unimodal : sequence of str
        Two or more models, which also make up the concatenation (of all their layers).
    split : Split
        ``brainenc.split.runs()``, or ``.blocks(n, seconds=0)``: epochs that overlap in time never stand on both sides, which is refused.
    random : str, optional
        The multimodal model with random weights.
    pairs : sequence of (str, str)
        More comparisons, the first model expected to be better. A multimodal model of shuffled pairs of frames and texts is one.
    encoder : estimator, optional
        As in `score_layers`; `BandedRidge` gives the spaces of the concatenation a penalty each.
    n, seed : int
        Bootstrap draws.
    alpha : float
    min_bins : int, optional
        By default as many as make up 0.25 s: 10 with a step of 25 ms, as in the study, 5 with 50 ms.
    block : int, optional
        Events that are drawn together. By default twice as many as overlap an event in time (itself included); 1 where onsets are not known.
    memory, device, progress
        As in `score_layers`.

    Returns
    -------
    Integration

    Raises
    ------
    InputError
        For roles without models, targets without channel and time, structures with other targets, and as `score_layers`.
    NotFoundError
        For a model that is not among the features.

    Notes
    -----
    After Subramaniam et al. (2024), "Revealing vision-language integration in the brain with multimodal networks", arXiv:2406.14481: event structures,
    1,000 paired draws, BH within a comparison, 10 bins and the conjunction. What is ours: draws are of *test* rows after prediction (events that
    are drawn before folds are cut stand on both sides), in blocks, since neighbouring epochs share signal; the intercept is not penalised; intervals
    and p are of t on the bootstrap's standard deviation, √2 wider for several folds, which train one another; the best unimodal model is not
    picked; "prediction" takes the place of the study's filter (the lower end of the validation interval above zero).
    A multimodal site is one that *these* models' features tell apart. A better unimodal model might not be beaten: state them.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids, names = [f"word{i}" for i in range(300)], ["see", "read", "both"]
    >>> see, read = rng.standard_normal((2, 300, 4))
    >>> spaces = {"see": see, "read": read, "both": np.hstack([see, read, see * read])}
    >>> models = {name: be.FeatureSpace(x, {"stimulus_id": ids}, name=name) for name, x in spaces.items()}
    >>> signal = np.repeat((see * read).sum(1, keepdims=True), 6, axis=1)
    >>> targets = {"channel": ["A1"] * 6 + ["A2"] * 6, "time": list(np.arange(6) / 20) * 2}
    >>> values = np.hstack([signal, see[:, :1] + np.zeros((300, 6))]) + rng.standard_normal((300, 12))
    >>> brain = be.Responses(values, {"stimulus_id": ids}, targets)
    >>> found = multimodal_sites(models, brain, multimodal="both", unimodal=["see", "read"], split=be.split.blocks(4), n=200)
    >>> found.sites["multimodal"].tolist()
    [True, False]
    """
    given = _structures(responses)
    models = _models(features)
    roles = _roles(list(models), multimodal, unimodal, random, pairs)
    _check(n, alpha, min_bins, seed)
    comparisons = _comparisons(roles)
    layers = {**models, CONCATENATION: {"all": _concatenated(models, roles[UNIMODAL])}}
    least = int(min_bins) if min_bins is not None else _bins_of(next(iter(given.values())))
    tables: dict[str, list[pd.DataFrame]] = {"bins": [], "effects": [], "models": []}
    spaces = {f"{model}/{layer}": space for model, parts in layers.items() for layer, space in parts.items()}
    blocks, edges = {}, {}
    for structure, one in given.items():
        with warnings.catch_warnings():  # most sites hold no signal of most models: kept in the criteria
            warnings.filterwarnings("ignore", "targets whose penalty", BrainencWarning)
            scores = score_layers(
                spaces, one, split=split, encoder=encoder, ceiling=None, average=False, keep_predictions=True, memory=memory, device=device,
                progress=progress,
            )  # fmt: skip
        edges[structure] = scores.provenance["edge_share"]
        blocks[structure] = _block(one) if block is None else block
        best = scores.best(within="model") if any(len(parts) > 1 for parts in layers.values()) else scores
        found = _compare(reblocked(best, blocks[structure], WHERE), comparisons, n, seed)
        for name, table in zip(tables, _tables(found, best, least, alpha), strict=True):
            tables[name].append(table.assign(structure=structure))
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    criteria = {
        "roles": {key: list(value) for key, value in roles.items()}, "comparisons": {key: [list(pair) for pair in value] for key, value in comparisons.items()},
        "alpha": float(alpha), "min_bins": least, "n": int(n), "seed": int(seed), "split": split.describe(), "block": blocks, "structures": list(given),
        "edge_share": edges,
    }  # fmt: skip
    sites = _sites(next(iter(given.values())), joined["effects"])
    return Integration(sites, joined["effects"], joined["bins"], joined["models"], criteria)


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """One site in one event structure: times, each model's score, and for every comparison Δr with what belongs to it."""

    channel: str
    times: Floats
    scores: dict[str, Floats]
    found: dict[str, dict[str, Any]]


def _compare(scores: Scores, comparisons: Mapping[str, list[tuple[str, str | None]]], n: int, seed: int) -> list[_Site]:
    """Return every site with its comparisons; draws (n, n_bins) of one site at a time are held."""
    (subject,) = scores.predictions
    rows, kept, observed = scores.test_rows[subject], scores.predictions[subject], scores.observed[subject]
    names = {key.split("/")[0]: key for key in kept}
    folds, many, crossed = bootstrap_folds(rows, n, seed, subject, pooled=scores.aggregate == "pooled"), n_units(rows), is_crossed(rows)
    out = []
    for channel, index in scores.targets.groupby("channel", sort=False).indices.items():
        index = index[np.argsort(scores.targets["time"].to_numpy()[index], kind="stable")]
        drawn = {name: layer_draws(observed[:, index], kept[key][:, index], folds, "pearson") for name, key in names.items()}
        found = {label: _differences(drawn, pairs, many, crossed) for label, pairs in comparisons.items()}
        times = scores.targets["time"].to_numpy(dtype=np.float64)[index]
        out.append(_Site(str(channel), times, {name: point for name, (point, _) in drawn.items()}, found))
    return out


def _differences(drawn: Mapping[str, tuple[Floats, Floats]], pairs: Sequence[tuple[str, str | None]], many: int, crossed: bool) -> dict[str, Any]:
    """Return Δr of a comparison, bin by bin against the opponent of the largest p, and its mean over all bins with its interval."""
    parts = []
    for first, second in pairs:
        point, draws = drawn[first]
        other, others = (np.zeros_like(point), np.zeros_like(draws)) if second is None else drawn[second]
        difference, spread = point - other, draws - others
        low, high, p = paired_interval(difference, spread, many, crossed=crossed)
        p = np.where(difference > 0, p / 2, 1 - p / 2)
        mean, means = summarised(difference, spread, np.nanmean)
        ends = paired_interval(mean, means, many, crossed=crossed)
        z = np.arctanh(np.clip(point, -_NEAR_ONE, _NEAR_ONE)) - np.arctanh(np.clip(other, -_NEAR_ONE, _NEAR_ONE))
        mean_z = summarised(z, z[None], np.nanmean)[0]
        parts.append((difference, low, high, p, tuple(float(one[0]) for one in (mean, ends[0], ends[1], mean_z))))
    hardest = np.argmax([np.nan_to_num(part[3], nan=2.0) for part in parts], axis=0)
    pick = lambda i: np.choose(hardest, [part[i] for part in parts])  # noqa: E731
    against = np.array([second or "zero" for _, second in pairs], dtype=object)[hardest]
    least = min((part[4] for part in parts), key=lambda one: np.nan_to_num(one[0], nan=np.inf))
    return {"difference": pick(0), "ci_low": pick(1), "ci_high": pick(2), "p": pick(3), "against": against, "mean": least}


def _tables(found: list[_Site], scores: Scores, least: int, alpha: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return bins, effects and model scores of one structure, with q over all sites and bins of each comparison."""
    (subject,) = scores.predictions
    bins = pd.concat(
        [
            pd.DataFrame({"subject": subject, "channel": one.channel, "comparison": label, "time": one.times, **{k: v for k, v in got.items() if k != "mean"}})
            for one in found for label, got in one.found.items()
        ], ignore_index=True,
    )  # fmt: skip
    bins["q"] = np.nan
    for index in bins.groupby("comparison").indices.values():
        bins.loc[index, "q"] = fdr_bh(bins["p"].to_numpy()[index])
    count = (bins["q"] < alpha).groupby([bins["channel"], bins["comparison"]], sort=False).sum()
    effects = []
    for one in found:
        for label, got in one.found.items():
            known = bool(np.isfinite(got["difference"]).any())
            peak = int(np.nanargmax(got["difference"])) if known else 0
            mean, low, high, z = got["mean"]
            n_bins = int(count[one.channel, label])
            effects.append(
                {"subject": subject, "channel": one.channel, "comparison": label, "n_bins": n_bins, "passes": n_bins >= least, "mean_difference": mean,
                 "ci_low": low, "ci_high": high, "mean_z": z, "peak_difference": got["difference"][peak], "peak_time": one.times[peak] if known else np.nan,
                 "peak_low": got["ci_low"][peak], "peak_high": got["ci_high"][peak]}
            )  # fmt: skip
    models = [
        pd.DataFrame({"subject": subject, "channel": one.channel, "model": name, "time": one.times, "score": r})
        for one in found for name, r in one.scores.items()
    ]  # fmt: skip
    return bins, pd.DataFrame(effects), pd.concat(models, ignore_index=True)


def _sites(responses: Responses, effects: pd.DataFrame) -> pd.DataFrame:
    """Return one row a site with its place, its significant bins and whether it passes everything."""
    place = responses.targets.drop_duplicates("channel")
    out = place[["channel", *(name for name in PLACE if name in place)]].reset_index(drop=True)
    out.insert(0, "subject", responses.name)
    by_site = effects.groupby("channel", sort=False)
    out["multimodal"] = by_site["passes"].all().reindex(out["channel"]).to_numpy()
    weakest = effects.loc[by_site["n_bins"].idxmin()].set_index("channel").reindex(out["channel"])
    several = effects["structure"].nunique() > 1
    out["weakest"] = (weakest["comparison"] + (" (" + weakest["structure"] + ")" if several else "")).to_numpy()
    for label, group in effects.groupby("comparison", sort=False):
        out[f"bins: {label}"] = group.groupby("channel", sort=False)["n_bins"].min().reindex(out["channel"]).to_numpy()
    return out


def _comparisons(roles: Mapping[str, list[Any]]) -> dict[str, list[tuple[str, str | None]]]:
    (first,) = roles["multimodal"]
    out: dict[str, list[tuple[str, str | None]]] = {
        PREDICTION: [(first, None)], UNIMODAL: [(first, name) for name in roles[UNIMODAL]], CONCATENATION: [(first, CONCATENATION)],
    }  # fmt: skip
    if roles[RANDOM]:
        out[RANDOM] = [(first, roles[RANDOM][0])]
    return {**out, **{f"{one} > {two}": [(one, two)] for one, two in roles["pairs"]}}


def _roles(known: list[str], multimodal: Any, unimodal: Any, random: Any, pairs: Any) -> dict[str, list[Any]]:
    single = [unimodal] if isinstance(unimodal, str) else list(unimodal)
    if len(single) < 2 or len(set(single)) < len(single) or multimodal in single:
        raise InputError("the parts of a multimodal model are two other models or more", where=f"{WHERE}, unimodal", got=repr(unimodal))
    couples = [tuple(pair) for pair in pairs]
    if any(len(pair) != 2 or pair[0] == pair[1] for pair in couples):
        raise InputError("a pair is two models", where=f"{WHERE}, pairs", expected="[(better, worse), …]", got=repr(pairs)[:80])
    used = [multimodal, *single, *([] if random is None else [random]), *(name for pair in couples for name in pair)]
    for name in used:
        if name not in known:
            raise NotFoundError(f"no features of {name!r}", where=WHERE, expected=examples(known, 12), fix=did_you_mean(str(name), known))
    if random == multimodal:
        raise InputError("a model cannot be its own control", where=f"{WHERE}, random", got=repr(random))
    return {"multimodal": [multimodal], UNIMODAL: single, RANDOM: [] if random is None else [random], "pairs": couples}


def _models(features: Any) -> dict[str, dict[str, FeatureSpace]]:
    if not isinstance(features, Mapping) or not features:
        raise InputError("features are named by model", where=WHERE, expected="{model: FeatureSpace or {layer: FeatureSpace}}", got=type(features).__name__)
    out = {}
    for name, given in features.items():
        parts = {given.layer or "all": given} if isinstance(given, FeatureSpace) else given
        if not isinstance(parts, Mapping) or not parts or not all(isinstance(one, FeatureSpace) for one in parts.values()):
            raise InputError("a model has one feature space or several layers", where=f"{WHERE}, features {name!r}", got=type(given).__name__)
        if "/" in str(name) or str(name) == CONCATENATION:
            raise InputError("this name of a model cannot be used", where=WHERE, expected=f'no "/", not "{CONCATENATION}"', got=repr(name))
        out[str(name)] = {str(layer).split("/")[-1]: space for layer, space in parts.items()}
    return out


def _concatenated(models: Mapping[str, Mapping[str, FeatureSpace]], names: list[str]) -> FeatureSpace:
    return join({f"{name}/{layer}": space for name in names for layer, space in models[name].items()}, name=f"{CONCATENATION}/all")


def _structures(responses: Any) -> dict[str, Responses]:
    given = {"events": responses} if isinstance(responses, Responses) else responses
    if not isinstance(given, Mapping) or not given or not all(isinstance(one, Responses) for one in given.values()):
        raise InputError("responses cannot be used", where=WHERE, expected="Responses or {structure: Responses}", got=type(responses).__name__)
    first: pd.DataFrame | None = None
    for name, one in given.items():
        where = f"{WHERE}, responses {name!r}"
        if one.is_time_series or not {"channel", "time"} <= set(one.targets):
            got = "a time series" if one.is_time_series else examples(one.targets.columns, 12)
            raise InputError("epochs of (channel, time) targets are needed", where=where, got=got, fix="load_epochs(…)")
        if one.targets.duplicated(["channel", "time"]).any():
            raise InputError("a channel and time stands for two targets", where=where, fix="one subject at a time; Integration.stack joins them")
        keys = one.targets[["channel", "time"]].reset_index(drop=True)
        if first is not None and not keys.equals(first):
            raise InputError("event structures have other channels or times", where=where, expected=f"{len(first)} targets as the first", got=len(keys))
        first = keys
    names = {one.name for one in given.values()}
    if len(names) > 1:
        fix = "one subject at a time; Integration.stack joins them"
        raise InputError("event structures are of one subject", where=WHERE, got=", ".join(map(str, names)), fix=fix)
    return {str(name): one for name, one in given.items()}


def _bins_of(responses: Responses) -> int:
    times = np.unique(responses.targets["time"].to_numpy(dtype=np.float64))
    return max(1, round(SPAN / float(np.median(np.diff(times))))) if len(times) > 1 else 1


def _block(responses: Responses) -> int:
    windows = responses.windows
    return 1 if windows is None else max(1, 2 * int(np.median(windows.touches(windows))))


def _check(n: Any, alpha: Any, min_bins: Any, seed: Any) -> None:
    check_seed(seed)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 20:
        raise InputError("too few draws", where=WHERE, expected="n of at least 20", got=repr(n))
    if isinstance(alpha, bool) or not 0 < alpha < 1:
        raise InputError("alpha is a level", where=WHERE, expected="between 0 and 1", got=repr(alpha))
    if min_bins is not None and (isinstance(min_bins, bool) or not isinstance(min_bins, int | np.integer) or min_bins < 1):
        raise InputError("min_bins is a count", where=WHERE, expected="1 or more", got=repr(min_bins))
