"""Maps of EEG and MEG sensors over time, and of intracranial contacts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.nouns.spaces import ContactSpace, SensorSpace
from brainenc.viz import style

Floats = npt.NDArray[np.float64]
N_MAPS = 4


def draw_sensors(space: SensorSpace, values: Floats, scale: Any, label: str) -> tuple[Any, str]:
    """Return a figure of (channel, time) values: the course of every channel, and scalp maps where positions are known."""
    canvas = space.paint_array(values)
    kinds = list(dict.fromkeys(space.channels["type"].astype(str)))
    maps = map_times(space, canvas) if has_places(space) else []
    fig = style.figure(7.8, 3.0 + (1.9 if len(maps) else 0.0))
    grid = fig.add_gridspec(2 if len(maps) else 1, max(len(maps), 1), height_ratios=[1.3, 1.0] if len(maps) else [1.0])
    ax = fig.add_subplot(grid[0, :])
    if len(space.times) > 1:
        _courses(ax, space, canvas, label, kinds)
    else:
        _bars(ax, space, canvas, label)
    axes = []
    for column, moment in enumerate(maps):
        part = fig.add_subplot(grid[1, column])
        axes.append(part)
        draw_scalp(part, space, canvas[:, moment], scale)
        part.set_title(
            f"{1000 * space.times[moment]:.0f} ms", loc="center", fontsize=8.5, fontweight="normal", color=style.SOFT
        )
        if len(space.times) > 1:
            ax.axvline(1000 * space.times[moment], color=style.RULE, zorder=0)
    if axes:
        scale.bar(fig, axes, label)
    return fig, "thin: each channel; thick: median over channels" if len(space.times) > 1 else "one bar per channel"


def draw_contacts(space: ContactSpace, values: Floats, scale: Any, label: str) -> tuple[Any, str]:
    """Return contacts on a glass brain (MNI millimetres), coloured by their value, grey where there is none.

    Where contacts have several times, each shows its largest value.
    """
    import matplotlib.pyplot as plt
    from nilearn.plotting import plot_glass_brain

    frame = space.table.assign(value=values)
    peak = frame.groupby("channel", sort=False).agg({"x": "first", "y": "first", "z": "first", "value": "max"})
    known = peak[["x", "y", "z"]].notna().all(axis=1)
    missing, peak = int((~known).sum()), peak[known]
    value = peak["value"].to_numpy(dtype=float)
    colors = np.where(np.isnan(value)[:, None], [[0.7, 0.71, 0.72, 1.0]], scale.rgba(value))
    order = np.argsort(np.where(np.isnan(value), -np.inf, value))
    fig = plt.figure(figsize=(9.2, 3.3), facecolor=style.PAPER)
    try:
        display = plot_glass_brain(None, figure=fig, axes=(0.02, 0.1, 0.86, 0.78), display_mode="lyrz")
        if len(peak):
            display.add_markers(
                peak[["x", "y", "z"]].to_numpy(dtype=float)[order],
                marker_color=[tuple(c) for c in colors[order]],
                marker_size=26,
                edgecolors=style.INK,
                linewidths=0.4,
            )
        from brainenc.viz.volumes import slim_bar

        slim_bar(fig, fig.add_axes((0.91, 0.22, 0.012, 0.55)), scale, label)
    finally:
        plt.close(fig)
    several = "largest value over time of each contact; " if frame.duplicated("channel").any() else ""
    return fig, f"{several}coordinates taken as MNI millimetres" + (
        f"; {missing} contacts without coordinates" if missing else ""
    )


def has_places(space: SensorSpace) -> bool:
    """Return whether at least four sensors have coordinates."""
    return {"x", "y", "z"} <= set(space.channels.columns) and int(
        space.channels[["x", "y", "z"]].notna().all(axis=1).sum()
    ) >= 4


def map_times(space: SensorSpace, canvas: Floats, n: int = N_MAPS) -> list[int]:
    """Return the moments to map: the peak of the median magnitude of each of ``n`` equal parts of the epoch."""
    level = np.array([np.median(np.abs(c[np.isfinite(c)])) if np.isfinite(c).sum() >= 4 else -np.inf for c in canvas.T])
    parts = np.array_split(np.arange(len(space.times)), min(n, len(space.times)))
    return [int(p[np.argmax(level[p])]) for p in parts if np.isfinite(level[p]).any()]


def _courses(ax: Any, space: SensorSpace, canvas: Floats, label: str, kinds: list[str]) -> None:
    milliseconds = 1000 * space.times
    colors = style.category_colors(kinds)
    for kind in kinds:
        rows = canvas[(space.channels["type"].astype(str) == kind).to_numpy()]
        rows = rows[np.isfinite(rows).any(axis=1)]
        if not len(rows):
            continue
        ax.plot(milliseconds, rows.T, color=colors[kind], linewidth=0.5, alpha=0.3)
        middle = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else np.nan for c in rows.T])
        ax.plot(
            milliseconds, middle, color=colors[kind], linewidth=2.2, label=f"{style.legend_text(kind)} ({len(rows)})"
        )
    ax.grid(axis="y")
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    ax.set(xlabel="time (ms)", ylabel=style.plain(label), xlim=(milliseconds[0], milliseconds[-1]))
    if milliseconds[0] < 0 < milliseconds[-1]:
        ax.axvline(0, color=style.FAINT, linewidth=0.8, linestyle=":")
    if len(kinds) > 1:
        ax.legend(loc="upper right")


def _bars(ax: Any, space: SensorSpace, canvas: Floats, label: str) -> None:
    ax.bar(np.arange(len(canvas)), canvas[:, 0], color=style.PALETTE[10], width=0.8)
    few = len(canvas) <= 40
    ax.set_xticks(
        np.arange(len(canvas)) if few else [],
        [style.shorten(c, 8) for c in space.channels["channel"]] if few else [],
        rotation=90,
    )
    ax.set_ylabel(style.plain(label))
    ax.grid(axis="y")


def draw_scalp(ax: Any, space: SensorSpace, values: Floats, scale: Any) -> None:
    """Draw values seen from above: an azimuthal projection of the sensors, smooth colour between them, NaN as hollow dots."""
    from matplotlib.patches import Circle

    placed = space.channels[["x", "y", "z"]].notna().all(axis=1).to_numpy()
    flat = _project(space.channels.loc[placed, ["x", "y", "z"]].to_numpy(dtype=float))
    value = values[placed]
    known = np.isfinite(value)
    line = np.linspace(-1.05, 1.05, 90)
    east, north = np.meshgrid(line, line)
    weight = 1.0 / (((east[..., None] - flat[known, 0]) ** 2 + (north[..., None] - flat[known, 1]) ** 2) + 2e-3) ** 1.5
    total = weight.sum(axis=-1)  # zero everywhere where no sensor has a value
    mean = np.divide((weight * value[known]).sum(axis=-1), total, out=np.full(total.shape, np.nan), where=total > 0)
    surface = np.where(np.hypot(east, north) <= 1.02, mean, np.nan)
    ax.imshow(
        scale.rgba(surface.ravel()).reshape(*surface.shape, 4),
        extent=(-1.05, 1.05, -1.05, 1.05),
        origin="lower",
        interpolation="bilinear",
    )
    ax.plot(*flat[known].T, "o", color=style.INK, markersize=1.6, alpha=0.7)
    ax.plot(*flat[~known].T, "o", color=style.FAINT, markersize=2.4, markerfacecolor="none")
    ax.add_patch(Circle((0, 0), 1.02, fill=False, edgecolor=style.SOFT, linewidth=1.0))
    ax.plot([-0.1, 0, 0.1], [1.01, 1.13, 1.01], color=style.SOFT, linewidth=1.0)
    ax.set(xlim=(-1.2, 1.2), ylim=(-1.15, 1.2), aspect="equal")
    ax.set_axis_off()


def _project(points: Floats) -> Floats:
    """Return (n, 2): azimuthal equidistant projection from the top of the sphere about the sensors, outermost sensor at 0.95."""
    centre = np.array(
        [np.mean((points[:, k].min(), points[:, k].max())) for k in (0, 1)] + [np.quantile(points[:, 2], 0.2)]
    )
    away = points - centre
    angle = np.arccos(np.clip(away[:, 2] / np.maximum(np.linalg.norm(away, axis=1), 1e-9), -1, 1))
    heading = np.arctan2(away[:, 1], away[:, 0])
    reach = 0.95 * angle / max(float(angle.max()), 1e-9)
    return np.stack([reach * np.cos(heading), reach * np.sin(heading)], axis=1)
