from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError, NotFoundError
from brainenc.viz.comparisons import letters_of, model_names


def bars(ax):
    return [(round(p.get_width(), 9), p.get_alpha()) for p in ax.patches if hasattr(p, "get_width") and p.get_height() < 0.7]


def test_bars_are_mean_scores_best_first_and_full_where_significant(made):
    figure = be.plot(made.make_evaluation([[0.2, 0.4, 0.0], [0.1, 0.3, 0.01]]))
    first, second = figure.axes[:2]
    assert [width for width, _ in bars(first)] == [0.4, 0.2, 0.0] and [width for width, _ in bars(second)] == [0.3, 0.1, 0.01]
    assert [alpha > 0.5 for _, alpha in bars(first)] == [True, True, False] == [alpha > 0.5 for _, alpha in bars(second)]
    assert [t.get_text() for t in first.get_yticklabels()] == ["m1", "m0", "m2"]
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("R0", "R1")
    given = viz.model_bars(made.make_evaluation([[0.2, 0.4, 0.0]]), order="given")
    assert [width for width, _ in bars(given.axes[0])] == [0.2, 0.4, 0.0]
    made.pixels(figure)


def test_subjects_intervals_and_ceiling_are_where_they_belong(made):
    evaluation = made.make_evaluation([[0.2, 0.4]], low=0.35)
    ax = viz.model_bars(evaluation, order="given").axes[0]
    for m, dots in enumerate(ax.collections):
        np.testing.assert_allclose(np.sort(dots.get_offsets()[:, 0]), np.sort(evaluation.scores[0, :, m]))
    spans = [p for p in ax.patches if p.get_height() == 1]
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in spans] == [(0.35, pytest.approx(0.45))]
    frame = evaluation.to_frame()
    whiskers = {tuple(np.round(line.get_xdata(), 9)) for line in ax.lines}
    assert {tuple(np.round(row, 9)) for row in frame[["ci_low", "ci_high"]].to_numpy()} <= whiskers
    assert not viz.model_bars(evaluation, subjects=False).axes[0].collections


def test_a_group_without_a_claim_is_grey_and_says_so(made):
    figure = viz.model_bars(made.make_evaluation([[0.2, 0.4], [0.2, 0.4]], low=[0.3, 0.01]))
    clear, void = figure.axes[:2]
    assert not [t for t in clear.texts if "no claim" in t.get_text()] and [t for t in void.texts if "no claim" in t.get_text()]
    colors = [{p.get_facecolor()[:3] for p in ax.patches if p.get_height() < 0.7} for ax in (clear, void)]
    assert len(colors[0]) == 2 and len(colors[1]) == 1
    assert all(alpha < 0.6 for _, alpha in bars(void)) and "nothing is claimed" in figure.get_label()
    assert {"a", "b"} <= {t.get_text() for t in clear.texts} and not {"a", "b"} & {t.get_text() for t in void.texts}


def test_letters_tell_exactly_the_distinct_pairs_apart():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5, 9, 14):
        for share in (0.0, 0.3, 0.7, 1.0):
            distinct = np.triu(rng.random((n, n)) < share, 1)
            distinct = distinct | distinct.T
            letters = letters_of(distinct)
            for i in range(n):
                for j in range(i + 1, n):
                    assert bool(set(letters[i]) & set(letters[j])) != distinct[i, j]
    assert letters_of(np.zeros((3, 3), dtype=bool)) == ["a", "a", "a"]
    chain = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool)
    assert letters_of(chain) == ["a", "ab", "b"]


def test_letters_in_a_figure_follow_the_pairwise_tests(made):
    evaluation = made.make_evaluation([[0.1, 0.4, 0.41]])
    ax = viz.model_bars(evaluation).axes[0]
    letters = [t.get_text() for t in ax.texts if len(t.get_text()) <= 2]
    assert letters == ["a", "a", "b"]  # best first: m2, m1, m0
    bare = replace(evaluation, covariance=None, scores=evaluation.scores[:, :1], subjects=pd.DataFrame({"subject": ["a"]}), draws=None, dof=float("nan"))
    made.pixels(viz.model_bars(bare))
    with pytest.raises(InputError):
        viz.model_bars(bare, pairs=True)


