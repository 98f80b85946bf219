"""Maps of a results folder: one vector per target, written where its space says."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.errors import BrainencError
from brainenc.core.fingerprint import of_json
from brainenc.io import atomic
from brainenc.nouns import Scores, SurfaceSpace


def vectors(per_seed: list[Scores], notes: list[str], where: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the values (n_targets,) of each map: means over the split seeds, of the first metric."""
    metric = per_seed[0].entries["metric"].iloc[0]
    models = list(dict.fromkeys(per_seed[0].entries["model"]))
    groups = [("best", None)] if len(models) > 1 else []
    for name, model in [*groups, *((model, model) for model in models)]:
        chosen = [scores if model is None else scores.entry(model=model) for scores in per_seed]
        try:
            yield name, np.mean([scores.vector("best", metric=metric) for scores in chosen], axis=0)
        except BrainencError as error:  # pooled scores leave no honest choice of a layer: every layer gets its map
            notes.append(f"{where}: no map of the best layer of {model or 'all models'} ({error})")
            if model is not None:
                for layer in chosen[0].layers:
                    yield layer, np.mean([scores.vector(layer, metric=metric) for scores in chosen], axis=0)
    if per_seed[0].ceiling is not None:
        yield "ceiling", np.mean([scores.vector(scores.layers[0], metric=metric, value="ceiling") for scores in per_seed], axis=0)


def paint(space: Any, vector: np.ndarray, stem: Path) -> list[tuple[str | None, Path]]:
    """Write one vector where its space says: NIfTI, CIFTI, GIFTI per hemisphere, an evoked, a table or an array."""
    if isinstance(space, SurfaceSpace):
        return [(side, _gifti(values, side, stem)) for side, values in space.paint_arrays(vector).items()]
    painted = space.paint(vector)
    if isinstance(painted, np.ndarray):
        return [(None, atomic.write_npy(stem.with_name(stem.name + ".npy"), painted))]
    if isinstance(painted, pd.DataFrame):
        return [(None, atomic.write_csv(stem.with_name(stem.name + ".tsv"), painted))]
    if type(painted).__name__ == "Nifti1Image":
        return [(None, atomic.write_bytes(stem.with_name(stem.name + ".nii.gz"), gzip.compress(painted.to_bytes(), mtime=0)))]
    if type(painted).__name__ == "Cifti2Image":
        return [(None, atomic.write_bytes(stem.with_name(stem.name + ".dscalar.nii"), painted.to_bytes()))]
    if hasattr(painted, "ch_names"):
        target = stem.with_name(stem.name + "-ave.fif")
        with atomic.atomic_write(target) as temporary:
            painted.save(temporary, overwrite=True, verbose="error")
        return [(None, target)]
    return [(None, atomic.write_npy(stem.with_name(stem.name + ".npy"), vector))]


def stem_of(stem: Path, names: list[str], used: set[Path]) -> Path:
    """Return a file name without its ending; names that look alike once made safe are told apart by a hash."""
    if stem in used:
        stem = stem.with_name(f"{stem.name}-{of_json(names)[:8]}")
    used.add(stem)
    return stem


def _gifti(values: np.ndarray, side: str, stem: Path) -> Path:
    import nibabel as nib

    structure = {"left": "CortexLeft", "right": "CortexRight"}[side]
    image = nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(values.astype(np.float32), intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32")])
    image.meta["AnatomicalStructurePrimary"] = structure
    letter = {"left": "L", "right": "R"}[side]
    return atomic.write_bytes(stem.with_name(f"{stem.name}_hemi-{letter}.func.gii"), image.to_bytes())
