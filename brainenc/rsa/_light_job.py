"""One call of the searchlight: its subjects made ready, streamed, and what fills up on the way."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core import fingerprint
from brainenc.core.checks import human_bytes
from brainenc.core.errors import InputError
from brainenc.io.store import Store
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.responses import Responses
from brainenc.rsa._choices import How
from brainenc.rsa._inputs import model_stack
from brainenc.rsa._light_areas import Areas, Reach, find_areas, survey
from brainenc.rsa._light_ceiling import ceilings
from brainenc.rsa._light_patterns import Gathered, prepare
from brainenc.rsa._light_rdms import Keeper
from brainenc.rsa._light_scorers import Scorer, entries_of, make_scorer
from brainenc.rsa._light_stream import Stream, budget_of, run
from brainenc.rsa._trials import Labels, Trials, each, trials
from brainenc.rsa.noise import NoiseModel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The arguments of the call."""

    how: How
    reach: Reach
    conditions: Any
    folds: Any
    weights: Any
    noise: Any
    residuals: Any
    dof: float | None
    method: str
    scorer: Any
    sigma_k: Any
    ceiling: bool
    nan: str
    constant: str
    min_targets: int
    min_fraction: float | None
    return_rdms: bool
    store: Store | None
    block: int | str
    memory: Any
    n_jobs: int
    device: torch.device
    progress: bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One subject, ready to be streamed."""

    name: str
    responses: Responses
    part: Trials
    areas: Areas
    patterns: Gathered
    scorer: Scorer | None
    models: tuple[Floats, pd.DataFrame] | None


@dataclass(slots=True, eq=False)
class Job:
    """What came out: ``values[subject]`` (n_entries, n_targets of the subject), the entries, and the RDMs that were kept."""

    subjects: list[Subject]
    options: Options
    entries: pd.DataFrame | None = None
    values: dict[str, Floats] = field(default_factory=dict)
    keepers: dict[str, Keeper] = field(default_factory=dict)
    from_store: int = 0
    n_blocks: int = 0


def subjects_of(responses: Responses | Mapping[str, Responses], models: Any, options: Options) -> list[Subject]:
    """Check every subject and make it ready; all have the conditions of the first, in its order."""
    named = responses if isinstance(responses, Mapping) else {responses.name if isinstance(responses, Responses) else "responses": responses}
    if not named:
        raise InputError("no responses", where="searchlight", got="an empty mapping")
    keys = [str(name) for name in named]
    out: list[Subject] = []
    for position, (name, one) in enumerate(named.items()):
        if not isinstance(one, Responses):
            fix = "be.Responses(values, samples, space=…): a searchlight needs to know where targets are"
            raise InputError("a searchlight needs Responses", where="searchlight", got=type(one).__name__, fix=fix)
        picked = {key: each(getattr(options, key), keys, position) for key in ("conditions", "folds", "weights", "noise", "residuals")}
        out.append(_subject(str(name), one, models, replace(options, **picked), out[0].part if out else None))
    if options.ceiling:
        _check_same_places(out)
    return out


def _subject(name: str, responses: Responses, models: Any, options: Options, first: Trials | None) -> Subject:
    how = options.how
    labels = Labels(options.conditions, options.folds, options.weights, crossvalidated=how.estimator.CROSSVALIDATED)
    part = _in_order_of(first, trials(responses, {}, labels)[0])
    missing, constant = survey(responses)
    areas = find_areas(
        responses, options.reach, f"searchlight of {name!r}", min_targets=options.min_targets, min_fraction=options.min_fraction, missing=missing,
        constant=constant, nan=options.nan, keep_constant=options.constant,
    )  # fmt: skip
    used = np.zeros(responses.n_targets, dtype=bool)
    used[areas.near.indices] = True
    patterns = prepare(responses, part, how, options.noise, options.residuals, options.dof, used)
    stack = scorer = None
    if models is not None:
        blank = np.zeros((1, patterns.n_pairs))
        stack = model_stack(models, RDMs(blank, part.table), "searchlight")
    if stack is not None or callable(options.scorer):
        values, table = stack if stack is not None else (None, None)
        scorer = make_scorer(options.scorer, values, table, options.method, options.sigma_k, part.n_conditions, options.device)
    return Subject(name, responses, part, areas, patterns, scorer, stack)


def _in_order_of(first: Trials | None, part: Trials) -> Trials:
    """Return trials whose conditions stand in the order of those of the first subject."""
    if first is None:
        return part
    mine, wanted = list(part.table.iloc[:, 0]), list(first.table.iloc[:, 0])
    if mine == wanted:
        return part
    if set(mine) != set(wanted):
        got = f"{len(set(wanted) - set(mine))} missing, {len(set(mine) - set(wanted))} others"
        raise InputError("subjects have different conditions", where=f"searchlight of {part.name!r}", expected=f"{len(wanted)} conditions", got=got)
    place = pd.Index(wanted).get_indexer(pd.Index(mine))
    table = part.table.iloc[np.argsort(place)].reset_index(drop=True)
    return replace(part, condition=place[part.condition], table=table)


def _check_same_places(subjects: list[Subject]) -> None:
    """Ceilings compare the same neighbourhoods of all subjects."""
    if len(subjects) < 2:
        raise InputError("a noise ceiling needs several subjects", where="ceiling", expected="at least two", got=len(subjects))
    first = subjects[0].areas.near
    for other in subjects[1:]:
        near = other.areas.near
        same = near.n_targets == first.n_targets and np.array_equal(near.centres, first.centres) and np.array_equal(near.starts, first.starts)
        if not same or not np.array_equal(near.indices, first.indices):
            fix = "bring all subjects to one space, and leave out the targets that any of them lacks"
            raise InputError("subjects have different neighbourhoods", where="ceiling", got=f"{subjects[0].name!r} and {other.name!r}", fix=fix)


def run_job(subjects: list[Subject], options: Options) -> Job:
    """Stream every subject, or all at once where ceilings are asked for."""
    job = Job(subjects, options)
    for group in [subjects] if options.ceiling else [[one] for one in subjects]:
        _run_group(job, group)
    return job


def _run_group(job: Job, group: list[Subject]) -> None:
    options, near = job.options, group[0].areas.near
    budget = _budget_beside(group, options)
    stream = Stream(near, [one.patterns for one in group], lambda rdms: _score(rdms, group, options), budget, options.device)
    blocks = stream.blocks(options.block, keep=options.return_rdms)
    key = _key(group, options) if options.store is not None else ""
    for one in group:
        if options.return_rdms:
            name = fingerprint.of_json([key, one.name])
            folder = None if options.store is None else options.store.root
            job.keepers[one.name] = Keeper(len(near), one.patterns.n_pairs, folder, name, budget)
    keepers = [job.keepers[one.name] for one in group] if options.return_rdms else []
    label = f"searchlight {', '.join(one.name for one in group[:3])}"
    found, known = run(stream, blocks, store=options.store, key=key, keepers=keepers, n_jobs=options.n_jobs, progress=options.progress, label=label)
    job.from_store, job.n_blocks = job.from_store + known, job.n_blocks + len(blocks)
    n_entries = found[0].shape[2]
    for subject, one in enumerate(group):
        values = np.full((n_entries, one.responses.n_targets), np.nan)
        for positions, scores in zip(blocks, found, strict=True):
            values[:, near.centres[positions]] = scores[subject].T
        job.values[one.name] = values
    job.entries = _entries(group[0], n_entries, options)


def _score(rdms: list[torch.Tensor], group: list[Subject], options: Options) -> Floats:
    """Return scores (n_subjects, n_centres, n_entries); the ceilings are the last two entries."""
    parts = [one.scorer.score(values) if one.scorer is not None else np.empty((len(values), 0)) for one, values in zip(group, rdms, strict=True)]
    out = np.stack(parts)
    if options.ceiling:
        out = np.concatenate([out, ceilings(rdms, options.method, options.sigma_k, group[0].part.n_conditions)], axis=2)
    return out


def _entries(subject: Subject, n_entries: int, options: Options) -> pd.DataFrame:
    own = n_entries - 2 * options.ceiling
    if subject.scorer is None:
        table = pd.DataFrame({"model": [], "layer": [], "metric": [], "seed": []})
    elif subject.scorer.entries is not None:
        table = subject.scorer.entries
    else:
        table = entries_of(options.scorer, own, None if subject.models is None else subject.models[1])
    if options.ceiling:
        more = pd.DataFrame({"model": "ceiling", "layer": ["lower", "upper"], "metric": options.method, "seed": 0})
        table = pd.concat([table, more], ignore_index=True)
    return table


def _budget_beside(group: list[Subject], options: Options) -> int:
    """Return the bytes of each block, what the patterns of the subjects take having been set aside."""
    held = sum(one.patterns.n_bytes for one in group)
    whole = budget_of(options.memory, 1)
    if held >= whole:
        raise InputError("the patterns alone exceed the memory budget", where="memory", expected=f"more than {human_bytes(held)}", got=human_bytes(whole))
    return budget_of(whole - held, options.n_jobs)


def _key(group: list[Subject], options: Options) -> str:
    """Return the sha256 of everything that the scores depend on."""
    how = options.how
    scorer = options.scorer if isinstance(options.scorer, str) else _source(options.scorer)
    facts: dict[str, Any] = {
        "metric": how.metric, "squared": how.squared, "per_channel": how.per_channel, "weighting": how.weighting, "center": how.center,
        "prior": list(how.prior), "method": options.method, "scorer": scorer, "ceiling": options.ceiling,
        "sigma_k": None if options.sigma_k is None else np.asarray(options.sigma_k, dtype=np.float64), "dof": options.dof,
        "noise": _noise_facts(options.noise), "residuals": _array_facts(options.residuals), "device": options.device.type,
    }  # fmt: skip
    for position, one in enumerate(group):
        facts[f"subject {position}"] = {
            "values": np.asanyarray(one.responses.values), "condition": one.part.condition, "conditions": [str(v) for v in one.part.table.iloc[:, 0]],
            "fold": one.part.fold, "weight": one.part.weight, "models": None if one.models is None else one.models[0],
            "centres": one.areas.near.centres, "indices": one.areas.near.indices, "starts": one.areas.near.starts,
        }  # fmt: skip
    return fingerprint.of_json(facts)


def _noise_facts(noise: Any) -> Any:
    if isinstance(noise, NoiseModel):
        return {"diagonal": noise.diagonal, "factor": noise.factor, "matrix": noise.matrix, "holds": noise.holds}
    if isinstance(noise, Mapping):
        return {str(name): _noise_facts(one) for name, one in noise.items()}
    return [_noise_facts(one) for one in noise] if isinstance(noise, list | tuple) else noise


def _array_facts(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {str(name): _array_facts(one) for name, one in values.items()}
    return None if values is None else np.asanyarray(values.values if hasattr(values, "values") else values)


def _source(function: Any) -> list[str]:
    """Return what tells one function from another: its name and, where it can be had, its text. What it closes over is not seen."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = ""
    return [f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}", text]
