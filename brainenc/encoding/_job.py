"""What one call of score_layers is asked to do, what fills up on the way, and what is recorded and warned about."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import BrainencWarning
from brainenc.encoding._fit import describe_encoder
from brainenc.encoding._rows import Fold, Subject
from brainenc.features.projection import parse
from brainenc.nouns.features import FeatureSpace

Floats = npt.NDArray[np.float64]
SHOWN = 3  # layers named in one warning
EDGE_SHARE = 0.2
RUN_SHARE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """The resolved arguments."""

    subjects: list[Subject]
    groups: list[list[Subject]]
    encoder: Any
    metrics: list[str]
    reduce: str | None
    aggregate: str
    permutations: int
    bootstrap: int
    seed: int
    keep: bool
    memory: Any
    device: str

    def columns(self) -> dict[str, slice]:
        """Return where each subject's targets stand."""
        ends = np.cumsum([0, *(subject.responses.n_targets for subject in self.subjects)])
        return {subject.name: slice(int(a), int(b)) for subject, a, b in zip(self.subjects, ends[:-1], ends[1:], strict=True)}


@dataclass(slots=True, eq=False)
class Table:
    """What fills up while layers are scored; the first axis is the layer, then the metric."""

    values: Floats
    alpha: Floats
    inner: Floats
    p: Floats
    p_max: Floats
    r: Floats
    tops: Floats
    ci: Floats
    edges: npt.NDArray[np.int64]
    solvers: list[str]
    widths: list[set[int]]
    predictions: dict[str, dict[str, npt.NDArray[Any]]] = field(default_factory=dict)
    observed: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def empty(cls, job: Job, n_layers: int) -> Table:
        n_folds, n_targets = len(job.subjects[0].folds), sum(s.responses.n_targets for s in job.subjects)
        nan = lambda *shape: np.full(shape, np.nan)  # noqa: E731
        scored = 1 if job.aggregate == "pooled" else n_folds
        return cls(
            nan(n_layers, len(job.metrics), scored, n_targets), nan(n_layers, n_folds, n_targets), nan(n_layers, n_folds, n_targets),
            nan(n_layers, n_targets), nan(n_layers, n_targets), nan(n_layers, n_targets), np.full((len(job.subjects), job.permutations), -np.inf),
            nan(2, n_layers, len(job.metrics), n_targets if job.bootstrap else 0),
            np.zeros((n_layers, 3), dtype=np.int64), [""] * n_layers, [set() for _ in range(n_layers)],
        )  # fmt: skip


def provenance(job: Job, table: Table, layers: Mapping[str, FeatureSpace]) -> dict[str, Any]:
    shares = _edge_shares(table)
    fold: Fold = job.subjects[0].folds[0]
    return {
        "encoder": describe_encoder(job.encoder),
        "inner": fold.inner_label,
        "n_train": [len(f.train.keys) for f in job.subjects[0].folds],
        "reduce": _reduction(job, table, list(layers)),
        "average": {s.name: "repeats averaged per stimulus" if s.averaged else "single rows" for s in job.subjects},
        "n_targets_excluded": {s.name: int((~s.scored).sum()) for s in job.subjects},
        "n_targets_missing_rows": {s.name: int((s.scored & ~s.usable).sum()) for s in job.subjects},
        "test_stimuli_in_training": {s.name: s.shared_stimuli for s in job.subjects},
        "edge_share": dict(zip(layers, shares, strict=True)),
        "solver": dict(zip(layers, table.solvers, strict=True)),
        "permutations": job.permutations,
        "bootstrap": job.bootstrap,
        "exchangeable": {s.name: s.moved for s in job.subjects},
        "seed": job.seed,
        "shared_fits": [[s.name for s in group] for group in job.groups],
        "versions": _versions(),
        "features": {name: dict(space.provenance) for name, space in layers.items()},
        "responses": {s.name: dict(s.responses.provenance) for s in job.subjects},
    }


def _reduction(job: Job, table: Table, names: list[str]) -> str:
    """Return the reduction that was asked for and, where layers or training sets were too small for it, how many components are left."""
    if job.reduce is None:
        return "none"
    wanted = parse(job.reduce)[1]
    fewer = {name: sorted(widths) for name, widths in zip(names, table.widths, strict=True) if widths and min(widths) < wanted}
    text = ", ".join(f"{name} {w[0]}" + (f" to {w[-1]}" if len(w) > 1 else "") for name, w in fewer.items())
    return f"{job.reduce} (fewer components kept: {text})" if fewer else job.reduce


