"""Balls of voxels: one list of integer steps serves every centre of a grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from brainenc.nouns.spaces.base import REACH, Index, as_centres, balls, check_radius, rows_of

ELEMENTS = 2_000_000  # look-ups at a time


def steps_within(affine: npt.NDArray[np.float64], radius_mm: float, largest: Index | None = None) -> Index:
    """Return the integer steps (n_steps, 3) whose length in millimetres, through the affine, is at most ``radius_mm``.

    Sorted as a grid in C order is; the zero step is among them. Their number is the size of a ball that no mask cuts. ``largest`` (3,)
    bounds the steps along each axis, as no voxel of a grid is further from another than the grid is wide.

    Examples
    --------
    >>> len(steps_within(np.diag([2.0, 2.0, 4.0, 1.0]), 2.0))
    5
    """
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    reach = check_radius(radius_mm) * REACH
    # |step_i| = |(row i of the inverse) · (A step)| <= ‖row i‖ r
    extent = np.floor(np.linalg.norm(np.linalg.inv(matrix), axis=1) * reach * REACH)
    extent = (extent if largest is None else np.minimum(extent, largest)).astype(int)
    axes = [np.arange(-n, n + 1) for n in extent]
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.ascontiguousarray(steps[np.linalg.norm(steps @ matrix.T, axis=1) <= reach], dtype=np.intp)


def lattice_balls(voxels: Index, affine: npt.NDArray[np.float64], radius_mm: float, centres: Index | None = None) -> Iterator[Index]:
    """Yield, for each centre, the sorted positions of the voxels within ``radius_mm`` of it: those of ``voxels`` and no others.

    Equal to `balls` on the coordinates in millimetres, and much faster: the steps within the radius are listed once and looked up in
    a grid that holds the position of every voxel and nothing outside them.

    Parameters
    ----------
    voxels : ndarray of shape (n_targets, 3)
    affine : ndarray of shape (4, 4)
    radius_mm : float
    centres : ndarray of int, optional
        Positions in ``voxels``; all of them when not given.
    """
    chosen = as_centres(centres, len(voxels))
    check_radius(radius_mm)
    if not len(chosen):
        return
    steps = steps_within(affine, radius_mm, np.ptp(voxels, axis=0))
    pad = np.abs(steps).max(axis=0)
    low = voxels.min(axis=0) - pad
    shape = voxels.max(axis=0) + pad - low + 1
    flat = np.ravel_multi_index(tuple((voxels - low).T), tuple(shape))
    if len(np.unique(flat)) < len(flat):  # a voxel that is listed twice has no place in a grid of positions
        yield from balls(voxels @ affine[:3, :3].T + affine[:3, 3], radius_mm, chosen)
        return
    grid = np.full(int(np.prod(shape)), -1, dtype=np.int32)
    grid[flat] = np.arange(len(voxels))
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    shifts = steps @ strides
    ordered = bool((np.diff(flat) > 0).all())
    block = max(1, ELEMENTS // len(shifts))
    for start in range(0, len(chosen), block):
        found = grid[flat[chosen[start : start + block], None] + shifts]
        if not ordered:
            found.sort(axis=1)
        inside = found >= 0
        yield from rows_of(found[inside].astype(np.intp), inside.sum(axis=1))
