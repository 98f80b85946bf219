"""Where the products run: one argument, no process-wide switch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device named by ``device``.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` (CUDA where there is one, else the CPU), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        For an unknown name, or CUDA on a machine without it.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise InputError("unknown device", where="device", expected='"auto", "cpu", "cuda" or "cuda:<number>"', got=repr(device))
    if found.type == "cuda" and (not torch.cuda.is_available() or (found.index or 0) >= torch.cuda.device_count()):
        n = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise InputError("this CUDA device is not here", where="device", expected=f"one of {n} CUDA devices", got=repr(device), fix='use device="auto"')
    return found


def working_dtype(*arrays: Any) -> np.dtype[Any]:
    """Return float32 if the first array is float32 (or float16), else float64: results follow the features."""
    return np.dtype(np.float32 if arrays[0].dtype in (np.float32, np.float16) else np.float64)


def to_tensor(values: npt.NDArray[Any], dtype: np.dtype[Any], device: torch.device) -> torch.Tensor:
    """Return a contiguous tensor of ``dtype`` on ``device``, always a copy, so that kernels may write into it."""
    return torch.from_numpy(np.array(values, dtype=dtype, order="C", copy=True, subok=False)).to(device)


def to_numpy(values: torch.Tensor) -> npt.NDArray[Any]:
    """Return a tensor as a numpy array in main memory."""
    return values.detach().cpu().numpy()