@pytest.mark.parametrize(("n_models", "n_groups"), [(1, 1), (12, 2), (3, 14), (30, 1)])
def test_any_number_of_models_and_groups(made, n_models, n_groups):
    figure = viz.model_bars(made.make_evaluation(np.linspace(0, 0.4, n_models * n_groups).reshape(n_groups, n_models)))
    assert len([ax for ax in figure.axes if ax.get_title(loc="left")]) == min(n_groups, 12)
    assert ("2 further groups" in figure.get_label()) == (n_groups == 14)
    made.pixels(figure)


def test_missing_scores_distances_and_no_ceiling(made):
    evaluation = made.make_evaluation([[0.2, 0.4]])
    lost = replace(evaluation, scores=np.where(np.arange(2) == 1, np.nan, evaluation.scores))
    assert "no score" in made.texts(viz.model_bars(lost))
    made.pixels(viz.model_bars(replace(evaluation, ceiling=None)))
    distance = viz.model_bars(made.make_evaluation([[0.2, 0.4]], kind="distance"))
    assert [t.get_text() for t in distance.axes[0].get_yticklabels()] == ["m0", "m1"] and "Smaller is better" in distance.get_label()


def test_hostile_names(made):
    names = ["$\\frac{", "_x\x00y", "a name that is so long that no axis could ever hold it without cutting it somewhere"]
    groups = pd.DataFrame({"roi": ["$\\bad{", "_"]})
    made.pixels(viz.model_bars(made.make_evaluation(np.full((2, 3), 0.2), names=names, groups=groups), title="$\\bad{"))


def test_names_say_what_differs():
    models = pd.DataFrame({"model": ["gabor", "clip", "clip"], "layer": ["energy", "l1", "l2"]})
    assert model_names(models) == ["gabor/energy", "clip/l1", "clip/l2"]
    assert model_names(models.iloc[1:]) == ["l1", "l2"]
    assert model_names(models[["model"]].iloc[:2]) == ["gabor", "clip"]


def course(made, means, **options):
    """means (n_rois, n_times, n_models) as an evaluation with times of 100 ms."""
    n_rois, n_times, n_models = np.shape(means)
    groups = pd.DataFrame({"roi": np.repeat([f"R{i}" for i in range(n_rois)], n_times), "time": np.tile(0.1 * np.arange(n_times) - 0.2, n_rois)})
    return made.make_evaluation(np.reshape(means, (-1, n_models)), groups=groups, **options)


def test_courses_are_the_scores_in_order_of_time(made):
    means = np.random.default_rng(0).random((2, 6, 2))
    evaluation = course(made, means)
    shuffled = evaluation.take(groups=np.random.default_rng(1).permutation(12))
    figure = be.plot(shuffled, "course")
    for ax in figure.axes[:2]:
        region = int(ax.get_title(loc="left")[1])
        lines = [line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 6 and line.get_linewidth() == 1.7]
        np.testing.assert_allclose(np.transpose(lines), means[region])
        assert ax.lines[0].get_xdata()[0] <= 0
    assert {"m0", "m1", "noise ceiling"} <= set(made.texts(figure))
    made.pixels(figure)


def stretches(ax):
    return [tuple(np.round(line.get_xdata(), 6)) for line in ax.lines if line.get_linewidth() == 3.0]


