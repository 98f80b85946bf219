"""Model RDMs and data RDMs as arrays with tables: over the same conditions, in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]


def aligned(rdms: RDMs, ids: npt.ArrayLike, where: str) -> Floats:
    """Return the values (n_rdms, n_pairs) in float64 with the conditions in the order of ``ids``; other sets of conditions are refused."""
    mine, wanted = list(rdms.ids), list(np.asarray(ids, dtype=object))
    values = np.array(rdms.values, dtype=np.float64)  # a copy: torch wants arrays it could write into
    if mine == wanted:
        return values
    if set(mine) != set(wanted):
        lost = [i for i in wanted if i not in set(mine)]
        raise InputError(
            "RDMs are over different conditions", where=where, expected=f"the {len(wanted)} conditions of the data",
            got=f"{len(mine)} conditions" + (f", without {examples(lost)}" if lost else ""), fix="select the shared conditions first",
        )  # fmt: skip
    order = pd.Index(mine).get_indexer(pd.Index(wanted))
    upper = np.triu_indices(len(order), 1)
    table = np.zeros((len(order), len(order)), dtype=np.intp)
    table[upper] = table[upper[::-1]] = np.arange(values.shape[1])
    return values[:, table[order[upper[0]], order[upper[1]]]]


def model_stack(models: RDMs | Mapping[str, RDMs], data: RDMs, where: str) -> tuple[Floats, pd.DataFrame]:
    """Return model RDMs (n_models, n_pairs) and their table, with a column ``model`` first.

    An `RDMs` gives one model a row; a mapping names them, and where an entry holds several RDMs its other columns (layer) tell them
    apart. Rows without a column ``model`` are called after ``layer`` or their number.
    """
    if isinstance(models, RDMs):
        table = named(models.rdms)
        _check_apart(table, where)
        return aligned(models, data.ids, where), table
    if not isinstance(models, Mapping) or not models:
        raise InputError("no models", where=where, expected="RDMs, or a mapping of names to RDMs", **found(models))
    parts, tables = [], []
    for name, rdms in models.items():
        if not isinstance(rdms, RDMs):
            raise InputError("only RDMs have no parameters to fit", where=f"{where}, model {name!r}", expected="RDMs", got=type(rdms).__name__,
                             fix="use evaluate or crossvalidate for flexible models")  # fmt: skip
        parts.append(aligned(rdms, data.ids, f"{where}, model {name!r}"))
        table = rdms.rdms.drop(columns="model", errors="ignore")
        table.insert(0, "model", str(name))
        tables.append(table if rdms.n_rdms > 1 else table[["model"]])
    table = pd.concat(tables, ignore_index=True)
    _check_apart(table, where)
    return np.concatenate(parts), table


def _check_apart(table: pd.DataFrame, where: str) -> None:
    """Refuse models whose names and other columns are all equal."""
    if table.duplicated().any():
        raise InputError("models cannot be told apart", where=where, got=examples(table["model"][table.duplicated()]),
                         fix="give the RDMs of one model a column like layer")  # fmt: skip


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of models whose first column is ``model``."""
    table = table.copy()
    if "model" in table:
        names = table.pop("model").astype(str)
    elif "layer" in table:
        names = table["layer"].astype(str)
    else:
        names = pd.Series([f"model {i + 1}" for i in range(len(table))], index=table.index)
    table.insert(0, "model", names)
    return table


class Groups(NamedTuple):
    """Data RDMs by group and subject.

    ``table`` has one row a group (the ``by`` columns); ``subjects`` their names; ``rows[g]`` the RDMs of group g and ``codes[g]`` the
    subject of each.
    """

    table: pd.DataFrame
    subjects: npt.NDArray[np.object_]
    rows: list[npt.NDArray[np.intp]]
    codes: list[npt.NDArray[np.intp]]

    def one_each(self, values: Floats, group: int) -> Floats:
        """Return the mean RDM of each subject (n_subjects, n_pairs) in a group; NaN rows where a subject has none."""
        out = np.full((len(self.subjects), values.shape[1]), np.nan)
        for code in np.unique(self.codes[group]):
            out[code] = values[self.rows[group][self.codes[group] == code]].mean(axis=0)
        return out

    def averaged(self, values: Floats) -> tuple[Floats, Groups]:
        """Return one RDM a subject and group (n_rows, n_pairs), group after group, and the groups of these.

        A pair that any subject of a group lacks is NaN in all of its RDMs, so that all are compared over the same pairs.
        """
        parts, codes = [], [np.unique(one) for one in self.codes]
        for group, here in enumerate(codes):
            x = self.one_each(values, group)[here]
            parts.append(np.where(np.isfinite(x).all(axis=0), x, np.nan))
        starts = np.cumsum([0, *map(len, parts)])
        rows = [np.arange(start, stop) for start, stop in zip(starts[:-1], starts[1:], strict=True)]
        return np.concatenate(parts), Groups(self.table, self.subjects, rows, codes)


def groups_of(data: RDMs, by: str | Sequence[str] | None, subject: str | None) -> Groups:
    """Cut data RDMs into the groups that the columns ``by`` make; without a column "subject" every RDM is its own subject."""
    columns = [] if by is None else [by] if isinstance(by, str) else list(by)
    for column in columns:
        need_column(data.rdms, column, "data.rdms")
    if subject not in (None, "subject"):
        # a name that was asked for and is not there would make a subject of every RDM
        need_column(data.rdms, subject, "data.rdms")
    if subject is not None and subject in data.rdms:
        codes, names = pd.factorize(data.rdms[subject].astype(str))
    else:
        codes, names = np.arange(data.n_rdms), np.array([str(i) for i in range(data.n_rdms)], dtype=object)
    if columns:
        keys = data.rdms.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
        table = data.rdms[columns].drop_duplicates().reset_index(drop=True)
    else:
        keys, table = np.zeros(data.n_rdms, dtype=np.intp), pd.DataFrame({"group": ["all"]})
    rows = [np.flatnonzero(keys == g) for g in range(len(table))]
    return Groups(table, np.asarray(names, dtype=object), rows, [np.asarray(codes[r], dtype=np.intp) for r in rows])


def check_complete(values: Floats, what: str, where: str, fix: str) -> None:
    """Refuse RDMs with missing pairs."""
    missing = ~np.isfinite(values)
    if missing.any():
        raise InputError(f"{what} has missing pairs", where=where, expected="finite numbers", got=f"{int(missing.sum())} NaN or infinite", fix=fix)


def found(given: Any) -> dict[str, Any]:
    """Return what a message says of something that is no RDMs of ours: its type, and how RDMs of rsatoolbox are read."""
    package = type(given).__module__.split(".")[0]
    if package == "rsatoolbox":
        return {"got": f"{package} {type(given).__name__}", "fix": "be.RDMs.from_rsatoolbox(x) reads them"}
    return {"got": type(given).__name__}
