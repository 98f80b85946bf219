"""What was shown: a table of stimuli and the folder or container that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.html import facts
from brainenc.core.resolver import resolve
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.tables import as_table, positions_of, unique_ids

KINDS = ("image", "text", "audio", "video", "none")


@dataclass(frozen=True, slots=True, eq=False)
class StimulusSet:
    """A set of stimuli, one row each.

    Parameters
    ----------
    table : DataFrame of n_stimuli rows
        Index (or column) ``stimulus_id``, unique. Images have a ``path`` column: a file below ``root`` or a place in a container
        (``"images.zip::a.jpg"``, ``"scenes.h5::imgs[3]"``, ``"scenes.npy::[3]"``); text has ``text``. Any other column
        (category, caption, split …) is kept.
    root : path, optional
        Folder to which ``path`` is relative.
    kind : {"image", "text", "audio", "video", "none"}
        What ``load`` returns; "none" for stimuli known by name only.
    name : str
        For reports.

    Examples
    --------
    >>> StimulusSet({"stimulus_id": ["a", "b"], "text": ["a dog", "two cats"]}, kind="text").load("b")
    'two cats'
    """

    table: pd.DataFrame
    root: Path | None = None
    kind: str = "image"
    name: str = "stimuli"

    def __post_init__(self) -> None:
        table = as_table(self.table, "StimulusSet.table")
        column = "stimulus_id" if "stimulus_id" in table.columns else None
        ids = unique_ids(table[column] if column else table.index, "stimulus_id")
        table = table.drop(columns=[column] if column else [])
        table.index = pd.Index(ids, name="stimulus_id")
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "root", None if self.root is None else Path(self.root))
        one_of(self.kind, KINDS, "kind")

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """The stimulus ids (n_stimuli,)."""
        return np.asarray(self.table.index, dtype=object)

    def load(self, stimulus_id: str) -> Any:
        """Return one stimulus: an image as uint8 (height, width, 3), a text as str.

        Raises
        ------
        InputError, NotFoundError, DataError
            For an unknown id, a table without the column that is needed, a file that cannot be read.
        """
        return resolve("brainenc.loaders.stimuli:load_stimulus")(self, stimulus_id)

    def take(self, ids: Iterable[Any]) -> StimulusSet:
        """Return the stimuli with these ids, in this order."""
        rows = positions_of([str(i) for i in ids], list(self.ids), "stimulus_ids", f"stimuli {self.name!r}")
        return replace(self, table=self.table.iloc[rows])

    def where(self, selection: str | None = None, **equals: Any) -> StimulusSet:
        """Return the stimuli that a selection keeps, e.g. ``where("category == 'face'")`` or ``where(category="face")``."""
        return replace(self, table=self.table.iloc[select(self.table, selection, **equals)])

    def save(self, path: str | Path) -> Path:
        """Write the table and where the files are (not the files themselves) to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        what = "named stimuli" if self.kind == "none" else f"{self.kind}s"
        columns = list(self.table.columns)
        shown = ", ".join(columns[:6]) + (f" … ({len(columns)} in all)" if len(columns) > 6 else "")
        return f"StimulusSet({self.name!r}, {len(self)} {what}, columns: {shown})"

    def _repr_html_(self) -> str:
        rows = {"kind": self.kind, "stimuli": len(self), "root": self.root, "columns": ", ".join(self.table.columns)}
        return facts(f"StimulusSet {self.name}", rows) + self.table.head(5).to_html(escape=True)
