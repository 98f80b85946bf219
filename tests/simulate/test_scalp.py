"""The forward model and the noise of simulated recordings, against series, spectra and spheres computed otherwise."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from brainenc.simulate.noise import gamma_course, grouped_noise, one_over_f
from brainenc.simulate.readouts import evened, standardized
from brainenc.simulate.scalp import ELECTRODES, cap, fitted_sphere, lead_field

ANGLES = np.linspace(0.1, np.pi - 0.1, 9)


@pytest.mark.parametrize("eccentricity", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("direction", ["radial", "tangential"])
def test_lead_field_is_the_series_of_legendre_polynomials(eccentricity, direction):
    """A dipole on the z axis: Σ (2n + 1) b^(n-1) P_n / (4πσR²) along z, Σ (2n + 1) / n b^(n-1) sin θ P_n' / (4πσR²) along x; R and σ not 1."""
    radius, sigma, n, cos = 0.09, 0.4, np.arange(1, 300)[:, None], np.cos(ANGLES)
    legendre = eval_legendre(n, cos)
    slope = n * (cos * legendre - eval_legendre(n - 1, cos)) / (cos**2 - 1)
    terms = (2 * n + 1) * legendre if direction == "radial" else (2 * n + 1) / n * np.sin(ANGLES) * slope
    expected = (terms * eccentricity ** (n - 1)).sum(axis=0) / (4 * np.pi * sigma * radius**2)
    electrodes = np.column_stack([np.sin(ANGLES), 0 * ANGLES, np.cos(ANGLES)])
    moment = np.array([[0.0, 0.0, 1.0]] if direction == "radial" else [[1.0, 0.0, 0.0]])
    found = lead_field(electrodes, np.array([[0, 0, eccentricity * radius]]), moment, radius=radius, conductivity=sigma)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_dipoles_outside_of_the_head_are_refused():
    with pytest.raises(ValueError, match="inside of the sphere"):
        lead_field(np.eye(3), np.array([[0.0, 0.0, 1.2]]), np.ones((1, 3)))


def test_the_sphere_through_points_is_found(rng):
    directions = rng.standard_normal((20, 3))
    points = np.array([3.0, -20.0, 45.0]) + 95.0 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    centre, radius = fitted_sphere(points)
    np.testing.assert_allclose([*centre, radius], [3.0, -20.0, 45.0, 95.0], rtol=1e-9)


def test_the_cap_is_where_a_head_is():
    table = cap().set_index("channel")
    assert list(table.index) == list(ELECTRODES) and (table["type"] == "eeg").all()
    assert table.loc["Fz", "y"] > table.loc["Oz", "y"] + 100 and table["z"].idxmax() == "Cz"
    assert table.loc["T8", "x"] > 60 and table.loc["T7", "x"] < -60
    assert 80 < fitted_sphere(table[["x", "y", "z"]].to_numpy())[1] < 110


def test_noise_falls_as_one_over_f_and_is_flat_below_the_corner(rng):
    series = one_over_f(4096, 60, rng, rate=100.0, corner=1.0)
    np.testing.assert_allclose(series.var(axis=0).mean(), 1.0, atol=0.05)
    f, power = np.fft.rfftfreq(4096, 0.01), (np.abs(np.fft.rfft(series * np.hanning(4096)[:, None], axis=0)) ** 2).mean(axis=1)
    above, below = (f > 2) & (f < 40), (f > 0.1) & (f < 0.6)
    assert np.polyfit(np.log(f[above]), np.log(power[above]), 1)[0] == pytest.approx(-1.0, abs=0.1)
    assert np.polyfit(np.log(f[below]), np.log(power[below]), 1)[0] == pytest.approx(0.0, abs=0.2)


def test_channels_of_a_group_share_their_noise(rng):
    noise = grouped_noise(20000, ["A", "A", "B", "B"], rng, rate=100.0, corner=5.0, shared=0.4)
    found = np.corrcoef(noise.T)
    np.testing.assert_allclose([found[0, 1], found[2, 3]], 0.4, atol=0.08)
    np.testing.assert_allclose(found[:2, 2:], 0.0, atol=0.08)


def test_courses_rise_peak_and_have_the_width_they_say():
    times = np.arange(0, 1, 0.0005)
    (early, late) = gamma_course(times, [0.05, 0.2], [0.1, 0.4], sharpness=9.0)
    for course, onset, peak in ((early, 0.05, 0.1), (late, 0.2, 0.4)):
        assert (course[times < onset] == 0).all() and course.max() == pytest.approx(1.0, abs=1e-4)
        assert times[course.argmax()] == pytest.approx(peak, abs=0.0006)
        near = np.abs(times - peak) < 0.1 * (peak - onset)
        curvature = np.polyfit(times[near] - peak, np.log(course[near]), 2)[0]
        assert (-0.5 / curvature) ** 0.5 == pytest.approx((peak - onset) / 3, rel=0.02)


@pytest.mark.parametrize("shape", [(30, 7), (20, 45)])
def test_evened_columns_span_the_largest_components_alike(rng, shape):
    values = standardized(rng.standard_normal(shape) @ np.diag(np.arange(1, shape[1] + 1.0)))
    found = evened(values, 4)
    left = np.linalg.svd(values)[0][:, :4]
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(found @ found.T, left @ left.T, atol=1e-8)
