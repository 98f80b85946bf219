"""Maps of voxels: a glass brain where the grid looks like a whole brain in MNI space, else the slices that hold targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.nouns.spaces import VolumeSpace
from brainenc.viz import style

MAX_SLICES = 12


def draw_volume(space: VolumeSpace, values: npt.NDArray[np.float64], scale: Any, label: str) -> tuple[Any, str]:
    """Return a figure of a volume and a note on what is shown."""
    if looks_like_mni(space):
        return _glass(space, values, scale, label)
    return _slices(space, values, scale, label)


def looks_like_mni(space: VolumeSpace) -> bool:
    """True for targets spread in three dimensions over a grid whose field of view covers the MNI template and little more.

    A space does not say which template it is in; a grid of 130–300 mm a side, with the origin well inside it, is taken for one.
    """
    corners = np.array([np.zeros(3), np.array(space.shape) - 1.0]) @ space.affine[:3, :3].T + space.affine[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = high - low
    spread = np.ptp(space.coordinates, axis=0) if space.n_targets else np.zeros(3)
    inside = (low < [-50, -80, -30]).all() and (high > [50, 50, 55]).all()
    diagonal = np.allclose(
        np.abs(space.affine[:3, :3]), np.diag(np.linalg.norm(space.affine[:3, :3], axis=0)), atol=1e-3
    )
    return bool(diagonal and inside and (extent > 120).all() and (extent < 300).all() and (spread > 12).all())


def _glass(space: VolumeSpace, values: npt.NDArray[np.float64], scale: Any, label: str) -> tuple[Any, str]:
    import matplotlib.pyplot as plt
    from nilearn.plotting import plot_glass_brain

    image = space.paint(np.nan_to_num(values, nan=0.0))
    canvas = np.nan_to_num(np.asarray(image.dataobj), nan=0.0)
    fig = plt.figure(figsize=(9.2, 3.3), facecolor=style.PAPER)
    try:
        plot_glass_brain(
            type(image)(canvas, image.affine), figure=fig, axes=(0.02, 0.14, 0.86, 0.74), display_mode="lyrz", colorbar=False,
            cmap=scale.cmap.with_extremes(bad=(0, 0, 0, 0)), vmin=scale.bottom, vmax=scale.top, plot_abs=False, threshold=1e-9, alpha=0.5,
        )  # fmt: skip
        axes = fig.add_axes((0.91, 0.22, 0.012, 0.55))
        slim_bar(fig, axes, scale, label)
    finally:
        plt.close(fig)
    return fig, "glass brain, largest value along each line of sight; the grid was taken to be in MNI space"


def _slices(space: VolumeSpace, values: npt.NDArray[np.float64], scale: Any, label: str) -> tuple[Any, str]:
    canvas = np.full(space.shape, np.nan)
    canvas[tuple(space.voxels.T)] = values
    inside = np.zeros(space.shape, dtype=bool)
    inside[tuple(space.voxels.T)] = True
    axis, filled, box, voxel_aspect, extent = slices_of(space)
    shown = (
        filled
        if len(filled) <= MAX_SLICES
        else filled[np.unique(np.linspace(0, len(filled) - 1, MAX_SLICES).round().astype(int))]
    )
    across, up = (a for a in range(3) if a != axis)
    columns = min(6, len(shown))
    rows = -(-len(shown) // columns)
    aspect = extent[1] / extent[0]
    width = 3.6 if len(shown) == 1 else 1.9
    fig = style.figure(
        max(width * columns + 1.1, 5.8), min(width * float(np.clip(aspect, 0.4, 2.0)) * rows + 1.0, 14.0)
    )
    axes = list(np.ravel(fig.subplots(rows, columns, squeeze=False)))
    for ax, position in zip(axes, shown, strict=False):
        draw_slice(
            ax,
            canvas.take(position, axis=axis)[box],
            inside.take(position, axis=axis)[box],
            scale,
            voxel_aspect,
        )
        ax.set_title(
            f"{'ijk'[axis]} = {position}", loc="center", fontsize=8.5, fontweight="normal", color=style.SOFT, pad=3
        )
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    scale.bar(fig, axes, label)
    part = "" if len(shown) == len(filled) else f"{len(shown)} of {len(filled)} slices with targets; "
    return fig, f"{part}slices of the grid as stored ({'ijk'[across]} to the right, {'ijk'[up]} up), not resampled"


def _slice_axis(inside: npt.NDArray[np.bool_]) -> int:
    """Return the axis with the fewest filled slices: through a slab the slab itself is shown."""
    counts = [int(inside.any(axis=tuple(a for a in range(3) if a != axis)).sum()) for axis in range(3)]
    return int(np.argmin(counts)) if min(counts) <= MAX_SLICES else 2


def _box(inside: npt.NDArray[np.bool_], across: int, up: int) -> tuple[slice, slice]:
    found = []
    for axis in (across, up):
        filled = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        found.append(slice(max(int(filled[0]) - 2, 0), min(int(filled[-1]) + 3, inside.shape[axis])))
    return found[0], found[1]


def slices_of(space: VolumeSpace) -> tuple[int, npt.NDArray[np.intp], tuple[slice, slice], float, tuple[float, float]]:
    """Return how a volume is sliced: the axis, the slices with targets, what of them is shown, the aspect of a voxel, and width and height (mm)."""
    inside = np.zeros(space.shape, dtype=bool)
    inside[tuple(space.voxels.T)] = True
    axis = _slice_axis(inside)
    across, up = (a for a in range(3) if a != axis)
    box = _box(inside, across, up)
    sizes = np.linalg.norm(space.affine[:3, :3], axis=0)
    filled = np.flatnonzero(inside.any(axis=(across, up)))
    extent = tuple(float(sizes[a] * (part.stop - part.start)) for a, part in zip((across, up), box, strict=True))
    return axis, filled, box, float(sizes[up] / sizes[across]), (extent[0], extent[1])


def draw_slice(ax: Any, values: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_], scale: Any, aspect: float) -> None:
    """Draw one slice: targets in colour, the rest of the mask in grey."""
    ground = np.where(inside, 0.82, 0.955)
    ax.imshow(np.repeat(ground.T[..., None], 3, axis=2), origin="lower", aspect=aspect)
    ax.imshow(scale.rgba(values.T.ravel()).reshape(*values.T.shape, 4), origin="lower", aspect=aspect)
    ax.set_axis_off()


def slim_bar(fig: Any, axes: Any, scale: Any, label: str) -> None:
    """Draw the colour bar of a glass brain into its axes."""
    from matplotlib.cm import ScalarMappable

    bar = fig.colorbar(ScalarMappable(scale.norm, scale.cmap), cax=axes)
    bar.outline.set_visible(False)
    bar.set_label(style.plain(label), fontsize=8.5)
