"""Files to nouns: stimuli from folders, archives and arrays; responses from arrays, NIfTI, surfaces and CIFTI; cleaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.loaders.arrays import load_array
    from brainenc.loaders.betas import single_trial_betas
    from brainenc.loaders.betas_glmsingle import load_glmsingle
    from brainenc.loaders.cifti import load_cifti
    from brainenc.loaders.cleaning import clean_responses
    from brainenc.loaders.fmriprep import load_fmriprep
    from brainenc.loaders.hrf import Hrf, hrf_library
    from brainenc.loaders.hrf_choice import HrfChoice, choose_hrf
    from brainenc.loaders.images import list_images
    from brainenc.loaders.nifti import load_nifti
    from brainenc.loaders.stimuli import load_images, load_stimulus, stimulus_fingerprint
    from brainenc.loaders.surface import load_surface
    from brainenc.loaders.tables import load_table
    from brainenc.loaders.timed import load_movie, load_story

_PUBLIC = {
    "Hrf": "hrf",
    "HrfChoice": "hrf_choice",
    "choose_hrf": "hrf_choice",
    "clean_responses": "cleaning",
    "hrf_library": "hrf",
    "list_images": "images",
    "load_array": "arrays",
    "load_cifti": "cifti",
    "load_fmriprep": "fmriprep",
    "load_glmsingle": "betas_glmsingle",
    "load_images": "stimuli",
    "load_movie": "timed",
    "load_nifti": "nifti",
    "load_stimulus": "stimuli",
    "load_story": "timed",
    "load_surface": "surface",
    "load_table": "tables",
    "single_trial_betas": "betas",
    "stimulus_fingerprint": "stimuli",
}

__all__ = [
    "Hrf",
    "HrfChoice",
    "choose_hrf",
    "clean_responses",
    "hrf_library",
    "list_images",
    "load_array",
    "load_cifti",
    "load_fmriprep",
    "load_glmsingle",
    "load_images",
    "load_movie",
    "load_nifti",
    "load_stimulus",
    "load_story",
    "load_surface",
    "load_table",
    "single_trial_betas",
    "stimulus_fingerprint",
]

__getattr__ = lazy(__name__, _PUBLIC)
