"""Reading named modules while a network runs: globs, one probing pass, and hooks that pool before anything changes in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brainenc.core.checks import did_you_mean, examples, nearest
from brainenc.core.errors import InputError, NotFoundError
from brainenc.features.pooling import Layer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

N_PROBE = 3  # stimuli in the probing pass: a batch size that few other axes share
_PASSIVE = ("Identity", "Dropout", "DropPath", "Dropout2d", "PatchDropout")


class _Enough(Exception):
    """Raised by the last hook that is needed: the rest of the network need not run."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one pass showed: the layers in the order in which they last answered, and how often each module did."""

    layers: dict[str, Layer]
    calls: dict[str, int]


def match(patterns: str | Sequence[str], known: Mapping[str, Layer], default: Sequence[str], *, model: str) -> list[str]:
    """Return the layers that names or globs select, in the order of the network.

    ``*`` and ``?`` do not cross a dot, ``**`` does. ``"default"`` is the family's short list, ``"all"`` every layer. Modules
    that only pass their input on (identity, dropout) are taken only when named in full.

    Raises
    ------
    NotFoundError
        For a name or glob that selects nothing, with the nearest names.
    InputError
        Where two of several patterns select the same layer.
    """
    wanted = [p.strip() for p in patterns.split(",")] if isinstance(patterns, str) else list(patterns)
    if not wanted or not all(isinstance(p, str) and p for p in wanted):
        raise InputError("layers must be names or globs", where="layers", got=repr(patterns))
    owner: dict[str, str] = {}
    for pattern in wanted:
        for name in _hits(pattern, known, default, model):
            if name in owner:
                raise InputError(f"layer {name!r} is selected twice", where="layers", got=f"by {owner[name]!r} and by {pattern!r}")
            owner[name] = pattern
    return [name for name in known if name in owner]


def _hits(pattern: str, known: Mapping[str, Layer], default: Sequence[str], model: str) -> list[str]:
    if pattern in known:
        return [pattern]
    if pattern == "default":
        return list(default)
    expression = re.compile(glob_to_regex("**" if pattern == "all" else pattern))
    found = [name for name, layer in known.items() if expression.fullmatch(name) and not layer.passive]
    if not found:
        near = nearest(pattern.replace("*", ""), known)
        raise NotFoundError(
            f"no layer of {model} matches {pattern!r}",
            where="layers",
            expected=f"names like {examples(near or known, 6)}",
            fix=did_you_mean(pattern, known) or "list_layers(model) shows all names",
        )
    return found


def glob_to_regex(pattern: str) -> str:
    """Return the regular expression of a glob: ``*`` stops at a dot, ``**`` does not, ``?`` is one character but a dot."""
    parts = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", pattern))


def probe(module: torch.nn.Module, encode: Callable[[Any], Any], batch: Any, describe: Callable[[str, Tensor], Layer | None]) -> Probe:
    """Run ``encode(batch)`` once (``N_PROBE`` stimuli) and note what every module puts out.

    ``describe`` turns a module's name and output into a `Layer`, or None where it is no layer of stimuli.
    """
    import torch

    layers: dict[str, Layer] = {}
    calls: dict[str, int] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            tensor = first_tensor(output)
            layer = None if tensor is None else describe(name, tensor)
            layers.pop(name, None)
            if layer is not None:
                layers[name] = layer

        return hook

    handles = [part.register_forward_hook(note(name)) for name, part in module.named_modules() if name]
    try:
        with torch.inference_mode():
            encode(batch)
    finally:
        for handle in handles:
            handle.remove()
    return Probe(layers=layers, calls=calls)


