"""What a task reads: one unit of a data set (a subject, or one session of one), and the features of its stimuli.

Both are kept for the length of a run, so that tasks of one unit that follow each other share them. Features are memmaps
of the extraction cache and cost little memory; only the last few units are held.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainenc.core import fingerprint
from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError
from brainenc.study.plan import WEIGHT_WORDS, Analysis, ModelSpec

if TYPE_CHECKING:
    from brainenc.nouns import FeatureSpace, RDMs, Responses, StimulusSet

HELD_UNITS = 2
HELD_FEATURES = 4
_layers: OrderedDict[str, dict[str, int]] = OrderedDict()
_features: OrderedDict[str, dict[str, Any]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Unit:
    """What is scored as one: a subject of a data set, or one session of one."""

    dataset: str
    subject: str | None = None
    session: str | None = None
    variant: str | None = None
    root: str | None = None

    @property
    def label(self) -> str:
        """Subject and session for tables: ``"WE/190923"``."""
        return "/".join(part for part in (self.subject, self.session) if part) or "all"

    @property
    def title(self) -> str:
        """The name of the data set without the folder of its manifest."""
        return Path(self.dataset).stem if self.dataset.endswith(".toml") else self.dataset


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A loaded unit with the fingerprints of its content: responses, or RDMs of all subjects of a data set that holds nothing else."""

    stimuli: StimulusSet
    data: Responses | RDMs
    stimuli_key: str
    data_key: str


def units_of(analysis: Analysis) -> list[Unit]:
    """Return the units that an analysis covers, in the order of the data set.

    Raises
    ------
    InputError
        For a subject, session or variant that the data set does not have; the message lists those it has.
    """
    from brainenc import datasets

    known = datasets.units(analysis.dataset)
    for what, wanted in (("subject", analysis.subjects), ("session", analysis.sessions), ("variant", analysis.variant and (analysis.variant,))):
        there = list(dict.fromkeys(str(unit.get(what)) for unit in known if unit.get(what) is not None))
        if what == "subject" and not there:
            continue  # one unit holds all subjects, and the selection is made in its table
        for name in wanted or ():
            if name not in there:
                expected = f"one of {', '.join(there)}" if there else "none"
                raise InputError(f"{analysis.dataset} has no {what} {name!r}", where=analysis.name, expected=expected, fix=did_you_mean(name, there))
    chosen = [
        Unit(dataset=analysis.dataset, root=analysis.root, **{k: unit.get(k) for k in ("subject", "session", "variant")})
        for unit in known
        if (analysis.subjects is None or unit.get("subject") in (None, *analysis.subjects))
        and (analysis.sessions is None or unit.get("session") in analysis.sessions)
        and unit.get("variant") == analysis.variant
    ]
    if not chosen:
        raise InputError("no unit of the data set fits", where=analysis.name, got=f"subjects {analysis.subjects}, sessions {analysis.sessions}")
    return chosen


@lru_cache(maxsize=HELD_UNITS)
def load(unit: Unit) -> Loaded:
    """Load one unit and fingerprint it."""
    from brainenc import datasets
    from brainenc.loaders.stimuli import stimulus_fingerprint

    loaded = datasets.load(unit.dataset, unit.subject, session=unit.session, variant=unit.variant, root=unit.root)
    stimuli, responses = loaded.stimuli, loaded.responses
    stimuli_key = fingerprint.of_json([stimulus_fingerprint(stimuli), fingerprint.of_table(stimuli.table)])
    if responses is None:
        assert loaded.rdms is not None  # a data set holds one or the other
        return Loaded(stimuli=stimuli, data=loaded.rdms, stimuli_key=stimuli_key, data_key=rdms_key(loaded.rdms))
    return Loaded(stimuli=stimuli, data=responses, stimuli_key=stimuli_key, data_key=responses_key(responses))


