from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.features.adapters import build
from brainenc.features.models import gabor

SIZE = 64


def grating(cycles_per_pixel, degrees, phase=0.0, colour=(1.0, 1.0, 1.0)):
    y, x = np.mgrid[:SIZE, :SIZE]
    angle = np.deg2rad(degrees)
    wave = np.cos(2 * np.pi * cycles_per_pixel * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    return np.clip(128 + 80 * wave[..., None] * np.array(colour), 0, 255).round().astype(np.uint8)


def energies(pictures, layer="energy", **options):
    adapter = build("gabor", kind="image", model_kwargs=options)
    out = {}
    adapter.run(np.stack(pictures).transpose(0, 3, 1, 2).copy(), [layer], lambda name, x, mask: out.setdefault(name, x.numpy()))
    table = adapter.columns(layer, "none")
    assert out[layer].shape == (len(pictures), len(table)) == (len(pictures), adapter.layers()[layer].shape[0])
    return out[layer], table


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("orientation", [0.0, 22.5, 90.0, 157.5])
def test_a_grating_drives_its_own_frequency_and_orientation_most(scale, orientation):
    values, table = energies([grating(0.25 / 2**scale, orientation)])
    table["energy"] = values[0]
    mean = table[table.channel == "luminance"].groupby(["cycles_per_pixel", "orientation"])["energy"].mean()
    assert mean.idxmax() == (0.25 / 2**scale, orientation)


def test_energy_does_not_feel_the_phase_but_does_feel_the_place():
    phases, table = energies([grating(0.125, 45, phase) for phase in np.linspace(0, np.pi, 5)])
    strong = (table.cycles_per_pixel == 0.125) & (table.orientation == 45) & (table.channel == "luminance")
    spread = phases[:, strong].std(0) / phases[:, strong].mean(0)
    assert spread.max() < 0.05
    half = grating(0.125, 45)
    half[:, SIZE // 2 :] = 128
    values, _ = energies([half])
    cells = values[0, strong].reshape(4, 4)
    assert cells[:, 0].min() > 4 * cells[:, 3].max()


def test_red_and_green_stripes_of_equal_luminance_drive_the_opponent_channel():
    values, table = energies([grating(0.125, 0, colour=(0.587, -0.299, 0))])
    table["energy"] = values[0]
    by_channel = table.groupby("channel")["energy"].mean()
    assert by_channel["red-green"] > 20 * by_channel["luminance"]
    grey, _ = energies([grating(0.125, 0)])
    assert grey[0, (table.channel == "red-green").to_numpy()].max() < 1e-3


def test_filters_tile_the_octaves():
    """Over orientations, half planes and scales the squared filters sum to one between the outermost centres."""
    fy, fx = np.meshgrid(np.fft.fftfreq(96), np.fft.fftfreq(96), indexing="ij")
    total = np.zeros_like(fy)
    for scale in range(4):
        bank = gabor.steerable(fy, fx, 0.25 / 2**scale, 8)
        flipped = gabor.steerable(-fy, -fx, 0.25 / 2**scale, 8)
        total += (bank**2 + flipped**2).sum(0)
    radius = np.hypot(fy, fx)
    inside = (radius > 0.25 / 8) & (radius < 0.25)
    np.testing.assert_allclose(total[inside], 1.0, atol=1e-12)


def test_a_band_at_low_resolution_has_the_energy_of_the_full_one(pictures):
    """The filters computed on the cropped spectrum agree with a plain full-size filtering in numpy."""
    picture = pictures[0][:SIZE, :SIZE].astype(float) / 255
    grey = picture @ np.array([0.299, 0.587, 0.114])
    padded = np.pad(grey, 8, mode="reflect")
    fy, fx = np.meshgrid(np.fft.fftfreq(80), np.fft.fftfreq(80), indexing="ij")
    values, table = energies([pictures[0][:SIZE, :SIZE]], colour=False, grid=1)
    for scale in range(4):
        local = np.fft.ifft2(np.fft.fft2(padded) * gabor.steerable(fy, fx, 0.25 / 2**scale, 8))
        expected = np.sqrt((np.abs(local[:, 8:72, 8:72]) ** 2).mean((1, 2)))
        got = values[0, (table.cycles_per_pixel == 0.25 / 2**scale).to_numpy()]
        np.testing.assert_allclose(got, expected, rtol=0.15)
        assert np.corrcoef(got, expected)[0, 1] > 0.98


def test_lowpass_is_the_mean_of_each_cell(pictures):
    values, table = energies([pictures[0][:SIZE, :SIZE]], "lowpass", grid=2)
    picture = pictures[0][:SIZE, :SIZE].astype(float) / 255
    red_green = (picture[..., 0] - picture[..., 1]).reshape(2, 32, 2, 32).mean((1, 3)).ravel()
    np.testing.assert_allclose(values[0, (table.channel == "red-green").to_numpy()], red_green, atol=1e-6)


def test_a_uniform_image_has_no_energy():
    values, _ = energies([np.full((SIZE, SIZE, 3), 90, np.uint8)])
    assert np.abs(values).max() < 1e-4


def test_options_change_the_layer_and_its_columns(images):
    space = be.extract(images, "gabor", cache=False, model_kwargs={"scales": 5, "orientations": 6, "grid": 3, "colour": False})["gabor/energy"]
    assert space.n_features == 5 * 6 * 9 == len(space.features)
    assert set(space.features["channel"]) == {"luminance"}


@pytest.mark.parametrize("options", [{"scales": 0}, {"scales": 2.0}, {"orientations": 1}, {"grid": 100}, {"colour": 1}, {"scales": 8}])
def test_senseless_options_are_refused(options):
    with pytest.raises(InputError):
        build("gabor", kind="image", model_kwargs=options)
