"""One plot verb for every noun."""

from __future__ import annotations

from typing import Any

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.resolver import resolve

# For each noun the kinds of plot it has, the default first.
KINDS: dict[str, dict[str, str]] = {
    "Scores": {
        "heatmap": "brainenc.viz.heatmap:layer_region_heatmap",
        "profiles": "brainenc.viz.profiles:layer_profiles",
        "ceiling": "brainenc.viz.scatter:score_vs_ceiling",
        "map": "brainenc.viz.maps:score_map",
        "winners": "brainenc.viz.maps:winner_map",
        "models": "brainenc.viz.searchlights:model_maps",
        "times": "brainenc.viz.layer_times:layer_time_image",
        "course": "brainenc.viz.recordings:score_course",
        "scalp": "brainenc.viz.recordings:scalp_series",
    },
    "Responses": {"carpet": "brainenc.viz.responses:response_carpet"},
    "FeatureSpace": {"spectrum": "brainenc.viz.features:variance_spectrum"},
    "StimulusSet": {"sheet": "brainenc.viz.stimuli:contact_sheet"},
    "RDMs": {"panels": "brainenc.viz.rdms:rdm_panels", "mds": "brainenc.viz.embedding:mds_map"},
    "Tagging": {
        "spectrum": "brainenc.viz.tagging:tag_spectrum",
        "channels": "brainenc.viz.tagging:tag_channels",
        "counts": "brainenc.viz.tagging:tag_counts",
    },
    "TagSelection": {"counts": "brainenc.viz.tagging:tag_counts"},
    "TimeGeneralization": {"matrix": "brainenc.viz.layer_times:encoder_time_matrix"},
    "Clusters": {"image": "brainenc.viz.clusters:cluster_image"},
    "Integration": {
        "courses": "brainenc.viz.multimodal:integration_courses",
        "map": "brainenc.viz.multimodal:integration_map",
        "regions": "brainenc.viz.multimodal:integration_regions",
    },
    "VariancePartition": {"bars": "brainenc.viz.partitions:partition_bars"},
    "Identification": {"triangle": "brainenc.viz.triangles:triangle"},
    "Evaluation": {
        "bars": "brainenc.viz.comparisons:model_bars",
        "course": "brainenc.viz.courses:time_course",
        "matrix": "brainenc.viz.courses:time_matrix",
    },
}


def plot(noun: Any, kind: str | None = None, **options: Any) -> Any:
    """Draw a noun and return a matplotlib Figure; nothing is shown and no global setting changes.

    Parameters
    ----------
    noun : Scores, Evaluation, VariancePartition, TimeGeneralization, Integration, Clusters, Identification, RDMs, Responses, FeatureSpace or StimulusSet
    kind : str, optional
        For scores "heatmap" (default), "profiles", "ceiling", "map", "winners", "times", "course", "scalp" or "models" (default for a searchlight of
        one subject); for evaluations "bars" (default), "course" (default where groups are times) or "matrix" (times by times); for RDMs "panels"
        (default) or "mds"; for integrations "courses" (default), "map" or "regions"; the other nouns have one kind each.
    **options
        For the function behind it, e.g. ``plot(scores, "map", subject="01", title="Subject 01")``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For an unknown kind (with the nearest one), or something that is no noun.

    Examples
    --------
    >>> import brainenc as be
    >>> figure = be.plot(be.RDMs([[0.1, 0.5, 0.9]], {"condition": ["face", "house", "cat"]}))
    >>> type(figure).__name__
    'Figure'
    """
    kinds = KINDS.get(type(noun).__name__)
    if kinds is None:
        raise InputError(
            "nothing here can be drawn", where="plot", expected=f"one of {', '.join(KINDS)}", got=type(noun).__name__
        )
    name = _default(noun, kinds) if kind is None else one_of(kind, tuple(kinds), f"kind of plot of {type(noun).__name__}")
    return resolve(kinds[name])(noun, **options)


def _default(noun: Any, kinds: dict[str, str]) -> str:
    """Return the first kind, but a course or a matrix for evaluations at several times, and maps for a searchlight of one subject."""
    if type(noun).__name__ == "Evaluation":
        times = {name: noun.groups[name].nunique() for name in ("time", "time_test") if name in noun.groups}
        if len(noun.groups.columns) == len(times) and min(times.values(), default=0) > 1:
            return "course" if list(times) == ["time"] else "matrix"
    if type(noun).__name__ == "Scores" and "searchlight" in noun.provenance and noun.targets["subject"].nunique() == 1:
        return "models"
    return next(iter(kinds))
