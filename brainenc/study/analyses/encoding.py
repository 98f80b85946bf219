"""Encoding: how well a layer predicts every target of a unit on held-out data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed
from brainenc.nouns import FeatureSpace, Responses, Scores, Split, splits
from brainenc.study.schema import TEXT, Key, as_list, check_arguments, read_table

VERSION = 2
SPLITS: dict[str, Callable[..., Split]] = {
    "images": splits.images, "kfold": splits.kfold, "runs": splits.runs, "blocks": splits.blocks, "column": splits.column,
}  # fmt: skip
DEFAULT_SPLIT = {"kind": "images", "test": 0.2}

KEYS = {
    "split": Key((dict,)),
    "encoder": Key((dict,)),
    "metric": Key((str, list), "pearson", items=(str,)),
    "aggregate": Key((str,), "folds", allowed=("folds", "pooled")),
    "average": Key((str, bool), "auto"),
    "reduce": TEXT,
    "design": Key((dict,)),
    "clean": Key((dict,)),
    "permutations": Key((int,), 0, least=0),
    "keep_predictions": Key((bool,), True),
    "ceiling": Key((str,), "auto", allowed=("auto", "none")),
}
_DESIGN_KEYS = {"hrf": TEXT, "delays": Key((list,), items=(int, float)), "resample": Key((str,), "lanczos")}
_CLEAN_KEYS = {
    "detrend": Key((bool,), False),
    "standardize": Key((str,), allowed=("zscore", "center")),
    "by": Key((str,), "run"),
}


def check(options: Mapping[str, Any], where: str) -> None:
    """Check the options of one analysis, or raise `InputError` with the path of the key at fault."""
    make_split(options, 0, where)
    seeds(options, where)
    if "metric" in options:
        from brainenc import metrics

        for name in as_list(options["metric"]):
            one_of(name, metrics.names(), f"{where}.metric")
    if "encoder" in options:
        from brainenc.encoding import Ridge

        check_arguments(options["encoder"], Ridge, f"{where}.encoder")
    if "design" in options:
        read_table(options["design"], _DESIGN_KEYS, f"{where}.design")
    if "clean" in options:
        read_table(options["clean"], _CLEAN_KEYS, f"{where}.clean")


def seeds(options: Mapping[str, Any], where: str = "plan") -> list[int | None]:
    """Return the split seeds, one task each; None for a split that draws nothing."""
    table = options.get("split", DEFAULT_SPLIT)
    if "seeds" in table:
        if "seed" in table:
            raise InputError("split has both seed and seeds", where=f"{where}.split", fix="keep one of them")
        many = as_list(table["seeds"])
        if not many or len(set(map(str, many))) < len(many):
            raise InputError("seeds must be different integers", where=f"{where}.split.seeds", got=many)
        return [check_seed(seed) for seed in many]
    return [check_seed(table.get("seed", 0))] if _draws(table) else [None]


def make_split(options: Mapping[str, Any], seed: int | None, where: str = "plan") -> Split:
    """Return the split of an analysis for one of its seeds."""
    table = dict(options.get("split", DEFAULT_SPLIT))
    place = f"{where}.split"
    kind = one_of(table.pop("kind", "images"), tuple(SPLITS), f"{place}.kind")
    many = table.pop("seeds", None)
    if many is not None and kind not in ("images", "kfold"):
        raise InputError("this split draws nothing and has no seeds", where=place, got=f"kind {kind!r}")
    check_arguments(table, SPLITS[kind], place)
    if _draws({"kind": kind, **table, **({"seeds": many} if many else {})}):
        table["seed"] = seed
    try:
        return SPLITS[kind](**table)
    except TypeError as error:
        raise InputError("split has a value of the wrong type", where=place, got=str(error)) from None


def estimate(responses: Responses, n_features: int, memory: int, itemsize: int) -> int:
    """Return an upper estimate (bytes) of what one scoring task holds: its data, twice, and the bounded workspace.

    The workspace is the smaller of the plan's ``memory`` and a decomposition with the grid of penalties.
    """
    n_rows, n_targets = responses.values.shape
    data = 2 * itemsize * n_rows * (n_targets + n_features)
    rank = min(n_rows, n_features)
    workspace = 8 * (3 * rank * max(n_rows, n_features) + 20 * rank * rank + 24 * n_rows * min(n_targets, 4096))
    return responses.values.nbytes + data + min(memory, workspace)


def score(responses: Responses, space: FeatureSpace, options: Mapping[str, Any], *, split_seed: int | None, settings: Any) -> Scores:
    """Score one layer on one unit: clean, design, split, fit, predict.

    All regions of a unit are columns of this one call, because they share one decomposition of the features.

    Parameters
    ----------
    responses : Responses of shape (n_samples, n_targets)
    space : FeatureSpace of shape (n_stimuli, n_features)
    options : mapping
        The keys of the analysis (`KEYS`).
    split_seed : int or None
        One of `seeds`.
    settings : Settings
        dtype, memory, device and seed of the plan.
    """
    from brainenc import encoding

    responses = _cast(responses, settings.dtype)
    if "clean" in options:
        responses = responses.clean(**{k: v for k, v in read_table(options["clean"], _CLEAN_KEYS, "clean").items() if v is not None})
    space = _cast(space, settings.dtype)
    if "design" in options:
        arguments = read_table(options["design"], _DESIGN_KEYS, "design")
        space = _cast(encoding.design(space, responses, **{k: v for k, v in arguments.items() if v is not None}), settings.dtype)
    values = {name: options.get(name, key.default) for name, key in KEYS.items()}
    memory = settings.memory
    scores = encoding.score_layers(
        space, responses, split=make_split(options, split_seed), encoder=_encoder(options, settings), metric=as_list(values["metric"]),
        ceiling=None if values["ceiling"] == "none" else "auto", reduce=values["reduce"], aggregate=values["aggregate"], average=values["average"],
        permutations=values["permutations"], seed=settings.seed, keep_predictions=values["keep_predictions"], memory=memory, device=settings.device,
        progress=False,
    )  # fmt: skip
    return replace(scores, entries=scores.entries.assign(seed=settings.seed if split_seed is None else split_seed))


def _encoder(options: Mapping[str, Any], settings: Any) -> Any:
    if "encoder" not in options:
        return None
    from brainenc.encoding import Ridge

    return Ridge(**{"device": settings.device, "memory": settings.memory, **options["encoder"]})


def _cast(noun: Any, dtype: str) -> Any:
    return noun if noun.values.dtype == np.dtype(dtype) else replace(noun, values=np.asarray(noun.values, dtype=dtype))


def _draws(table: Mapping[str, Any]) -> bool:
    kind = table.get("kind", "images")
    return kind == "images" or (kind == "kfold" and ("seed" in table or "seeds" in table))
