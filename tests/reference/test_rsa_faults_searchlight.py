"""Faults of searchlights elsewhere: ours is right by an independent computation, theirs is not (until they mend it)."""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings

import numpy as np
import pytest
from scipy.stats import rankdata

import brainenc as be

pytestmark = pytest.mark.filterwarnings("default:the peer has mended:DeprecationWarning")
IDS = [f"c{i}" for i in range(6)]


def still(differs: bool, fault: str) -> None:
    """Say where a peer has mended its fault: ours was tested before this line, so the suite does not fail for it."""
    if not differs:
        warnings.warn(f"the peer has mended: {fault}", DeprecationWarning, stacklevel=2)


def _peer_searchlight(mask, **options):
    module = pytest.importorskip("rsatoolbox.util.searchlight")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return module.get_volume_searchlight(mask, **options)


def test_spheres_stay_inside_the_mask(rng):
    """rsatoolbox #466: below threshold 1 its spheres hold voxels outside the mask."""
    mask = rng.random((7, 8, 9)) < 0.6
    space = be.VolumeSpace.from_mask(mask, np.diag([2.0, 2.0, 2.0, 1.0]))
    inside = set(map(tuple, np.argwhere(mask)))
    near = list(space.neighbourhoods(4.4))
    for centre, targets in enumerate(near):
        expected = {v for v in inside if np.linalg.norm(np.subtract(v, space.voxels[centre])) * 2 <= 4.4}
        assert set(map(tuple, space.voxels[targets])) == expected
    values = rng.standard_normal((6, space.n_targets))
    brain = be.Responses(values, {"stimulus_id": IDS}, space=space)
    rdms = be.rsa.searchlight(brain, radius_mm=4.4, return_rdms=True)
    np.testing.assert_allclose(rdms.values[40], 1 - np.corrcoef(values[:, near[40]])[np.triu_indices(6, 1)], atol=1e-12)
    _, neighbours = _peer_searchlight(mask, radius=2.2, threshold=0.3)
    outside = set(np.flatnonzero(~mask.ravel()))
    still(any(outside & set(one.tolist()) for one in neighbours), "spheres leak out of the mask (#466)")


def test_a_radius_is_millimetres_through_the_affine(rng):
    """rsatoolbox counts voxels: on a grid of 1 × 2 × 5 mm its spheres are ellipsoids, and no affine can be given."""
    mask = np.ones((9, 7, 3), dtype=bool)
    space = be.VolumeSpace.from_mask(mask, np.diag([1.0, 2.0, 5.0, 1.0]))
    centre = int(np.flatnonzero((space.voxels == [4, 3, 1]).all(axis=1))[0])
    near = next(space.neighbourhoods(4.0, centres=[centre]))
    distance = np.linalg.norm((space.voxels - [4, 3, 1]) * [1.0, 2.0, 5.0], axis=1)
    np.testing.assert_array_equal(near, np.flatnonzero(distance <= 4.0))
    assert set(space.voxels[near][:, 2]) == {1}
    centres, neighbours = _peer_searchlight(mask, radius=4.0)
    theirs = np.array(np.unravel_index(neighbours[int(np.flatnonzero(centres == np.ravel_multi_index((4, 3, 1), mask.shape))[0])], mask.shape)).T
    still(set(theirs[:, 2]) != {1}, "the radius is in voxels")


