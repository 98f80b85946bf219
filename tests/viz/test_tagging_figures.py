from __future__ import annotations

import io

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.frequency import select_channels, tag


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(0)
    time = np.arange(64) / 16
    x = rng.standard_normal((10, 12, 64))
    x[:, :4] += np.cos(2 * np.pi * time)
    x[:, 4:6] += np.cos(2 * np.pi * 8 * time)
    table = {"channel": [f"c{i}" for i in range(12)], "roi": ["A"] * 5 + ["B_$x$"] * 7}
    rows = np.moveaxis(x, 1, 2).reshape(-1, 12)
    return be.Responses(rows, {"trial": np.repeat(np.arange(10), 64)}, table, sampling_rate=16.0)


@pytest.fixture(scope="module")
def tagging(recording):
    return tag(recording, None, {"sentence": 1.0, "fastest": 8.0}, neighbours=3)


def texts(figure):
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def draw(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def test_spectrum_marks_the_tags_and_counts_who_follows(tagging):
    figure = draw(be.plot(tagging))
    shown = texts(figure)
    assert "sentence\n1 Hz" in shown and "fastest\n8 Hz" in shown
    assert any("4 of 12 at 1 Hz; 2 of 12 at 8 Hz" in t for t in shown) and any("T²circ" in t for t in shown)
    vertical = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert vertical == [1.0, 8.0]
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() > 1.8]
    np.testing.assert_allclose(thick[0].get_ydata(), tagging.spectra[:4].mean(axis=0))


def test_channels_are_grouped_and_coloured(tagging):
    figure = draw(be.plot(tagging, "channels"))
    bars = figure.axes[0].patches
    assert len(bars) == 12 and bars[0].get_height() == pytest.approx(tagging["snr"][0, 0])
    assert bars[0].get_facecolor() != bars[11].get_facecolor() == bars[8].get_facecolor()
    assert "A" in texts(figure) and r"B_\$x\$" in texts(figure)
    draw(be.plot(tagging, "channels", statistic="itpc"))  # has nothing to show at the Nyquist bin


def test_counts_of_tags_and_of_sets(tagging, recording):
    figure = draw(be.plot(tagging, "counts", by="roi"))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == pytest.approx([80, 0, 20, 100 / 7])
    found = select_channels(recording, None, {"sentence": 1.0, "fastest": 8.0}, halves=3)
    figure = draw(be.plot(found))
    assert {"sentence", "fastest"} <= set(texts(figure)) and "none" not in texts(figure)
    draw(be.plot(tag(np.random.default_rng(1).standard_normal((5, 3, 64)), 16.0, 2.0), "counts"))


def test_without_spectra_it_says_so(recording):
    with pytest.raises(InputError, match="spectrum=True"):
        be.plot(tag(recording, None, 2.0, spectrum=False))
