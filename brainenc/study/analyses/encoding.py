"""Encoding: how well a layer predicts every target of a unit on held-out data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import one_of, slug
from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed
from brainenc.nouns import FeatureSpace, Responses, Scores, Split, splits
from brainenc.study import inputs, maps
from brainenc.study.outputs import Gathering, Part
from brainenc.study.plan import ModelSpec
from brainenc.study.schema import TEXT, Key, as_list, check_arguments, read_table
from brainenc.study.stored import FULL, SCORES, read_scores, stack
from brainenc.study.tasks import Context, Settings, Task, responses_name, select

VERSION = 3
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
    "bootstrap": Key((int,), 0, least=0),
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


def unit_tasks(context: Context) -> Iterator[Task]:
    """List what is done once for a unit: nothing, but a unit must hold responses."""
    if not isinstance(context.data, Responses):
        raise InputError("data set holds RDMs and no responses", where=context.unit.dataset, fix='leave it out of an encoding analysis, or use kind = "rsa"')
    return iter(())


def layer_tasks(context: Context, model: ModelSpec, layers: Mapping[str, int], needs: str) -> Iterator[Task]:
    """List the scoring of each layer for each split seed.

    All regions of a unit are columns of one scoring task: they share one decomposition of the features, which would have to be computed
    again for each region otherwise.
    """
    analysis, loaded, settings = context.analysis, context.loaded, context.settings
    assert isinstance(context.data, Responses)
    options = {name: value for name, value in analysis.options.items() if name != "split"}
    for layer, n_features in layers.items():
        memory = estimate(context.data, n_features, settings.memory, 8 if settings.dtype == "float64" else 4)
        for seed in seeds(analysis.options):
            facts = {
                "version": VERSION, "responses": loaded.data_key, "stimuli": loaded.stimuli_key, "roi": analysis.roi, "where": analysis.where,
                "model": inputs.model_key(model), "layer": layer, "split": repr(make_split(analysis.options, seed)), "split_seed": seed, "options": options,
                "name": responses_name(context.unit),
            }  # fmt: skip
            yield context.task(analysis.kind, facts, memory, model=model, layer=layer, seed=seed, needs=needs)


def compute(task: Task, settings: Settings) -> dict[str, Any]:
    """Score one layer on one unit; return the files to be stored: the scores without predictions, and with them where they are kept."""
    assert task.model is not None and task.layer is not None
    data = select(inputs.load(task.unit).data, task.analysis)
    assert isinstance(data, Responses)
    responses = replace(data, name=responses_name(task.unit))
    space = inputs.layer(task.model, task.unit, task.layer, batch_size=settings.batch_size, device=settings.device, seed=settings.seed)
    scores = score(responses, space, task.analysis.options, split_seed=task.seed, settings=settings)
    scores = replace(scores, entries=scores.entries.assign(model=task.model.name, layer=task.layer))
    bare = replace(scores, predictions={}, observed={}, test_rows={})
    return {SCORES: bare.save, **({FULL: scores.save} if scores.predictions else {})}


def gather(given: Gathering) -> Part:
    """Collect the stored scores of an analysis: one frame of the table a task, regions in the summary, and maps of every unit."""

    def frames() -> Iterator[pd.DataFrame]:
        for task in given.tasks:
            where = {"analysis": task.analysis.name, "dataset": task.unit.title, "subject": task.unit.subject, "session": task.unit.session}
            yield read_scores(given.store, task.key).to_frame().assign(**where)

    part = Part(frames=frames, summary=[_summarise(task, read_scores(given.store, task.key)) for task in given.tasks])
    for unit in dict.fromkeys(task.unit for task in given.tasks):
        per_seed = [stack([read_scores(given.store, task.key) for task in same]) for same in _by_seed([t for t in given.tasks if t.unit == unit])]
        if per_seed:
            part.maps += _maps(given, unit, per_seed, part.notes)
    return part


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
        permutations=values["permutations"], bootstrap=values["bootstrap"], seed=settings.seed, keep_predictions=values["keep_predictions"],
        memory=memory, device=settings.device, progress=False,
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


def _summarise(task: Task, scores: Scores) -> pd.DataFrame:
    """Return one row per region and entry of one task; targets without regions are one region, "all".

    Recordings have a row per region or channel, at the moment that training rows choose: most moments hold no signal, and medians over them say little.
    """
    from brainenc.viz.moments import is_recording, moment_table

    if is_recording(scores):
        table = moment_table(scores)
    else:
        by = "roi" if "roi" in scores.targets and scores.targets["roi"].notna().any() else "subject"
        table = scores.by(by)
        if by == "subject":
            table.insert(1, "roi", "all")
    table["subject"] = task.unit.subject
    table.insert(0, "analysis", task.analysis.name)
    table.insert(1, "dataset", task.unit.title)
    table.insert(3, "session", task.unit.session)
    return table


def _maps(given: Gathering, unit: inputs.Unit, per_seed: list[Scores], notes: list[str]) -> list[dict[str, Any]]:
    """Paint the layer that inner scores choose, for every model and over all models, and the ceiling."""
    name = given.analysis.name
    rows = []
    for label, vector in maps.vectors(per_seed, notes, f"{name} {unit.label}"):
        facts = {"analysis": name, "dataset": unit.title, "subject": unit.subject, "session": unit.session, "map": label}
        facts |= {"value": "ceiling" if label == "ceiling" else "score", "metric": per_seed[0].entries["metric"].iloc[0]}
        folder = given.root / "maps" / slug(name) / slug(responses_name(unit))
        stem = maps.stem_of(folder / slug(label), [name, unit.label, label], given.used)
        for hemi, path in maps.paint(per_seed[0].space, vector, stem):
            rows.append({**facts, "hemi": hemi, "path": path.relative_to(given.root).as_posix()})
    return rows


def _by_seed(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return the tasks of each split seed, of those layers that are there for every seed."""
    many = list(dict.fromkeys(task.seed for task in tasks))
    names = [{_layer_name(t) for t in tasks if t.seed == seed} for seed in many]
    shared = set.intersection(*names) if names else set()
    groups = [[t for t in tasks if t.seed == seed and _layer_name(t) in shared] for seed in many]
    return [group for group in groups if group]


def _layer_name(task: Task) -> tuple[str | None, str | None]:
    return (None if task.model is None else task.model.name, task.layer)