def test_noise_and_folds_reach_the_estimator(rng):
    """rsatoolbox #329, #356: its searchlight takes neither noise nor folds."""
    space = be.VolumeSpace.from_mask(np.ones((3, 4, 3)), np.diag([3.0, 3.0, 3.0, 1.0]))
    values = rng.standard_normal((24, 36))
    labels, runs = np.tile(IDS, 4), np.repeat(np.arange(4), 6)
    brain = be.Responses(values, {"stimulus_id": labels, "run": runs}, space=space)
    with pytest.warns(be.BrainencWarning, match="differences between folds"):
        rdms = be.rsa.searchlight(brain, radius_mm=4.0, metric="crossnobis", noise="local", return_rdms=True)
    near = list(space.neighbourhoods(4.0))[17]
    residual = values[:, near] - np.tile(values[:, near].reshape(4, 6, -1).mean(axis=0), (4, 1))
    precision = be.rsa.noise_model(residual, dof=18).precision()  # shrinkage has tests of its own
    expected = []
    for i in range(6):
        for j in range(i + 1, 6):
            steps = values[runs * 6 + i][:, near][::6] - values[runs * 6 + j][:, near][::6]
            products = steps @ precision @ steps.T
            expected.append((products.sum() - np.trace(products)) / (4 * 3) / len(near))
    np.testing.assert_allclose(rdms.values[17], expected, atol=1e-12)
    module = pytest.importorskip("rsatoolbox.util.searchlight")
    still(not {"noise", "cv_descriptor"} & set(inspect.signature(module.get_searchlight_RDMs).parameters), "no noise in the searchlight")


def test_neighbourhoods_may_miss_different_pairs(rng):
    """rsatoolbox #248: a map with NaN in different places in different spheres cannot be compared with a model at all."""
    space = be.ArraySpace((12,))
    lists = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    values = rng.standard_normal((6, 12))
    values[1, :4] = 3.0
    values[4, 4:8] = -1.0
    brain = be.Responses(values, {"stimulus_id": IDS}, space=space)
    model = be.RDMs(rng.random((1, 15)), {"stimulus_id": IDS})
    scores, rdms = be.rsa.searchlight(brain, model, neighbours=lists, centres=[0, 4, 8], method="pearson", return_rdms=True)
    for row, centre in zip(rdms.values, (0, 4, 8), strict=True):
        keep = np.isfinite(row)
        assert keep.sum() == (15 if centre == 8 else 10)
        np.testing.assert_allclose(scores.values[0, 0, centre], np.corrcoef(row[keep], model.values[0, keep])[0, 1], atol=1e-12)
    rsatoolbox = pytest.importorskip("rsatoolbox")
    try:
        rsatoolbox.rdm.compare(rsatoolbox.rdm.RDMs(np.array(rdms.values)), rsatoolbox.rdm.RDMs(np.array(model.values)), method="corr")
    except ValueError:
        return
    still(False, "different NaN positions (#248)")


def test_ranks_of_categorical_models_are_shared(rng):
    """Net2Brain ranks by argsort of argsort: ties of a categorical model fall apart in the order of its conditions (read, not run)."""
    space = be.VolumeSpace.from_mask(np.ones((3, 3, 3)), np.diag([3.0, 3.0, 3.0, 1.0]))
    values = rng.standard_normal((6, 27))
    brain = be.Responses(values, {"stimulus_id": IDS}, space=space)
    groups = np.array([0, 0, 1, 1, 2, 2])
    model = (groups[:, None] != groups).astype(float)[np.triu_indices(6, 1)]
    rdms = be.RDMs(model[None], {"stimulus_id": IDS}, {"model": ["categories"]})
    scores, data = be.rsa.searchlight(brain, rdms, radius_mm=4.0, return_rdms=True)
    expected = [np.corrcoef(rankdata(row), rankdata(model))[0, 1] for row in data.values]
    np.testing.assert_allclose(scores.values[0, 0], expected, atol=1e-12)
    fallen = [np.corrcoef(row.argsort().argsort(), model.argsort(kind="stable").argsort())[0, 1] for row in data.values]
    assert np.abs(np.array(fallen) - expected).max() > 0.02
    # ours does not depend on the order in which conditions are listed
    order = rng.permutation(6)
    turned = be.RDMs.from_square(rdms.square()[:, order][:, :, order], {"stimulus_id": np.array(IDS)[order]})
    np.testing.assert_allclose(be.rsa.searchlight(brain, turned, radius_mm=4.0).values, scores.values, atol=1e-12)
