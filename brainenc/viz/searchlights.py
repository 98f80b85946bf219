"""One map a model, below one another on one scale: what a searchlight found where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import ContactSpace, SensorSpace, Space, SurfaceSpace, VolumeSpace
from brainenc.viz import style
from brainenc.viz.maps import Scale, one_subject
from brainenc.viz.summaries import finite_mean

MAX_MODELS = 8
N_SLICES = 6

Floats = npt.NDArray[np.float64]


def model_maps(
    scores: Scores,
    *,
    models: Sequence[str] | None = None,
    subject: str | None = None,
    metric: str | None = None,
    cmap: str | None = None,
    views: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """Draw the score of every target for each model: rows are models, columns views of the brain, all on one colour scale.

    Made for searchlights, where each entry is a model and every centre has its score; targets without one (no centres, left out) show
    the ground. Scores of several folds or seeds are averaged.

    Parameters
    ----------
    scores : Scores
    models : sequence of str, optional
        Names as the rows bear them (``"model"`` or ``"model/layer"``); the first 8 when not given.
    subject : str, optional
        Needed when there are several.
    metric : str, optional
        The first when not given.
    cmap : str, optional
        As in `brain_map`: "diverging" where values of both signs matter, else "warm".
    views : sequence of str, optional
        For surfaces.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For a model that is not there, or several subjects without a choice.
    """
    one, name = one_subject(scores, subject, metric)
    chosen = one.entry(metric=name)
    names, values = _by_model(chosen)
    rows = _pick(names, models)
    shown = values[rows]
    scale = Scale(shown, cmap, None, None)
    labels = [style.shorten(names[i], 26) for i in rows]
    with style.style():
        fig, note = _drawer(one.space, views)(one.space, shown, labels, scale, style.score_label(name))
        hidden = len(names) - len(rows) if models is None else 0
        lost = int((~np.isfinite(shown).any(axis=0)).sum())
        parts = [one.split, note, f"without a value: {lost} of {shown.shape[1]} targets" if lost else ""]
        parts += [f"{hidden} further models are not drawn"] if hidden else []
        heading = f"Models over the brain, subject {one.subjects[0]}" if title is None else title
        style.heading(fig, heading, ". ".join(part[:1].upper() + part[1:].rstrip(".") for part in parts if part))
    return fig


def _by_model(scores: Scores) -> tuple[list[str], Floats]:
    """Return the name and the mean over folds and seeds (n_models, n_targets) of every model and layer."""
    model, layer = (scores.entries[column].astype(str) for column in ("model", "layer"))
    single = bool(layer.nunique() == 1 and not model[~scores.entries.duplicated(["model", "layer"])].duplicated().any())
    # a model that was given as an RDM has one layer, which bears no name of its own
    plain = single | ((layer == "rdm") & (layer.groupby(model).transform("nunique") == 1))
    names = model.where(plain, model + "/" + layer).to_numpy()
    order = list(dict.fromkeys(names))
    mean = scores.mean()
    return order, np.stack([finite_mean(mean[names == name]) for name in order])


def _pick(names: list[str], models: Sequence[str] | None) -> list[int]:
    if models is None:
        return list(range(min(len(names), MAX_MODELS)))
    for name in models:
        if name not in names:
            raise InputError("no such model", where="model_maps", expected=", ".join(names[:12]), got=repr(name))
    return [names.index(name) for name in models]


def _drawer(space: Space, views: Sequence[str] | None) -> Callable[..., tuple[Any, str]]:
    if isinstance(space, SurfaceSpace) and space.mesh != "native":
        return lambda *given: _surfaces(*given, views=views)
    if isinstance(space, VolumeSpace):
        from brainenc.viz.volumes import looks_like_mni

        return _glass_brains if looks_like_mni(space) else _slices
    if isinstance(space, SensorSpace):
        from brainenc.viz.sensors import has_places

        return _scalps if has_places(space) else _courses if len(space.times) > 1 else _bars
    if isinstance(space, ContactSpace) and {"x", "y", "z"} <= set(space.table.columns):
        return _contacts
    return _bars


def _surfaces(space: Any, values: Floats, labels: list[str], scale: Scale, label: str, *, views: Sequence[str] | None) -> tuple[Any, str]:
    from brainenc.viz.surfaces import DEFAULT_VIEWS, VIEWS, draw_view, on_drawn_mesh

    names = tuple(views or DEFAULT_VIEWS)
    for name in names:
        if name not in VIEWS:
            raise InputError("no such view", where="model_maps", expected=", ".join(VIEWS), got=repr(name))
    widths = [1.25 if len(VIEWS[name][0]) == 1 else 0.8 if name in ("ventral", "dorsal") else 1.05 for name in names]
    fig, axes = _grid(labels, len(names), 2.3, 1.62, widths=widths)
    note = ""
    for row, vector in zip(axes, values, strict=True):
        painted, note = on_drawn_mesh(space, vector)
        colors = {side: scale.rgba(v) for side, v in painted.items()}
        for ax, name in zip(row, names, strict=True):
            draw_view(ax, name, colors)
    _titles(axes, names)
    scale.bar(fig, list(axes.ravel()), label, **_slim(fig))
    return fig, note


def _slices(space: Any, values: Floats, labels: list[str], scale: Scale, label: str) -> tuple[Any, str]:
    from brainenc.viz.volumes import draw_slice, slices_of

    axis, filled, box, aspect, (width, height) = slices_of(space)
    shown = filled[np.unique(np.linspace(0, len(filled) - 1, min(N_SLICES, len(filled))).round().astype(int))]
    tall = float(np.clip(height / width, 0.4, 2.0))
    size = 2.6 if len(shown) == 1 else 1.75
    fig, axes = _grid(labels, len(shown), size, size * tall)
    inside = np.zeros(space.shape, dtype=bool)
    inside[tuple(space.voxels.T)] = True
    for row, vector in zip(axes, values, strict=True):
        canvas = np.full(space.shape, np.nan)
        canvas[tuple(space.voxels.T)] = vector
        for ax, position in zip(row, shown, strict=True):
            draw_slice(ax, canvas.take(position, axis=axis)[box], inside.take(position, axis=axis)[box], scale, aspect)
    _titles(axes, [f"{'ijk'[axis]} = {position}" for position in shown])
    scale.bar(fig, list(axes.ravel()), label, **_slim(fig))
    part = "" if len(shown) == len(filled) else f"{len(shown)} of {len(filled)} "
    return fig, f"{part}slices of the grid as stored, not resampled"


def _glass_brains(space: Any, values: Floats, labels: list[str], scale: Scale, label: str) -> tuple[Any, str]:
    from nilearn.plotting import plot_glass_brain

    def draw(fig: Any, place: tuple[float, float, float, float], vector: Floats) -> None:
        if not np.isfinite(vector).any():  # nilearn warns of an empty map
            plot_glass_brain(None, figure=fig, axes=place, display_mode="lyrz")
            return
        image = space.paint(np.nan_to_num(vector, nan=0.0))
        canvas = np.nan_to_num(np.asarray(image.dataobj), nan=0.0)
        plot_glass_brain(
            type(image)(canvas, image.affine), figure=fig, axes=place, display_mode="lyrz", colorbar=False,
            cmap=scale.cmap.with_extremes(bad=(0, 0, 0, 0)), vmin=scale.bottom, vmax=scale.top, plot_abs=False, threshold=1e-9, alpha=0.5,
        )  # fmt: skip

    return _rows_of_glass(values, labels, scale, label, draw), "largest value along each line of sight; the grid was taken to be in MNI space"


def _contacts(space: Any, values: Floats, labels: list[str], scale: Scale, label: str) -> tuple[Any, str]:
    from nilearn.plotting import plot_glass_brain

    def draw(fig: Any, place: tuple[float, float, float, float], vector: Floats) -> None:
        peak = space.table.assign(value=vector).groupby("channel", sort=False).agg({"x": "first", "y": "first", "z": "first", "value": "max"})
        peak = peak[peak[["x", "y", "z"]].notna().all(axis=1)].sort_values("value", na_position="first")
        value = peak["value"].to_numpy(dtype=float)
        colors = np.where(np.isnan(value)[:, None], [[0.7, 0.71, 0.72, 1.0]], scale.rgba(value))
        display = plot_glass_brain(None, figure=fig, axes=place, display_mode="lyrz")
        if len(peak):
            display.add_markers(peak[["x", "y", "z"]].to_numpy(dtype=float), marker_color=[tuple(c) for c in colors], marker_size=22)

    return _rows_of_glass(values, labels, scale, label, draw), "coordinates taken as MNI millimetres, largest value over time of each contact"


def _rows_of_glass(values: Floats, labels: list[str], scale: Scale, label: str, draw: Callable[..., None]) -> Any:
    import matplotlib.pyplot as plt

    from brainenc.viz.volumes import slim_bar

    n = len(values)
    inches = 2.3 * n + 0.9
    fig = plt.figure(figsize=(9.2, inches), facecolor=style.PAPER)
    try:
        for i, vector in enumerate(values):
            bottom = (0.5 + 2.3 * (n - 1 - i)) / inches
            draw(fig, (0.02, bottom, 0.86, 1.95 / inches), vector)
            fig.text(0.02, bottom + 2.02 / inches, labels[i], fontsize=9.5, fontweight="bold", color=style.INK)
        slim_bar(fig, fig.add_axes((0.91, 0.5 - 0.75 / inches, 0.012, 1.5 / inches)), scale, label)
    finally:
        plt.close(fig)
    return fig


def _scalps(space: Any, values: Floats, labels: list[str], scale: Scale, label: str) -> tuple[Any, str]:
    from brainenc.viz.sensors import draw_scalp, map_times

    canvases = [space.paint_array(vector) for vector in values]
    loudest = np.nanmax(np.abs(np.where(np.isfinite(canvases), canvases, 0.0)), axis=0)
    moments = map_times(space, loudest) or [0]
    fig, axes = _grid(labels, len(moments), 1.75, 1.75)
    for row, canvas in zip(axes, canvases, strict=True):
        for ax, moment in zip(row, moments, strict=True):
            draw_scalp(ax, space, canvas[:, moment], scale)
    _titles(axes, [f"{1000 * space.times[moment]:.0f} ms" for moment in moments])
    scale.bar(fig, list(axes.ravel()), label, **_slim(fig))
    return fig, "scalp maps at the peaks of four parts of the epoch" if len(space.times) > 1 else "sensors seen from above"


def _courses(space: Any, values: Floats, labels: list[str], scale: Scale, label: str) -> tuple[Any, str]:
    fig, axes = _grid(labels, 1, 5.6, 1.5, frames=True)
    for ax, vector in zip(axes[:, 0], values, strict=True):
        canvas = space.paint_array(vector)
        edges = [*(1000 * space.times), 1000 * (2 * space.times[-1] - space.times[-2])]
        ax.pcolormesh(edges, np.arange(len(canvas) + 1), np.ma.masked_invalid(canvas), cmap=scale.cmap, norm=scale.norm)
        ax.set(yticks=[], ylabel="channels")
    axes[-1, 0].set_xlabel("time (ms)")
    scale.bar(fig, list(axes.ravel()), label, **_slim(fig))
    return fig, "channels by time, as the sensors have no places"


def _bars(space: Any, values: Floats, labels: list[str], scale: Scale, label: str) -> tuple[Any, str]:
    fig, axes = _grid(labels, 1, 5.6, 1.35, frames=True)
    finite = values[np.isfinite(values)]
    edges = np.linspace(float(finite.min()), float(finite.max()) + 1e-12, 41) if len(finite) else np.linspace(0, 1, 41)
    for ax, vector in zip(axes[:, 0], values, strict=True):
        known = vector[np.isfinite(vector)]
        ax.hist(known, bins=edges, color=style.PALETTE[10], rwidth=0.92)
        if len(known):
            ax.axvline(float(np.median(known)), color=style.CEILING, linewidth=1.2, linestyle=(0, (4, 2)))
        ax.set(yticks=[], xlim=(edges[0], edges[-1]))
    axes[-1, 0].set_xlabel(style.plain(label))
    return fig, "distributions over targets, dashed: median, as the targets have no places that could be drawn"


def _grid(
    labels: list[str], columns: int, width: float, height: float, *, frames: bool = False, widths: list[float] | None = None
) -> tuple[Any, npt.NDArray[Any]]:
    """Return a figure with one named row of axes a model."""
    fig = style.figure(max(width * columns + 1.2, 5.8), min((height + 0.3) * len(labels) + 0.95, 30.0))
    axes = fig.subplots(len(labels), columns, squeeze=False, width_ratios=widths)
    for row, name in zip(axes, labels, strict=True):
        row[0].annotate(name, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", va="bottom", fontsize=9.5, fontweight="bold",
                        color=style.INK, annotation_clip=False)  # fmt: skip
        if not frames:
            for ax in row:
                ax.set_axis_off()
    return fig, axes


def _titles(axes: npt.NDArray[Any], titles: Sequence[str]) -> None:
    """Name the columns, below the last row: the names of the rows stand above each."""
    for ax, title in zip(axes[-1], titles, strict=True):
        ax.set_title(title, loc="center", fontsize=8.5, fontweight="normal", color=style.SOFT, y=-0.1, pad=0)


def _slim(fig: Any) -> dict[str, float]:
    """Return how the colour bar shrinks so that it is at most 2.6 inches tall, however many rows there are."""
    return {"shrink": min(0.7, 2.6 / fig.get_figheight())}
