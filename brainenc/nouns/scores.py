"""How well each layer predicts each target, with the ceiling, the choices made and the way back to the brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples, one_of
from brainenc.core.errors import InputError, NotFoundError
from brainenc.core.html import facts
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.spaces import Space
from brainenc.nouns.tables import as_table, need_column

Floats = npt.NDArray[np.float64]
ENTRY_COLUMNS = ("model", "layer", "metric", "seed")
TARGET_COLUMNS = ("subject", "target_id", "roi", "hemi", "channel", "time")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of every layer (entry) in every fold on every target.

    Parameters
    ----------
    values : ndarray of shape (n_entries, n_folds, n_targets)
        Held-out scores; NaN for targets that could not be scored. One fold where ``aggregate="pooled"``.
    entries : DataFrame of n_entries rows
        model, layer, metric ("pearson", "r2"), seed.
    targets : DataFrame of n_targets rows
        subject, target_id, roi, … ; targets of several subjects stand one subject after the other.
    spaces : mapping of subject to Space
        In the order of ``targets``.
    aggregate : {"folds", "pooled"}
        Mean of per-fold scores, or held-out predictions joined and then scored once.
    split : str
        The split in words.
    n_test : ndarray of int, shape (n_folds, n_targets)
        Test rows behind each score.
    inner : ndarray of shape (n_entries, n_folds, n_targets), optional
        Scores on inner folds of the training rows: the only ones used to choose a layer.
    alpha : ndarray of shape (n_entries, n_folds, n_targets), optional
        Chosen penalties.
    ceiling : NoiseCeiling, optional
        One per target.
    ceiling_status : str
        What the ceiling is, or why there is none. Never empty.
    p, q : ndarray of shape (n_entries, n_targets), optional
        Permutation p-values, and the same after correction for the number of targets (false discovery rate).
    p_max : ndarray of shape (n_entries, n_targets), optional
        Permutation p-values against the largest score of all targets and layers of a subject that were tested together (family-wise error).
    ci : ndarray of shape (2, n_entries, n_targets), optional
        Lower and upper end of the 95 % interval of the score over test stimuli.
    predictions, observed, test_rows : mappings by subject, optional
        Kept when asked for: ``predictions[subject]["model/layer"]`` and ``observed[subject]`` of shape (n_test_rows, n_targets of the
        subject), ``test_rows[subject]`` a table with fold and stimulus_id. Paired comparisons of layers need them.
    provenance : mapping
        Encoder, seed, versions, excluded targets.
    """

    values: Floats
    entries: pd.DataFrame
    targets: pd.DataFrame
    spaces: Mapping[str, Space]
    split: str
    n_test: npt.NDArray[np.int64]
    aggregate: str = "folds"
    inner: Floats | None = None
    alpha: Floats | None = None
    ceiling: NoiseCeiling | None = None
    ceiling_status: str = "no ceiling was asked for"
    p: Floats | None = None
    q: Floats | None = None
    p_max: Floats | None = None
    ci: Floats | None = None
    predictions: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    observed: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    test_rows: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 3:
            raise InputError("scores have three axes", where="Scores", expected="(n_entries, n_folds, n_targets)", got=f"shape {values.shape}")
        one_of(self.aggregate, ("folds", "pooled"), "aggregate")
        entries = as_table(self.entries, "Scores.entries", n_rows=values.shape[0])
        targets = as_table(self.targets, "Scores.targets", n_rows=values.shape[2])
        for column in ENTRY_COLUMNS:
            need_column(entries, column, "Scores.entries")
        for column in ("subject", "target_id"):
            need_column(targets, column, "Scores.targets")
        n_in_spaces = sum(space.n_targets for space in self.spaces.values())
        if n_in_spaces != values.shape[2] or list(pd.unique(targets["subject"])) != list(self.spaces):
            found = f"{n_in_spaces} in {list(self.spaces)}"
            raise InputError("spaces do not fit the targets", where="Scores", expected=f"{values.shape[2]} targets", got=found)
        if self.ceiling is not None and len(self.ceiling.values) != values.shape[2]:
            raise InputError("one ceiling per target is needed", where="Scores", expected=values.shape[2], got=len(self.ceiling.values))
        per_target = (values.shape[0], values.shape[2])
        for name, shape in (("p", per_target), ("q", per_target), ("p_max", per_target), ("ci", (2, *per_target))):
            array = getattr(self, name)
            if array is not None and np.shape(array) != shape:
                raise InputError(f"{name} does not fit the scores", where="Scores", expected=f"shape {shape}", got=f"shape {np.shape(array)}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "entries", entries)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "n_test", np.broadcast_to(np.asarray(self.n_test, dtype=np.int64), values.shape[1:]).copy())

    @classmethod
    def stack(cls, scores: Sequence[Scores]) -> Scores:
        """Join scores of the same targets and split, entry after entry (layers or models scored one by one).

        Raises
        ------
        InputError
            When targets, split, aggregate or folds differ.
        """
        first = scores[0]
        for other in scores[1:]:
            same = list(other.targets["subject"] + "/" + other.targets["target_id"]) == list(first.targets["subject"] + "/" + first.targets["target_id"])
            facts_ = (other.split, other.aggregate, other.values.shape[1])
            if not same or facts_ != (first.split, first.aggregate, first.values.shape[1]):
                raise InputError("only scores of the same targets and split can be stacked", expected=repr(first), got=repr(other))
        join = lambda name, axis=0: _join([getattr(s, name) for s in scores], axis)  # noqa: E731
        subjects = first.predictions.keys()
        return replace(
            first, values=np.concatenate([s.values for s in scores]), entries=pd.concat([s.entries for s in scores], ignore_index=True),
            inner=join("inner"), alpha=join("alpha"), p=join("p"), q=join("q"), p_max=join("p_max"), ci=join("ci", axis=1),
            predictions={name: {k: v for s in scores for k, v in s.predictions.get(name, {}).items()} for name in subjects},
            provenance={**first.provenance, **_joined_facts([s.provenance for s in scores])},
        )  # fmt: skip

    @property
    def layers(self) -> list[str]:
        """Names ``model/layer`` of the entries, each once, in order."""
        return list(dict.fromkeys(self.entries["model"] + "/" + self.entries["layer"]))

    @property
    def subjects(self) -> list[str]:
        """Names of the subjects, in order."""
        return list(self.spaces)

    @property
    def space(self) -> Space:
        """The space of the only subject."""
        if len(self.spaces) != 1:
            raise InputError("scores hold several subjects", expected=f"one of {examples(self.spaces, 8)}", fix="select one: scores.where(subject=…)")
        return next(iter(self.spaces.values()))

    def mean(self) -> Floats:
        """Return the mean over folds (n_entries, n_targets); a target that misses in one fold is NaN."""
        return self.values.mean(axis=1)

    def normalized(self) -> Scores:
        """Return scores divided by the ceiling of the same units: NaN below its floor, never clipped.

        Raises
        ------
        InputError
            When there is no ceiling; the message says why.
        """
        if self.ceiling is None:
            raise InputError("scores have no ceiling to be divided by", got=self.ceiling_status)
        values = np.stack([self.ceiling.normalize(self.values[e], m) for e, m in enumerate(self.entries["metric"])])
        ci = None
        if self.ci is not None:  # the ceiling is taken as known
            ci = np.stack([[self.ceiling.normalize(end[e], m) for e, m in enumerate(self.entries["metric"])] for end in self.ci])
        status = f"divided by the {' and the '.join(dict.fromkeys(self.ceiling.describe(m) for m in self.entries['metric']))}"
        entries = self.entries.assign(metric=self.entries["metric"] + "_normalized")
        return replace(self, values=values, ci=ci, entries=entries, ceiling=None, ceiling_status=status)

    def where(self, selection: str | None = None, **equals: Any) -> Scores:
        """Return the targets that a selection keeps, e.g. ``where(roi="V4")`` or ``where(subject="01")``."""
        index = select(self.targets, selection, **equals)
        if not len(index):
            raise InputError(f"selection keeps none of {len(self.targets)} targets", got=repr(selection or equals))
        return self._take_targets(index)

    def entry(self, selection: str | None = None, **equals: Any) -> Scores:
        """Return the entries that a selection keeps, e.g. ``entry(metric="pearson")`` or ``entry(layer="visual.layer2")``."""
        index = select(self.entries, selection, **equals)
        if not len(index):
            raise NotFoundError("no such entry", got=repr(selection or equals), expected=examples(self.layers, 12))
        return self._take_entries(index)

    def by(self, column: str | list[str] | None = None) -> pd.DataFrame:
        """Return one row per subject, entry and region: the median and mean over targets of the mean over folds.

        ``column``: one or more columns of ``targets``; "roi" when not given, or "subject" where there are no regions. Targets without
        a value there form a group of their own.

        Columns: subject, the grouping columns, model, layer, metric, seed, score (median), mean, ceiling (median, in the
        metric's units), normalized (median of score / ceiling), alpha (median), n_targets, n_nan, n_test, aggregate, split, ceiling_status.
        """
        column = ("roi" if "roi" in self.targets else "subject") if column is None else column
        keys = [column] if isinstance(column, str) else list(column)
        for key in keys:
            need_column(self.targets, key, "Scores.targets")
        rows = []
        scores, n_test = self.mean(), self.n_test.sum(axis=0)
        groups = self.targets.groupby(list(dict.fromkeys(["subject", *keys])), sort=False, dropna=False).indices
        for entry, facts_ in self.entries.iterrows():
            ceiling, normal = self._ceiling_of(str(facts_["metric"]), scores[entry])
            for key, index in groups.items():
                here = scores[entry, index]
                row = dict(zip(dict.fromkeys(["subject", *keys]), key if isinstance(key, tuple) else (key,), strict=True))
                row |= {name: facts_[name] for name in ENTRY_COLUMNS}
                row |= {"score": _median(here), "mean": _mean(here), "ceiling": _median(ceiling[index]), "normalized": _median(normal[index])}
                row["alpha"] = _median(self.alpha[entry][:, index]) if self.alpha is not None else np.nan
                row |= {"n_targets": len(index), "n_nan": int(np.isnan(here).sum()), "n_test": int(np.median(n_test[index]))}
                rows.append(row)
        constant = {"aggregate": self.aggregate, "split": self.split, "ceiling_status": self.ceiling_status}
        return pd.DataFrame(rows).assign(**constant)

    def best(self, by: str | None = None, *, within: str | None = None) -> Scores:
        """Return one entry per metric and seed: in each fold the layer with the best inner score (never the held-out score).

        ``by=None`` chooses for each target, ``by="roi"`` for each region by the median inner score over its targets.
        ``within="model"`` chooses among the layers of each model, one entry a model, which makes models comparable at their best; by
        default all layers of all models compete. The chosen layer of every fold and target is in ``provenance["chosen"]``
        (n_entries, n_folds, n_targets; positions in ``layers``). Predictions that were kept come along, those of the chosen layers, under
        ``"model/best"``, so that the choice can be tested like a layer.

        Raises
        ------
        InputError
            Without inner scores, and for pooled scores of several folds, where the choice would see test rows.
        """
        if self.inner is None:
            raise InputError("choosing a layer needs inner scores", where="Scores.best", fix="score with an encoder that has inner folds")
        if self.inner.shape != self.values.shape:
            raise InputError("pooled scores of several folds leave no honest choice of a layer", where="Scores.best", fix='score with aggregate="folds"')
        keys = [*([] if within is None else [one_of(within, tuple(self.entries.columns), "within")]), "metric", "seed"]
        groups = self.entries.groupby(keys, sort=False).indices
        values, inner, alpha, chosen, rows = [], [], [], [], []
        positions = np.array([self.layers.index(name) for name in self.entries["model"] + "/" + self.entries["layer"]])
        for key, index in groups.items():
            pick = self._choose(self.inner[index], by)
            gather = lambda array: np.take_along_axis(array[index], pick[None], axis=0)[0]  # noqa: B023, E731
            values.append(gather(self.values))
            inner.append(gather(self.inner))
            alpha.append(gather(self.alpha) if self.alpha is not None else np.full(pick.shape, np.nan))
            chosen.append(positions[index][pick])
            models = pd.unique(self.entries["model"].iloc[index])
            name = f"best of {len(index)}" if within is None or len(models) > 1 else models[0]
            rows.append({"model": name, "layer": "best", **{k: v for k, v in zip(keys, key, strict=True) if k in ("metric", "seed")}})
        entries = pd.DataFrame(rows)
        provenance = {**self.provenance, "chosen": np.stack(chosen), "layers": self.layers, "chosen_by": by or "target"}
        kept = self._chosen_predictions(entries, chosen)
        return replace(
            self, values=np.stack(values), inner=np.stack(inner), alpha=np.stack(alpha) if self.alpha is not None else None,
            entries=entries, p=None, q=None, p_max=None, ci=None, predictions=kept, observed=self.observed if kept else {},
            test_rows=self.test_rows if kept else {}, provenance=provenance,
        )  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """Return the tidy table: one row per entry, fold and target.

        Columns: subject, model, layer, roi, hemi, channel, time (where known), fold, seed, target_id, metric, score, ceiling, alpha,
        inner_score, n, p, q, p_max, ci_low, ci_high (where known; of the mean over folds), split, aggregate, ceiling_status.
        """
        n_entries, n_folds, n_targets = self.values.shape
        entry, fold, target = (axis.reshape(-1) for axis in np.indices(self.values.shape))
        ceilings = np.stack([self._ceiling_of(str(m), self.values[e, 0])[0] for e, m in enumerate(self.entries["metric"])])
        table = {name: self.targets[name].to_numpy()[target] for name in TARGET_COLUMNS if name in self.targets}
        table |= {name: self.entries[name].to_numpy()[entry] for name in self.entries.columns}
        table |= {"fold": fold, "score": self.values.reshape(-1), "ceiling": ceilings[entry, target], "n": self.n_test[fold, target]}
        for name, array in (("alpha", self.alpha), ("inner_score", self.inner)):
            if array is not None:
                table[name] = (array if array.shape == self.values.shape else array.mean(axis=1, keepdims=True))[entry, fold, target]
        low, high = (None, None) if self.ci is None else self.ci
        for name, array in (("p", self.p), ("q", self.q), ("p_max", self.p_max), ("ci_low", low), ("ci_high", high)):
            if array is not None:
                table[name] = array[entry, target]
        constant = {"split": self.split, "aggregate": self.aggregate, "ceiling_status": self.ceiling_status}
        return pd.DataFrame(table).assign(**constant)

    def vector(self, layer: str = "best", *, metric: str | None = None, value: str = "score") -> Floats:
        """Return one number per target: the ``"score"``, the ``"normalized"`` score or the ``"ceiling"`` of a layer.

        ``layer``: "best" (chosen on inner scores among all layers), "toyclip/best" (among those of a model), or a name:
        ``"visual.layer2"``, ``"toyclip/visual.layer2"``, or that of a model with one layer. Scores of several split seeds are averaged.

        Raises
        ------
        NotFoundError
            For an unknown layer.
        InputError
            For a layer that several models have; name it ``"model/layer"``.
        """
        one_of(value, ("score", "normalized", "ceiling"), "value")
        metrics = list(dict.fromkeys(self.entries["metric"]))
        chosen = self.entry(metric=one_of(metric or metrics[0], metrics, "metric"))
        if layer == "best":
            one = chosen.best() if len(chosen.layers) > 1 else chosen
        else:
            names = chosen.entries["model"] + "/" + chosen.entries["layer"]
            index = np.flatnonzero((names == layer) | (chosen.entries["layer"] == layer))
            if not len(index) and names[chosen.entries["model"] == layer].nunique() == 1:
                index = np.flatnonzero(chosen.entries["model"] == layer)
            if not len(index) and layer.endswith("/best") and (chosen.entries["model"] == layer[:-5]).any():
                return chosen.entry(model=layer[:-5]).vector("best", value=value)
            if not len(index):
                raise NotFoundError(f"no layer {layer!r} in these scores", expected=examples(chosen.layers, 12), fix=did_you_mean(layer, chosen.layers))
            if names.iloc[index].nunique() > 1:
                raise InputError(f"several models have a layer {layer!r}", where="Scores.vector", expected=examples(pd.unique(names.iloc[index])))
            one = chosen._take_entries(index)
        score = one.mean().mean(axis=0)
        ceiling, normal = one._ceiling_of(metrics[0] if metric is None else metric, score)
        return {"score": score, "normalized": normal, "ceiling": ceiling}[value]

    def to_image(self, layer: str = "best", *, subject: str | None = None, metric: str | None = None, value: str = "score") -> Any:
        """Paint one number per target back where it came from: a NIfTI or surface image, an evoked, a contact table, an array."""
        one = self if subject is None else self.where(subject=subject)
        return one.space.paint(one.vector(layer, metric=metric, value=value))

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        n_entries, n_folds, n_targets = self.values.shape
        return f"Scores({len(self.layers)} layers, {n_folds} folds, {n_targets} targets of {', '.join(self.subjects)}; {self.split}; {self.ceiling_status})"

    def _repr_html_(self) -> str:
        table = self.by()
        rows = {"layers": len(self.layers), "targets": len(self.targets), "split": self.split, "aggregate": self.aggregate, "ceiling": self.ceiling_status}
        columns = ["subject", *(["roi"] if "roi" in table else []), "model", "layer", "metric", "score", "ceiling", "n_test"]
        shown = table.sort_values("score", ascending=False).head(12)[columns]
        return facts("Scores", rows) + shown.to_html(escape=True, index=False, float_format="%.3f")

    def _choose(self, inner: Floats, by: str | None) -> npt.NDArray[np.intp]:
        usable = np.where(np.isnan(inner), -np.inf, inner)
        if by is not None:
            need_column(self.targets, by, "Scores.targets")
            for index in self.targets.groupby(["subject", by], sort=False, dropna=False).indices.values():
                part = inner[:, :, index]
                empty = np.isnan(part).all(axis=2, keepdims=True)
                middle = np.nanmedian(np.where(empty, -np.inf, part), axis=2)
                usable[:, :, index] = middle[..., None]
        return np.argmax(usable, axis=0)

    def _chosen_predictions(self, entries: pd.DataFrame, chosen: list[npt.NDArray[np.intp]]) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Return the held-out predictions of the chosen layers, where those of all layers were kept for a single seed."""
        layers, subjects = self.layers, self.targets["subject"].to_numpy()
        whole = all(set(layers) <= set(kept) for kept in self.predictions.values())
        if not self.predictions or not set(self.predictions) <= set(self.test_rows) or not whole or entries["seed"].nunique() > 1:
            return {}
        out: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for subject, kept in self.predictions.items():
            fold = self.test_rows[subject]["fold"].to_numpy()
            for name, picks in zip(entries["model"] + "/" + entries["layer"], chosen, strict=True):  # metrics share their inner scores
                pick = picks[fold][:, subjects == subject]
                best = np.empty(pick.shape, dtype=next(iter(kept.values())).dtype)
                for position in np.unique(pick):
                    here = pick == position
                    best[here] = kept[layers[position]][here]
                out.setdefault(subject, {})[name] = best
        return out

    def _ceiling_of(self, metric: str, scores: Floats) -> tuple[Floats, Floats]:
        if self.ceiling is None or metric not in ("pearson", "r2"):
            return np.full(scores.shape, np.nan), np.full(scores.shape, np.nan)
        return self.ceiling.of(metric), self.ceiling.normalize(scores, metric)

    def _take_targets(self, index: npt.NDArray[np.intp]) -> Scores:
        index = np.sort(index)
        subjects = self.targets["subject"].to_numpy()
        spaces, kept = {}, {}
        for name in self.spaces:
            mine = np.flatnonzero(subjects == name)
            local = np.flatnonzero(np.isin(mine, index))
            if len(local):
                spaces[name], kept[name] = self.spaces[name].take(local), local
        cut = lambda array: None if array is None else array[..., index]  # noqa: E731
        return replace(
            self, values=self.values[..., index], inner=cut(self.inner), alpha=cut(self.alpha), p=cut(self.p), q=cut(self.q),
            p_max=cut(self.p_max), ci=cut(self.ci), n_test=self.n_test[:, index], targets=self.targets.iloc[index], spaces=spaces,
            ceiling=None if self.ceiling is None else self.ceiling.take(index),
            predictions={s: {k: v[:, kept[s]] for k, v in p.items()} for s, p in self.predictions.items() if s in kept},
            observed={s: v[:, kept[s]] for s, v in self.observed.items() if s in kept},
            test_rows={s: v for s, v in self.test_rows.items() if s in kept},
        )  # fmt: skip

    def _take_entries(self, index: npt.NDArray[np.intp]) -> Scores:
        cut = lambda array: None if array is None else array[index]  # noqa: E731
        entries = self.entries.iloc[index]
        names = set(entries["model"] + "/" + entries["layer"])
        predictions = {s: {k: v for k, v in p.items() if k in names} for s, p in self.predictions.items()}
        return replace(
            self, values=self.values[index], entries=entries, inner=cut(self.inner), alpha=cut(self.alpha), p=cut(self.p), q=cut(self.q),
            p_max=cut(self.p_max), ci=None if self.ci is None else self.ci[:, index], predictions=predictions,
        )  # fmt: skip


def _join(parts: list[Floats | None], axis: int = 0) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known, axis=axis) if len(known) == len(parts) else None


def _joined_facts(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the facts that are kept layer by layer (mappings), and texts that differ."""
    joined: dict[str, Any] = {}
    for key, value in parts[0].items():
        values = [part[key] for part in parts if key in part]
        if isinstance(value, Mapping):
            joined[key] = {k: v for one in values for k, v in one.items()}
        elif isinstance(value, str):
            joined[key] = "; ".join(dict.fromkeys(map(str, values)))
    return joined


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.mean(finite)) if len(finite) else float("nan")
