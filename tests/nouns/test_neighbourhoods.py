"""Neighbourhoods of every kind of space against distances computed by other means."""

import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import balls
from brainenc.nouns.spaces.lattice import steps_within
from brainenc.nouns.spaces.surface import _edges, geodesic, load_mesh

OBLIQUE = np.array([[-3.0, 0.4, 0, 30], [0.3, 3.5, -0.2, -20], [0.1, 0, 4.1, 10], [0, 0, 0, 1]])


def _space(rng, affine=OBLIQUE, shape=(9, 8, 7)):
    return be.VolumeSpace.from_mask(rng.random(shape) < 0.6, affine)


@pytest.mark.parametrize("affine", [OBLIQUE, np.diag([2.0, 2.0, 2.0, 1.0]), np.diag([3.1, 3.75, 3.75, 1.0]), np.diag([-2.0, 3.0, 1.0, 1.0])])
@pytest.mark.parametrize("radius", [0.0, 2.0, 4.0, 7.5, 100.0])
def test_offsets_through_the_affine_give_the_balls_of_the_tree(rng, affine, radius):
    space = _space(rng, affine)
    expected = list(balls(space.coordinates, radius))
    found = list(space.neighbourhoods(radius))
    assert len(found) == space.n_targets and all((a == b).all() and a.dtype == np.intp for a, b in zip(found, expected, strict=True))


def test_order_of_the_voxels_and_choice_of_centres_do_not_matter(rng):
    space = _space(rng)
    shuffled = space.take(rng.permutation(space.n_targets))
    centres = rng.permutation(space.n_targets)[:20]
    distance = cdist(shuffled.coordinates, shuffled.coordinates)
    for centre, near in zip(centres, shuffled.neighbourhoods(6.0, centres=centres), strict=True):
        np.testing.assert_array_equal(near, np.flatnonzero(distance[centre] <= 6.0))
    mask = np.zeros(space.n_targets, dtype=bool)
    mask[[3, 5]] = True
    assert len(list(space.neighbourhoods(6.0, centres=mask))) == 2
    doubled = space.take(np.array([4, 4, 5]))
    assert list(doubled.neighbourhoods(0.0))[0].tolist() == [0, 1]


@pytest.mark.parametrize("bad", [[-1], [10_000], [[0, 1]], [0.5]])
def test_centres_that_are_no_targets_are_refused(rng, bad):
    with pytest.raises(InputError, match="centres are positions"):
        list(_space(rng).neighbourhoods(3.0, centres=bad))


def test_a_radius_is_in_millimetres_of_an_anisotropic_grid():
    steps = steps_within(np.diag([1.0, 2.0, 5.0, 1.0]), 4.0)
    assert set(map(tuple, steps[:, 2:].tolist())) == {(0,)}  # a slice away is 5 mm away
    assert len(steps) == sum(1 for i in range(-4, 5) for j in range(-2, 3) if i**2 + 4 * j**2 <= 16)


def test_full_sizes_count_what_mask_and_edge_cut_off(rng):
    space = be.VolumeSpace.from_mask(np.ones((5, 5, 5)), np.diag([2.0, 2.0, 2.0, 1.0]))
    sizes = np.array([len(near) for near in space.neighbourhoods(2.0)])
    assert (space.full_sizes(2.0) == 7).all() and sizes.min() == 4 and sizes.max() == 7
    assert sizes[62] == 7 and sizes[0] == 4


def test_batches_of_the_mesh_give_the_geodesics_of_the_whole_mesh(rng):
    vertex = np.sort(rng.choice(10242, 3000, replace=False))
    hemi = np.where(rng.random(3000) < 0.5, "left", "right")
    space = be.SurfaceSpace("fsaverage5", hemi, vertex)
    centres = rng.permutation(3000)[:40]
    for centre, near in zip(centres, space.neighbourhoods(11.0, centres=centres), strict=True):
        reach = geodesic("fsaverage5", str(hemi[centre]), int(vertex[centre]), 11.0)
        np.testing.assert_array_equal(near, np.flatnonzero((hemi == hemi[centre]) & np.isfinite(reach[vertex])))


def test_rings_count_edges(rng):
    space = be.SurfaceSpace("fsaverage5", ["left"] * 10242, np.arange(10242))
    hops = dijkstra(_edges("fsaverage5", "left"), directed=False, indices=[7, 4000], unweighted=True)
    for k in (0, 1, 3):
        for row, near in zip(hops, space.rings(k, centres=np.array([7, 4000])), strict=True):
            np.testing.assert_array_equal(near, np.flatnonzero(row <= k))
    assert space.full_sizes(rings=1, centres=np.array([7])).tolist() == [int((hops[0] <= 1).sum())]
    with pytest.raises(InputError, match="whole edges"):
        list(space.rings(1.5))


def test_a_native_surface_takes_its_mesh():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]])
    faces = np.array([[0, 1, 3], [1, 4, 3], [1, 2, 4], [2, 5, 4]])
    space = be.SurfaceSpace("native", ["left", "left", "left", "right"], [0, 2, 4, 5], n_vertices=(6, 6))
    meshes = {"left": (points, faces), "right": (points, faces)}
    # from 0 to 4: over 1 or 3, two edges of 1 mm; from 0 to 2: two edges; the other hemisphere never
    assert [near.tolist() for near in space.neighbourhoods(2.0, meshes=meshes)] == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3]]
    assert [near.tolist() for near in space.neighbourhoods(1.0, meshes=meshes)] == [[0], [1], [2], [3]]
    assert [near.tolist() for near in space.rings(1, meshes=meshes)] == [[0], [1, 2], [1, 2], [3]]
    with pytest.raises(InputError, match="no mesh"):
        list(space.neighbourhoods(1.0))
    with pytest.raises(InputError, match="does not fit"):
        list(space.neighbourhoods(1.0, meshes={"left": (points[:5], faces), "right": (points, faces)}))


