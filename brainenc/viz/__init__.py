"""Plots: one verb, `plot`, for every noun, and the named figures behind it. All return a matplotlib Figure and show nothing."""

from __future__ import annotations

from brainenc.core.lazy import lazy

_PUBLIC = {
    "plot": "dispatch",
    "layer_region_heatmap": "heatmap",
    "layer_profiles": "profiles",
    "layer_time_image": "layer_times",
    "encoder_time_matrix": "layer_times",
    "scalp_series": "recordings",
    "score_course": "recordings",
    "score_vs_ceiling": "scatter",
    "brain_map": "maps",
    "score_map": "maps",
    "winner_map": "maps",
    "model_maps": "searchlights",
    "contact_sheet": "stimuli",
    "variance_spectrum": "features",
    "response_carpet": "responses",
    "rdm_panels": "rdms",
    "mds_map": "embedding",
    "model_bars": "comparisons",
    "time_course": "courses",
    "time_matrix": "courses",
    "triangle": "triangles",
    "tag_spectrum": "tagging",
    "tag_channels": "tagging",
    "tag_counts": "tagging",
}

__all__ = sorted(_PUBLIC)

__getattr__ = lazy(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return __all__
