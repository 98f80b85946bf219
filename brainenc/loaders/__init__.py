"""Files to nouns: stimuli from folders, archives and arrays; responses from arrays, NIfTI, surfaces, CIFTI, EEG, MEG and sEEG; cleaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.loaders.arrays import load_array
    from brainenc.loaders.band_power import BandPower
    from brainenc.loaders.bdata import load_bdata
    from brainenc.loaders.betas import single_trial_betas
    from brainenc.loaders.betas_glmsingle import load_glmsingle
    from brainenc.loaders.bids_recordings import read_bids_recordings
    from brainenc.loaders.brain_treebank import read_treebank, treebank_events, treebank_words
    from brainenc.loaders.channel_parts import load_in_parts, parts_of_channels
    from brainenc.loaders.cifti import load_cifti
    from brainenc.loaders.cleaning import clean_responses
    from brainenc.loaders.contact_regions import locate_contacts
    from brainenc.loaders.epoching import load_continuous, load_epochs
    from brainenc.loaders.fmriprep import load_fmriprep
    from brainenc.loaders.hrf import Hrf, hrf_library
    from brainenc.loaders.hrf_choice import HrfChoice, choose_hrf
    from brainenc.loaders.images import list_images
    from brainenc.loaders.nifti import load_nifti
    from brainenc.loaders.noise_normalizing import NoiseNormalizer
    from brainenc.loaders.preprocessing import Preprocessing
    from brainenc.loaders.recording_events import load_events
    from brainenc.loaders.recordings import Recording, read_recording
    from brainenc.loaders.sensor_dict import load_sensor_dict
    from brainenc.loaders.stimuli import load_images, load_stimulus, stimulus_fingerprint
    from brainenc.loaders.surface import load_surface
    from brainenc.loaders.tables import load_table
    from brainenc.loaders.timed import load_movie, load_story
    from brainenc.loaders.voxels import load_voxels

_PUBLIC = {
    "BandPower": "band_power",
    "Hrf": "hrf",
    "HrfChoice": "hrf_choice",
    "NoiseNormalizer": "noise_normalizing",
    "Preprocessing": "preprocessing",
    "Recording": "recordings",
    "choose_hrf": "hrf_choice",
    "clean_responses": "cleaning",
    "hrf_library": "hrf",
    "list_images": "images",
    "load_array": "arrays",
    "load_bdata": "bdata",
    "load_cifti": "cifti",
    "load_continuous": "epoching",
    "load_epochs": "epoching",
    "load_events": "recording_events",
    "load_fmriprep": "fmriprep",
    "load_glmsingle": "betas_glmsingle",
    "load_images": "stimuli",
    "load_in_parts": "channel_parts",
    "load_movie": "timed",
    "load_nifti": "nifti",
    "load_sensor_dict": "sensor_dict",
    "load_stimulus": "stimuli",
    "load_story": "timed",
    "load_surface": "surface",
    "load_table": "tables",
    "load_voxels": "voxels",
    "locate_contacts": "contact_regions",
    "parts_of_channels": "channel_parts",
    "read_bids_recordings": "bids_recordings",
    "read_recording": "recordings",
    "read_treebank": "brain_treebank",
    "single_trial_betas": "betas",
    "stimulus_fingerprint": "stimuli",
    "treebank_events": "brain_treebank",
    "treebank_words": "brain_treebank",
}

__all__ = [
    "BandPower",
    "Hrf",
    "HrfChoice",
    "NoiseNormalizer",
    "Preprocessing",
    "Recording",
    "choose_hrf",
    "clean_responses",
    "hrf_library",
    "list_images",
    "load_array",
    "load_bdata",
    "load_cifti",
    "load_continuous",
    "load_epochs",
    "load_events",
    "load_fmriprep",
    "load_glmsingle",
    "load_images",
    "load_in_parts",
    "load_movie",
    "load_nifti",
    "load_sensor_dict",
    "load_stimulus",
    "load_story",
    "load_surface",
    "load_table",
    "load_voxels",
    "locate_contacts",
    "parts_of_channels",
    "read_bids_recordings",
    "read_recording",
    "read_treebank",
    "single_trial_betas",
    "stimulus_fingerprint",
    "treebank_events",
    "treebank_words",
]

__getattr__ = lazy(__name__, _PUBLIC)
