import nibabel as nib
import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.nouns.spaces.surface import geodesic, load_mesh

AFFINE = np.array([[-3.0, 0, 0, 30], [0, 3.5, 0, -20], [0, 0, 4, 10], [0, 0, 0, 1]])


def _spaces():
    mask = np.zeros((7, 8, 9), dtype=bool)
    mask[2:4, 3:5, 4:6] = True
    axis = nib.cifti2.BrainModelAxis.from_mask(np.ones(5), name="cortex_left") + nib.cifti2.BrainModelAxis.from_mask(np.ones((1, 1, 3)), affine=np.eye(4))
    return {
        "array": be.ArraySpace((2, 4)),
        "volume": be.VolumeSpace.from_mask(mask, AFFINE),
        "surface": be.SurfaceSpace("fsaverage5", ["left"] * 3 + ["right"] * 5, [0, 5, 9, 1, 2, 3, 10241, 7]),
        "cifti": be.CiftiSpace.from_axis(axis),
        "sensors": be.SensorSpace({"channel": ["Cz", "Pz"], "x": [0, 0], "y": [0, -40], "z": [90, 80]}, np.arange(4) / 100),
        "contacts": be.ContactSpace({"channel": list("abcdefgh"), "x": range(8), "y": 0, "z": 0}),
    }


@pytest.mark.parametrize("kind", list(_spaces()))
def test_what_is_painted_can_be_read_back(kind, rng):
    space = _spaces()[kind]
    values = rng.random(space.n_targets).astype(np.float32)
    np.testing.assert_allclose(space.unpaint(space.paint(values)), values, rtol=1e-6)
    index = np.array([5, 1, 3])
    part = space.take(index)
    assert part.n_targets == 3
    np.testing.assert_allclose(part.unpaint(part.paint(values[index])), values[index], rtol=1e-6)
    with pytest.raises(InputError, match=r"shape \(8,\), got shape \(7,\)"):
        space.paint(values[:7])


@pytest.mark.parametrize("kind", list(_spaces()))
def test_spaces_survive_a_file(kind, tmp_path, rng):
    space = _spaces()[kind]
    responses = be.Responses(rng.random((3, 8)), {"stimulus_id": list("abc")}, space=space)
    again = be.read(responses.save(tmp_path / "r"))
    assert repr(again.space) == repr(space)
    vector = np.arange(8.0)
    np.testing.assert_allclose(space.unpaint(again.space.paint(vector)), vector)


def test_volume_maps_land_in_the_right_voxels():
    space = _spaces()["volume"]
    image = space.paint(np.arange(8.0))
    assert image.shape == (7, 8, 9) and np.isnan(image.get_fdata()).sum() == 7 * 8 * 9 - 8
    assert image.get_fdata()[2, 3, 5] == 1.0
    np.testing.assert_allclose(space.coordinates[1], AFFINE[:3, :3] @ [2, 3, 5] + AFFINE[:3, 3])


def test_another_grid_shows_both_shapes_and_affines():
    space = _spaces()["volume"]
    with pytest.raises(InputError, match=r"\(7, 8, 9\).*\(7, 8, 8\)"):
        space.unpaint(nib.Nifti1Image(np.zeros((7, 8, 8)), AFFINE))
    with pytest.raises(InputError, match="another grid"):
        space.unpaint(nib.Nifti1Image(np.zeros((7, 8, 9)), np.eye(4)))


@pytest.mark.parametrize("affine", [np.full((4, 4), np.nan), np.zeros((4, 4)), np.eye(3)])
def test_unusable_affines_are_refused(affine):
    with pytest.raises(InputError, match="finite, invertible"):
        be.VolumeSpace((2, 2, 2), affine, [[0, 0, 0]])


def test_neighbourhoods_of_a_volume_are_balls_in_millimetres():
    space = _spaces()["volume"]
    for centre, near in enumerate(space.neighbourhoods(3.6)):
        distance = np.linalg.norm(space.coordinates - space.coordinates[centre], axis=1)
        assert near.tolist() == np.flatnonzero(distance <= 3.6).tolist()


def test_neighbourhoods_of_a_surface_follow_the_mesh_and_stay_in_a_hemisphere():
    points, faces = load_mesh("fsaverage5", "left")
    edges = {frozenset((int(a), int(b))) for f in faces[(faces == 0).any(axis=1)] for a, b in zip(f, np.roll(f, 1), strict=True) if 0 in (a, b)}
    ring = sorted({v for e in edges for v in e})
    step = max(np.linalg.norm(points[v] - points[0]) for v in ring)
    vertex = [*ring, *ring]
    space = be.SurfaceSpace("fsaverage5", ["left"] * len(ring) + ["right"] * len(ring), vertex)
    near = list(space.neighbourhoods(step))[ring.index(0)]
    assert near.tolist() == list(range(len(ring)))
    far = geodesic("fsaverage5", "left", 0)
    assert np.isfinite(far).all() and (far >= np.linalg.norm(points - points[0], axis=1) - 1e-6).all()


def test_neighbourhoods_of_sensors_and_contacts():
    near = list(_spaces()["sensors"].neighbourhoods(45.0))
    assert near[0].tolist() == [0, 4]
    assert list(_spaces()["contacts"].neighbourhoods(1.5))[3].tolist() == [2, 3, 4]
    with pytest.raises(InputError, match="no distances"):
        list(_spaces()["array"].neighbourhoods(1.0))


def test_evokeds_carry_the_channels_and_times():
    evoked = _spaces()["sensors"].paint(np.arange(8.0))
    assert evoked.ch_names == ["Cz", "Pz"] and evoked.data.shape == (2, 4)
    np.testing.assert_allclose(evoked.times, np.arange(4) / 100)
    assert evoked.data[1, 2] == 6.0


def test_surface_vertices_outside_the_mesh_are_refused():
    with pytest.raises(InputError, match="outside the mesh"):
        be.SurfaceSpace("fsaverage5", ["left"], [10242])
    with pytest.raises(InputError, match="'left' or 'right'"):
        be.SurfaceSpace("fsaverage5", ["lh"], [1])
    native = be.SurfaceSpace("native", ["left"], [3], n_vertices=(5, 6))
    assert native.paint_arrays([2.0])["left"].tolist()[3] == 2.0
