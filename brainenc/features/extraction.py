"""The verb ``extract``: stimuli and a model in, one `FeatureSpace` a layer out; cached, resumable, bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import DataError, InputError
from brainenc.core.rng import check_seed
from brainenc.features import batches, cache, hooks, projection
from brainenc.features.adapters import Adapter, Inputs, build
from brainenc.features.pooling import Layer, check, parse, pool
from brainenc.features.weights import reason
from brainenc.nouns import FeatureSpace, StimulusSet

if TYPE_CHECKING:
    from torch import Tensor

PRECISIONS = ("auto", "float32", "float16", "bfloat16")
_KEPT = ("onset", "duration", "run", "session")  # columns of a stimulus table that time-aligned designs read


def extract(
    stimuli: StimulusSet, model: str, layers: str | Sequence[str] = "default", *, weights: str | Path | None = "pretrained", pooling: str = "gap",
    reduce: str | None = None, model_kwargs: Mapping[str, Any] | None = None, batch_size: int | str = "auto", device: str = "auto",
    cache: str | Path | bool | None = None, preprocess: Mapping[str, Any] | None = None, progress: bool | None = None,
    disk_budget: str | int = "auto", precision: str = "auto", seed: int = 0,
) -> dict[str, FeatureSpace]:  # fmt: skip
    """Return the features of a model's layers, one `FeatureSpace` a layer.

    Parameters
    ----------
    stimuli : StimulusSet of n_stimuli
        Images, texts, or a table (for the family ``table``).
    model : str
        ``"family:variant"``: ``"timm:resnet50"``, ``"open_clip:ViT-B-32"``, ``"toyclip"``, ``"gabor"``, ``"table:category"`` …
        (`list_models` shows all).
    layers : str or list of str
        Names or globs: ``*`` does not cross a dot, ``**`` does; ``"default"`` is the family's short list, ``"all"`` every layer.
    weights : {"pretrained", "random"} or path
        Pretrained weights are downloaded by the model's own library; random ones are drawn from ``seed`` and must be asked for;
        a path is a safetensors file or a torch file of plain tensors.
    pooling : str
        ``"gap"`` (mean over the map, or over patch tokens), ``"max"``, ``"gridK"``, ``"cls"``, ``"none"``; for texts ``"mean"``,
        ``"last"``, ``"first"``. See `brainenc.features.pooling`.
    reduce : str, optional
        ``"srp:K"``, a sparse random projection. Reductions fitted to data belong to ``score_layers``.
    model_kwargs : mapping, optional
        Options of the family (for timm, those of its models).
    batch_size : int or "auto"
        Changes speed and memory, not results.
    device : str
        ``"auto"`` takes a CUDA GPU where there is one.
    cache : path or False, optional
        Where features are kept; the user's cache when not given; False keeps them in memory only.
    preprocess : mapping, optional
        size, interpolation, crop, mean, std in place of the model's own; recorded in the provenance.
    progress : bool, optional
        Show a bar; by default on a terminal only.
    disk_budget : size or "auto"
        A larger request is refused before anything runs. ``"auto"`` is 20 GB or half of the free disk.
    precision : {"auto", "float32", "float16", "bfloat16"}
        ``"auto"`` is float32 on a CPU and float16 autocast on CUDA (which agrees with float32 to about 1e-3).
    seed : int
        Of random weights and of the random projection.

    Returns
    -------
    dict of str to FeatureSpace
        Keys are ``f"{model}/{layer}"``; values (n_stimuli, n_features) in float32, read-only memmaps when cached.

    Raises
    ------
    NotFoundError
        For an unknown model or layer, with the nearest names.
    InputError
        For an empty set, a pooling that does not fit, a request above the disk budget.
    DataError
        For an unreadable stimulus or weights file; nothing half written is kept.

    Examples
    --------
    >>> words = StimulusSet({"stimulus_id": ["a", "b", "c"], "kind": ["dog", "cat", "dog"]}, kind="none")
    >>> extract(words, "table:kind")["table:kind/columns"].values.tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    _check(stimuli, pooling, reduce, precision)
    place = pick_device(device)
    adapter = build(model, kind=stimuli.kind, weights=weights, model_kwargs=model_kwargs, preprocess=preprocess, seed=check_seed(seed))
    inputs = adapter.inputs(stimuli)
    known = adapter.layers(inputs)
    names = hooks.match(layers, known, adapter.default_layers, model=model)
    for name in names:
        check(known[name], pooling)
    job = _Job(adapter, inputs, stimuli, known, pooling, reduce, seed, place, _precision(precision, place))
    values = _values(job, names, batch_size=batch_size, cache_at=cache, budget=disk_budget, progress=progress)
    return {f"{adapter.name}/{name}": _wrap(job, name, values[name]) for name in names}


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One extraction, resolved."""

    adapter: Adapter
    inputs: Inputs
    stimuli: StimulusSet
    known: Mapping[str, Layer]
    pooling: str
    reduce: str | None
    seed: int
    device: str
    precision: str

    def width(self, name: str) -> tuple[int, bool]:
        """Return the number of features of a layer and whether they are projected."""
        full = self.known[name].width(self.pooling)
        k = projection.parse(self.reduce)[1] if self.reduce else full
        return min(full, k), k < full

    def choices(self, name: str) -> dict[str, Any]:
        """Return all that the values of a layer depend on, besides the stimuli."""
        projected = {"reduce": self.reduce, "reduce_seed": self.seed} if self.width(name)[1] else {"reduce": None}
        # vectors are the same under every pooling, so they share one entry
        pooling = "none" if self.known[name].kind == "vector" else self.pooling
        return {"model": dict(self.adapter.identity), "layer": name, "pooling": pooling, "precision": self.precision, **projected}


def pick_device(device: str) -> str:
    """Return the torch device to use; ``"auto"`` is CUDA where there is some, else the CPU."""
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except Exception as error:  # torch raises different types for unknown names and absent devices
        raise InputError("device cannot be used", where="device", got=f"{device!r}: {reason(error)}", fix='use device="cpu" or "auto"') from None
    return str(device)


def _check(stimuli: StimulusSet, pooling: str, reduce: str | None, precision: str) -> None:
    if not isinstance(stimuli, StimulusSet):
        raise InputError("extract needs a StimulusSet", got=type(stimuli).__name__, fix="stimuli, brain = brainenc.load(...) gives one")
    if len(stimuli) == 0:
        raise InputError("there are no stimuli to extract from", where=f"StimulusSet {stimuli.name!r}", fix="check the selection that made it")
    parse(pooling)
    one_of(precision, PRECISIONS, "precision")
    if reduce is not None:
        projection.parse_independent(reduce, where="extract(reduce=)")


def _precision(precision: str, device: str) -> str:
    if not device.startswith("cuda"):
        if precision not in ("auto", "float32"):
            raise InputError("lower precision is for CUDA devices", where="precision", expected='"auto" or "float32"', got=f"{precision!r} on {device}")
        return "float32"
    return "float16" if precision == "auto" else precision


def _values(
    job: _Job, names: Sequence[str], *, batch_size: int | str, cache_at: str | Path | bool | None, budget: str | int, progress: bool | None
) -> dict[str, npt.NDArray[Any]]:
    store = cache.open_store(cache_at) if job.adapter.cached else None
    values: dict[str, npt.NDArray[Any]] = {}
    keys: dict[str, str] = {name: "" for name in names}
    if store is not None:
        prints = job.inputs.fingerprint
        keys = {name: cache.layer_key(stimuli=prints, **job.choices(name)) for name in names}
        for name in names:
            entry = store.get(keys[name])
            if entry is not None:
                values[name] = entry.array(cache.VALUES, mmap=True)
    missing = tuple(name for name in names if name not in values)
    if not missing:
        return values
    plan = cache.Plan(len(job.stimuli), missing, tuple(job.width(name)[0] for name in missing), tuple(keys[name] for name in missing))
    cache.check_budget(plan, budget, store.root if store is not None else None)
    step = batches.size(batch_size, job.known.values(), job.device)
    job.adapter.to(job.device)
    with _bar(plan.n, job, progress) as bar:
        if store is None:
            blocks = _rows(job, plan, 0, plan.n, step, bar)
            return values | dict(zip(missing, blocks, strict=True))
        entries = _stored(job, plan, store, step, bar)
    return values | {name: entry.array(cache.VALUES, mmap=True) for name, entry in zip(missing, entries, strict=True)}


def _stored(job: _Job, plan: cache.Plan, store: Any, step: int, bar: Any) -> list[Any]:
    metas = [{"step": "features", "stimuli": job.stimuli.name, **job.choices(name)} for name in plan.names]
    if len(plan.shards) == 1:
        return cache.write_layers(store, plan, _rows(job, plan, 0, plan.n, step, bar), metas)
    for _ in range(3):
        for start, stop in plan.shards:
            if cache.read_shard(store, plan, start, stop) is None:
                cache.write_shard(store, plan, start, stop, _rows(job, plan, start, stop, step, bar))
            else:
                bar.update(stop - start)
        entries = cache.join_shards(store, plan, metas)
        if entries is not None:
            return entries
        finished = [store.get(key) for key in plan.keys]  # another process was faster and cleaned up
        if all(entry is not None for entry in finished):
            return finished
    raise DataError("parts of the extraction vanish while it runs", where=store.root, fix="see whether another program removes files there")


def _rows(job: _Job, plan: cache.Plan, start: int, stop: int, step: int, bar: Any) -> list[npt.NDArray[np.float32]]:
    """Compute the features of rows ``start`` to ``stop``: one (stop − start, width) block a layer."""
    blocks = {name: np.empty((stop - start, width), dtype=np.float32) for name, width in zip(plan.names, plan.widths, strict=True)}
    projected = {name for name in plan.names if job.width(name)[1]}
    with _inference(job.device, job.precision):
        for rows, batch in batches.prefetch(job.inputs, batches.slices(start, stop, step)):
            at = slice(int(rows[0]) - start, int(rows[-1]) - start + 1)

            def take(name: str, tensor: Tensor, mask: Tensor | None = None, at: slice = at) -> None:
                pooled = pool(tensor, job.known[name], job.pooling, mask).cpu().numpy()
                blocks[name][at] = projection.project(pooled, blocks[name].shape[1], seed=job.seed) if name in projected else pooled

            job.adapter.run(batch, plan.names, take)
            bar.update(len(rows))
    for name, block in blocks.items():
        _check_finite(name, block, job, start)
    return list(blocks.values())


def _check_finite(name: str, block: npt.NDArray[np.float32], job: _Job, start: int) -> None:
    # a sum is finite only if all its terms are; the exact search runs only where it is not
    if np.isfinite(block.sum(dtype=np.float64)):
        return
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    fix = 'use precision="float32"' if job.precision != "float32" else "check the weights and the preprocessing"
    raise DataError(
        f"layer {name!r} gives values that are not finite", where=job.adapter.name,
        got=f"{len(bad)} stimuli, e.g. {job.stimuli.ids[start + bad[0]]!r}" if len(bad) else "sums beyond float64", fix=fix,
    )  # fmt: skip


def _inference(device: str, precision: str) -> AbstractContextManager[Any]:
    import torch

    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    if device.startswith("cuda"):
        # full float32 where float32 was asked for: TF32 keeps only ten bits
        stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        if precision != "float32":
            stack.enter_context(torch.autocast("cuda", dtype=getattr(torch, precision)))
    return stack


def _bar(n: int, job: _Job, progress: bool | None) -> AbstractContextManager[Any]:
    if not job.adapter.cached:
        return nullcontext(_Silent())
    from tqdm import tqdm

    return tqdm(total=n, desc=f"{job.adapter.name} on {job.stimuli.name}", unit="stimulus", disable=None if progress is None else not progress, leave=False)


class _Silent:
    def update(self, n: int) -> None:
        """Take no notice."""


def _wrap(job: _Job, name: str, values: npt.NDArray[Any]) -> FeatureSpace:
    table = job.stimuli.table
    samples = {"stimulus_id": job.stimuli.ids, **{c: table[c].to_numpy() for c in _KEPT if c in table.columns}}
    width, projected = job.width(name)
    choices = job.choices(name)
    provenance = {**choices["model"], **{k: v for k, v in choices.items() if k != "model"}, "pooling": job.pooling, "stimuli": job.stimuli.name}
    if job.reduce and not projected:
        provenance["reduce"] = f"none ({width} features, {job.reduce} asked for)"
    features = None if projected else job.adapter.columns(name, job.pooling)
    return FeatureSpace(values, samples, name=f"{job.adapter.name}/{name}", features=features, provenance=provenance)
