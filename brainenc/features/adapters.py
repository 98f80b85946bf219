"""The one small interface that every model family gives, and the adapter of torch networks that most of them share.

A family is a module in ``features/models`` with

``SUMMARY``
    one line for lists;
``KINDS``
    the kinds of stimuli it reads, of "image", "text", "table";
``variants()``
    the names after the colon (an empty list where there are none);
``build(variant, *, kind, weights, model_kwargs, preprocess, seed)``
    an `Adapter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.core.fingerprint import of_json
from brainenc.core.registry import Registry
from brainenc.core.resolver import resolve
from brainenc.features import hooks
from brainenc.features.pooling import Layer

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor

    from brainenc.features.preprocess import Preprocess
    from brainenc.nouns import StimulusSet

FAMILIES = Registry("brainenc.features.models", "model family")
Take = Callable[[str, "Tensor", "Tensor | None"], None]


class Inputs(Protocol):
    """Stimuli in the form that a model takes, by row."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of all that the inputs depend on."""

    def batch(self, rows: npt.NDArray[np.intp]) -> Any:
        """Return the inputs of these rows (called in a thread of its own)."""


class Adapter(Protocol):
    """A model ready to run.

    Attributes
    ----------
    name : str
        ``"family:variant"``.
    identity : mapping
        JSON data that tells this model from any other (weights, options, library); part of the cache key and of provenance.
    default_layers : tuple of str
        What ``layers="default"`` selects.
    cached : bool
        False where extraction is cheaper than reading a cache.
    """

    name: str
    identity: Mapping[str, Any]
    default_layers: tuple[str, ...]
    cached: bool

    def inputs(self, stimuli: StimulusSet) -> Inputs:
        """Return the stimuli as this model takes them."""

    def layers(self, inputs: Inputs | None = None) -> Mapping[str, Layer]:
        """Return all layers in the order of the network."""

    def run(self, batch: Any, names: Sequence[str], take: Take) -> None:
        """Run one batch and hand each named layer's activations (batch first) and token mask to ``take``."""

    def to(self, device: str) -> None:
        """Move to a torch device."""

    def columns(self, name: str, pooling: str) -> pd.DataFrame | None:
        """Return what each feature is, or None."""


def split_name(model: str) -> tuple[str, str]:
    """Split ``"family:variant"``; a family alone has the variant ``""``."""
    if not isinstance(model, str) or not model.strip():
        raise InputError("a model is named by text", expected='"family:variant", e.g. "timm:resnet50" or "gabor"', got=repr(model))
    family, _, variant = model.strip().partition(":")
    return family, variant


def build(
    model: str, *, kind: str, weights: Any = "pretrained", model_kwargs: Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None, seed: int = 0,
) -> Adapter:  # fmt: skip
    """Build the adapter of a model for one kind of stimuli ("any" takes the family's first).

    Raises
    ------
    NotFoundError
        For an unknown family or variant, with the nearest names.
    InputError
        For stimuli that the family cannot read, or options that it does not know.
    DataError
        For weights that cannot be had or do not fit.
    """
    family, variant = split_name(model)
    module = FAMILIES.get(family)
    if kind == "any":
        kind = module.KINDS[0]
    if kind not in module.KINDS and "table" not in module.KINDS:
        raise InputError(
            f"{family} models read {' and '.join(module.KINDS)} stimuli", where=model, got=f"stimuli of kind {kind!r}",
            fix="choose another model, or 'table:COLUMN' for what the stimulus table says",
        )  # fmt: skip
    options = dict(model_kwargs or {})
    return module.build(variant, kind=kind, weights=weights, model_kwargs=options, preprocess=preprocess, seed=seed)


