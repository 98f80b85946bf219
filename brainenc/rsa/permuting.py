"""Is a model related to the data at all? Mantel tests that relabel conditions, and sign flips over subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of, real_array, whole
from brainenc.core.errors import InputError
from brainenc.linalg.plan import plan_chunks
from brainenc.linalg.relabelling import relabelled, relabelled_products
from brainenc.metrics.flips import flipped_t
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permutations, sign_flips
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._forms import REGISTRY, Form, dual, form_of, norms, positive_root, prepared, sigma_tensor
from brainenc.rsa._inputs import Groups, check_complete, groups_of, model_stack
from brainenc.rsa._tails import families_of, probabilities
from brainenc.rsa._zero import check_zero
from brainenc.rsa.comparing import compare

Floats = npt.NDArray[np.float64]
Tensor = torch.Tensor
WHERE = "permutation_test"


def permutation_test(
    models: RDMs | Mapping[str, RDMs], data: RDMs, *, method: str = "pearson", by: str | Sequence[str] | None = None,
    subject: str | None = "subject", n: int = 1000, seed: int = 0, maximum_over: str | Sequence[str] = ("model",), tail: str = "greater",
    statistic: str = "mean", control: RDMs | Mapping[str, RDMs] | None = None, sigma_k: npt.ArrayLike | None = None, nan: str = "raise",
    memory: str | int = "512MB",
) -> pd.DataFrame:  # fmt: skip
    """Test every model against every group of data RDMs by relabelling its conditions (Mantel).

    The statistic is the comparison of the model with each subject's RDM, averaged over subjects. Under the null the rows and columns of
    the model RDM are in no relation to those of the data, so they are permuted together; single pairs are never permuted, as pairs that
    share a condition are dependent. The same relabellings serve all models, groups and subjects, so that the maximum over them
    is a valid null for the largest of all (Westfall & Young).

    Parameters
    ----------
    models : RDMs or mapping of names to RDMs
        One model a row, without missing pairs. Conditions are matched by name.
    data : RDMs
        One RDM a subject and group; several of one subject in a group are averaged first.
    method : str
        A comparator of `compare`. For distances, small values are the tail that is tested.
    by : str or sequence of str, optional
        Columns of ``data.rdms`` (roi, time …) that make groups.
    subject : str, optional
        Column that names the subject; without it every RDM counts as a subject.
    n : int
        Relabellings.
    seed : int
    maximum_over : str or sequence of str
        What the family-wise ``p_max`` covers: ``"model"`` is every row of the models, other names are columns of models or groups, as in
        ``("model", "time")``.
    tail : {"greater", "two-sided"}
        Two-sided counts distances from the mean of the null.
    statistic : {"mean", "z"}
        What maxima are taken of: the scores, or the scores divided by the standard deviation of their null.
    control : RDMs or mapping, optional
        RDMs partialled out of models and data (partial Mantel). The residuals of the model are what is relabelled, and the controls are
        partialled out of them again.
    sigma_k : array_like of shape (n_conditions, n_conditions) or (n_conditions,), optional
        Noise covariance of the conditions of the data, for whitened methods; it stays with the data.
    nan : {"raise", "omit"}
        Pairs missing in any RDM of a group: refuse, or leave them out of that group.
    memory : str or int
        Bound on the relabelled RDMs that are held at once. It does not change the result.

    Returns
    -------
    DataFrame
        One row a group and model: the columns of ``by``, the columns of the models, method, score, null_mean, null_sd, p, p_max, q
        (Benjamini-Hochberg over all rows), n, n_subjects, n_conditions, n_pairs.
        p = (1 + hits) / (1 + n).

    Raises
    ------
    InputError
        Missing pairs, different conditions, controls with a comparator that is no inner product.

    Notes
    -----
    Mantel 1967. Residuals of the null model as in Legendre 2000, doi:10.1080/00949650008812035 (from memory), with the roles of the two
    sides exchanged; the partial test is approximate.

    Examples
    --------
    >>> import numpy as np
    >>> from brainenc import RDMs
    >>> values = np.random.default_rng(0).random((2, 28))
    >>> conditions = {"condition": list("abcdefgh")}
    >>> data = RDMs(values[0] + 0.1 * values, conditions, {"subject": ["01", "02"]})
    >>> permutation_test({"true": RDMs(values[:1], conditions)}, data, n=99)["p"].tolist()
    [0.01]
    """
    one_of(statistic, ("mean", "z"), "statistic")
    stack, table, orders = _checked(models, data, n, seed, nan, method)
    values, groups = groups_of(data, by, subject).averaged(np.array(data.values, dtype=np.float64))
    job = _Job(torch.from_numpy(stack), values, groups, method, sigma_tensor(sigma_k, method, data.n_conditions), orders, memory)
    form = form_of(method)
    if control is not None:
        scores = _partial(job, form, model_stack(control, data, f"{WHERE}, control")[0])
    elif form is None or (form.whitened and not np.isfinite(values).all()):
        scores = _by_comparator(job)
    else:
        scores = _linear(job, form)
    sign = -1.0 if form is None and REGISTRY.get(method).KIND == "distance" else 1.0
    families = families_of(table, groups.table, maximum_over)
    flat = scores.transpose(0, 2, 1).reshape(len(scores), -1)
    p, p_max = probabilities(sign * flat, families.reshape(-1), tail, standardize=statistic == "z")
    return _table(job, table, flat, p, p_max)


def sign_flip_test(
    scores: Any, *, n: int = 1000, seed: int = 0, maximum_over: str | Sequence[str] = ("model",), tail: str = "greater", statistic: str = "t"
) -> pd.DataFrame:
    """Test scores of subjects against zero by flipping their signs, with a maximum statistic.

    Under the null the scores of a subject are symmetric about zero in all cells together, so its sign is flipped in all of them at once.
    It speaks of new subjects and these conditions: a model that is like the data by the chance of these conditions is like them in everyone.
    Where 2^n_subjects − 1 ≤ n every pattern is used and the test is exact.

    Parameters
    ----------
    scores : Evaluation, or array_like of shape (n_subjects, …)
        An `Evaluation` gives cells by group and model; an array has one cell an element, of axes ``cell``, or ``axis_0``, ``axis_1`` ….
    n : int
    seed : int
    maximum_over : str or sequence of str
        For an `Evaluation` as in `permutation_test`; an array is one family.
    tail : {"greater", "two-sided"}
    statistic : {"t", "mean"}
        t = mean / (sd / √n_subjects), or the mean.

    Returns
    -------
    DataFrame
        One row a cell: its labels, score (mean over subjects), t, p, p_max, q, n (patterns drawn), n_subjects.

    Raises
    ------
    InputError
        A subject without a score in some cell: flips of incomplete subjects are not exchangeable across cells.

    Examples
    --------
    >>> import numpy as np
    >>> sign_flip_test(np.arange(1.0, 9.0), n=255)["p"].tolist()
    [0.00390625]
    """
    one_of(statistic, ("t", "mean"), "statistic")
    whole(n, "n (sign patterns)", "sign_flip_test", least=1)
    values, labels, families = _cells(scores, maximum_over)
    if not np.isfinite(values).all():
        raise InputError("subjects lack scores", where="sign_flip_test", expected="a finite score of every subject in every cell",
                         got=f"{int((~np.isfinite(values)).sum())} missing", fix="select the complete subjects first")  # fmt: skip
    signs = np.concatenate([np.ones((1, len(values))), sign_flips(len(values), n, seed, "sign_flip_test")])
    t = flipped_t(values, signs)
    p, p_max = probabilities(t if statistic == "t" else signs @ values / len(values), families, tail)
    out = labels.assign(score=values.mean(axis=0), t=t[0], p=p, p_max=p_max, q=fdr_bh(p), n=len(signs) - 1, n_subjects=len(values))
    return out.reset_index(drop=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What every engine needs: models (n_models, n_pairs), data (n_rdms, n_pairs), groups, orders (1 + n, n_conditions), identity first."""

    models: Tensor
    data: Floats
    groups: Groups
    method: str
    sigma: Tensor | None
    orders: Tensor
    memory: str | int

    def chunks(self, n_gathered: int, copies: int = 3) -> list[slice]:
        """Return slices of the relabellings such that ``copies`` buffers of (slice, n_gathered, n_pairs) fit into the memory."""
        each = 8 * self.models.shape[1] * (copies * n_gathered + 1)
        return plan_chunks(self.memory, len(self.orders), fixed=0, per_column=each, smallest=1).slices()

    def empty(self) -> Floats:
        """Return scores (1 + n, n_models, n_groups) to be filled."""
        return np.full((len(self.orders), len(self.models), len(self.groups.rows)), np.nan)


