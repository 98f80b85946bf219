from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError


def pixels(figure):
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def texts(figure):
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def test_heatmap_shows_the_medians_and_frames_the_best(make_scores):
    from matplotlib.patches import Rectangle

    figure = viz.layer_region_heatmap(make_scores())
    shown = texts(figure)
    assert {"V1", "V2", "V4", "gabor", "energy", "noise ceiling", ".80"} <= set(shown)
    image = figure.axes[1].images[0].get_array()
    assert image.shape == (4, 3)
    assert image[0, 0] == pytest.approx(0.6, abs=0.01) and image[0, 1] == pytest.approx(0.1, abs=0.01)
    frames = [p for p in figure.axes[1].patches if isinstance(p, Rectangle)]
    assert len(frames) == 3
    assert (0, 0) in {(round(p.get_x() + 0.47), round(p.get_y() + 0.45)) for p in frames}
    pixels(figure)


def test_heatmap_normalised_divides_by_the_correlation_ceiling(make_scores):
    image = viz.layer_region_heatmap(make_scores(), normalized=True).axes[0].images[0].get_array()
    assert image[0, 0] == pytest.approx(0.6 / 0.8, abs=0.01)
    with pytest.raises(InputError, match="no ceiling"):
        viz.layer_region_heatmap(make_scores(ceiling=False), normalized=True)


@pytest.mark.parametrize("subjects", [("01",), ("01", "02")])
@pytest.mark.parametrize("ceiling", [True, False])
def test_profiles_have_one_panel_a_region(make_scores, subjects, ceiling):
    figure = viz.layer_profiles(make_scores(subjects=subjects, ceiling=ceiling))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[:3] == ["V1", "V2", "V4"]
    assert any("ceiling .80" in t for t in texts(figure)) == ceiling
    pixels(figure)


def test_score_against_ceiling_uses_matching_units(make_scores):
    scores = make_scores(metrics=("pearson", "r2"))
    for metric, ceiling in (("pearson", 0.8), ("r2", 0.64)):
        figure = viz.score_vs_ceiling(scores, metric)
        dots = np.concatenate([c.get_offsets() for c in figure.axes[0].collections])
        assert np.allclose(dots[:, 0], ceiling)
        assert len(dots) == 54
    with pytest.raises(InputError, match="no ceiling"):
        viz.score_vs_ceiling(make_scores(ceiling=False))


def test_plot_dispatches_on_the_noun(make_scores, responses, features):
    rdms = be.RDMs(np.random.default_rng(0).random((2, 6)), {"condition": list("abcd")}, {"roi": ["V1", "V4"]})
    stimuli = be.StimulusSet({"stimulus_id": ["a", "b"], "text": ["a $dog$", "two cats"]}, kind="text")
    for noun in (make_scores(), responses, features, rdms, stimuli):
        assert pixels(be.plot(noun)).std() > 0
    for kind in ("heatmap", "profiles", "ceiling"):
        assert be.plot(make_scores(), kind).axes
    for kind in ("map", "winners"):
        assert be.plot(make_scores(), kind, subject="02").axes
    with pytest.raises(InputError, match="profiles"):
        be.plot(make_scores(), "profile")
    with pytest.raises(InputError, match="one of"):
        be.plot([1, 2, 3])


def test_nothing_leaks_into_the_users_settings(make_scores):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    be.plot(make_scores())
    be.plot(make_scores(), "profiles")
    assert dict(mpl.rcParams) == before
    import sys

    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_map_of_several_subjects_asks_which(make_scores):
    with pytest.raises(InputError, match="several subjects"):
        viz.score_map(make_scores())


def test_dollar_signs_and_control_characters_in_names_are_shown_as_they_are(make_scores):
    figure = viz.layer_region_heatmap(make_scores(regions=("$\\frac{", "V\x002", "a_{b}^$c$")))
    pixels(figure)
    hostile = make_scores(regions=("$\\frac{", "V\x002", "_x"))
    for figure in (viz.layer_profiles(hostile, title="$\\bad{"), viz.score_vs_ceiling(hostile)):
        pixels(figure)


def test_edge_cases_are_drawn(make_scores):
    scores = make_scores(subjects=("01",), regions=("V1",), layers=[("m", "only")], inner=False)
    nothing = replace(scores, values=np.full_like(scores.values, np.nan))
    for one in (scores, nothing, make_scores(regions=())):
        pixels(viz.layer_region_heatmap(one))
        pixels(viz.layer_profiles(one))
        pixels(viz.score_vs_ceiling(one))
        pixels(viz.score_map(one, subject="01"))
        pixels(viz.winner_map(one, subject="01"))


def test_winner_counts_match_the_planted_layers(make_scores):
    figure = viz.winner_map(make_scores(), subject="01")
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == [9, 9, 9, 0]


def test_colour_maps_run_evenly_in_lightness():
    from brainenc.viz import style

    for name in ("score", "warm", "grey"):
        rgb = style.colormap(name)(np.linspace(0, 1, 64))[:, :3]
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
        steps = np.diff(lightness)
        assert (np.sign(steps) == np.sign(steps[0])).all()
        assert np.abs(steps - steps.mean()).max() < 0.35 * abs(steps.mean())


def test_contact_sheet_draws_the_images(tmp_path):
    from PIL import Image

    for i, color in enumerate(("red", "lime", "blue")):
        Image.new("RGB", (16, 12), color).save(tmp_path / f"{i}.png")
    stimuli = be.StimulusSet(
        pd.DataFrame({"stimulus_id": list("abc"), "path": [f"{i}.png" for i in range(3)]}), root=tmp_path
    )
    pytest.importorskip("brainenc.loaders.stimuli")
    figure = viz.contact_sheet(stimuli, n=2)
    assert len([ax for ax in figure.axes if ax.images]) == 2
    seen = pixels(figure).reshape(-1, 3)
    assert ((seen == [255, 0, 0]).all(axis=1)).any() and ((seen == [0, 0, 255]).all(axis=1)).any()


def test_captions_name_the_ceiling_in_units_of_the_metric(make_scores):
    for metric, words in (("pearson", "on r (square root of the variance ceiling"), ("r2", "on R² (variance ceiling")):
        scores = make_scores(metrics=(metric,))
        for figure in (viz.layer_region_heatmap(scores), viz.layer_profiles(scores), viz.score_vs_ceiling(scores)):
            shown = " ".join(" ".join(texts(figure)).split())
            assert f"oise ceiling {words} of the mean of 3 repeats" in shown
