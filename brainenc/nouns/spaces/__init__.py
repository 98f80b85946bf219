"""Where targets live. Every space paints a vector (n_targets,) back to where it came from and lists neighbourhoods."""

from brainenc.nouns.spaces.array import ArraySpace
from brainenc.nouns.spaces.base import Space
from brainenc.nouns.spaces.cifti import CiftiSpace
from brainenc.nouns.spaces.contacts import ContactSpace
from brainenc.nouns.spaces.sensors import SensorSpace
from brainenc.nouns.spaces.surface import SurfaceSpace
from brainenc.nouns.spaces.volume import VolumeSpace

__all__ = ["ArraySpace", "CiftiSpace", "ContactSpace", "SensorSpace", "Space", "SurfaceSpace", "VolumeSpace"]