def responses_key(responses: Responses) -> str:
    """Return the sha256 of everything in responses that scores can depend on."""
    events = None if responses.events is None else fingerprint.of_table(responses.events)
    tables = [fingerprint.of_table(responses.samples), fingerprint.of_table(responses.targets), events]
    time = [responses.t_r, responses.sampling_rate, responses.provenance.get("frame_time")]
    return fingerprint.of_json([fingerprint.of_array(responses.values), tables, time, repr(responses.space)])


def rdms_key(rdms: RDMs) -> str:
    """Return the sha256 of everything in RDMs that comparisons can depend on."""
    return fingerprint.of_json([fingerprint.of_array(rdms.values), fingerprint.of_table(rdms.conditions), fingerprint.of_table(rdms.rdms), rdms.metric])


def model_key(model: ModelSpec) -> Mapping[str, Any]:
    """Return what identifies a model whatever its layers: the arguments, with a weights file as its content."""
    facts = {"name": model.name, **model.arguments()}
    if model.weights not in WEIGHT_WORDS and Path(model.weights).is_file():
        facts["weights"] = _file_key(model.weights, Path(model.weights).stat().st_mtime_ns)
    return facts


def layers_of(model: ModelSpec, unit: Unit) -> dict[str, int]:
    """Return the layers that a model's patterns match, with their numbers of features; nothing is extracted."""
    from brainenc.features import list_layers

    loaded = load(unit)
    key = fingerprint.of_json([asdict(model), loaded.stimuli_key])
    find = lambda: dict(list_layers(model.name, _patterns(model), stimuli=loaded.stimuli, **_lookup(model)))  # noqa: E731
    return _keep(_layers, key, find, 64)


def features(
    model: ModelSpec, unit: Unit, *, layers: tuple[str, ...], batch_size: int, device: str, seed: int = 0, progress: bool = False
) -> dict[str, FeatureSpace]:
    """Return ``{layer: FeatureSpace}`` for the stimuli of a unit, from the extraction cache or extracted now."""
    from brainenc.features import extract

    loaded = load(unit)

    def make() -> dict[str, FeatureSpace]:
        spaces = extract(
            loaded.stimuli, model.name, layers=list(layers), batch_size=batch_size, device=device, seed=seed, progress=progress, **model.arguments()
        )
        return {key.removeprefix(f"{model.name}/"): space for key, space in spaces.items()}

    key = fingerprint.of_json([asdict(model), list(layers), loaded.stimuli_key, batch_size, device, seed])
    return _keep(_features, key, make, HELD_FEATURES)


def layer(model: ModelSpec, unit: Unit, name: str, *, batch_size: int, device: str, seed: int) -> FeatureSpace:
    """Return one layer; all layers of the model come as memmaps in one call, because the next tasks want the others."""
    names = tuple(layers_of(model, unit))
    return features(model, unit, layers=names, batch_size=batch_size, device=device, seed=seed)[name]


def forget() -> None:
    """Drop everything held, so that a later run sees files as they are then."""
    load.cache_clear()
    _file_key.cache_clear()
    _layers.clear()
    _features.clear()


def _patterns(model: ModelSpec) -> str | list[str]:
    return list(model.layers) if isinstance(model.layers, tuple) else model.layers


def _lookup(model: ModelSpec) -> dict[str, Any]:
    """Return the arguments that `brainenc.features.list_layers` takes of those of `brainenc.extract`."""
    from brainenc.features import list_layers

    known = inspect.signature(list_layers).parameters
    return {name: value for name, value in model.arguments().items() if name in known}


def _keep(cache: OrderedDict[str, Any], key: str, make: Callable[[], Any], limit: int) -> Any:
    """Return ``cache[key]``, made when missing; the least recently used items beyond ``limit`` go."""
    if key not in cache:
        cache[key] = make()
        while len(cache) > limit:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


@lru_cache(maxsize=64)
def _file_key(path: str, changed: int) -> str:
    return fingerprint.of_file(path)