def run(
    module: torch.nn.Module, encode: Callable[[Any], Any], batch: Any, names: Sequence[str], *, found: Probe, take: Callable[[str, Tensor], None]
) -> Any:
    """Run ``encode(batch)``, hand each named layer's output to ``take``, and stop after the last one.

    A module that answers several times in one pass gives its last output. Returns what ``encode`` returned, or None where
    the pass was cut short.
    """
    modules = dict(module.named_modules())
    wanted = [name for name in names if name in modules]
    left = {name: found.calls[name] for name in wanted}
    pending = set(wanted)
    whole = len(wanted) < len(names)  # an output that is no module is asked for

    def watch(name: str) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            left[name] -= 1
            if left[name] == 0:
                tensor = first_tensor(output)
                if tensor is not None:
                    take(name, tensor)
                pending.discard(name)
                if not pending and not whole:
                    raise _Enough

        return hook

    handles = [modules[name].register_forward_hook(watch(name)) for name in wanted]
    try:
        return encode(batch)
    except _Enough:
        return None
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(output: Any) -> Tensor | None:
    """Return the first tensor in a module's output (a tensor, tuple, list or mapping), or None."""
    import torch

    if torch.is_tensor(output):
        return output
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, list | tuple):
        for item in output:
            found = first_tensor(item)
            if found is not None:
                return found
    return None


def describe_output(
    name: str, tensor: Tensor, *, passive: bool, n_prefix: int = 0, has_cls: bool = False, words: bool = False, channels_last: bool = False
) -> Layer | None:
    """Turn the output of a probing pass into a `Layer`, or None where no axis is the batch of ``N_PROBE`` stimuli.

    Maps are (channels, rows, columns) unless only the first two axes are square; where all three are equal the library's
    habit (``channels_last``) decides.
    """
    shape = tuple(tensor.shape)
    if len(shape) not in (2, 3, 4) or not tensor.is_floating_point():
        return None
    axis = 0
    if shape[0] != N_PROBE:
        if len(shape) != 3 or shape[1] != N_PROBE:
            return None
        axis = 1
    inner = shape[:axis] + shape[axis + 1 :]
    if len(inner) == 1:
        return Layer(name, "vector", inner, passive=passive)
    if len(inner) == 2:
        kind = "words" if words else "tokens"
        return Layer(name, kind, inner, batch_axis=axis, n_prefix=n_prefix, has_cls=has_cls or words, passive=passive)
    first, last = inner[0] == inner[1], inner[1] == inner[2]
    return Layer(name, "map", inner, channels_last=channels_last if first == last else first, passive=passive)


def is_passive(module: torch.nn.Module) -> bool:
    """True for modules that only pass their input on at test time."""
    return type(module).__name__ in _PASSIVE


def stages(module: torch.nn.Module, known: Iterable[str], prefix: str = "", *, at_least: int = 6) -> list[str]:
    """Return a short list of stages: the children of a module, unfolded until ``at_least`` of those that answer have weights.

    Kept are the parts that have weights, and poolings. A container that never answers itself (a plain list of blocks) is
    always unfolded.
    """
    answering = set(known)
    names = [f"{prefix}{name}" for name, _ in module.get_submodule(prefix.rstrip(".")).named_children()]
    while True:
        names = [n for n in names if n in answering or any(k.startswith(f"{n}.") for k in answering)]
        few = sum(n in answering and _has_weights(module.get_submodule(n)) for n in names) < at_least
        unfolded: list[str] = []
        for name in names:
            part = module.get_submodule(name)
            children = [f"{name}.{child}" for child, _ in part.named_children()]
            unfolded += children if children and (name not in answering or (few and _is_container(part))) else [name]
        if unfolded == names:
            parts = [(name, module.get_submodule(name)) for name in names]
            return [name for name, part in parts if name in answering and (_has_weights(part) or "Pool" in type(part).__name__)]
        names = unfolded


def _has_weights(module: torch.nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _is_container(module: torch.nn.Module) -> bool:
    """True for sequences, and for wrappers whose main part is a sequence (an encoder with its list of blocks)."""
    import torch

    kinds = (torch.nn.Sequential, torch.nn.ModuleList)
    return isinstance(module, kinds) or any(isinstance(child, kinds) for child in module.children())