def _versions() -> dict[str, str]:
    out = {}
    for package in ("brainenc", "numpy", "scikit-learn", "torch"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "not installed"
    return out


def _edge_shares(table: Table) -> list[float]:
    low, high, n = table.edges.T
    return [float(x) for x in (low + high) / np.maximum(n, 1)]


def _share_between_runs(subject: Subject) -> float:
    """Return the median over targets of the share of variance between runs, less what equal runs have by chance.

    With k runs of n scans: ε² = (SS_between − (k − 1) SS_within / (n − k)) / SS_total.
    """
    responses = subject.responses
    columns = [name for name in ("session", "run") if name in responses.samples]
    if not responses.is_time_series or "run" not in columns or not subject.usable.any():
        return 0.0
    runs = list(responses.samples.groupby(columns, sort=False, dropna=False).indices.values())
    n, k = responses.n_samples, len(runs)
    if k < 2 or n <= k:
        return 0.0
    within, means = 0.0, []
    for rows in runs:
        values = np.asarray(responses.values[rows], dtype=np.float64)[:, subject.usable]
        means.append(values.mean(axis=0))
        within = within + ((values - means[-1]) ** 2).sum(axis=0)
    sizes = np.array([len(rows) for rows in runs])[:, None]
    middle = (sizes * means).sum(axis=0) / n
    between = (sizes * (np.array(means) - middle) ** 2).sum(axis=0)
    total = between + within
    varying = total > 0
    share = (between - (k - 1) * within / (n - k))[varying] / total[varying]
    return float(np.median(share)) if varying.any() else 0.0


def warn_before(subjects: list[Subject], aggregate: str) -> None:
    for what, count in (
        ("have no scores: NaN in every row, infinity, or too few rows in a fold", lambda s: ~s.scored),
        ("lack some rows (NaN): each is fitted and scored on those that it has", lambda s: s.scored & ~s.usable),
    ):
        found = {s.name: (int(count(s).sum()), s.responses.n_targets) for s in subjects}
        if any(n for n, _ in found.values()):
            text = ", ".join(f"{n} of {many} targets of {name}" for name, (n, many) in found.items() if n)
            warnings.warn(f"{text} {what}", BrainencWarning, stacklevel=3)
    shared = {s.name: s.shared_stimuli for s in subjects if s.shared_stimuli}
    if shared:
        text = ", ".join(f"{n} of {name}" for name, n in shared.items())
        warnings.warn(
            f"test stimuli also train ({text}): scores tell how responses to known stimuli repeat, not how they generalise to new ones",
            BrainencWarning, stacklevel=3,
        )  # fmt: skip
    apart = {s.name: _share_between_runs(s) for s in subjects} if aggregate == "pooled" else {}
    if any(one > RUN_SHARE for one in apart.values()):
        text = ", ".join(f"{one:.0%} of the variance of {name}" for name, one in apart.items() if one > RUN_SHARE)
        warnings.warn(
            f"runs differ in their means ({text}, median over targets): joined predictions of held-out runs then correlate below zero; "
            'clean first, responses.clean(detrend=True, standardize="zscore"), or score with aggregate="folds"',
            BrainencWarning, stacklevel=3,
        )  # fmt: skip


def warn_after(job: Job, table: Table, names: list[str]) -> None:
    reasons = {"largest": "little signal, or a grid that ends too early", "smallest": "no penalty needed, or a grid that starts too late"}
    found = []
    for name, share_, (low, high, _) in zip(names, _edge_shares(table), table.edges, strict=True):
        if share_ > EDGE_SHARE:
            found.append((share_, name, "largest" if high >= low else "smallest"))
    if found:
        worst = sorted(found, reverse=True)[:SHOWN]
        text = ", ".join(f"{name} {share_:.0%} (mostly the {side})" for share_, name, side in worst)
        more = f" and {len(found) - len(worst)} more layers" if len(found) > len(worst) else ""
        why = "; ".join(f"the {side}: {reasons[side]}" for side in reasons if side in {side for _, _, side in found})
        warnings.warn(f"targets whose penalty is at the edge of the grid: {text}{more}. {why[0].upper()}{why[1:]}", BrainencWarning, stacklevel=3)
