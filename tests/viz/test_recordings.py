"""Figures of recordings and the moments at which channels are read: the numbers of the scores, chosen on training rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError, NotFoundError
from brainenc.viz.moments import cell_column, courses, is_recording, moment_table, moments

TIMES = np.arange(-3, 12) * 0.02
CHANNELS = ["Oz", "Pz", "Cz", "Fz", "T7", "T8"]
PLACES = {"x": [0, 0, 0, 0, -0.08, 0.08], "y": [-0.09, -0.06, 0, 0.07, 0, 0], "z": [0, 0.07, 0.1, 0.06, 0.02, 0.02], "type": ["eeg"] * 6}
LAYERS = [("toy", "l1"), ("toy", "l2"), ("gabor", "energy")]


def sensors(subjects=("01",), *, inner=True, ceiling=False, n_folds=3, noise=0.0):
    """Layer i is best at 0.06 (i + 1) s, and in channel i; held-out scores of the last fold are shifted so that choosing by them would differ."""
    rng = np.random.default_rng(0)
    n = len(CHANNELS) * len(TIMES)
    channel, time = np.repeat(np.arange(6), len(TIMES)), np.tile(TIMES, 6)
    course = np.stack([np.exp(-0.5 * ((time - 0.06 * (i + 1)) / 0.03) ** 2) * np.where(channel == i, 0.8, 0.3) for i in range(3)])
    values = np.repeat(course[:, None], n_folds, axis=1)
    values = np.tile(values, (1, 1, len(subjects)))
    held = values + noise * rng.standard_normal(values.shape)
    targets = pd.DataFrame({"subject": np.repeat(list(subjects), n), "target_id": [f"t{i}" for i in range(n)] * len(subjects)})
    entries = pd.DataFrame([{"model": m, "layer": one, "metric": "pearson", "seed": 0} for m, one in LAYERS])
    limit = be.NoiseCeiling(np.full(len(targets), 0.81), n_repeats=2) if ceiling else None
    spaces = {name: be.SensorSpace({"channel": CHANNELS, **PLACES}, TIMES) for name in subjects}
    return be.Scores(held, entries, targets, spaces, "80/20 images", np.array(40), inner=values if inner else None, ceiling=limit)


def test_courses_hold_the_scores_of_each_channel_and_time():
    scores = sensors(noise=0.1)
    found = courses(scores)
    assert is_recording(scores) and cell_column(scores) == "channel" and found.cells == CHANNELS
    np.testing.assert_allclose(found.score, scores.mean().reshape(3, 6, len(TIMES)))
    np.testing.assert_allclose(found.times, TIMES)
    regions = replace(scores, targets=scores.targets.assign(roi=np.repeat(["back", "front"], 3 * len(TIMES))))
    by_roi = courses(regions)
    assert by_roi.cells == ["back", "front"] and (by_roi.n_targets == 3).all()
    np.testing.assert_allclose(by_roi.folds, np.median(scores.values.reshape(3, 3, 2, 3, -1), axis=3))
    with pytest.raises(InputError, match="of one subject"):
        courses(sensors(("01", "02")))


def test_moments_are_chosen_on_training_rows_and_scored_on_held_out_ones():
    scores = sensors(noise=0.5)
    by_channel = {one.cell: one for one in moments(courses(scores))}
    for i, name in enumerate(CHANNELS[:3]):
        one = by_channel[name]
        assert one.honest and one.layer == i and one.time == pytest.approx(0.06 * (i + 1))
        at = np.flatnonzero(np.isclose(TIMES, one.time))[0]
        assert one.score == pytest.approx(scores.values.reshape(3, 3, 6, -1)[i, :, i, at].mean())
    flattering = {one.cell: one for one in moments(courses(replace(scores, inner=None)))}
    assert not flattering["Fz"].honest and all(flattering[name].score >= by_channel[name].score for name in CHANNELS)
    table = moment_table(sensors(("01", "02"), ceiling=True))
    assert len(table) == 2 * 6 * 3 and set(table["time_chosen"]) == {"training rows"} and table["ceiling"].iloc[0] == pytest.approx(0.9)
    np.testing.assert_allclose(table["normalized"], table["score"] / 0.9)


def test_course_shows_lines_of_the_best_layers_and_their_ceiling(made):
    scores = sensors(("01", "02"), ceiling=True, noise=0.02)
    figure = be.plot(scores, "course")
    assert [ax.get_title(loc="left") for ax in figure.axes] and made.pixels(figure).std() > 0
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    ax = figure.axes[titles.index("Pz")]
    toy = scores.mean().reshape(3, 2, 6, -1).mean(axis=1)[1, 1]  # layer l2 is the best of its model in Pz
    assert any(len(line.get_ydata()) == len(TIMES) and np.allclose(line.get_ydata(), toy) for line in ax.lines)
    assert any(np.allclose(line.get_ydata(), 0.9) for line in ax.lines if len(line.get_ydata()) == len(TIMES))
    assert {"toy", "gabor", "noise ceiling"} <= set(made.texts(figure))
    chosen = be.plot(scores, "course", subject="01", layers=["toy/l1"])
    assert len(chosen.axes) == 6
    with pytest.raises(NotFoundError, match="no such layer"):
        be.plot(scores, "course", layers=["toy/l9"])


def test_scalp_maps_stand_at_the_peaks(made):
    scores = sensors(("01", "02"))
    figure = be.plot(scores, "scalp", times=[0.06, 0.12, 0.18])
    assert {"60 ms", "120 ms", "180 ms"} <= set(made.texts(figure)) and made.pixels(figure).std() > 0
    peaks = be.plot(scores, "scalp", layers=["toy/l2"])
    assert "120 ms" in made.texts(peaks)
    bare = replace(scores, spaces={name: be.SensorSpace({"channel": CHANNELS}, TIMES) for name in ("01", "02")})
    with pytest.raises(InputError, match="sensors with positions"):
        viz.scalp_series(bare)


def contacts():
    """Two contacts in each of two regions, five windows."""
    when = np.arange(5) * 0.1
    table = pd.DataFrame({"channel": np.repeat(["A1", "A2", "B1", "B2"], 5), "time": np.tile(when, 4), "x": 20.0, "y": np.repeat([0.0, 5, 10, 15], 5), "z": 10.0})
    table["region"] = np.repeat(["STG", "STG", "IFG", "IFG"], 5)
    values = (np.where(table["channel"] == "A1", 0.5, 0.05) * np.exp(-((table["time"] - 0.2) ** 2) / 0.01)).to_numpy()
    entries = pd.DataFrame([{"model": "toy", "layer": one, "metric": "pearson", "seed": 0} for one in ("l1", "l2")])
    targets = table[["channel", "time"]].assign(subject="01", target_id=[f"t{i}" for i in range(20)], roi=table["region"])
    both = np.stack([values, 0.5 * values])[:, None].repeat(2, axis=1)
    return be.Scores(both, entries, targets, {"01": be.ContactSpace(table)}, "leave one run out", np.array(40), inner=both)


def test_reports_of_sensors_and_contacts_say_where_and_when(tmp_path):
    scores = sensors(("01", "02"), ceiling=True, noise=0.05)
    page = be.report(scores, tmp_path / "eeg.html").read_text()
    for text in ("Which layer predicts which channel, and when", "Layers through time", "On the scalp", "Onset and peak", "A sensor is no source", "120 ms"):
        assert text in page
    assert "6 EEG channels" in page and "toy/l2" in page
    page = be.report(contacts(), tmp_path / "seeg.html").read_text()
    for text in ("Which layer predicts which region, and when", "Where the contacts are", "Every contact", "A1", "200 ms", "Contacts lie where the clinic"):
        assert text in page
    assert page.count("<th") and "<script src" not in page and "http" not in page.split("</style>")[1].split("Provenance")[0].replace("http://www.w3.org", "")
