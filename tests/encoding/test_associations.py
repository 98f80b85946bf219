"""Maps of the cortex compared under spins: exact under smooth nulls, where shuffled cells call nearly everything significant."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding import map_association
from brainenc.encoding._spins import parcel_spins, vertex_spins
from brainenc.metrics import rotations
from brainenc.nouns.spaces.surface import load_mesh


def sphere_points(n):
    """Return n nearly even points on the sphere (Fibonacci lattice)."""
    i = np.arange(n) + 0.5
    z, turn = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


def smooth(points, rng, n, length=0.6):
    """Draw fields (n, n_points) of an isotropic Gaussian process."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    return rng.standard_normal((n, len(points))) @ np.linalg.cholesky(np.exp(-0.5 * (distance / length) ** 2) + 1e-6 * np.eye(len(points))).T


def whole_mesh(mesh="fsaverage3", size=642):
    return be.SurfaceSpace(mesh, np.repeat(["left", "right"], size), np.tile(np.arange(size), 2))


def test_rotations_are_uniform():
    turns = rotations(4000, 0)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    assert stats.kstest(turns[:, 2, 0], stats.uniform(-1, 2).cdf).pvalue > 0.001  # a uniform point's height is uniform (Archimedes)
    trace = np.trace(turns, axis1=1, axis2=2)
    angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))
    assert stats.kstest(angle, lambda a: (a - np.sin(a)) / np.pi).pvalue > 0.001  # Haar measure of the angle


def test_spins_turn_the_map_and_mirror_the_right_side():
    points = sphere_points(400)
    both = np.concatenate([points, points * [-1, 1, 1]])
    hemi = np.repeat(["left", "right"], 400)
    turn = rotations(3, 5, "spin")
    for r, nearest, each in zip(turn, *(parcel_spins(both, hemi, 3, 5, assignment=a) for a in ("nearest", "hungarian")), strict=True):
        moved = points @ r.T
        far = np.linalg.norm(points[:, None] - moved, axis=2)
        np.testing.assert_array_equal(nearest[:400], far.argmin(axis=1))
        np.testing.assert_array_equal(nearest[400:], 400 + nearest[:400])  # the mirror image of the left side's turn
        np.testing.assert_array_equal(np.sort(each), np.arange(800))
        assert np.median(far[np.arange(400), each[:400]]) < 0.1 and (nearest == each).mean() > 0.3


def test_observed_correlations_are_those_of_scipy(rng):
    space = whole_mesh()
    x, y, z = rng.standard_normal((3, 1284))
    x[:40], y[30:90] = np.nan, np.nan
    maps = {"y": y, "z": z}
    table = map_association(x, maps, space=space, n=19)
    known = np.isfinite(x) & np.isfinite(y)
    np.testing.assert_allclose(table["r"], [stats.pearsonr(x[known], y[known]).statistic, stats.pearsonr(x[40:], z[40:]).statistic])
    assert list(table["n_cells"]) == [1194, 1244] and (table["cells_min"] < 1244).all() and list(table["map"]) == ["y", "z"]
    ranks = map_association(z, y[:, None] ** 3, space=space, method="spearman", n=19)
    full = np.isfinite(y)
    np.testing.assert_allclose(map_association(z[full], z[full] ** 3, null="permutation", method="spearman", n=19)["r"], 1.0)
    np.testing.assert_allclose(ranks["r"], stats.spearmanr(z[full], y[full]).statistic, atol=0.01)


def test_vertex_spins_read_the_wall_as_missing():
    space = whole_mesh()
    part = space.take(np.r_[10:300, 700:1200])
    sphere = np.concatenate([load_mesh("fsaverage5", side, "sphere")[0][:642] for side in ("left", "right")])
    full = list(parcel_spins(sphere, space.hemi, 2, 3, assignment="nearest"))
    index = np.r_[10:300, 700:1200]
    back = np.full(1284, -1)
    back[index] = np.arange(len(index))
    for got, want in zip(vertex_spins(part, 2, 3), full, strict=True):
        np.testing.assert_array_equal(got, back[want[index]])
    values = np.arange(float(space.n_targets))
    given = {side: sphere[space.hemi == side] for side in ("left", "right")}
    native = be.SurfaceSpace("native", space.hemi, space.vertex, n_vertices=(642, 642))
    assert map_association(values, values, space=native, spheres=given, n=19).equals(map_association(values, values, space=space, n=19))
    with pytest.raises(InputError, match="no sphere here"):
        map_association(values, values, space=native, n=19)


def test_a_planted_association_is_found_and_a_patch_is_warned_about(rng):
    points = sphere_points(150)
    gradient = points[:, 1] + 0.2 * smooth(points, rng, 1)[0]
    maps = {"mine": points[:, 1], "other": smooth(points, rng, 1)[0]}
    table = map_association(gradient, maps, coordinates=points, n=199)
    assert table["p"][0] <= 0.02 and table["p_max"][0] <= 0.03 and table["r"][0] > 0.8
    patch = np.where(points[:, 2] > 0.7, gradient, np.nan)
    with pytest.warns(BrainencWarning, match="too small a patch"):
        map_association(patch, {"mine": np.where(points[:, 2] > 0.7, points[:, 1], np.nan)}, coordinates=points, n=19)


def test_inputs_that_do_not_fit(rng):
    x = rng.standard_normal(20)
    for wrong, text in (({}, "where the cells lie"), ({"space": whole_mesh()}, "do not fit"), ({"coordinates": np.zeros((20, 3))}, "on a sphere")):
        with pytest.raises(InputError, match=text):
            map_association(x, x, n=19, **wrong)
    with pytest.raises(InputError, match="different cells"):
        map_association(x, {"a": x[:3]}, null="permutation")


def rates(n_maps, n, seed=0, assignment="hungarian"):
    """Return p of independent smooth maps, by spins and by shuffled cells."""
    points = sphere_points(100)
    fields = smooth(points, np.random.default_rng(seed), 2 * n_maps)
    spin, naive = [], []
    for i in range(n_maps):
        pair = (fields[2 * i], fields[2 * i + 1])
        spin.append(map_association(*pair, coordinates=points, n=n, seed=i, assignment=assignment)["p"].item())
        naive.append(map_association(*pair, null="permutation", n=n, seed=i)["p"].item())
    return np.array(spin), np.array(naive)


def test_spins_hold_their_level_where_shuffled_cells_do_not():
    spin, naive = rates(80, 99)
    assert (spin <= 0.05).mean() <= 0.13 and (naive <= 0.05).mean() > 0.35
    assert stats.kstest(spin, "uniform").pvalue > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ["hungarian", "nearest"])
def test_p_of_spins_is_uniform(assignment):
    spin, naive = rates(1000, 99, seed=1, assignment=assignment)
    assert 0.03 <= (spin <= 0.05).mean() <= 0.07 and (naive <= 0.05).mean() > 0.35
    assert stats.kstest(spin, "uniform").pvalue > 0.001
