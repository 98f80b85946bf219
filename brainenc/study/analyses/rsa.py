"""Representational similarity: RDMs of every unit and of every layer, compared, with inference over the subjects of the data set.

Each unit's RDMs and each layer's RDM are tasks of their own. Comparisons need all of them together (the same resamples for every subject,
layer and region), so they are made from the stored RDMs when the outputs are written; see `brainenc.study.evaluations`.

.. code-block:: toml

    [[analysis]]
    kind = "rsa"
    dataset = "objects92"                       # RDMs are compared as they are; of responses they are made (metric, folds, noise)
    where = "study == 'Algonauts 2019'"
    models = ["pixels", { name = "timm:mobilenetv2_100", layers = "blocks.*.*", pooling = "none" }]
    compare = ["spearman", "whitened_pearson"]
    permutations = 1000
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core import fingerprint
from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.core.registry import Registry
from brainenc.core.selection import parse, select
from brainenc.nouns import RDMs, Responses, StimulusSet
from brainenc.study import evaluations, inputs, tasks
from brainenc.study.outputs import Gathering, Part
from brainenc.study.plan import ModelSpec
from brainenc.study.schema import TEXT, Key, as_list
from brainenc.study.stored import DISSIMILARITIES
from brainenc.study.tasks import Context, Settings, Task, responses_name

VERSION = 1
DATA, LAYER = "rsa data", "rsa layer"
ESTIMATORS = Registry("brainenc.rsa.estimators", "metric of dissimilarity", group="brainenc.rsa.estimators")
COMPARATORS = Registry("brainenc.rsa.comparators", "RDM comparator")

KEYS = {
    "metric": Key((str,), "correlation"),  # of the data's RDMs, where the data set holds responses
    "folds": TEXT,
    "noise": TEXT,
    "model_metric": Key((str,), "correlation"),
    "compare": Key((str, list), "pearson", items=(str,)),  # the default of `brainenc.rsa.evaluate`; rank comparisons take some 20 times longer
    "by": Key((str, list), items=(str,)),
    "conditions": TEXT,
    "average": Key((bool,), False),
    "bootstrap": Key((int,), 1000, least=0),
    "permutations": Key((int,), 0, least=0),
    "resample": Key((str,), "auto", allowed=("auto", "both", "subjects", "conditions")),
    "ceiling": Key((bool,), True),
}
# What an RDM of the data depends on.
_DATA_KEYS = ("metric", "folds", "noise", "by", "conditions")


def check(options: Mapping[str, Any], where: str) -> None:
    """Check the options of one analysis, or raise `InputError` with the path of the key at fault."""
    values = values_of(options)
    for name in ("metric", "model_metric"):
        one_of(values[name], ESTIMATORS.names(), f"{where}.{name}")
    for name in as_list(values["compare"]):
        one_of(name, COMPARATORS.names(), f"{where}.compare")
    if len(set(as_list(values["compare"]))) < len(as_list(values["compare"])):
        raise InputError("a comparison is listed twice", where=f"{where}.compare", got=values["compare"])
    estimator, of_models = ESTIMATORS.get(values["metric"]), ESTIMATORS.get(values["model_metric"])
    if of_models.CROSSVALIDATED or of_models.NOISE == "required":
        raise InputError("a layer has neither folds nor noise", where=f"{where}.model_metric", got=values["model_metric"])
    if values["folds"] is not None and not estimator.CROSSVALIDATED:
        raise InputError("the metric is not cross-validated and would ignore the folds", where=f"{where}.folds", got=f"metric {values['metric']!r}")
    if values["noise"] is not None:
        from brainenc.rsa.noise import METHODS

        one_of(values["noise"], METHODS, f"{where}.noise")
        if estimator.NOISE is None:
            raise InputError("the metric takes no noise model and would ignore it", where=f"{where}.noise", got=f"metric {values['metric']!r}")
    elif estimator.NOISE == "required":
        raise InputError("the metric needs a noise model", where=f"{where}.noise", fix='noise = "schaefer_strimmer"')
    for name in as_list(values["by"] or []):
        one_of(name, evaluations.GROUPS, f"{where}.by")
    if values["conditions"] is not None:
        try:
            parse(values["conditions"])
        except InputError as error:
            raise InputError(str(error), where=f"{where}.conditions") from None


def values_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with defaults filled in."""
    return {name: options.get(name, key.default) for name, key in KEYS.items()}


