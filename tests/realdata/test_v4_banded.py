"""Banded ridge, stacking and shares of variance on recordings of V4: edges and small pictures as feature spaces."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.encoding import BandedRidge, Ridge, Stacking, join, partition_variance

SPLIT = be.split.kfold(3, seed=0)
SESSIONS = {"190923": ("WE", {}), "210325": ("PE", {"variant": "single_repeats"})}


@pytest.fixture(scope="module")
def recorded(real_data):
    """Two feature spaces of the pictures, and the responses to some of them, in one V4 recording."""
    root = real_data("v4_natural_images").parent

    def get(session, n_images=None, n_neurons=None):
        subject, which = SESSIONS[session]
        stimuli, brain = be.load("v4_cowley2023", subject=subject, session=session, root=root, **which)
        ids = np.unique(brain.samples["stimulus_id"].to_numpy())[:n_images]
        brain = brain.take_rows(np.flatnonzero(brain.samples["stimulus_id"].isin(ids))).take_targets(np.arange(brain.n_targets)[:n_neurons])
        edges = be.extract(stimuli.take(ids), "gabor")["gabor/energy"]
        (pixels,) = be.extract(stimuli.take(ids), "pixels").values()
        return {"edges": edges, "pixels": pixels.reduce("srp:300") if pixels.n_features > 600 else pixels}, brain

    return get


def compared(spaces, brain, n):
    """Held-out R² of each way to fit both spaces, and the partition of the first."""
    ways = {"one penalty": Ridge(cv=5), "banded": BandedRidge(), "stacked": Stacking()}
    options = {"split": SPLIT, "metric": "r2", "ceiling": None}
    r2 = {name: be.score_layers(join(spaces), brain, encoder=encoder, **options).mean()[0] for name, encoder in ways.items()}
    return r2, partition_variance(spaces, brain, split=SPLIT, n=n)


def holds(r2, found):
    assert r2["banded"].mean() > r2["one penalty"].mean() - 0.001 and r2["stacked"].mean() > r2["one penalty"].mean() - 0.005
    np.testing.assert_allclose(found.product.sum(axis=0), found.joint, atol=1e-6)
    np.testing.assert_allclose(found.parts.sum(axis=0), found.joint, atol=1e-9)


@pytest.mark.filterwarnings("ignore:targets whose penalty")
def test_bands_of_a_part_of_a_recording(recorded):
    """A penalty for each space is no worse than one for all, and shares add up to the joint score."""
    spaces, brain = recorded("190923", 240, 12)
    r2, found = compared(spaces, brain, 0)
    holds(r2, found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:targets whose penalty")
@pytest.mark.parametrize("session", SESSIONS)
def test_bands_of_a_recording(recorded, session, capsys):
    """Edges explain more that pixels cannot than the other way round; both parts are clear of zero over images."""
    spaces, brain = recorded(session)
    r2, found = compared(spaces, brain, 500)
    holds(r2, found)
    table = found.to_frame(by="roi")
    with capsys.disabled():
        print(f"\nV4 {session}, {brain.n_targets} neurons, R²: " + ", ".join(f"{name} {one.mean():.4f}" for name, one in r2.items()))
        print(table.round(4).to_string(index=False))
    unique = table[(table["quantity"] == "part") & (table["order"] == 1)].set_index("spaces")
    assert unique.loc["edges", "value"] > unique.loc["pixels", "value"] and unique.loc["edges", "ci_low"] > 0
    assert unique.loc["edges", "ci_low"] <= unique.loc["edges", "value"] <= unique.loc["edges", "ci_high"]
