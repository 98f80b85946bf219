"""A pyramid of oriented energy, without weights: ``"gabor"``.

Each image, as luminance and two colour-opponent channels (red − green, blue − yellow), is filtered in the Fourier domain by a
complex steerable pyramid: in octave bands with centres f₀, f₀/2, f₀/4 …

    radial   cos(π/2 · log2(f / f_s))      for |log2(f / f_s)| < 1, else 0
    angular  cos(θ − θ_k)^(n−1)            for |θ − θ_k| < π/2, else 0     (one half plane: a quadrature pair)

so the squared magnitude of the filtered image is the local energy of an even and an odd filter. Layer ``energy`` is its square
root after averaging in a coarse grid of cells; layer ``lowpass`` is the mean of each channel in each cell. Energy models of this
kind go back to Adelson & Bergen (1985, doi:10.1364/JOSAA.2.000284); the filters follow Simoncelli & Freeman (1995,
doi:10.1109/ICIP.1995.537667).

``model_kwargs``: ``scales`` (4), ``orientations`` (8), ``grid`` (4 cells a side), ``colour`` (True). ``preprocess={"size": 64}`` sets the
resolution; the finest band is centred on a quarter of a cycle a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError
from brainenc.features import weights as weight_files
from brainenc.features.adapters import ImageInputs, Inputs, Take
from brainenc.features.pooling import Layer
from brainenc.features.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import Tensor

    from brainenc.nouns import StimulusSet

SUMMARY = "a pyramid of oriented energy (no weights)"
KINDS = ("image",)
HAS_WEIGHTS = False
VARIED = False
VERSION = 1
OPTIONS = {"scales": 4, "orientations": 8, "grid": 4, "colour": True}
CENTRE = 0.25  # cycles a pixel, of the finest band
CHANNELS = ("luminance", "red-green", "blue-yellow")
CHUNK = 16  # images filtered at once


def variants() -> list[str]:
    """Return nothing: there is one pyramid, and its options."""
    return []


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Gabor:
    """Build the pyramid."""
    weight_files.refuse(weights, "gabor")
    if variant:
        raise InputError("gabor has no variants", where=f"gabor:{variant}", fix="use model_kwargs=")
    options = {**OPTIONS, **_checked(model_kwargs)}
    settings = Preprocess.build({"size": 64, "interpolation": "bicubic", "crop": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}, preprocess)
    smallest = 2 ** (int(options["scales"]) + 1)  # the longest wavelength
    if min(settings.size) < smallest or int(options["grid"]) > min(settings.size):
        raise InputError("images are too small for this pyramid", where="gabor", expected=f"a size of at least {smallest}", got=settings.size)
    return Gabor("gabor", options, settings)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    limits = {"scales": (1, 8), "orientations": (2, 32), "grid": (1, 64)}
    for key, value in options.items():
        if key not in OPTIONS:
            raise InputError(f"unknown option {key!r}", where="gabor model_kwargs", expected=", ".join(OPTIONS), fix=did_you_mean(key, OPTIONS))
        if key == "colour":
            good = isinstance(value, bool)
        else:
            good = isinstance(value, int) and not isinstance(value, bool) and limits[key][0] <= value <= limits[key][1]
        if not good:
            raise InputError(f"not a usable value for {key}", where="gabor model_kwargs", expected=limits.get(key, "True or False"), got=repr(value))
    return dict(options)


@dataclass(eq=False)
class Gabor:
    """Adapter of the energy pyramid."""

    name: str
    options: dict[str, Any]
    preprocess: Preprocess
    cached: bool = True
    default_layers: tuple[str, ...] = ("energy",)
    device: str = "cpu"
    _bank: list[_Band] = field(default_factory=list)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells this model from others."""
        return {"family": "gabor", "version": VERSION, "model_kwargs": self.options, "preprocess": self.preprocess.to_dict()}

    def inputs(self, stimuli: StimulusSet) -> Inputs:
        """Return the images at the pyramid's resolution."""
        return ImageInputs(stimuli, self.preprocess)

    def layers(self, inputs: Inputs | None = None) -> Mapping[str, Layer]:
        """Return ``energy`` and ``lowpass``."""
        cells, channels = self.options["grid"] ** 2, self._n_channels
        width = channels * self.options["scales"] * self.options["orientations"] * cells
        return {"energy": Layer("energy", "vector", (width,)), "lowpass": Layer("lowpass", "vector", (channels * cells,))}

    def columns(self, name: str, pooling: str) -> pd.DataFrame:
        """Return channel, scale, orientation (degrees of the stripes' normal) and cell of each feature."""
        grid, n = self.options["grid"], self.options["orientations"]
        channels = CHANNELS[: self._n_channels]
        if name == "lowpass":
            return pd.DataFrame([{"channel": c, "row": i, "column": j} for c in channels for i in range(grid) for j in range(grid)])
        return pd.DataFrame(
            [
                {"channel": c, "cycles_per_pixel": CENTRE / 2**s, "orientation": 180.0 * k / n, "row": i, "column": j}
                for s in range(self.options["scales"]) for c in channels for k in range(n) for i in range(grid) for j in range(grid)
            ]
        )  # fmt: skip

    def to(self, device: str) -> None:
        """Compute on a torch device."""
        if device != self.device:
            self.device, self._bank = device, []

    def run(self, batch: npt.NDArray[np.uint8], names: Sequence[str], take: Take) -> None:
        """Compute the layers of one batch of images."""
        import torch

        parts = [self._chunk(batch[at : at + CHUNK], names) for at in range(0, len(batch), CHUNK)]
        for name in names:
            take(name, torch.cat([part[name] for part in parts]), None)

    @property
    def _n_channels(self) -> int:
        return 3 if self.options["colour"] else 1

    def _chunk(self, batch: npt.NDArray[np.uint8], names: Sequence[str]) -> dict[str, Tensor]:
        import torch

        image = opponent(self.preprocess.normalise(batch, self.device))[:, : self._n_channels]
        grid = self.options["grid"]
        out: dict[str, Tensor] = {}
        if "lowpass" in names:
            rows, columns = (torch.from_numpy(_cells(side, 0, side, grid)).to(image) for side in image.shape[2:])
            out["lowpass"] = torch.einsum("gh,nchw,kw->ncgk", rows, image, columns).flatten(1)
        if "energy" in names:
            pad = _pad(self.preprocess.size)
            padded = torch.nn.functional.pad(image, (pad[1], pad[1], pad[0], pad[0]), mode="reflect")
            spectrum = torch.fft.fft2(padded)
            out["energy"] = torch.cat([band.energy(spectrum).flatten(1) for band in self._bands(spectrum)], dim=1)
        return out

    def _bands(self, like: Tensor) -> list[_Band]:
        if not self._bank:
            size, pad = self.preprocess.size, _pad(self.preprocess.size)
            for scale in range(self.options["scales"]):
                self._bank.append(_Band.make(size, pad, CENTRE / 2**scale, self.options["orientations"], self.options["grid"]).to(like.device))
        return self._bank


