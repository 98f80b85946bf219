"""The RDMs of a searchlight, where they are asked for: in memory, or in a file that is read piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import human_bytes
from brainenc.core.errors import InputError
from brainenc.io import atomic
from brainenc.nouns.neighbourhoods import Neighbourhoods
from brainenc.nouns.rdms import RDMs, frozen
from brainenc.nouns.responses import Responses

Index = npt.NDArray[np.intp]
ABOUT = ("target_id", "roi", "hemi", "x", "y", "z", "channel", "time")


class Keeper:
    """Takes the RDMs of one subject block by block and gives them as one `RDMs`, a row a centre.

    Parameters
    ----------
    n_centres, n_pairs : int
    folder : Path or None
        Where the file goes; without one everything is held in memory.
    name : str
        sha256 of the inputs: the name of the file.
    budget : int
        Bytes that may be held in memory.
    """

    def __init__(self, n_centres: int, n_pairs: int, folder: Path | None, name: str, budget: int) -> None:
        need = 8 * n_centres * n_pairs
        self.path = None if folder is None else folder / "rdms" / f"{name}.npy"
        if self.path is None:
            if need > budget:
                raise InputError(
                    "these RDMs do not fit the memory budget", where="return_rdms", expected=f"at least {human_bytes(need)}", got=human_bytes(budget),
                    fix="give store=, and they are kept in a file there; or raise memory=",
                )  # fmt: skip
            self.values: npt.NDArray[np.float64] = np.empty((n_centres, n_pairs))  # every row is written: only rows that are touched take memory
        else:
            with atomic.write_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.values = np.lib.format.open_memmap(self._unfinished, mode="w+", dtype=np.float64, shape=(n_centres, n_pairs))

    @property
    def _unfinished(self) -> Path:
        assert self.path is not None
        return self.path.with_name(f".unfinished~{self.path.name}")

    def keep(self, positions: Index, rdms: npt.NDArray[np.float64]) -> None:
        """Take the RDMs of a block."""
        self.values[positions] = rdms

    def finish(self, name: str, responses: Responses, near: Neighbourhoods, conditions: Any, metric: str, provenance: dict[str, Any]) -> RDMs:
        """Return the RDMs with a table that says which centre each belongs to; those in a file are read from there when used."""
        if self.path is None:
            values = frozen(self.values)
        else:
            with atomic.write_errors(self.path):
                self.values.flush()  # type: ignore[attr-defined]  # a memmap
                self._unfinished.replace(self.path)
            values = np.load(self.path, mmap_mode="r", allow_pickle=False)
        table = responses.targets.iloc[near.centres]
        table = table[[name for name in ABOUT if name in table]].reset_index(drop=True)
        rdms = pd.concat([pd.DataFrame({"subject": [name] * len(near)}), table.assign(n_neighbours=near.sizes)], axis=1)
        return RDMs(values, conditions, rdms, metric=metric, provenance=provenance)
