"""Encoding models: from features to responses.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.encoding._bands import join
    from brainenc.encoding.banded import BandedRidge
    from brainenc.encoding.compare import compare_layers, winners
    from brainenc.encoding.consistency import Consistency, noise_corrected_consistency
    from brainenc.encoding.design_matrix import delay_space, design
    from brainenc.encoding.ridge import Ridge, RidgePath, fit_path
    from brainenc.encoding.saving import load_model
    from brainenc.encoding.score import score_layers

_WHERE = {
    "BandedRidge": "banded",
    "Consistency": "consistency",
    "Ridge": "ridge",
    "RidgePath": "ridge",
    "compare_layers": "compare",
    "delay_space": "design_matrix",
    "design": "design_matrix",
    "fit_path": "ridge",
    "load_model": "saving",
    "join": "_bands",
    "noise_corrected_consistency": "consistency",
    "score_layers": "score",
    "winners": "compare",
}

__all__ = [
    "BandedRidge",
    "Consistency",
    "Ridge",
    "RidgePath",
    "compare_layers",
    "delay_space",
    "design",
    "fit_path",
    "join",
    "load_model",
    "noise_corrected_consistency",
    "score_layers",
    "winners",
]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