def unit_tasks(context: Context) -> Iterator[Task]:
    """List the one task that makes, or selects, the RDMs of a unit."""
    options = values_of(context.analysis.options)
    data = at_conditions(context.data, context.loaded.stimuli, options["conditions"])
    _check_columns(data, as_list(options["by"] or []), context.unit.dataset)
    if isinstance(data, RDMs):
        for name in ("metric", "folds", "noise"):
            if name in context.analysis.options:
                raise InputError(f"the data set holds RDMs, which are compared as they are: {name} would be ignored", where=context.analysis.name)
        size = 4 * data.values.nbytes
    else:
        n = data.samples["stimulus_id"].nunique()
        size = 3 * data.values.nbytes + 32 * n * n * _n_groups(data, by_of(data, options))
    facts = {
        "version": VERSION, "data": context.loaded.data_key, "stimuli": context.loaded.stimuli_key, "roi": context.analysis.roi,
        "where": context.analysis.where, "subjects": context.analysis.subjects if isinstance(data, RDMs) else None,
        "options": {name: options[name] for name in _DATA_KEYS}, "name": responses_name(context.unit), "session": context.unit.session,
    }  # fmt: skip
    yield context.task(DATA, facts, min(size, size // 2 + context.settings.memory))


def layer_tasks(context: Context, model: ModelSpec, layers: Mapping[str, int], needs: str) -> Iterator[Task]:
    """List the RDM of each layer over the conditions of the unit; units with the same conditions share it."""
    options = values_of(context.analysis.options)
    ids = condition_ids(at_conditions(context.data, context.loaded.stimuli, options["conditions"]), context.loaded.stimuli)
    for layer, n_features in layers.items():
        facts = {
            "version": VERSION, "stimuli": context.loaded.stimuli_key, "conditions": fingerprint.of_json(ids), "metric": options["model_metric"],
            "model": inputs.model_key(model), "layer": layer,
        }  # fmt: skip
        size = 3 * len(ids) * n_features * (8 if context.settings.dtype == "float64" else 4) + 32 * len(ids) ** 2
        yield context.task(LAYER, facts, min(size, size // 3 + context.settings.memory), model=model, layer=layer, needs=needs)


def compute(task: Task, settings: Settings) -> dict[str, Any]:
    """Make the RDMs of one unit, or of one layer; return the file to be stored."""
    loaded = inputs.load(task.unit)
    options = values_of(task.analysis.options)
    data = at_conditions(tasks.select(loaded.data, task.analysis), loaded.stimuli, options["conditions"])
    rdms = _of_data(data, loaded.stimuli, task, options, settings) if task.step == DATA else _of_layer(data, loaded.stimuli, task, options, settings)
    return {DISSIMILARITIES: rdms.save}


def gather(given: Gathering) -> Part:
    """Compare the stored RDMs, with inference over subjects; see `brainenc.study.evaluations`."""
    return evaluations.gather(given, values_of(given.analysis.options), DATA)


def at_conditions(data: Responses | RDMs, stimuli: StimulusSet, selection: str | None) -> Responses | RDMs:
    """Return the data of the stimuli that a selection on their table keeps, all of them without one."""
    if isinstance(data, Responses):
        if data.is_time_series or "stimulus_id" not in data.samples:
            got = "a time series" if data.is_time_series else "no stimulus_id"
            raise InputError("RDMs are made from one response per trial, with its stimulus", where=data.name, got=got, fix="estimate betas first")
    if selection is None:
        return data
    keep = set(stimuli.ids[select(stimuli.table.reset_index(), selection)])
    if isinstance(data, RDMs):
        return data.take_conditions([name for name in data.ids if name in keep])
    return data.take_rows(np.flatnonzero(data.samples["stimulus_id"].isin(keep)), selection)


def condition_ids(data: Responses | RDMs, stimuli: StimulusSet) -> list[str]:
    """Return the names of the conditions, in the order of the RDMs; those of responses stand in the order of the stimuli."""
    if isinstance(data, RDMs):
        return [str(name) for name in data.ids]
    shown = set(data.samples["stimulus_id"])
    lost = shown.difference(stimuli.ids)
    if lost:
        raise InputError(f"{len(lost)} of {len(shown)} stimuli of the responses are not in the table of stimuli", where=data.name, got=examples(sorted(lost)))
    return [str(name) for name in stimuli.ids if name in shown]


def by_of(data: Responses | RDMs, options: Mapping[str, Any]) -> list[str]:
    """Return the columns that make groups: those asked for, else ``roi`` where the data have regions."""
    if options["by"] is not None:
        return as_list(options["by"])
    table = data.rdms if isinstance(data, RDMs) else data.targets
    return ["roi"] if "roi" in table and table["roi"].notna().any() else []


def _check_columns(data: Responses | RDMs, by: list[str], where: str) -> None:
    table = data.rdms if isinstance(data, RDMs) else data.targets
    for name in by:
        one_of(name, [str(column) for column in table], f"{where}: by")


def _n_groups(data: Responses, by: list[str]) -> int:
    return int(data.targets.groupby(by, sort=False).ngroups) if by else 1


def _of_data(data: Responses | RDMs, stimuli: StimulusSet, task: Task, options: Mapping[str, Any], settings: Settings) -> RDMs:
    if isinstance(data, RDMs):
        return data
    from brainenc import rsa

    by = by_of(data, options)
    named = data.targets[by].notna().all(axis=1).to_numpy() if by else np.ones(data.n_targets, dtype=bool)
    if not named.all():
        _warn(f"{int((~named).sum())} targets without {' and '.join(by)} are in no RDM")
        data = data.take_targets(np.flatnonzero(named))
    more = {name: options[name] for name in ("folds", "noise") if options[name] is not None}
    values = np.asarray(data.values, dtype=settings.dtype)
    rdms = rsa.rdm(
        replace(data, values=values, name=task.unit.subject or "all"), metric=options["metric"], conditions="stimulus_id", by=by or None,
        memory=settings.memory, device=settings.device, **more,
    )  # fmt: skip
    table = rdms.rdms.assign(subject=task.unit.subject or "all")
    if task.unit.session is not None:
        table = table.assign(session=task.unit.session)
    ids = condition_ids(data, stimuli)
    ordered = rdms.take_conditions(ids)
    return replace(ordered, rdms=table, conditions=stimuli.table.loc[ids].reset_index(), provenance={**rdms.provenance, **_plain(data.provenance)})


def _of_layer(data: Responses | RDMs, stimuli: StimulusSet, task: Task, options: Mapping[str, Any], settings: Settings) -> RDMs:
    from brainenc import rsa

    assert task.model is not None and task.layer is not None
    space = inputs.layer(task.model, task.unit, task.layer, batch_size=settings.batch_size, device=settings.device, seed=settings.seed)
    ids = condition_ids(data, stimuli)
    rows = space.take(ids)
    values = np.asarray(rows.values, dtype=settings.dtype)
    rdms = rsa.rdm(values, metric=options["model_metric"], conditions=pd.DataFrame({"stimulus_id": ids}), memory=settings.memory, device=settings.device)
    lost = int(np.isnan(rdms.values).sum())
    if lost:
        raise InputError(
            f"{lost} of {rdms.values.size} pairs of the layer have no {options['model_metric']} dissimilarity", where=f"{task.model.name}/{task.layer}",
            got=f"{space.n_features} features", fix='patterns that are constant have no correlation: try model_metric = "euclidean"',
        )  # fmt: skip
    return replace(rdms, rdms={"model": [task.model.name], "layer": [task.layer]}, provenance={**rdms.provenance, "n_features": space.n_features})


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a data set's facts says where data come from."""
    return {name: facts[name] for name in ("dataset", "data set", "title", "citation", "licence", "simulated") if name in facts}


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, BrainencWarning, stacklevel=3)