@dataclass(eq=False)
class ImageInputs:
    """Images decoded and preprocessed to uint8 (n, 3, height, width)."""

    stimuli: StimulusSet
    preprocess: Preprocess
    _print: str | None = None

    @property
    def fingerprint(self) -> str:
        """The sha256 of the images' contents and ids, in order."""
        if self._print is None:
            contents = resolve("brainenc.loaders.stimuli:stimulus_fingerprint")(self.stimuli)
            self._print = of_json({"contents": contents, "ids": [str(i) for i in self.stimuli.ids]})
        return self._print

    def batch(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        """Return the preprocessed images of these rows."""
        images = resolve("brainenc.loaders.stimuli:load_images")(self.stimuli, [str(i) for i in self.stimuli.ids[rows]])
        return np.stack([self.preprocess.apply(image) for image in images])


@dataclass(eq=False)
class Network:
    """Adapter of a torch module that reads images, or texts through a ``reader``.

    Parameters
    ----------
    name : str
    module : torch.nn.Module
        Put into test mode here.
    identity : dict
    preprocess : Preprocess, optional
        For images.
    encode : callable, optional
        What to call on a batch (the module itself when not given).
    scope : str
        Only modules below this prefix are layers (``"visual"`` for one tower of two).
    default : callable or sequence, optional
        Names of the default layers, or a function of all layers' names; `hooks.stages` when not given.
    output : str, optional
        Name under which the value of ``encode`` is a layer too.
    n_prefix, has_cls, channels_last
        See `brainenc.features.pooling.Layer`.
    reader : object, optional
        For texts: ``inputs(stimuli)``, ``probe()`` and ``tensors(batch, device)``.
    """

    name: str
    module: torch.nn.Module
    identity: dict[str, Any]
    preprocess: Preprocess | None = None
    encode: Callable[[Any], Any] | None = None
    scope: str = ""
    default: Sequence[str] | Callable[[list[str]], list[str]] | None = None
    output: str | None = None
    n_prefix: int = 0
    has_cls: bool = False
    channels_last: bool = False
    reader: Any = None
    device: str = "cpu"
    cached: bool = True
    _probe: hooks.Probe | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.module.eval()
        self.module.requires_grad_(False)
        if self.preprocess is not None:
            self.identity["preprocess"] = self.preprocess.to_dict()

    def inputs(self, stimuli: StimulusSet) -> Inputs:
        """Return the stimuli as this network takes them."""
        if self.reader is not None:
            return self.reader.inputs(stimuli)
        assert self.preprocess is not None
        return ImageInputs(stimuli, self.preprocess)

    def layers(self, inputs: Inputs | None = None) -> Mapping[str, Layer]:
        """Return every module that puts out one tensor a stimulus, in the order of the network (one probing pass, kept)."""
        return self.probe().layers

    def probe(self) -> hooks.Probe:
        """Run the probing pass, once."""
        if self._probe is None:
            module = self.module.get_submodule(self.scope) if self.scope else self.module
            passive = {name for name, part in self.module.named_modules() if hooks.is_passive(part)}
            words = self.reader is not None

            def describe(name: str, tensor: Tensor) -> Layer | None:
                if self.scope and name != self.scope and not name.startswith(self.scope + "."):
                    return None
                return hooks.describe_output(
                    name, tensor, passive=name in passive, n_prefix=self.n_prefix, has_cls=self.has_cls, words=words, channels_last=self.channels_last
                )

            result: list[Any] = []
            found = hooks.probe(self.module, lambda batch: result.append(self._forward(batch)), self._dummy(), describe)
            if self.output is not None:
                last = hooks.first_tensor(result[0])
                layer = None if last is None else describe_final(self.output, last)
                if layer is not None:
                    found.layers[self.output] = layer
            if not found.layers:
                raise InputError(f"{type(module).__name__} has no layer that answers each stimulus", where=self.name)
            self._probe = found
        return self._probe

    @property
    def default_layers(self) -> tuple[str, ...]:
        """The documented short list of the family."""
        known = list(self.probe().layers)
        if callable(self.default):
            return tuple(self.default(known))
        if self.default is not None:
            return tuple(name for name in self.default if name in known)
        return tuple(hooks.stages(self.module, known))

    def run(self, batch: Any, names: Sequence[str], take: Take) -> None:
        """Run one batch; each layer goes to ``take`` while it is computed."""
        layers = self.probe().layers
        ready = self.reader.tensors(batch, self.device) if self.reader is not None else (self._normalised(batch), None)
        tensors, mask = ready

        def hand_over(name: str, tensor: Tensor) -> None:
            take(name, tensor.transpose(0, 1) if layers[name].batch_axis else tensor, mask)

        last = hooks.run(self.module, self._forward, tensors, names, found=self.probe(), take=hand_over)
        if self.output in names and last is not None:
            final = hooks.first_tensor(last)
            assert final is not None
            hand_over(str(self.output), final)

    def to(self, device: str) -> None:
        """Move the network to a torch device."""
        self.device = device
        self.module.to(device)

    def columns(self, name: str, pooling: str) -> pd.DataFrame | None:
        """Return None: the columns of a network's layers have no names."""
        return None

    def _forward(self, batch: Any) -> Any:
        return (self.encode or self.module)(batch)

    def _normalised(self, batch: npt.NDArray[np.uint8]) -> Tensor:
        assert self.preprocess is not None
        return self.preprocess.normalise(batch, self.device)

    def _dummy(self) -> Any:
        if self.reader is not None:
            return self.reader.tensors(self.reader.probe(), self.device)[0]
        assert self.preprocess is not None
        return self._normalised(np.full((hooks.N_PROBE, 3, *self.preprocess.size), 128, dtype=np.uint8))


def describe_final(name: str, tensor: Tensor) -> Layer | None:
    """Describe the value that a network returns."""
    return hooks.describe_output(name, tensor, passive=False)
