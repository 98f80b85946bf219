"""One number per target, back where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import CiftiSpace, ContactSpace, SensorSpace, Space, SurfaceSpace, VolumeSpace
from brainenc.nouns.spaces.base import as_vector
from brainenc.viz import style
from brainenc.viz.scatter import region_scores
from brainenc.viz.summaries import finite_mean, metrics_of, summarize, with_regions

Floats = npt.NDArray[np.float64]


def brain_map(
    space: Space,
    vector: npt.ArrayLike,
    *,
    title: str = "",
    label: str = "",
    note: str = "",
    cmap: str | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    views: Sequence[str] | None = None,
    regions: Sequence[Any] | None = None,
) -> Any:
    """Draw one number per target where it belongs; NaN is grey.

    Surfaces are drawn as four views of fsaverage5 with the sulci behind, volumes as a glass brain (whole brains in MNI space) or as
    slices, sensors as a time course with scalp maps, contacts on a glass brain, plain arrays as sorted bars or a histogram.

    Parameters
    ----------
    space : Space
        Of n_targets targets.
    vector : array of shape (n_targets,)
    title, label, note : str
        Above the figure, beside the colour bar, below the figure.
    cmap : str, optional
        "warm", "score" or "diverging", or any name that matplotlib knows; "diverging" where values of both signs matter (the smallest is
        below minus a third of the largest), else "warm".
    vmin, vmax : float, optional
        Ends of the colour scale; by default 0 (or symmetric about it) and the 99th percentile.
    views : sequence of str, optional
        For surfaces: names in `brainenc.viz.surfaces.VIEWS`.
    regions : sequence of n_targets names, optional
        For surfaces: outlined and named where there are at most 12.

    Returns
    -------
    matplotlib.figure.Figure
    """
    values = as_vector(vector, space.n_targets, "brain_map")
    values = np.where(np.isfinite(values), values, np.nan)
    scale = Scale(values, cmap, vmin, vmax)
    with style.style():
        if isinstance(space, SurfaceSpace) and space.mesh != "native":
            fig, more = _surface(space, values, scale, label, views, regions)
        elif isinstance(space, VolumeSpace):
            from brainenc.viz.volumes import draw_volume

            fig, more = draw_volume(space, values, scale, label)
        elif isinstance(space, SensorSpace):
            from brainenc.viz.sensors import draw_sensors

            fig, more = draw_sensors(space, values, scale, label)
        elif isinstance(space, ContactSpace) and {"x", "y", "z"} <= set(space.table.columns):
            from brainenc.viz.sensors import draw_contacts

            fig, more = draw_contacts(space, values, scale, label)
        else:
            fig, more = _distribution(space, values, label)
        lost = int(np.isnan(values).sum())
        parts = [note, more, f"without a value: {lost} of {len(values)} targets" if lost else ""]
        style.heading(fig, title, ". ".join(p[:1].upper() + p[1:].rstrip(".") for p in parts if p))
    return fig


def score_map(
    scores: Scores,
    *,
    subject: str | None = None,
    layer: str | None = None,
    metric: str | None = None,
    value: str = "score",
    **options: Any,
) -> Any:
    """Draw the score of every target of one subject.

    Parameters
    ----------
    scores : Scores
    subject : str, optional
        Needed when there are several.
    layer : str, optional
        A layer name, or "best" for the layer that each target's training rows choose; when not given, the layer that the training rows
        of its region choose (or, without inner scores, the region's best held-out layer).
    metric : str, optional
        The first when not given.
    value : {"score", "normalized", "ceiling"}
        What to show.
    **options
        For `brain_map`.
    """
    one, name = one_subject(scores, subject, metric)
    if layer is None and value == "score":
        marked, by = with_regions(one.entry(metric=name))
        table = summarize(one, name)
        vector = region_scores(marked, table, by)
        which = (
            "layer chosen on training rows, by region"
            if (table.chosen >= 0).any()
            else "best held-out layer of each region (an optimistic choice)"
        )
        which = table.names[0] if len(table.names) == 1 else which
    else:
        which = layer or summarize(one, name).names[0]
        vector = one.vector(which, metric=name, value=value)
    label = (
        "noise ceiling"
        if value == "ceiling"
        else style.score_label(name + ("_normalized" if value == "normalized" else ""))
    )
    defaults: dict[str, Any] = {
        "title": f"Subject {one.subjects[0]}",
        "label": label,
        "note": "" if value == "ceiling" else which,
        "regions": _regions(one),
    }
    return brain_map(one.space, vector, **{**defaults, **options})


def winner_map(
    scores: Scores,
    *,
    subject: str | None = None,
    metric: str | None = None,
    title: str | None = None,
    views: Sequence[str] | None = None,
) -> Any:
    """Draw, for every target of one subject, the layer that its training rows choose (or its best held-out layer).

    Models have one hue each, and their layers run from pale (first) to full (last). Targets whose score is not above zero stay grey.

    Parameters
    ----------
    scores : Scores
    subject : str, optional
        Needed when there are several.
    metric : str, optional
        The first when not given.
    title : str, optional
        Above the figure.
    views : sequence of str, optional
        For surfaces.
    """
    one, name = one_subject(scores, subject, metric)
    chosen = one.entry(metric=name)
    rows = (chosen.entries["model"].astype(str) + "/" + chosen.entries["layer"].astype(str)).to_numpy()
    names = list(dict.fromkeys(rows))
    honest = chosen.inner is not None
    n_targets = chosen.values.shape[2]
    judged = chosen.values if chosen.inner is None else chosen.inner
    level = np.stack([finite_mean(judged[rows == n].reshape(-1, n_targets)) for n in names])
    held_out = np.stack([finite_mean(chosen.values[rows == n].reshape(-1, n_targets)) for n in names])
    pick = np.argmax(np.where(np.isfinite(level), level, -np.inf), axis=0)
    winner = np.where(np.take_along_axis(held_out, pick[None], axis=0)[0] > 0, pick.astype(float), np.nan)
    colors = _layer_colors(names)
    heading = f"Winning layer of each target, subject {one.subjects[0]}" if title is None else title
    note = "Chosen on training rows" if honest else "Highest held-out score (an optimistic choice)"
    with style.style():
        if isinstance(one.space, SurfaceSpace) and one.space.mesh != "native":
            fig = _winners_on_surface(one.space, winner, names, colors, views, _regions(one))
        else:
            fig = _winner_counts(winner, names, colors)
        lost = int(np.isnan(winner).sum())
        style.heading(
            fig, heading, f"{note}. {lost} of {len(winner)} targets have no held-out score above zero and are left out"
        )
    return fig


class Scale:
    """The colour scale of one map, or of several."""

    def __init__(self, values: Floats, cmap: str | None, vmin: float | None, vmax: float | None) -> None:
        import matplotlib as mpl
        from matplotlib.colors import Normalize

        finite = values[np.isfinite(values)]
        high = float(np.quantile(finite, 0.99)) if len(finite) else 1.0
        low = float(np.quantile(finite, 0.01)) if len(finite) else 0.0
        signed = low < -abs(high) / 3
        self.name = cmap or ("diverging" if signed else "warm")
        self.top = vmax if vmax is not None else max(abs(high), abs(low)) if signed else max(high, 1e-6)
        self.bottom = vmin if vmin is not None else -self.top if signed else min(0.0, low)
        if not self.bottom < self.top:
            raise InputError(
                "the colour scale is empty", where="brain_map", expected="vmin below vmax", got=(self.bottom, self.top)
            )
        own = self.name in ("warm", "score", "diverging", "grey")
        self.cmap = style.colormap(self.name) if own else mpl.colormaps[self.name]
        self.norm = Normalize(self.bottom, self.top)

    def rgba(self, values: Floats) -> Floats:
        """Return (n, 4) colours; NaN is transparent."""
        colors = np.array(self.cmap(self.norm(np.where(np.isnan(values), self.bottom, values))))
        colors[np.isnan(values), 3] = 0.0
        return colors

    def bar(self, fig: Any, axes: Any, label: str, **where: Any) -> Any:
        """Add a slim colour bar."""
        from matplotlib.cm import ScalarMappable

        bar = fig.colorbar(
            ScalarMappable(self.norm, self.cmap), ax=axes, **{"shrink": 0.7, "aspect": 22, "pad": 0.02, **where}
        )
        bar.outline.set_visible(False)
        bar.set_label(style.plain(label), fontsize=8.5)
        return bar


def _surface(
    space: SurfaceSpace,
    values: Floats,
    scale: Scale,
    label: str,
    views: Sequence[str] | None,
    regions: Sequence[Any] | None,
) -> tuple[Any, str]:
    from brainenc.viz.surfaces import on_drawn_mesh, regions_on_mesh

    painted, note = on_drawn_mesh(space, values)
    named = None if regions is None else regions_on_mesh(space, regions)
    fig, axes = _views({side: scale.rgba(v) for side, v in painted.items()}, views, named)
    scale.bar(fig, axes, label)
    return fig, note


def _views(colors: dict[str, Floats], views: Sequence[str] | None, regions: Any = None) -> tuple[Any, list[Any]]:
    from brainenc.viz.surfaces import DEFAULT_VIEWS, VIEWS, draw_view

    names = tuple(views or DEFAULT_VIEWS)
    for name in names:
        if name not in VIEWS:
            raise InputError("no such view", where="brain_map", expected=", ".join(VIEWS), got=repr(name))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    fig = style.figure(2.45 * columns + 0.8, 2.0 * rows + 0.75)
    widths = [
        max(
            1.25 if len(VIEWS[name][0]) == 1 else 0.8 if name in ("ventral", "dorsal") else 1.05
            for name in names[c::columns]
        )
        for c in range(columns)
    ]
    axes = list(np.ravel(fig.subplots(rows, columns, squeeze=False, width_ratios=widths)))
    for ax, name in zip(axes, names, strict=False):
        draw_view(ax, name, colors, regions=regions)
        ax.set_title(name, loc="center", fontsize=8.5, fontweight="normal", color=style.SOFT, y=-0.08, pad=0)
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    return fig, axes


def _distribution(space: Space, values: Floats, label: str) -> tuple[Any, str]:
    """Sorted bars for few targets, a histogram for many; one colour per structure for grayordinates."""
    finite = values[np.isfinite(values)]
    fig = style.figure(7.2, 3.0)
    ax = fig.subplots()
    ax.grid(axis="y")
    middle = float(np.median(finite)) if len(finite) else np.nan
    if len(values) <= 120:
        ordered = np.sort(finite)[::-1]
        ax.bar(np.arange(len(ordered)), ordered, width=0.8, color=style.PALETTE[10])
        ax.set(xlabel="targets, sorted", ylabel=style.plain(label), xlim=(-0.8, max(len(ordered), 1) - 0.2))
        ax.set_xticks([])
        ax.axhline(middle, color=style.CEILING, linewidth=1.2, linestyle=(0, (4, 2)))
    else:
        ax.hist(finite, bins=min(60, max(12, int(np.sqrt(len(finite) + 1)))), color=style.PALETTE[10], rwidth=0.92)
        ax.set(xlabel=style.plain(label), ylabel="targets")
        ax.axvline(middle, color=style.CEILING, linewidth=1.2, linestyle=(0, (4, 2)))
    where = (
        "grayordinates have no mesh here"
        if isinstance(space, CiftiSpace)
        else "native surfaces have no mesh here"
        if isinstance(space, SurfaceSpace)
        else ""
    )
    return fig, f"dashed: median {style.number(middle, 3)} of {len(finite)} targets" + (f" ({where})" if where else "")


def one_subject(scores: Scores, subject: str | None, metric: str | None) -> tuple[Scores, str]:
    """Return the scores of one subject and the metric to be drawn; several subjects without a choice are refused."""
    one = scores if subject is None else scores.where(subject=subject)
    one.space  # noqa: B018  raises with the list of subjects where there are several
    return one, metric or metrics_of(scores)[0]


def _regions(scores: Scores) -> list[Any] | None:
    return scores.targets["roi"].tolist() if "roi" in scores.targets else None


def _layer_colors(names: list[str]) -> list[Any]:
    models = [name.rsplit("/", 1)[0] for name in names]
    hues = style.category_colors(models)
    shades = {model: iter(style.shades_of(hues[model], models.count(model))) for model in hues}
    return [next(shades[model]) for model in models]


def _winners_on_surface(
    space: SurfaceSpace,
    winner: Floats,
    names: list[str],
    colors: list[Any],
    views: Sequence[str] | None,
    regions: Sequence[Any] | None,
) -> Any:
    from matplotlib.patches import Patch

    from brainenc.viz.surfaces import on_drawn_mesh, regions_on_mesh

    painted, _ = on_drawn_mesh(space, winner)
    table = np.array([[*c, 1.0] for c in _as_rgb(colors)])
    rgba = {}
    for side, values in painted.items():
        rgba[side] = np.zeros((len(values), 4))
        here = np.isfinite(values)
        rgba[side][here] = table[values[here].astype(int)]
    fig, _ = _views(rgba, views, None if regions is None else regions_on_mesh(space, regions))
    used = [i for i in range(len(names)) if (winner == i).any()][:24]
    handles = [
        Patch(facecolor=colors[i], label=f"{style.legend_text(names[i], 34)}  ({int((winner == i).sum())})")
        for i in used
    ]
    if handles:
        fig.legend(handles=handles, loc="outside right center", fontsize=8, handlelength=1.0, labelspacing=0.6)
    return fig


def _winner_counts(winner: Floats, names: list[str], colors: list[Any]) -> Any:
    counts = np.array([(winner == i).sum() for i in range(len(names))])
    fig = style.figure(6.8, min(1.1 + 0.27 * len(names), 20.0))
    ax = fig.subplots()
    ax.barh(np.arange(len(names)), counts, color=colors, height=0.72)
    ax.set_yticks(np.arange(len(names)), [style.shorten(n, 40) for n in names])
    ax.invert_yaxis()
    ax.set_xlabel("targets")
    ax.grid(axis="x")
    return fig


def _as_rgb(colors: list[Any]) -> list[tuple[float, float, float]]:
    from matplotlib.colors import to_rgb

    return [to_rgb(c) for c in colors]