def opponent(rgb: Tensor) -> Tensor:
    """Return luminance, red − green and blue − yellow (n, 3, h, w) of images in 0–1."""
    import torch

    r, g, b = rgb.unbind(1)
    return torch.stack([0.299 * r + 0.587 * g + 0.114 * b, r - g, b - 0.5 * (r + g)], dim=1)


@dataclass(frozen=True, eq=False)
class _Band:
    """The oriented filters of one octave, at the lowest resolution that holds it."""

    filters: Tensor  # (orientations, h, w)
    pick: tuple[Tensor, Tensor]  # rows and columns of the full spectrum
    cells: tuple[Tensor, Tensor]  # averaging matrices (grid, h), (grid, w)
    gain: float

    @classmethod
    def make(cls, size: tuple[int, int], pad: tuple[int, int], centre: float, n: int, grid: int) -> _Band:
        import torch

        full = [s + 2 * p for s, p in zip(size, pad, strict=True)]
        # the band ends at twice its centre: keep the frequencies below it, an even number a side
        small = [min(f, 2 * math.ceil(2 * centre * f)) for f in full]
        picks = [np.fft.fftfreq(m, 1 / m).round().astype(int) % f for m, f in zip(small, full, strict=True)]
        fy, fx = np.meshgrid(*(np.fft.fftfreq(m, 1 / m) / f for m, f in zip(small, full, strict=True)), indexing="ij")
        bank = steerable(fy, fx, centre, n)
        cells = [_cells(m, p * m / f, (p + s) * m / f, grid) for m, f, p, s in zip(small, full, pad, size, strict=True)]
        as_tensor = lambda a: torch.from_numpy(np.ascontiguousarray(a))  # noqa: E731
        gain = math.prod(small) / math.prod(full)
        return cls(as_tensor(bank.astype(np.float32)), (as_tensor(picks[0]), as_tensor(picks[1])), (as_tensor(cells[0]), as_tensor(cells[1])), gain)

    def to(self, device: Any) -> _Band:
        return _Band(
            self.filters.to(device), (self.pick[0].to(device), self.pick[1].to(device)), (self.cells[0].to(device), self.cells[1].to(device)), self.gain
        )  # fmt: skip

    def energy(self, spectrum: Tensor) -> Tensor:
        """Return the root of the mean energy in each cell: (n, channels, orientations, grid, grid)."""
        import torch

        part = spectrum[:, :, self.pick[0]][:, :, :, self.pick[1]]
        local = torch.fft.ifft2(part[:, :, None] * self.filters)
        power = (local.real.square() + local.imag.square()) * self.gain**2
        pooled = torch.einsum("gh,ncohw,kw->ncogk", self.cells[0], power, self.cells[1])
        return pooled.clamp_min(0).sqrt()


def steerable(fy: npt.NDArray[Any], fx: npt.NDArray[Any], centre: float, n: int) -> npt.NDArray[np.float64]:
    """Return the oriented filters (n, h, w) of the octave band about ``centre``, over frequencies in cycles a pixel.

    Scaled so that over all orientations and both half planes the squared filters sum to the squared radial window.
    """
    radius = np.hypot(fy, fx)
    octaves = np.log2(np.where(radius > 0, radius, 1.0) / centre)
    radial = np.where((radius > 0) & (np.abs(octaves) < 1), np.cos(np.pi / 2 * octaves), 0.0)
    angle = np.arctan2(fy, fx)
    scale = math.sqrt(4.0 ** (n - 1) * math.factorial(n - 1) ** 2 / (n * math.factorial(2 * (n - 1))))
    bank = []
    for k in range(n):
        toward = np.cos(angle - np.pi * k / n)
        bank.append(radial * scale * np.where(toward > 0, toward, 0.0) ** (n - 1))
    return np.stack(bank)


def _pad(size: tuple[int, int]) -> tuple[int, int]:
    """Return the reflected border that keeps opposite edges from meeting: an eighth of each side."""
    return size[0] // 8, size[1] // 8


def _cells(length: int, start: float, stop: float, grid: int) -> npt.NDArray[np.float32]:
    """Return the matrix (grid, length) that averages the samples between two positions in equal cells, shared samples by share."""
    edges = np.linspace(start, stop, grid + 1)
    left, right = np.arange(length), np.arange(length) + 1
    overlap = np.clip(np.minimum(right, edges[1:, None]) - np.maximum(left, edges[:-1, None]), 0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
