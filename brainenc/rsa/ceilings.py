"""How well any model could do, given how much the subjects agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.device import resolve_device
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._inputs import groups_of
from brainenc.rsa._samples import Ceilings, engine

Floats = npt.NDArray[np.float64]


def noise_ceiling(
    data: RDMs, method: str = "pearson", *, by: str | Sequence[str] | None = None, subject: str | None = "subject", sigma_k: Any = None,
    nan: str = "omit",
) -> pd.DataFrame:  # fmt: skip
    """Return the lower and the upper noise ceiling of data RDMs.

    Lower: the mean similarity of each subject's RDM with the pooled RDM of the other subjects, which a model that knows what the others
    share would reach. Upper: with the pooled RDM of all subjects, its own included, which no model exceeds by much. Pools are means of
    unit RDMs (cosine, whitened cosine), of z-scored RDMs (Pearson, whitened Pearson), of mid-ranks (rank methods; for tau the best pool
    only nearly), of RDMs of mean 1 (Bures similarity) or of RDMs. For S subjects of pure noise the upper ceiling is about 1 / √S: it is the lower one
    that says whether there is anything to explain. For distances the lower ceiling is the larger number.

    Parameters
    ----------
    data : RDMs
        One RDM a subject and group; several are averaged first.
    method : str
        See `compare`.
    by : str or sequence of str, optional
        Columns of ``data.rdms`` that make groups.
    subject : str, optional
        Column that names the subject; without it every RDM counts as a subject.
    sigma_k : array_like, optional
        Noise covariance of the conditions.
    nan : {"omit", "raise"}
        Pairs missing in any RDM of a group are left out of that group, or refused.

    Returns
    -------
    DataFrame
        One row a group: its columns, lower, upper, n_subjects, n_pairs.

    Raises
    ------
    InputError
        With fewer than two subjects in a group.

    Notes
    -----
    Nili et al. 2014, doi:10.1371/journal.pcbi.1003553.

    Examples
    --------
    >>> x = [[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]
    >>> noise_ceiling(RDMs(x, {"condition": list("abc")}), "spearman")[["lower", "upper"]].values.round(6).tolist()
    [[1.0, 1.0]]
    """
    groups = groups_of(data, by, subject)
    values = np.array(data.values, dtype=np.float64)
    rows = []
    for group in range(len(groups.table)):
        x = groups.one_each(values, group)
        x = x[np.unique(groups.codes[group])]
        if len(x) < 2:
            raise InputError("a noise ceiling needs at least two subjects", where=f"noise_ceiling, {dict(groups.table.iloc[group])}", got=len(x))
        keep = known_pairs(x, np.empty((0, x.shape[1])), nan, "noise_ceiling")
        job = engine(method, x, x[:1], keep=keep, sigma_k=sigma_k, device=resolve_device("cpu"), copies=False)
        _, (found,) = job(torch.ones(1, data.n_conditions, dtype=torch.float64), [torch.ones(1, len(x), dtype=torch.float64)])
        lower, upper = mean_ceilings(found, torch.ones(1, len(x), dtype=torch.float64))[0]
        rows.append({"lower": lower, "upper": upper, "n_subjects": len(x), "n_pairs": int(keep.sum())})
    return pd.concat([groups.table, pd.DataFrame(rows)], axis=1)


def known_pairs(x: Floats, y: Floats, nan: str, where: str) -> npt.NDArray[np.bool_]:
    """Return which pairs every data and model RDM of a group has, or refuse that some are missing."""
    for name, values in (("data", x), ("models", y)):
        if np.isinf(values).any():
            raise InputError("RDMs hold infinite values", where=f"{where}, {name}", got=f"{int(np.isinf(values).sum())} of {values.size}")
    keep = np.asarray(~(np.isnan(x).any(axis=0) | np.isnan(y).any(axis=0)))
    if nan == "raise" and not keep.all():
        raise InputError("RDMs have missing pairs", where=where, got=f"{int((~keep).sum())} of {len(keep)} pairs", fix='pass nan="omit"')
    if keep.sum() < 3:
        raise InputError("too few pairs are in every RDM of a group", where=where, expected="at least 3", got=int(keep.sum()))
    return keep


def mean_ceilings(found: Ceilings, v: torch.Tensor) -> Floats:
    """Return the ceilings (b, 2) of samples of subjects: means weighted by how often each was drawn."""
    return np.stack([weighted_mean(part, v).cpu().numpy() for part in found], axis=1)


def weighted_mean(values: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return means over subjects (axis 1) with multiplicities v (b, n_subjects); what was not drawn cannot spoil one."""
    v = v.reshape(*v.shape, *(1,) * (values.ndim - 2))
    return torch.where(v > 0, v * values, 0.0).sum(dim=1) / v.sum(dim=1)