def _checked(models: RDMs | Mapping[str, RDMs], data: RDMs, n: int, seed: int, nan: str, method: str) -> tuple[Floats, pd.DataFrame, Tensor]:
    """Return the models, their table and the relabellings, the identity first."""
    one_of(nan, ("raise", "omit"), "nan")
    form_of(method)
    whole(n, "n (relabellings)", WHERE, least=1)
    stack, table = model_stack(models, data, WHERE)
    check_complete(stack, "a model", WHERE, "relabelling would move the missing pairs: give complete model RDMs")
    if nan == "raise":
        check_complete(np.asarray(data.values), "the data", WHERE, 'pass nan="omit" to leave such pairs out of their group')
    drawn = np.stack([np.arange(data.n_conditions), *permutations(data.n_conditions, n, seed, WHERE)])
    return stack, table, torch.from_numpy(drawn)


def _linear(job: _Job, form: Form) -> Floats:
    """Return scores of an inner-product comparator: one product of the models with the mean unit RDM of each group, a relabelling."""
    out = job.empty()
    keeps = [torch.from_numpy(np.isfinite(job.data[rows[0]])) for rows in job.groups.rows]
    whole = [g for g, keep in enumerate(keeps) if bool(keep.all())]
    if whole:
        x = prepared(job.models, form)
        targets = torch.stack([_target(job, g, form, None) for g in whole])
        moving = form.whitened and job.sigma is not None
        fixed = norms(x, form, job.sigma)
        for part in job.chunks(max(len(x), len(whole)) if moving else min(len(x), len(whole)), 3 + 2 * moving):
            scale = norms(relabelled(x, job.orders[part]), form, job.sigma) if moving else fixed.expand(part.stop - part.start, -1)
            out[part][:, :, whole] = (relabelled_products(x, targets, job.orders[part]) / scale[..., None]).numpy()
    for g in sorted(set(range(len(keeps))) - set(whole)):
        # missing pairs change what ranks, means and norms are of: they are taken anew for every relabelling
        target = _target(job, g, form, keeps[g])
        for part in job.chunks(len(job.models), 8):
            x = prepared(relabelled(job.models, job.orders[part])[..., keeps[g]], form)
            out[part, :, g] = ((x @ target) / norms(x, form)).numpy()
    return out


