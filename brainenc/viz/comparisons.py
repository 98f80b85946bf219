"""Models beside each other in every group: scores, subjects, intervals, noise ceilings, and which differences can be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import BrainencError
from brainenc.nouns.evaluation import Evaluation
from brainenc.viz import style

MAX_PANELS = 12
NAME_LENGTH = 38
ALPHA = 0.05
_ROW, _BAR = 0.27, 0.62  # inches of one model, and the share of them that its bar takes

Floats = npt.NDArray[np.float64]


def model_bars(
    evaluation: Evaluation, *, order: str = "score", pairs: bool | str = "auto", subjects: bool = True, alpha: float = ALPHA, title: str | None = None
) -> Any:
    """Draw one bar a model in each group, with subjects as dots, intervals, the noise ceiling as a band, and what is significant.

    A full bar is significantly better than zero, a pale one is not. Models that share a letter cannot be told apart (pairwise tests).
    A group of which nothing may be claimed, because the interval of its lower ceiling includes zero, is drawn in grey and says so.

    Parameters
    ----------
    evaluation : Evaluation
        The first 12 groups are drawn.
    order : {"score", "given"}
        Best model first (by the mean over groups), or as the evaluation lists them.
    pairs : bool or "auto"
        Letters for pairwise comparisons; "auto" leaves them out where they cannot be tested, True raises what stands in the way.
    subjects : bool
        Draw each subject's score as a dot.
    alpha : float
        Largest false discovery rate of what is called significant, in all marks.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Notes
    -----
    Letters: Piepho 2004, doi:10.1198/1061860043515, by insertion and absorption.
    """
    one_of(order, ("score", "given"), "model_bars: order")
    table = Table(evaluation, alpha)
    rows = table.order() if order == "score" else np.arange(table.n_models)
    shown = range(min(table.n_groups, MAX_PANELS))
    letters = {} if pairs is False else _letters(evaluation, table, alpha, strict=pairs is True)
    with style.style():
        fig, axes = _layout(table, len(shown), has_letters=bool(letters))
        limits = table.limits(shown, subjects=subjects)
        for group, ax in zip(shown, axes, strict=True):
            _panel(ax, table, group, rows, subjects=subjects)
            _marks(ax, table, group, rows, letters.get(group))
            ax.set_xlim(*limits)
        hidden = table.n_groups - len(shown)
        style.heading(fig, "Models against the brain" if title is None else title, _note(table, letters, hidden, subjects=subjects, alpha=alpha))
    return fig


class Table:
    """What a figure needs of an evaluation, as arrays over groups and models."""

    def __init__(self, evaluation: Evaluation, alpha: float) -> None:
        frame = evaluation.to_frame(alpha=alpha)
        self.evaluation = evaluation
        self.n_groups, _, self.n_models = evaluation.scores.shape
        self.frame = frame
        self.score, self.low, self.high, self.q, self.p_max = (self._square(name) for name in ("score", "ci_low", "ci_high", "q", "p_max"))
        self.significant = self._square("significant").astype(bool)
        self.ceiling = np.full((self.n_groups, 2), np.nan) if evaluation.ceiling is None else evaluation.ceiling
        claims = frame["claim"].fillna("").astype(str).to_numpy().reshape(self.n_groups, self.n_models)
        self.no_claim = [next((text for text in row if text.startswith("no claim")), "") for row in claims]
        self.names = model_names(evaluation.models)
        self.groups = group_names(evaluation.groups)
        self.colors = model_colors(evaluation.models)
        self.n_subjects = np.isfinite(evaluation.scores).any(axis=2).sum(axis=1)
        self.larger_is_better = evaluation.kind == "similarity"

    def _square(self, column: str) -> Floats:
        if column not in self.frame:
            return np.full((self.n_groups, self.n_models), np.nan)
        return self.frame[column].to_numpy(dtype=np.float64, na_value=np.nan).reshape(self.n_groups, self.n_models)

    def order(self) -> npt.NDArray[np.intp]:
        """Return the models from best to worst mean over groups; those without any score last."""
        known = np.isfinite(self.score)
        mean = np.where(known.any(axis=0), np.where(known, self.score, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
        return np.argsort(np.where(np.isnan(mean), np.inf, -mean if self.larger_is_better else mean), kind="stable")

    def limits(self, groups: range, *, subjects: bool) -> tuple[float, float]:
        """Return ends of a common axis that holds zero, every score, interval and ceiling."""
        parts = [self.score, self.low, self.high, self.ceiling, *([self.evaluation.scores.reshape(self.n_groups, -1)] if subjects else [])]
        known = np.concatenate([part[list(groups)].ravel() for part in parts])
        known = known[np.isfinite(known)]
        low, high = (min(0.0, float(known.min())), max(0.05, float(known.max()))) if len(known) else (0.0, 1.0)
        pad = 0.04 * (high - low)
        return low - (pad if low < 0 else 0.0), high + pad


def model_names(models: pd.DataFrame) -> list[str]:
    """Return what tells the models apart: the model where there are no layers, the layer where there is one model, else both."""
    model = models["model"].astype(str)
    if "layer" not in models or models["layer"].isna().all():
        return model.tolist()
    layer = models["layer"]
    several = model.nunique() > 1
    return [name if pd.isna(part) else f"{name}/{part}" if several else str(part) for name, part in zip(model, layer, strict=True)]


def model_colors(models: pd.DataFrame) -> list[Any]:
    """Return one colour a row: a hue for each model, its layers from pale to full."""
    names = models["model"].astype(str).tolist()
    hues = style.category_colors(names)
    if len(hues) == 1 and len(names) > 1:
        return style.shades_of(style.PALETTE[10], len(names))
    shades = {name: iter(style.shades_of(color, names.count(name))) for name, color in hues.items()}
    return [next(shades[name]) for name in names]


def group_names(groups: pd.DataFrame, leave_out: tuple[str, ...] = ()) -> list[str]:
    """Return one name a row, from the columns in which the rows differ (all of them where there is one row)."""
    columns = [name for name in groups if name not in leave_out]
    differ = [name for name in columns if groups[name].astype(str).nunique() > 1] if len(groups) > 1 else columns
    rows = [[_value(str(name), groups[name].iloc[i]) for name in differ] for i in range(len(groups))]
    return [" · ".join(part for part in parts if part) for parts in rows]


def letters_of(distinct: npt.NDArray[np.bool_]) -> list[str]:
    """Return letters for n items such that two share one exactly if ``distinct`` (n, n) is False between them.

    Begin with one letter for all; each distinct pair splits every letter that holds both into one without the first and one without
    the second; letters that are part of another are absorbed.
    """
    n = len(distinct)
    columns = [frozenset(range(n))]
    for i, j in np.argwhere(np.triu(distinct, 1)):
        split: list[frozenset[int]] = []
        for column in columns:
            split += [column - {int(i)}, column - {int(j)}] if i in column and j in column else [column]
        unique = list(dict.fromkeys(split))
        columns = [c for c in unique if not any(c < other for other in unique)]
    columns.sort(key=lambda c: sorted(c))
    signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return ["".join(signs[k % len(signs)] for k, column in enumerate(columns) if i in column) for i in range(n)]


def _letters(evaluation: Evaluation, table: Table, alpha: float, *, strict: bool) -> dict[int, list[str]]:
    """Return the letters of each group in which models can be compared, in the order of the models from best to worst."""
    if table.n_models < 2:
        return {}
    try:
        tests = evaluation.test("pairs")
    except BrainencError:
        if strict:
            raise
        return {}
    if not np.isfinite(tests["q"].to_numpy(dtype=float)).any():
        return {}
    per_group = len(tests) // table.n_groups
    order = table.order()
    place = np.argsort(order)
    upper = np.triu_indices(table.n_models, 1)
    found = {}
    for group in range(table.n_groups):
        if table.no_claim[group]:
            continue
        q = tests["q"].to_numpy(dtype=float)[group * per_group : (group + 1) * per_group]
        distinct = np.zeros((table.n_models, table.n_models), dtype=bool)
        for i, j, value in zip(*upper, q, strict=True):
            a, b = place[i], place[j]
            distinct[a, b] = distinct[b, a] = bool(value <= alpha)
        by_rank = letters_of(distinct)
        found[group] = [by_rank[place[m]] for m in range(table.n_models)]
    return found


def _layout(table: Table, n: int, *, has_letters: bool) -> tuple[Any, list[Any]]:
    columns = min(n, 3 if n != 4 else 2)
    rows = -(-n // columns)
    longest = max(len(style.shorten(name, NAME_LENGTH)) for name in table.names)
    width = 0.5 + 0.072 * longest + (3.1 if columns == 1 else 2.3) * columns + (0.5 if has_letters else 0.2) * columns
    tall = max(0.55, _ROW * table.n_models + 0.12)
    fig = style.figure(max(width, 5.6), min((tall + 0.62) * rows + 1.15, 40.0))
    axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    for ax in list(axes.flat[:n])[-columns:]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(style.plain(comparison_label(table.evaluation)))
    return fig, list(axes.flat[:n])


def _panel(ax: Any, table: Table, group: int, rows: npt.NDArray[np.intp], *, subjects: bool) -> None:
    ax.grid(axis="x")
    ax.axvline(0, color=style.FAINT, linewidth=0.8, zorder=1.5)
    void = bool(table.no_claim[group])
    low, high = table.ceiling[group]
    if np.isfinite(low):
        tint = style.FAINT if void else style.CEILING
        ax.axvspan(low, high if np.isfinite(high) else low, facecolor=tint, alpha=0.16, linewidth=0, zorder=0.5)
        for edge in (low, high):
            ax.axvline(edge, color=tint, linewidth=0.9, alpha=0.75, zorder=0.6)
    scores = table.evaluation.scores[group]
    spread = np.linspace(-0.22, 0.22, len(scores)) if len(scores) > 1 else np.zeros(len(scores))
    for y, m in enumerate(rows):
        color = style.FAINT if void else table.colors[m]
        strong = table.significant[group, m] and not void
        value = table.score[group, m]
        if np.isfinite(value):
            ax.barh(y, value, height=_BAR, color=color, alpha=0.92 if strong else 0.55 if void else 0.30, linewidth=0, zorder=2)
        else:
            ax.annotate("no score", (0, y), (4, 0), textcoords="offset points", va="center", fontsize=7.5, color=style.FAINT)
        if subjects and len(scores) > 1:
            ax.scatter(scores[:, m], y + spread, s=8 if len(scores) <= 40 else 3, facecolor="white", edgecolor=style.INK, linewidth=0.5, alpha=0.75, zorder=3)
        if np.isfinite(table.low[group, m]):
            ax.plot([table.low[group, m], table.high[group, m]], [y, y], color=style.INK, linewidth=1.6, zorder=4, solid_capstyle="butt")
    ax.set_yticks(range(len(rows)), [style.shorten(table.names[m], NAME_LENGTH) for m in rows], color=style.INK)
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.spines["left"].set_visible(False)
    ax.set_title("" if table.groups == ["all"] else style.shorten(table.groups[group], 26), pad=16 if void else 9)
    count = int(table.n_subjects[group])
    ax.annotate(f"{count} subject{'s' if count != 1 else ''}", (1, 1), (0, 16 if void else 9), xycoords="axes fraction", textcoords="offset points", ha="right",
                va="baseline", fontsize=7.5, color=style.FAINT)  # fmt: skip
    if void:
        ax.annotate("no claim: ceiling not above zero", (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", va="baseline", fontsize=8,
                    color=style.CEILING, fontweight="bold")  # fmt: skip


def _marks(ax: Any, table: Table, group: int, rows: npt.NDArray[np.intp], letters: list[str] | None) -> None:
    """Write letters right of the panel."""
    if letters is None:
        return
    trans = ax.get_yaxis_transform()
    for y, m in enumerate(rows):
        if np.isfinite(table.score[group, m]):
            ax.annotate(letters[m], (1, y), (4, 0), xycoords=trans, textcoords="offset points", va="center", fontsize=8, color=style.SOFT,
                        annotation_clip=False)  # fmt: skip


def comparison_label(evaluation: Evaluation) -> str:
    """Return the axis label of a comparison."""
    words = {
        "pearson": "Pearson r of RDMs", "spearman": "Spearman ρ of RDMs", "rho_a": "ρ-a of RDMs", "tau_a": "Kendall τ-a of RDMs",
        "tau_b": "Kendall τ-b of RDMs", "cosine_similarity": "cosine of RDMs",
        "whitened_cosine_similarity": "whitened cosine of RDMs", "whitened_pearson": "whitened Pearson r of RDMs",
    }  # fmt: skip
    return words.get(evaluation.method, evaluation.method.replace("_", " "))


def how_resampled(evaluation: Evaluation) -> str:
    """Return what intervals rest on."""
    if not evaluation.n_draws:
        return "no bootstrap"
    factors = " and ".join(evaluation.resampled) or "nothing"
    return f"{evaluation.n_draws} bootstrap samples of {factors}, seed {evaluation.seed}"


def _note(table: Table, letters: dict[int, list[str]], hidden: int, *, subjects: bool, alpha: float) -> str:
    parts = [f"{table.evaluation.n_conditions} conditions"]
    if np.isfinite(table.low).any():
        parts.append(f"Lines: 95 % intervals ({how_resampled(table.evaluation)})")
    if subjects and table.evaluation.scores.shape[1] > 1:
        parts.append("Circles: subjects")
    if np.isfinite(table.ceiling).any():
        parts.append("Band: noise ceiling, lower to upper")
    if np.isfinite(table.q).any():
        parts.append(f"Full bars: better than zero (q ≤ {alpha:g}); pale bars: not")
    if letters:
        parts.append(f"Models that share a letter cannot be told apart (pairwise, q ≤ {alpha:g})")
    if any(table.no_claim):
        parts.append("Grey: the interval of the lower ceiling includes zero, so nothing is claimed of any model")
    if not table.larger_is_better:
        parts.append("Smaller is better")
    if hidden:
        parts.append(f"{hidden} further groups are not drawn")
    return ". ".join(parts)


def _value(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if name.startswith("time") and isinstance(value, int | float | np.number):
        return f"{1000 * float(value):.0f} ms"
    return f"{value:g}" if isinstance(value, float) else str(value)