def test_bars_below_the_curves_stand_where_the_maximum_statistic_is_significant(made):
    p = np.ones((1, 6, 1))
    p[0, 2:4] = 0.01
    evaluation = course(made, np.full((1, 6, 1), 0.3), p_max=p.reshape(6, 1))
    figure = viz.time_course(evaluation)
    assert stretches(figure.axes[0]) == [(-50.0, 150.0)] and "p of the maximum" in figure.get_label()
    clusters = pd.DataFrame({"model": ["m0", "m0"], "start": [0.1, 0.2], "stop": [0.25, 0.3], "p": [0.02, 0.5]})
    figure = viz.time_course(evaluation, clusters=clusters)
    assert stretches(figure.axes[0]) == [(100.0, 250.0)] and "clusters" in figure.get_label()
    found = SimpleNamespace(table=clusters.drop(columns="model"))
    assert stretches(viz.time_course(evaluation, clusters={"m0": found}).axes[0]) == [(100.0, 250.0)]
    with pytest.raises(InputError, match="unknown model"):
        viz.time_course(evaluation, clusters={"m9": found})
    void = course(made, np.full((1, 6, 1), 0.3), low=0.0, p_max=p.reshape(6, 1))
    assert not stretches(viz.time_course(void).axes[0])


def test_times_are_needed(made):
    with pytest.raises(NotFoundError, match="no column 'time'"):
        viz.time_course(made.make_evaluation([[0.1]]))
    with pytest.raises(InputError, match="at least two times"):
        viz.time_course(course(made, np.full((1, 1, 1), 0.3)))


def test_a_time_by_time_matrix_stands_the_right_way_up(made):
    rows, columns = np.meshgrid([0.0, 0.1, 0.2], [0.0, 0.1], indexing="ij")
    means = np.arange(6.0).reshape(6, 1) / 10
    p = np.where(means > 0.35, 0.01, 0.9)
    groups = pd.DataFrame({"time": rows.ravel(), "time_test": columns.ravel()})
    evaluation = made.make_evaluation(means, groups=groups, p_max=p)
    figure = be.plot(evaluation, "matrix")
    ax = figure.axes[0]
    np.testing.assert_allclose(ax.collections[0].get_array(), means.reshape(3, 2), atol=1e-12)
    (outline,) = ax.collections[1:]
    sides = np.concatenate(outline.get_segments())
    assert len(sides) == 2 * 6 and sides[:, 1].min() == pytest.approx(150)  # around the two cells of 200 ms
    made.pixels(figure)
    with pytest.raises(InputError, match="several groups"):
        viz.time_matrix(evaluation.take(groups=[0, 1, 2, 2]))
    with pytest.raises(InputError, match="no such model"):
        viz.time_matrix(evaluation, model="x")


def test_a_matrix_outlines_the_clusters_of_each_model(made):
    from brainenc.rsa import cluster_test

    rows, columns = np.meshgrid([0.0, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2], indexing="ij")
    means = np.stack([np.where((rows > 0.05) & (columns > 0.15), 0.5, 0.0), np.zeros(rows.shape)], axis=-1).reshape(12, 2)
    order = np.random.default_rng(0).permutation(12)  # groups stand in any order
    groups = pd.DataFrame({"time": rows.ravel()[order], "time_test": columns.ravel()[order]})
    evaluation = made.make_evaluation(means[order], groups=groups)
    clusters = {f"m{m}": cluster_test(evaluation.take(models=[m]), n=200, threshold=8.0) for m in (0, 1)}
    figure = viz.time_matrix(evaluation, clusters=clusters)
    sides = np.concatenate(figure.axes[0].collections[1].get_segments())
    assert len(sides) == 2 * 8 and sides.min(axis=0).tolist() == pytest.approx([150, 50]) and "clusters" in figure.get_label()
    assert not figure.axes[1].collections[1].get_segments()
    with pytest.raises(InputError, match="unknown model"):
        viz.time_matrix(evaluation, clusters={"m9": clusters["m0"]})
    with pytest.raises(InputError, match="not of this evaluation"):
        viz.time_matrix(evaluation.where(time=[0.1, 0.2]), clusters=clusters)