def _target(job: _Job, group: int, form: Form, keep: Tensor | None) -> Tensor:
    """Return the mean over subjects of Wy/|y| (n_pairs,) of a group."""
    y = torch.from_numpy(job.data[job.groups.rows[group]])
    y = prepared(y if keep is None else y[:, keep], form)
    return (dual(y, form, job.sigma) / norms(y, form, job.sigma)[:, None]).mean(dim=0)


def _partial(job: _Job, form: Form | None, control: Floats) -> Floats:
    """Return partial correlations given the controls, which are partialled out of models, data and relabelled residuals."""
    if form is None or form.fixed:
        raise InputError("controls need a comparator that is an inner product", where=f"{WHERE}, control", got=repr(job.method),
                         expected="cosine_similarity, pearson, spearman or a whitened form")  # fmt: skip
    check_complete(job.data, "the data", WHERE, "controls need complete RDMs")
    check_complete(control, "a control", WHERE, "give complete control RDMs")
    basis = _basis(prepared(torch.from_numpy(control), form), form, job.sigma)
    basis_dual = dual(basis, form, job.sigma)

    def residual(x: Tensor) -> Tensor:
        return x - (x @ basis_dual.T) @ basis

    raw = prepared(job.models, form)
    models = residual(raw)
    out = job.empty()
    targets = []
    for rows in job.groups.rows:
        raw_y = prepared(torch.from_numpy(job.data[rows]), form)
        y = residual(raw_y)
        duals = dual(y, form, job.sigma)
        size = positive_root((y * duals).sum(dim=-1), (raw_y**2).sum(dim=-1))
        targets.append((duals / size[:, None]).mean(dim=0))
    target = torch.stack(targets)
    for part in job.chunks(len(models), 6):
        x = relabelled(models, job.orders[part])
        squared = (x * dual(x, form, job.sigma)).sum(dim=-1) - ((x @ basis_dual.T) ** 2).sum(dim=-1)
        out[part] = ((x @ target.T) / positive_root(squared, (raw**2).sum(dim=-1).expand_as(squared))[..., None]).numpy()
    return out


