from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.offsetbox import AnnotationBbox
from scipy.stats import rankdata

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError, NotFoundError


def matrices(figure):
    return [ax.images[0].get_array() for ax in figure.axes if ax.images]


@pytest.fixture
def pictures(tmp_path):
    from PIL import Image

    for i in range(9):
        Image.new("RGB", (40, 30), (25 * i, 255 - 25 * i, 40)).save(tmp_path / f"{i}.png")
    return be.StimulusSet({"stimulus_id": [f"s{i}" for i in range(9)], "path": [f"{i}.png" for i in range(9)]}, root=tmp_path)


def test_a_panel_shows_the_square_of_its_rdm_and_its_title(made):
    rdms = made.make_rdms(roi=["V1", "IT"], subject=["01", "01"])
    figure = viz.rdm_panels(rdms)
    shown = matrices(figure)
    off = ~np.eye(9, dtype=bool)
    for matrix, square in zip(shown, rdms.square(), strict=True):
        np.testing.assert_array_equal(matrix[off], square[off])
        assert matrix.mask.diagonal().all()
    assert {"V1", "IT", "face", "house", "cat"} <= set(made.texts(figure)) and "Subject 01" in figure.get_label()
    made.pixels(figure)


def test_the_colour_bar_names_a_metric_with_a_long_name_in_full(made):
    rdms = replace(made.make_rdms(n_rdms=4), metric="RGDM(0, 0.075) of euclidean")
    assert viz.rdm_panels(rdms).axes[-1].get_ylabel() == "dissimilarity\n(RGDM(0, 0.075) of euclidean)"
    assert viz.rdm_panels(replace(rdms, metric="cosine")).axes[-1].get_ylabel() == "dissimilarity (cosine)"


def test_ranks_and_percentiles_are_mid_ranks_within_each_rdm(made):
    rdms = made.make_rdms()
    values = rdms.values.round(1)  # with ties
    rdms = replace(rdms, values=values)
    rows, columns = np.triu_indices(9, 1)
    for colors, factor in (("rank", 1.0), ("percentile", 100 / values.shape[1])):
        for matrix, row in zip(matrices(viz.rdm_panels(rdms, colors=colors)), values, strict=True):
            np.testing.assert_allclose(np.asarray(matrix)[rows, columns], factor * rankdata(row))


def test_order_groups_conditions_and_moves_rows_and_columns_together(made):
    rdms = made.make_rdms(categories=None, n_rdms=1)
    kind = ["a", "b", None] * 3
    rdms = replace(rdms, conditions=rdms.conditions.assign(kind=kind))
    (matrix,) = matrices(viz.rdm_panels(rdms, order="kind", category="kind"))
    places = [0, 3, 6, 1, 4, 7, 2, 5, 8]
    off = ~np.eye(9, dtype=bool)
    np.testing.assert_array_equal(matrix[off], rdms.square()[0][np.ix_(places, places)][off])
    (some,) = matrices(viz.rdm_panels(rdms, order=["s8", "s0", "s4"]))
    assert some.shape == (3, 3) and some[0, 1] == rdms.square()[0][8, 0]


def test_missing_pairs_are_grey_and_counted_and_negative_ones_get_an_even_scale(made):
    rdms = made.make_rdms(n_rdms=1)
    values = rdms.values.copy()
    values[0, :4] = np.nan
    figure = viz.rdm_panels(replace(rdms, values=values))
    assert "4 pairs without a value" in figure.get_label()
    image = figure.axes[0].images[0]
    assert image.get_array().mask[0].sum() == 5 and image.cmap.get_bad()[:3] == pytest.approx((0.85, 0.86, 0.87), abs=0.01)
    image = viz.rdm_panels(replace(rdms, values=rdms.values - 0.5)).axes[0].images[0]
    assert image.norm.vmin == -image.norm.vmax
    made.pixels(viz.rdm_panels(replace(rdms, values=np.full_like(values, np.nan))))


def test_each_panel_may_have_its_own_scale(made):
    rdms = made.make_rdms()
    rdms = replace(rdms, values=rdms.values * np.array([[1.0], [9.0]]))
    tops = [[ax.images[0].norm.vmax for ax in viz.rdm_panels(rdms, scale=scale).axes if ax.images] for scale in ("shared", "panel")]
    assert tops[0][0] == tops[0][1] and tops[1][0] == rdms.values[0].max() and tops[1][1] == rdms.values[1].max()


