"""Miniature fMRIPrep trees with the real names: 5 x 4 x 3 volumes, small surfaces and grayordinates."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

AFFINE = np.array([[-3.0, 0, 0, 60], [0, 4.0, 0, -35], [0, 0, 5.0, 2], [0, 0, 0, 1]])
GRID = (5, 4, 3)
T_R = 2.0
LENGTHS = {1: 14, 2: 12}


def motion(n, rng):
    """Confounds as fMRIPrep names them, n/a where it writes n/a."""
    table = {}
    for name in ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "csf", "white_matter", "global_signal"):
        base = rng.standard_normal(n)
        table[name], table[f"{name}_derivative1"] = base, np.r_[np.nan, np.diff(base)]
        table[f"{name}_power2"], table[f"{name}_derivative1_power2"] = base**2, np.r_[np.nan, np.diff(base) ** 2]
    table["framewise_displacement"] = np.r_[np.nan, np.full(n - 1, 0.1)]
    table["std_dvars"] = np.r_[np.nan, np.full(n - 1, 1.0)]
    table["cosine00"] = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    return pd.DataFrame(table)


class Tree:
    """A raw data set with derivatives/fmriprep inside, two runs of different lengths."""

    def __init__(self, root, rng, ses=None, spaces=("volume", "surface", "cifti"), runs=LENGTHS):
        self.root, self.rng, self.ses = root / "derivatives" / "fmriprep", rng, ses
        self.raw, self.data, self.masks, self.tables = root, {}, {}, {}
        for run, n in runs.items():
            self.add(run, n, spaces)

    def stem(self, run):
        return "_".join(part for part in ("sub-01", self.ses and f"ses-{self.ses}", "task-film", f"run-{run}") if part)

    def folder(self, base):
        folder = base / "sub-01" / (f"ses-{self.ses}" if self.ses else "") / "func"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def add(self, run, n, spaces):
        func, stem = self.folder(self.root), self.stem(run)
        confounds = motion(n, self.rng)
        confounds.to_csv(func / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a")
        (func / f"{stem}_desc-confounds_timeseries.json").write_text("{}")
        events = pd.DataFrame({"onset": [2.0, 10.0, 14.0], "duration": [3.0, 2.0, 1.0], "trial_type": ["face", "rest", "n/a"]})
        events.to_csv(self.folder(self.raw) / f"{stem}_events.tsv", sep="\t", index=False)
        self.tables[run] = confounds
        if "volume" in spaces:
            name = f"{stem}_space-MNI152NLin2009cAsym_desc-preproc_bold"
            data = self.rng.standard_normal((*GRID, n)).astype(np.float32) + 100
            mask = np.ones(GRID, np.uint8)
            mask[run, 0, 0] = 0
            self.nifti(func / f"{name}.nii.gz", data)
            self.nifti(func / f"{name.replace('preproc_bold', 'brain_mask')}.nii.gz", mask)
            self.json(func / f"{name}.json", StartTime=0.9, SliceTimingCorrected=True)
            self.data["volume", run], self.masks[run] = data, mask
        if "surface" in spaces:
            for side, size in (("L", 11), ("R", 13)):
                data = self.rng.standard_normal((n, size)).astype(np.float32)
                arrays = [nib.gifti.GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32") for row in data]
                nib.save(nib.gifti.GiftiImage(darrays=arrays), func / f"{stem}_hemi-{side}_space-fsnative_bold.func.gii")
                self.json(func / f"{stem}_hemi-{side}_space-fsnative_bold.json")
                self.data[side, run] = data
        if "cifti" in spaces:
            data = self.rng.standard_normal((n, 7)).astype(np.float32)
            brain = BrainModelAxis.from_surface(np.arange(7), 9, name="CortexLeft")
            nib.save(Cifti2Image(data, (SeriesAxis(0, T_R, n), brain)), func / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii")
            self.json(func / f"{stem}_space-fsLR_den-91k_bold.json")
            self.data["cifti", run] = data

    def nifti(self, path, data, affine=AFFINE, t_r=T_R):
        image = nib.Nifti1Image(data, affine)
        image.header.set_xyzt_units("mm", "sec")
        if data.ndim == 4:
            image.header.set_zooms([*image.header.get_zooms()[:3], t_r])
        nib.save(image, path)

    def json(self, path, **more):
        path.write_text(json.dumps({"RepetitionTime": T_R, **more}))

    def func(self, run, ending):
        return self.folder(self.root) / f"{self.stem(run)}{ending}"
