"""Known facts of a data set, checked whenever it is loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from brainenc.core.errors import DataError, InputError
from brainenc.datasets.schema import Check, Manifest

if TYPE_CHECKING:
    from brainenc.datasets.loading import Loaded
    from brainenc.nouns import Responses

logger = logging.getLogger(__name__)
_HEADER_TOLERANCE = 0.01


def check_facts(manifest: Manifest, unit: Mapping[str, str | None], loaded: Loaded) -> None:
    """Raise `DataError` when a known fact does not hold; it names the check, what was expected and what was found.

    A check that nobody has verified is logged instead: the memory may be what is wrong.
    """
    for position, check in enumerate(manifest.checks):
        if any(
            wanted is not None and wanted != unit.get(what) for what, wanted in (("subject", check.subject), ("session", check.session))
        ):
            continue
        if check.variant != unit.get("variant") and (check.variant is not None or unit.get("variant") is not None):
            continue  # a check without a variant is about the plain reading
        found = _quantity(check, loaded)
        if not (abs(found - check.expected) <= check.tolerance):
            selection = f" where {check.where}" if check.where else ""
            if f"checks[{position}]" in manifest.unverified:
                logger.warning(
                    "%s: %s%s is %g, the manifest has %g from memory; either may be wrong", manifest.name, check.quantity, selection, found, check.expected
                )
                continue
            raise DataError(
                f"{manifest.name} is not as it is known to be", where=f"check of {check.quantity}{selection}, {_unit(unit)}",
                expected=f"{check.expected:g}" + (f" ± {check.tolerance:g}" if check.tolerance else ""), got=f"{found:g}",
                fix="the files are other ones, or damaged: fetch them again",
            )  # fmt: skip


def note_unverified(manifest: Manifest, responses: Responses | None) -> None:
    """Log what nobody has verified, and test the repetition time against the image header.

    A header that contradicts an unverified ``t_r`` is an error; one that contradicts a verified ``t_r`` is logged, since headers are
    often wrong.
    """
    if manifest.unverified:
        logger.info("%s: not verified by anybody: %s", manifest.name, ", ".join(manifest.unverified))
    if responses is None or responses.t_r is None:
        return
    header = (responses.provenance.get("header") or {}).get("t_r")
    if header is None or abs(header - responses.t_r) <= _HEADER_TOLERANCE * responses.t_r:
        return
    if any(key in ("responses.t_r", "responses", "everything") for key in manifest.unverified):
        raise DataError(
            "repetition time of the manifest is unverified and the header has another", where=f"{manifest.name}.responses.t_r",
            expected=f"{responses.t_r:g} s", got=f"{header:g} s", fix="find out which is right and correct the manifest",
        )  # fmt: skip
    logger.warning("%s: t_r is %g s in the manifest and %g s in the header; the manifest is used", manifest.name, responses.t_r, header)


def count_missing(values: Any) -> tuple[int, int]:
    """Return the number of NaN values, and of targets that have any; memmaps are read piecewise."""
    if values.dtype.kind != "f":
        return 0, 0
    total = 0
    touched = np.zeros(values.shape[1], dtype=bool)
    step = max(1, 2**25 // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        missing = ~np.isfinite(values[start : start + step])
        total += int(missing.sum())
        touched |= missing.any(axis=0)
    return total, int(touched.sum())


def _quantity(check: Check, loaded: Loaded) -> float:
    responses, rdms = loaded.responses, loaded.rdms
    if check.quantity == "n_stimuli":
        return float(len(loaded.stimuli))
    if check.quantity in ("n_rdms", "n_conditions"):
        if rdms is None:
            raise InputError("check needs RDMs", where=check.quantity)
        return float(getattr(rdms, check.quantity))
    if responses is None:
        raise InputError("check needs responses", where=check.quantity)
    if check.where:
        responses = responses.where(check.where)
    if check.quantity in ("n_samples", "n_targets"):
        return float(getattr(responses, check.quantity))
    if check.quantity == "n_runs":
        return float(responses.samples["run"].nunique()) if "run" in responses.samples else 0.0
    if check.quantity == "n_events":
        return float(len(responses.events)) if responses.events is not None else 0.0
    if check.quantity == "max_repeats":
        return float(responses.samples["stimulus_id"].value_counts().max())
    if check.quantity == "n_nan":
        return float(count_missing(responses.values)[0])
    return float(np.nanmean(np.asarray(responses.values, dtype=np.float64)))


def _unit(unit: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key} {value}" for key, value in unit.items() if value is not None) or "all"