def test_grayordinates_stay_in_their_structure():
    import nibabel as nib

    left = nib.cifti2.BrainModelAxis.from_surface([0, 1, 2, 4], 6, name="cortex_left")
    grid = np.zeros((4, 3, 2), dtype=bool)
    grid[:2] = True
    one = nib.cifti2.BrainModelAxis.from_mask(grid, affine=np.diag([2.0, 2, 3, 1]), name="thalamus_left")
    two = nib.cifti2.BrainModelAxis.from_mask(np.roll(grid, 2, axis=0), affine=np.diag([2.0, 2, 3, 1]), name="caudate_left")
    space = be.CiftiSpace.from_axis(left + one + two)
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]])
    faces = np.array([[0, 1, 3], [1, 4, 3], [1, 2, 4], [2, 5, 4]])
    found = list(space.neighbourhoods(2.0, meshes={"left": (points, faces)}))
    assert found[0].tolist() == [0, 1, 2, 3] and found[2].tolist() == [0, 1, 2, 3]
    voxels = space.voxel @ np.diag([2.0, 2, 3])
    for target in range(4, space.n_targets):
        near = np.linalg.norm(voxels - voxels[target], axis=1) <= 2.0
        np.testing.assert_array_equal(found[target], np.flatnonzero(near & (space.structure == space.structure[target])))
    with pytest.raises(InputError, match="no surface coordinates"):
        list(space.neighbourhoods(2.0))


def test_sensors_reach_in_space_and_in_time(rng):
    table = {"channel": [f"c{i}" for i in range(7)], "type": ["mag"] * 4 + ["grad"] * 3, **dict(zip("xyz", rng.random((3, 7)) * 100, strict=True))}
    whole = be.SensorSpace(table, np.arange(9) / 100)
    space = whole.take(np.sort(rng.choice(63, 50, replace=False)))
    points, types = space.channels[["x", "y", "z"]].to_numpy(), np.array(table["type"])
    distance = cdist(points, points)
    found = list(space.neighbourhoods(60.0, time_window=0.02))
    for target, near in enumerate(found):
        close = distance[space.channel[target]][space.channel] <= 60.0
        when = np.abs(space.time - space.time[target]) <= 2
        np.testing.assert_array_equal(near, np.flatnonzero(close & when & (types[space.channel] == types[space.channel[target]])))
    alone = be.SensorSpace({"channel": ["Cz", "Pz"]}, np.arange(4) / 100)
    assert next(alone.neighbourhoods(0.0, time_window=0.01)).tolist() == [0, 1]
    assert next(alone.neighbourhoods(None, time_window=np.inf)).tolist() == list(range(8))


def test_contacts_meet_at_the_same_time(rng):
    table = {"channel": list("abcd") * 3, "x": [0, 1, 2, 9] * 3, "y": 0, "z": 0, "time": np.repeat([0.0, 0.1, 0.2], 4)}
    space = be.ContactSpace(table)
    found = [near.tolist() for near in space.neighbourhoods(1.0)]
    assert found[1] == [0, 1, 2] and found[5] == [4, 5, 6] and found[7] == [7]
    assert next(space.neighbourhoods(1.0, time_window=0.1, centres=[5])).tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_lists_in_one_piece(rng, tmp_path):
    space = _space(rng)
    lists = list(space.neighbourhoods(5.0))
    near = be.Neighbourhoods.of(lists, space.n_targets, full=space.full_sizes(5.0), description="voxels within 5 mm")
    assert all((a == b).all() for a, b in zip(near, lists, strict=True))
    again = be.read(near.save(tmp_path / "near"))
    assert repr(again) == repr(near) and (again.indices == near.indices).all() and (again.full == near.full).all()
    lost = rng.random(space.n_targets) < 0.2
    for before, after, hit in zip(near, near.without(lost), near.touched(lost), strict=True):
        np.testing.assert_array_equal(after, before[~lost[before]])
        assert hit == lost[before].any()
    same = np.flatnonzero(near.sizes == np.median(near.sizes))
    np.testing.assert_array_equal(near.batch(same), np.stack([lists[i] for i in same]))
    assert [a.tolist() for a in near.take([3, 1])] == [lists[3].tolist(), lists[1].tolist()]


@pytest.mark.parametrize(("lists", "match"), [([[0, 0]], "twice"), ([[7]], "outside"), ([[-1]], "outside")])
def test_unusable_lists_are_refused(lists, match):
    with pytest.raises(InputError, match=match):
        be.Neighbourhoods.of(lists, 7)


def test_a_given_mesh_counts_like_the_known_one(rng):
    points, faces = load_mesh("fsaverage5", "left")
    native = be.SurfaceSpace("native", ["left"] * len(points), np.arange(len(points)), n_vertices=(len(points), 0))
    own = native.neighbourhoods(8.0, meshes={"left": (points, faces)}, centres=[5, 9])
    known = be.SurfaceSpace("fsaverage5", ["left"] * len(points), np.arange(len(points))).neighbourhoods(8.0, centres=[5, 9])
    assert all((a == b).all() for a, b in zip(own, known, strict=True))
