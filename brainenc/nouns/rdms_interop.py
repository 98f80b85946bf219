"""RDMs to and from rsatoolbox."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.core.extras import need
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.tables import need_column

NAMES = ("stimulus_id", "condition", "conds")


def to_rsatoolbox(rdms: RDMs) -> Any:
    """Return an `rsatoolbox.rdm.RDMs`: condensed values (a copy), ``conditions`` and ``rdms`` as descriptors.

    Parameters
    ----------
    rdms : RDMs

    Raises
    ------
    MissingExtraError
        Where rsatoolbox is not installed.
    """
    theirs = need("rsatoolbox.rdm", "peers", purpose="RDMs.to_rsatoolbox")
    return theirs.RDMs(
        dissimilarities=np.array(rdms.values), dissimilarity_measure=rdms.metric,
        pattern_descriptors={c: rdms.conditions[c].to_list() for c in rdms.conditions},
        rdm_descriptors={c: rdms.rdms[c].to_list() for c in rdms.rdms},
    )  # fmt: skip


def from_rsatoolbox(rdms: Any, *, condition: str | None = None) -> RDMs:
    """Return our RDMs of an `rsatoolbox.rdm.RDMs`, see `brainenc.RDMs.from_rsatoolbox`."""
    if not hasattr(rdms, "dissimilarities") or not hasattr(rdms, "pattern_descriptors"):
        raise InputError("not the RDMs of rsatoolbox", where="RDMs.from_rsatoolbox", got=type(rdms).__name__)
    conditions = pd.DataFrame({k: list(v) for k, v in rdms.pattern_descriptors.items()})
    name = _name(conditions, condition)
    if name not in ("stimulus_id", "condition"):
        conditions = conditions.drop(columns=["condition"], errors="ignore").rename(columns={name: "condition"})
    if name == "condition" and "stimulus_id" in conditions:
        conditions = conditions.rename(columns={"stimulus_id": "other_stimulus_id"})
    if name != "index":
        conditions = conditions.drop(columns="index", errors="ignore")
    table = pd.DataFrame({k: list(v) for k, v in rdms.rdm_descriptors.items()}, index=range(len(rdms.dissimilarities)))
    return RDMs(
        np.array(rdms.dissimilarities, dtype=np.float64), conditions, table.drop(columns="index", errors="ignore"),
        rdms.dissimilarity_measure or "unknown", {"source": "rsatoolbox"},
    )  # fmt: skip


def _name(conditions: pd.DataFrame, asked: str | None) -> str:
    if asked is not None:
        need_column(conditions, asked, "pattern descriptors of the rsatoolbox RDMs")
        return asked
    for name in NAMES:
        if name in conditions:
            return name
    different = [c for c in conditions if c != "index" and conditions[c].is_unique]
    if len(different) == 1:
        return str(different[0])
    need_column(conditions, "index", "pattern descriptors of the rsatoolbox RDMs")
    return "index"
