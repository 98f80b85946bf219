"""The picture itself, as features: ``"pixels"``.

Each image is resized (``preprocess={"size": 32}`` sets the resolution) and its values in 0–1 are the features: layer ``grey`` is
luminance (0.299 R + 0.587 G + 0.114 B), layer ``colour`` all three channels. The baseline that every network should beat; take
components of it inside each training set with ``reduce="pca:K"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.features import weights as weight_files
from brainenc.features.adapters import ImageInputs, Inputs, Take
from brainenc.features.pooling import Layer
from brainenc.features.preprocess import Preprocess

if TYPE_CHECKING:
    from brainenc.nouns import StimulusSet

SUMMARY = "the picture itself, resized (no weights)"
KINDS = ("image",)
HAS_WEIGHTS = False
VARIED = False
VERSION = 1
LUMINANCE = (0.299, 0.587, 0.114)


def variants() -> list[str]:
    """Return nothing: there is one picture."""
    return []


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Pixels:
    """Build the adapter."""
    weight_files.refuse(weights, "pixels")
    if variant or model_kwargs:
        raise InputError("pixels has no variants and no options", where="pixels", got=variant or model_kwargs, fix='use preprocess={"size": …}')
    own = {"size": 32, "interpolation": "bilinear", "crop": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}
    return Pixels("pixels", Preprocess.build(own, preprocess))


@dataclass(eq=False)
class Pixels:
    """Adapter of the resized picture."""

    name: str
    preprocess: Preprocess
    cached: bool = True
    default_layers: tuple[str, ...] = ("grey",)
    device: str = "cpu"

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells this model from others."""
        return {"family": "pixels", "version": VERSION, "preprocess": self.preprocess.to_dict()}

    def inputs(self, stimuli: StimulusSet) -> Inputs:
        """Return the resized images."""
        return ImageInputs(stimuli, self.preprocess)

    def layers(self, inputs: Inputs | None = None) -> Mapping[str, Layer]:
        """Return ``grey`` and ``colour``."""
        n = int(np.prod(self.preprocess.size))
        return {"grey": Layer("grey", "vector", (n,)), "colour": Layer("colour", "vector", (3 * n,))}

    def columns(self, name: str, pooling: str) -> pd.DataFrame:
        """Return channel, row and column of each feature."""
        height, width = self.preprocess.size
        channels = ("luminance",) if name == "grey" else ("red", "green", "blue")
        return pd.DataFrame([{"channel": c, "row": i, "column": j} for c in channels for i in range(height) for j in range(width)])

    def to(self, device: str) -> None:
        """Compute on a torch device."""
        self.device = device

    def run(self, batch: npt.NDArray[np.uint8], names: Sequence[str], take: Take) -> None:
        """Hand over the layers of one batch of images."""
        import torch

        image = self.preprocess.normalise(batch, self.device)
        for name in names:
            values = torch.einsum("nchw,c->nhw", image, image.new_tensor(LUMINANCE)) if name == "grey" else image
            take(name, values.flatten(1), None)
