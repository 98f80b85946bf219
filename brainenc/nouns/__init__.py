"""The containers: data, selection, validation, save and read. Whatever computes lives in a room above."""

from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.neighbourhoods import Neighbourhoods
from brainenc.nouns.persist import read
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.responses import Responses
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import (
    ArraySpace,
    CiftiSpace,
    ContactSpace,
    SensorSpace,
    Space,
    SurfaceSpace,
    VolumeSpace,
)
from brainenc.nouns.splits import Split
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tagging import Tagging, TagSelection

__all__ = [
    "ArraySpace",
    "CiftiSpace",
    "ContactSpace",
    "Evaluation",
    "FeatureSpace",
    "Neighbourhoods",
    "NoiseCeiling",
    "RDMs",
    "Responses",
    "Scores",
    "SensorSpace",
    "Space",
    "Split",
    "StimulusSet",
    "SurfaceSpace",
    "TagSelection",
    "Tagging",
    "VolumeSpace",
    "read",
]
