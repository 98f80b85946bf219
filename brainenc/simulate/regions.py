"""Simulated visual regions on fsaverage5: geodesic discs about coordinates of the literature.

The centres are rounded group means in MNI or Talairach space, given from memory and not verified; they only have to be
plausible. Everything built on them is labelled simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.rng import generator
from brainenc.nouns.spaces.surface import HEMISPHERES, SurfaceSpace, geodesic, load_mesh

MESH = "fsaverage5"


@dataclass(frozen=True, slots=True)
class Region:
    """One simulated region.

    Parameters
    ----------
    name : str
    left, right : tuple of three float
        Centre in millimetres.
    radius_mm : float
        Geodesic radius of the disc.
    driver : str
        Name of the feature space that drives it, ``"model/layer"``.
    ceiling : float
        Median noise ceiling (variance units) of the mean response over the repeats.
    """

    name: str
    left: tuple[float, float, float]
    right: tuple[float, float, float]
    radius_mm: float
    driver: str
    ceiling: float


def place(regions: tuple[Region, ...], *, seed: int, subject: str, jitter_mm: float = 2.0) -> tuple[pd.DataFrame, SurfaceSpace]:
    """Return the targets (roi, hemi, x, y, z, driver, vertex) and the surface space of one subject.

    A vertex inside two discs belongs to the nearer centre. Centres move by ``jitter_mm`` (standard deviation) between subjects.
    """
    parts = []
    for side in HEMISPHERES:
        points, _ = load_mesh(MESH, side)
        reach = np.full((len(regions), len(points)), np.inf)
        for row, region in enumerate(regions):
            rng = generator(seed, "place", subject, region.name, side)
            centre = np.array(getattr(region, side)) + jitter_mm * rng.standard_normal(3)
            start = int(np.argmin(np.linalg.norm(points - centre, axis=1)))
            distance = geodesic(MESH, side, start, region.radius_mm)
            reach[row] = distance / region.radius_mm
        owner = np.argmin(reach, axis=0)
        vertex = np.flatnonzero(np.isfinite(reach.min(axis=0)))
        xyz = points[vertex]
        parts.append(
            pd.DataFrame(
                {
                    "roi": [regions[i].name for i in owner[vertex]],
                    "hemi": side,
                    "x": xyz[:, 0],
                    "y": xyz[:, 1],
                    "z": xyz[:, 2],
                    "driver": [regions[i].driver for i in owner[vertex]],
                    "vertex": vertex,
                }
            )
        )
    targets = pd.concat(parts, ignore_index=True)
    rank = {region.name: i for i, region in enumerate(regions)}
    order = np.lexsort((targets["vertex"], targets["hemi"], targets["roi"].map(rank)))
    targets = targets.iloc[order].reset_index(drop=True)
    targets.insert(0, "target_id", [f"{h[0]}h-{v:05d}" for h, v in zip(targets["hemi"], targets["vertex"])])
    return targets, SurfaceSpace(MESH, targets["hemi"].to_numpy(dtype="U5"), targets["vertex"].to_numpy())


def smoothing_root(space: SurfaceSpace, width_mm: float) -> npt.NDArray[np.float64]:
    """Return the symmetric root (n_targets, n_targets) of a Gaussian correlation of geodesic distance, unit diagonal.

    Multiplying white noise (…, n_targets) by it gives noise of unit variance that is smooth over ``width_mm`` (standard
    deviation) within a hemisphere and independent between hemispheres.
    """
    n = space.n_targets
    correlation = np.zeros((n, n))
    for side in HEMISPHERES:
        here = np.flatnonzero(space.hemi == side)
        distance = geodesic(space.mesh, side, space.vertex[here], 4 * width_mm)[:, space.vertex[here]]
        correlation[np.ix_(here, here)] = np.exp(-0.5 * (distance / width_mm) ** 2)
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root / np.linalg.norm(root, axis=0)
