"""The verb: a manifest's name, or the path of one, to stimuli and responses."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from brainenc.core.errors import InputError
from brainenc.datasets.catalogue import choose, manifest
from brainenc.datasets.facts import check_facts, count_missing, note_unverified
from brainenc.datasets.parsing import run_list, with_variant
from brainenc.datasets.places import Unit, context, find_folder
from brainenc.datasets.read_events import read_confounds
from brainenc.datasets.read_rdms import read_rdms
from brainenc.datasets.read_recordings import read_recordings
from brainenc.datasets.read_responses import read_responses
from brainenc.datasets.read_stimuli import only_shown, read_stimuli, stimuli_of
from brainenc.datasets.schema import Manifest
from brainenc.datasets.verifying import verify_files
from brainenc.nouns import RDMs, Responses, StimulusSet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `load` returns; it unpacks as the pair ``stimuli, responses`` (a set of RDMs gives its RDMs second, one of stimuli alone None)."""

    stimuli: StimulusSet
    responses: Responses | None = None
    rdms: RDMs | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.stimuli, self.responses if self.responses is not None else self.rdms))

    def __repr__(self) -> str:
        second = self.responses if self.responses is not None else self.rdms
        return f"Loaded({self.stimuli!r}, {second!r})"


def load(
    name_or_path: str | Path,
    subject: str | None = None,
    *,
    session: str | None = None,
    variant: str | None = None,
    root: str | Path | None = None,
    **options: Any,
) -> Loaded:
    """Load one subject (or one session of one) of a data set.

    Parameters
    ----------
    name_or_path : str or Path
        A name of `names`, or the path of a manifest or of a folder that holds ``brainenc.toml``.
    subject, session : str, optional
        May be left out where there is only one. RDM sets give all subjects without it.
    variant : str, optional
        Another reading of the same data, where the manifest names some.
    root : path, optional
        Where to look first: the folder above the data set's, or the folder itself. Then ``BRAINENC_DATA``, then the user's cache.
    **options
        For simulated sets, e.g. ``seed=1``.

    Returns
    -------
    Loaded
        ``stimuli, responses = load(…)``; ``provenance`` of the responses states licence, citation, files, missing values and what
        the manifest left unverified.

    Raises
    ------
    NotFoundError, InputError
        Unknown data set, subject, session or variant (the known ones are listed), or tables that do not fit each other.
    DataError
        Files that are missing (where they were looked for, and how to fetch them), damaged, or not as the manifest knows them.

    Examples
    --------
    >>> stimuli, brain = load("insilico", subject="01")                      # doctest: +SKIP
    """
    base = manifest(name_or_path)
    unit = choose(base, subject, session, variant)
    if base.generator:
        loaded = _generate(base, unit, options)
    else:
        if options:
            raise InputError(f"{base.name} is not simulated and takes no options", got=", ".join(options))
        loaded = _read(with_variant(base, unit["variant"]), unit, root)
    check_facts(base, unit, loaded)
    note_unverified(base, loaded.responses)
    return loaded


def _read(spec: Manifest, unit: Unit, root: str | Path | None) -> Loaded:
    folder = find_folder(spec, unit, root)
    verify_files(spec, unit, folder)
    values = context(spec, unit)
    assert spec.stimuli is not None
    read = read_responses if spec.recordings is None else read_recordings
    if spec.stimuli.from_samples is not None:
        responses = read(spec, folder, unit, None)
        where = f"{spec.name}.stimuli.from_samples"
        shown = stimuli_of(responses.samples if responses.events is None else responses.events, spec.stimuli.from_samples, where)
        return _completed(spec, folder, unit, read_stimuli(spec, folder, values, shown), responses)
    stimuli = read_stimuli(spec, folder, values)
    if spec.kind == "stimuli":
        return Loaded(stimuli)
    if spec.kind == "rdms":
        rdms = read_rdms(spec, folder, values, stimuli)
        if unit["subject"] is not None:
            rdms = rdms.where(subject=unit["subject"])
        return Loaded(stimuli, rdms=replace(rdms, provenance={**rdms.provenance, **_provenance(spec, unit)}))
    responses = read(spec, folder, unit, stimuli)
    if spec.stimuli.only_shown:
        stimuli = only_shown(stimuli, responses.samples if responses.events is None else responses.events)
    return _completed(spec, folder, unit, stimuli, responses)


def _completed(spec: Manifest, folder: Path, unit: Unit, stimuli: StimulusSet, responses: Responses) -> Loaded:
    """Return what was read with confounds, and with what is known and missing noted."""
    if spec.confounds is not None:
        runs = run_list(spec.responses.runs, spec.name) if spec.responses else ()
        extra = read_confounds(spec, responses.n_samples, folder, context(spec, unit), runs)
        responses = replace(responses, samples=pd.concat([responses.samples, extra], axis=1))
    facts: dict[str, Any] = {**responses.provenance, **_provenance(spec, unit)}
    n_missing, n_touched = count_missing(responses.values)
    if n_missing:
        facts |= {"n_missing_values": n_missing, "n_targets_with_missing": n_touched}
        logger.warning(
            "%s %s: %d missing values in %d of %d targets; they are kept apart, not filled",
            spec.name,
            responses.name,
            n_missing,
            n_touched,
            responses.n_targets,
        )
    if spec.responses is not None and spec.responses.frame_time is not None:
        facts["frame_time"] = spec.responses.frame_time
    return Loaded(stimuli, replace(responses, provenance=facts))


def _provenance(spec: Manifest, unit: Unit) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "dataset": spec.name,
        "title": spec.title,
        "citation": " ".join(part for part in (spec.citation.text, spec.citation.doi and f"doi:{spec.citation.doi}") if part),
        "licence": spec.licence.name,
        "manifest_sha256": spec.sha256,
        **{key: value for key, value in unit.items() if value is not None},
    }
    if spec.unverified:
        facts["unverified"] = list(spec.unverified)
    return facts


def _generate(spec: Manifest, unit: Unit, options: dict[str, Any]) -> Loaded:
    # the schema admits functions of brainenc.simulate only
    module, _, function = spec.generator.partition(":")
    make = getattr(importlib.import_module(module), function)
    stimuli, responses = make(subject=unit["subject"], **{**spec.options, **options})
    facts = {**responses.provenance, **_provenance(spec, unit), **({"options": options} if options else {})}
    return Loaded(stimuli, replace(responses, provenance=facts))
