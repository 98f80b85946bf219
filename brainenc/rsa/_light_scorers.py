"""What a searchlight says about an RDM: compared with each model, regressed on all of them, or anything a function returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import real_array
from brainenc.core.errors import InputError
from brainenc.rsa._forms import REGISTRY, Form, dual, form_of, norms, prepared, sigma_tensor
from brainenc.rsa.comparing import compare

Floats = npt.NDArray[np.float64]
Tensor = torch.Tensor
KINDS = ("compare", "regression", "partial")
FEWEST_PAIRS = 3
COLLINEAR = 1e10


class Scorer(NamedTuple):
    """A function from RDMs (n_rdms, n_pairs) to scores (n_rdms, n_entries), and the table of its entries (None: known after the first)."""

    score: Callable[[Tensor], Floats]
    entries: pd.DataFrame | None
    facts: dict[str, Any]


class Side(NamedTuple):
    """The models, prepared once for a comparator that is an inner product."""

    form: Form
    unit: Tensor
    sigma: Tensor | None


def make_scorer(
    scorer: Any, models: Floats | None, table: pd.DataFrame | None, method: str, sigma_k: Any, n_conditions: int, device: torch.device,
) -> Scorer:  # fmt: skip
    """Return the scorer that the arguments of `searchlight` name."""
    if callable(scorer):
        return Scorer(lambda rdms: _called(scorer, rdms), None, {"scorer": _name(scorer)})
    if scorer not in KINDS:
        raise InputError("unknown scorer", where="searchlight", expected=f"one of {', '.join(KINDS)}, or a function", got=repr(scorer))
    if models is None or table is None:
        raise InputError("nothing to compare the RDMs with", where="searchlight", fix="give models, a function as scorer, or return_rdms=True")
    form = form_of(method)
    sigma = sigma_tensor(sigma_k, method, n_conditions)
    entries = table.assign(layer=table["layer"].astype(str) if "layer" in table else "rdm", metric=method, seed=0)
    if scorer == "compare":
        fast = _products(models, form, sigma, device) if form is not None else _with_module(method, models, sigma_k)
        omitting = lambda row, mask: compare(row, mask, method, sigma_k=sigma_k)[0]  # noqa: E731
        return Scorer(lambda rdms: _complete(rdms, fast, omitting, models), entries, {"scorer": "compare", "method": method})
    if form is None or form.fixed:
        raise InputError(
            f"{scorer} needs a comparator that is a correlation or cosine", where="searchlight", got=method,
            expected="pearson, spearman, cosine_similarity, whitened_pearson or whitened_cosine_similarity",
        )  # fmt: skip
    among = compare(models, models, method, sigma_k=sigma_k)
    _check_apart(among, table)
    finish = _weights if scorer == "regression" else _partial
    products = _products(models, form, sigma, device)

    def slow(row: Floats, mask: Floats) -> Floats:
        return finish(compare(row, mask, method, sigma_k=sigma_k), compare(mask, mask, method, sigma_k=sigma_k))[0]

    named = entries.assign(metric=f"{scorer}_{method}")
    return Scorer(lambda rdms: _complete(rdms, lambda x: finish(products(x), among), slow, models), named, {"scorer": scorer, "method": method})


def _products(models: Floats, form: Form, sigma: Tensor | None, device: torch.device) -> Callable[[Tensor], Floats]:
    """Return a function that compares RDMs with all models in one product."""
    sigma = None if sigma is None else sigma.to(device)
    ready = prepared(torch.from_numpy(models).to(device), form)
    unit = dual(ready, form, sigma) / norms(ready, form, sigma)[:, None]

    def score(rdms: Tensor) -> Floats:
        data = prepared(rdms, form)
        return ((data @ unit.T) / norms(data, form, sigma)[:, None]).cpu().numpy()

    return score


def _with_module(method: str, models: Floats, sigma_k: Any) -> Callable[[Tensor], Floats]:
    """Return a function that calls the comparator of this name."""
    module = REGISTRY.get(method)
    return lambda rdms: np.asarray(module.compare(rdms.cpu().numpy(), models, sigma_k=sigma_k), dtype=np.float64)


def _complete(rdms: Tensor, fast: Callable[[Tensor], Floats], slow: Callable[[Floats, Floats], Floats], models: Floats) -> Floats:
    """Score RDMs without missing pairs together, and each of the others on the pairs that it has."""
    if bool(torch.isfinite(rdms.sum())):
        return fast(rdms)
    known = torch.isfinite(rdms)
    whole = known.all(dim=1).cpu().numpy()
    out = np.full((len(rdms), len(models)), np.nan)
    if whole.any():
        out[whole] = fast(rdms[torch.from_numpy(whole).to(rdms.device)])
    for place in np.flatnonzero(~whole):
        here = known[place].cpu().numpy()
        if here.sum() >= FEWEST_PAIRS:
            row = rdms[place].cpu().numpy()
            out[place] = slow(np.where(here, row, np.nan)[None], np.where(here, models, np.nan))
    return out


def _weights(correlations: Floats, among: Floats) -> Floats:
    """Return standardised weights β = R⁻¹ r (n_rdms, n_models) of a multiple regression on all models."""
    return np.asarray(np.linalg.solve(among, correlations.T).T, dtype=np.float64)


def _partial(correlations: Floats, among: Floats) -> Floats:
    """Return the correlation with each model when the others are held: β_j / √(β_j² + (R⁻¹)_jj (1 − r'R⁻¹r))."""
    inverse = np.linalg.inv(among)
    weights = correlations @ inverse
    left = 1.0 - np.einsum("ij,ij->i", weights, correlations)
    out = weights / np.sqrt(weights**2 + np.diag(inverse) * np.maximum(left, 0.0)[:, None])
    return np.asarray(out, dtype=np.float64)


def _check_apart(among: Floats, table: pd.DataFrame) -> None:
    if not np.isfinite(among).all() or np.linalg.cond(among) > COLLINEAR:
        names = ", ".join(table["model"].astype(str))
        raise InputError("models cannot be told apart: one is a mixture of others, or constant", where="searchlight", got=names)


def _called(function: Callable[[Floats], npt.ArrayLike], rdms: Tensor) -> Floats:
    values = real_array(function(rdms.cpu().numpy()), "scores", f"scorer {_name(function)}")
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != len(rdms):
        expected = f"({len(rdms)},) or ({len(rdms)}, n_entries)"
        raise InputError("the scorer returned an unusable shape", where=_name(function), expected=expected, got=f"shape {values.shape}")
    return values


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def entries_of(function: Any, n_entries: int, table: pd.DataFrame | None) -> pd.DataFrame:
    """Return the table of what a function returned: the models' names where there is one column a model."""
    name = str(getattr(function, "__name__", type(function).__name__)).strip("<>")
    if table is not None and len(table) == n_entries:
        return table.assign(layer=table["layer"].astype(str) if "layer" in table else "rdm", metric=name, seed=0)
    return pd.DataFrame({"model": name, "layer": [f"column {i}" for i in range(n_entries)] if n_entries > 1 else ["rdm"], "metric": name, "seed": 0})