def test_images_stand_along_both_axes(made, pictures):
    figure = viz.rdm_panels(made.make_rdms(), stimuli=pictures)
    boxes = figure.findobj(AnnotationBbox)
    assert len(boxes) == 9 * (1 + 2)  # left of the first panel and below both
    assert {tuple(box.xy) for box in boxes if box.xycoords == figure.axes[0].get_yaxis_transform()} == {(0, i) for i in range(9)}
    made.pixels(figure)
    many = viz.rdm_panels(made.make_rdms(n_rdms=5), stimuli=pictures)
    assert not many.findobj(AnnotationBbox) and "at most 4 RDMs" in many.get_label()
    with pytest.raises(InputError, match="conditions"):
        viz.rdm_panels(made.make_rdms(n=10), stimuli=pictures)
    with pytest.raises(InputError, match="only images"):
        viz.rdm_panels(made.make_rdms(), stimuli=be.StimulusSet({"stimulus_id": [f"s{i}" for i in range(9)], "text": list("abcdefghi")}, kind="text"))


@pytest.mark.parametrize("n_rdms", [1, 2, 3, 5, 16, 18])
def test_any_number_of_panels(made, n_rdms):
    figure = viz.rdm_panels(made.make_rdms(n_rdms=n_rdms))
    assert len(matrices(figure)) == min(n_rdms, 16)
    assert ("2 more RDMs are not drawn" in figure.get_label()) == (n_rdms == 18)


@pytest.mark.parametrize("names", [["$\\frac{", "V\x002", "_x"], ["a very long name of a category that goes on and on"] * 3, ["", " ", "x"]])
def test_hostile_names_are_shown_as_they_are(made, names):
    rdms = made.make_rdms(categories=tuple(names), n_rdms=2, roi=names[:2])
    rdms = replace(rdms, conditions=rdms.conditions.assign(stimulus_id=[f"$\\bad{{{i}" for i in range(9)]), metric="$\\frac{")
    for options in ({}, {"order": ["$\\bad{8", "$\\bad{1", "$\\bad{4"]}, {"category": None}):
        made.pixels(viz.rdm_panels(rdms, **options))
        made.pixels(viz.rdm_panels(rdms.take([0]), **options))


def test_wrong_requests_are_refused(made):
    rdms = made.make_rdms()
    with pytest.raises(NotFoundError, match="no column 'colour'"):
        viz.rdm_panels(rdms, category="colour")
    with pytest.raises(InputError, match="Did you mean 'percentile'"):
        viz.rdm_panels(rdms, colors="percentil")
    with pytest.raises(InputError, match="one title a panel"):
        viz.rdm_panels(rdms, titles=["a"])
    many = made.make_rdms(n=30, categories=None)
    many = replace(many, conditions=many.conditions.assign(item=[f"i{i}" for i in range(30)]))
    with pytest.raises(InputError, match="too many categories"):
        viz.rdm_panels(many, category="item")


def test_a_category_for_each_condition_is_no_category(made):
    rdms = made.make_rdms(n=6, categories=tuple("abcdef"))
    assert "a" not in made.texts(viz.rdm_panels(rdms))


def test_points_of_the_plane_keep_distances_that_fit_into_it():
    from brainenc.viz.embedding import scale_plane

    xy = np.random.default_rng(3).standard_normal((11, 2))
    square = np.sqrt(((xy[:, None] - xy[None]) ** 2).sum(-1))
    found, stress = scale_plane(square)
    np.testing.assert_allclose(np.sqrt(((found[:, None] - found[None]) ** 2).sum(-1)), square, atol=1e-6)
    assert stress < 1e-7
    again, _ = scale_plane(square)
    np.testing.assert_array_equal(found, again)


def test_majorisation_lowers_the_stress_of_the_classical_solution(made):
    from brainenc.viz.embedding import scale_plane

    square = made.make_rdms(n=20, n_rdms=1).square()[0]
    assert scale_plane(square)[1] < scale_plane(square, steps=1)[1]


def test_conditions_and_rdms_are_mapped(made, pictures):
    rdms = made.make_rdms(n_rdms=4, roi=["V1", "V1", "IT", "IT"], subject=["a", "b", "a", "b"])
    figure = viz.mds_map(rdms)
    assert {"s0", "s8", "face"} <= set(made.texts(figure)) and "mean of 4 RDMs" in figure.get_label() and "stress" in figure.get_label()
    assert len(figure.axes[0].patches) == 3  # hulls
    assert len(viz.mds_map(rdms, stimuli=pictures).findobj(AnnotationBbox)) == 9
    of = be.plot(rdms, "mds", of="rdms")
    assert {"V1 · subject a", "IT · subject b", "V1", "IT"} <= set(made.texts(of)) and "Spearman" in of.get_label()
    for one in (figure, of):
        made.pixels(one)


