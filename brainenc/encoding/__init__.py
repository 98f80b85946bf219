"""Encoding models: from features to responses.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.encoding._bands import join
    from brainenc.encoding._integration import Integration
    from brainenc.encoding._partition import VariancePartition
    from brainenc.encoding._reading import Readout
    from brainenc.encoding.across import cluster_test, sign_flip_test
    from brainenc.encoding.associations import map_association
    from brainenc.encoding.banded import BandedRidge
    from brainenc.encoding.behaviour import relate
    from brainenc.encoding.comparing import compare_layers, winners
    from brainenc.encoding.consistency import Consistency, noise_corrected_consistency
    from brainenc.encoding.curves import half_time, normalized_curves
    from brainenc.encoding.delays import Delays, compact_delays
    from brainenc.encoding.design_matrix import delay_space, design
    from brainenc.encoding.generalizing import TimeGeneralization, temporal_generalization
    from brainenc.encoding.hierarchy import distances_to, spatial_score, temporal_score
    from brainenc.encoding.inference import bootstrap, compare, permutation_test
    from brainenc.encoding.mixed import MixedEffects, mixed_effects
    from brainenc.encoding.multimodal import multimodal_sites
    from brainenc.encoding.partitioning import partition_variance, product_measure
    from brainenc.encoding.projecting import average_subjects, project, read_mapper
    from brainenc.encoding.receptive import delay_weights, smooth_delays
    from brainenc.encoding.receptive_field import ReceptiveField
    from brainenc.encoding.ridge import Ridge, RidgePath, fit_path
    from brainenc.encoding.saving import load_model
    from brainenc.encoding.score import score_layers
    from brainenc.encoding.selecting import best_layer
    from brainenc.encoding.stability import layer_stability
    from brainenc.encoding.stacking import Stacking
    from brainenc.encoding.subjects import Prevalence, group_table, prevalence
    from brainenc.encoding.timing import Latencies, latencies

_WHERE = {
    "BandedRidge": "banded",
    "Consistency": "consistency",
    "Delays": "delays",
    "Integration": "_integration",
    "Latencies": "timing",
    "MixedEffects": "mixed",
    "Prevalence": "subjects",
    "Readout": "_reading",
    "ReceptiveField": "receptive_field",
    "Ridge": "ridge",
    "RidgePath": "ridge",
    "Stacking": "stacking",
    "TimeGeneralization": "generalizing",
    "VariancePartition": "_partition",
    "average_subjects": "projecting",
    "best_layer": "selecting",
    "bootstrap": "inference",
    "cluster_test": "across",
    "compact_delays": "delays",
    "compare": "inference",
    "compare_layers": "comparing",
    "delay_space": "design_matrix",
    "delay_weights": "receptive",
    "design": "design_matrix",
    "distances_to": "hierarchy",
    "fit_path": "ridge",
    "group_table": "subjects",
    "half_time": "curves",
    "join": "_bands",
    "latencies": "timing",
    "layer_stability": "stability",
    "load_model": "saving",
    "map_association": "associations",
    "mixed_effects": "mixed",
    "multimodal_sites": "multimodal",
    "noise_corrected_consistency": "consistency",
    "normalized_curves": "curves",
    "partition_variance": "partitioning",
    "permutation_test": "inference",
    "prevalence": "subjects",
    "product_measure": "partitioning",
    "project": "projecting",
    "read_mapper": "projecting",
    "relate": "behaviour",
    "score_layers": "score",
    "sign_flip_test": "across",
    "smooth_delays": "receptive",
    "spatial_score": "hierarchy",
    "temporal_generalization": "generalizing",
    "temporal_score": "hierarchy",
    "winners": "comparing",
}

__all__ = [
    "BandedRidge",
    "Consistency",
    "Delays",
    "Integration",
    "Latencies",
    "MixedEffects",
    "Prevalence",
    "Readout",
    "ReceptiveField",
    "Ridge",
    "RidgePath",
    "Stacking",
    "TimeGeneralization",
    "VariancePartition",
    "average_subjects",
    "best_layer",
    "bootstrap",
    "cluster_test",
    "compact_delays",
    "compare",
    "compare_layers",
    "delay_space",
    "delay_weights",
    "design",
    "distances_to",
    "fit_path",
    "group_table",
    "half_time",
    "join",
    "latencies",
    "layer_stability",
    "load_model",
    "map_association",
    "mixed_effects",
    "multimodal_sites",
    "noise_corrected_consistency",
    "normalized_curves",
    "partition_variance",
    "permutation_test",
    "prevalence",
    "product_measure",
    "project",
    "read_mapper",
    "relate",
    "score_layers",
    "sign_flip_test",
    "smooth_delays",
    "spatial_score",
    "temporal_generalization",
    "temporal_score",
    "winners",
]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