def _basis(control: Tensor, form: Form, sigma: Tensor | None) -> Tensor:
    """Return an orthonormal basis (rank, n_pairs) of the controls in the metric of the comparator."""
    gram = control @ dual(control, form, sigma).T
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    keep = values > 1e-10 * values.max()
    return (vectors[:, keep] / values[keep].sqrt()).T @ control


def _by_comparator(job: _Job) -> Floats:
    """Return scores of any comparator, a chunk of relabelled models at a time."""
    out = job.empty()
    sigma = None if job.sigma is None else job.sigma.numpy()
    k, n_pairs = job.models.shape
    for part in job.chunks(k, 6):
        x = relabelled(job.models, job.orders[part]).reshape(-1, n_pairs).numpy()
        for g, rows in enumerate(job.groups.rows):
            out[part, :, g] = compare(x, job.data[rows], job.method, sigma_k=sigma).mean(axis=1).reshape(-1, k)
    return out


def _table(job: _Job, models: pd.DataFrame, flat: Floats, p: Floats, p_max: Floats) -> pd.DataFrame:
    groups = job.groups.table
    out = pd.concat([groups.loc[groups.index.repeat(len(models))].reset_index(drop=True), pd.concat([models] * len(groups), ignore_index=True)], axis=1)
    known = np.isfinite(flat).all(axis=0)
    null = np.where(known, flat[1:], 0.0)
    n_pairs = [int(np.isfinite(job.data[rows[0]]).sum()) for rows in job.groups.rows]
    n_subjects = [len(np.unique(codes)) for codes in job.groups.codes]
    return out.assign(
        method=job.method, score=flat[0], null_mean=np.where(known, null.mean(axis=0), np.nan), null_sd=np.where(known, null.std(axis=0), np.nan),
        p=p, p_max=p_max, q=fdr_bh(p), n=len(job.orders) - 1, n_subjects=np.repeat(n_subjects, len(models)),
        n_conditions=job.orders.shape[1], n_pairs=np.repeat(n_pairs, len(models)),
    )  # fmt: skip


def _cells(scores: Any, maximum_over: str | Sequence[str]) -> tuple[Floats, pd.DataFrame, npt.NDArray[np.intp]]:
    """Return values (n_subjects, n_cells), the labels of the cells and their families."""
    if hasattr(scores, "models") and hasattr(scores, "groups"):
        check_zero(scores, "sign_flip_test")
        values = np.asarray(scores.scores, dtype=np.float64).transpose(1, 0, 2)
        families = families_of(scores.models, scores.groups, maximum_over).reshape(-1)
        table = pd.concat(
            [scores.groups.loc[scores.groups.index.repeat(len(scores.models))].reset_index(drop=True),
             pd.concat([scores.models] * len(scores.groups), ignore_index=True)], axis=1)  # fmt: skip
        return values.reshape(len(values), -1), table, families
    values = real_array(scores, "scores", "sign_flip_test")
    if values.ndim < 1 or len(values) < 2:
        raise InputError("scores of at least two subjects are needed", where="sign_flip_test", expected="(n_subjects, …)", got=f"shape {values.shape}")
    shape = values.shape[1:]
    names = ["cell"] if len(shape) == 1 else [f"axis_{i}" for i in range(len(shape))]
    labels = pd.DataFrame(dict(zip(names, (g.reshape(-1) for g in np.indices(shape)), strict=True)), index=range(int(np.prod(shape))))
    return values.reshape(len(values), -1), labels, np.zeros(labels.shape[0], dtype=np.intp)