def test_a_table_of_points_is_drawn_as_it_is(made):
    table = pd.DataFrame({"x": [0.0, 1, 2, 0], "y": [0.0, 1, 0, 2], "label": ["a", "$\\b{", "c" * 60, "_d"], "model": list("mmnn")})
    figure = viz.mds_map(table, category="model")
    (dots,) = [c for c in figure.axes[0].collections if len(c.get_offsets()) == 4]
    np.testing.assert_array_equal(dots.get_offsets(), table[["x", "y"]])
    made.pixels(figure)
    with pytest.raises(InputError, match="coordinates are missing"):
        viz.mds_map(table.assign(x=[np.nan, 0, 0, 0]))


def test_what_has_no_plane_is_refused(made):
    rdms = made.make_rdms()
    with pytest.raises(InputError, match="too few points"):
        viz.mds_map(rdms, of="rdms")
    missing = rdms.values.copy()
    missing[:, 3] = np.nan
    with pytest.raises(InputError, match="1 of 36 pairs"):
        viz.mds_map(replace(rdms, values=missing))
    with pytest.raises(InputError, match="constant"):
        viz.mds_map(replace(made.make_rdms(n_rdms=3), values=np.ones((3, 36))), of="rdms")
    made.pixels(viz.mds_map(replace(rdms, values=np.zeros_like(rdms.values))))  # points on one spot


def test_a_triangle_frames_its_best_cell_and_outlines_regions(made):
    from matplotlib.patches import Rectangle

    grid = np.linspace(0, 1, 11).round(2)
    low, high = np.meshgrid(grid, grid, indexing="ij")
    cells = np.where(high >= low, 0.5 - (low - 0.3) ** 2 - (high - 0.7) ** 2, np.nan)
    figure = viz.triangle(cells, grid, grid, label="accuracy", chance=0.2)
    (frame,) = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert (frame.get_x() + 0.05, frame.get_y() + 0.05) == pytest.approx((0.3, 0.7))
    assert "l = 0.3, u = 0.7" in figure.get_label() and {"local", "global", "geometry", "topology", "chance"} <= set(made.texts(figure))
    drawn = figure.axes[0].collections[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(drawn, np.nan), cells.T)
    table = pd.DataFrame({"l": low.ravel(), "u": high.ravel(), "accuracy": cells.ravel()}).sample(frac=1, random_state=1)
    np.testing.assert_array_equal(np.ma.filled(viz.triangle(table).axes[0].collections[0].get_array(), np.nan), cells.T)
    made.pixels(figure)


def test_regions_of_the_triangle_are_those_of_the_definition():
    from brainenc.viz.triangles import region_of

    assert region_of([0.0, 0.8, 0.0, 0.4, 0.2, 0.5], [0.4, 1.0, 0.8, 0.6, 0.7, 0.5]).tolist() == ["local", "global", "geometry", "topology", "intermediate", "topology"]


def test_triangles_that_do_not_fit_are_refused(made):
    with pytest.raises(InputError, match="differ in shape"):
        viz.triangle(np.zeros((3, 3)), [0, 1], [0, 0.5, 1])
    with pytest.raises(InputError, match="increase"):
        viz.triangle(np.zeros((2, 2)), [1, 0], [0, 1])
    with pytest.raises(InputError, match="several values"):
        viz.triangle(pd.DataFrame({"l": [0, 0], "u": [1, 1], "v": [1.0, 2.0]}))
    made.pixels(viz.triangle(np.full((2, 2), np.nan), [0, 1], [0, 1]))


def test_an_identification_brings_its_thresholds_and_chance(made):
    rng = np.random.default_rng(0)
    centres = rng.random((3, 45))
    rows = [(s, f"R{k}") for s in "abcd" for k in range(3)]
    values = np.stack([centres[int(roi[1])] + 0.3 * rng.random(45) for _, roi in rows])
    rdms = be.RDMs(values, {"condition": [f"c{i}" for i in range(10)]}, pd.DataFrame(rows, columns=["subject", "roi"]))
    found = be.rsa.topology.identify(rdms)
    figure = be.plot(found)
    drawn = np.ma.filled(figure.axes[0].collections[0].get_array(), np.nan)
    np.testing.assert_array_equal(drawn, found.triangle("accuracy").T)
    made.pixels(figure)
    np.testing.assert_array_equal(np.ma.filled(viz.triangle(found, value="specificity").axes[0].collections[0].get_array(), np.nan), found.triangle("specificity").T)
    placed = be.rsa.topology.mds(rdms)
    figure = viz.mds_map(placed)
    assert {"R0", "R1", "R2"} <= set(made.texts(figure)) and "stress" in figure.get_label()
    made.pixels(figure)
