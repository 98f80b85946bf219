"""Naming AlexNet's layer under a measurement model that was held out: raw, rank and geo-topological RDMs, without and with noise."""

import time

import numpy as np
import pytest

import brainenc as be
from brainenc.core.rng import generator
from brainenc.rsa.topology import gromov_wasserstein, identify

TENTHS = np.round(np.arange(0, 1.01, 0.1), 1)
MEASURES = ["raw", "rank", "topology", "geometry", "local", "global"]


@pytest.fixture(scope="module")
def layers(real_data):
    real_data("alexnet_measurement_models")
    return be.load("alexnet_measurement_models").rdms.where("layer in ['conv1', 'conv2', 'conv3', 'conv4', 'conv5']")


def noisy(rdms, times, seed):
    """Add Gaussian noise of ``times`` the standard deviation of each RDM; negative dissimilarities become 0, as in the published simulation."""
    noise = generator(seed, "noise", times).standard_normal(rdms.values.shape) * rdms.values.std(axis=1, keepdims=True)
    return be.RDMs(np.maximum(rdms.values + times * noise, 0.0), rdms.conditions, rdms.rdms)


def _identify(rdms, **options):
    return identify(rdms, item="layer", group="measurement", l=TENTHS, u=TENTHS, **{"n_bootstrap": 0, **options})


def test_the_manifest_gives_eleven_measurements_of_five_layers(layers):
    assert layers.n_rdms == 55 and layers.n_conditions == 92
    assert layers.rdms.groupby("layer")["measurement"].nunique().eq(11).all()
    assert be.load("alexnet_measurement_models").rdms.n_rdms == 63


def test_category_means_without_noise(layers):
    """The figures of an independent script: sorted ranks, np.quantile and explicit centroids."""
    found = _identify(layers, n_bootstrap=40, n_permutations=19)
    table = found.summary().set_index("measure")
    np.testing.assert_allclose(table.loc[MEASURES, "accuracy"], [0.418, 0.909, 0.961, 0.912, 0.943, 0.909], atol=0.001)
    assert table.loc["best", "accuracy"] == pytest.approx(0.964, abs=0.001) and table.loc["topology", "n_cells"] == 6
    # what a user may quote is the nested choice: below the best cell
    assert 0.85 < table.loc["nested", "accuracy"] < table.loc["best", "accuracy"]
    assert (table["p"] == 0.05).all() and (table["ci_low"].dropna() > 0.2).all()


def test_the_order_turns_under_noise(layers):
    """Topology leads without noise; with noise of four standard deviations rank and geometry do, paired over three seeds."""
    table = np.array([_identify(noisy(layers, 4, seed), nested=False).summary().set_index("measure")["accuracy"][MEASURES] for seed in range(3)])
    mean = dict(zip(MEASURES, table.mean(axis=0), strict=True))
    assert mean["raw"] < mean["local"] < mean["topology"] < mean["geometry"]
    assert (table[:, MEASURES.index("topology")] < table[:, MEASURES.index("geometry")]).all()


def test_the_full_grid_takes_seconds(layers):
    """210 cells and more on 55 RDMs of 92 conditions; processor time."""
    start = time.process_time()
    found = identify(layers, item="layer", group="measurement", n_bootstrap=0, nested=False)
    assert len(found.grid) == 229 and time.process_time() - start < 20


@pytest.mark.slow
def test_table_over_twenty_noise_seeds(layers, capsys):
    rows = []
    for times in (0, 1, 2, 4):
        found = [_identify(noisy(layers, times, seed) if times else layers).summary().set_index("measure")["accuracy"] for seed in range(20 if times else 1)]
        values = np.array(found)
        rows.append((times, dict(zip(found[0].index, zip(values.mean(axis=0), *np.percentile(values, (2.5, 97.5), axis=0), strict=True), strict=True))))
    with capsys.disabled():
        names = [*MEASURES, "intermediate", "nested", "best"]
        print("\nnoise  " + "  ".join(f"{name:>20}" for name in names))
        for times, row in rows:
            print(f"{times:>5}  " + "  ".join(f"{row[n][0]:.3f} [{row[n][1]:.3f}, {row[n][2]:.3f}]".rjust(20) for n in names))
    mean = {times: {name: value[0] for name, value in row.items()} for times, row in rows}
    assert mean[0]["topology"] > mean[0]["rank"] and mean[0]["topology"] > mean[0]["geometry"]
    assert mean[2]["topology"] < mean[2]["geometry"] and mean[4]["topology"] < mean[4]["rank"] - 0.05
    assert all(row["nested"] < row["best"] for row in mean.values()), "the best cell flatters"


def test_alexnet_layers_align_without_names(layers):
    """conv5 under two measurement models: a third of 92 images find themselves without a name, and chance is one in 92."""
    pick = [layers.where(layer="conv5", measurement=name) for name in ("complete", "smooth2sepFeat")]
    found = gromov_wasserstein(*pick, epsilon=[0.01, 0.03], n_init=2, n_null=99)
    assert found.matching["rate"].iloc[0] > 0.25 and found.matching["p"].iloc[0] == 0.01


def test_two_measurement_models_are_one(layers):
    """What a user of the benchmark should know: complete and smooth1sepFeat are the same RDMs, so there are ten models that differ."""
    one, other = (layers.where(measurement=name) for name in ("complete", "smooth1sepFeat"))
    np.testing.assert_array_equal(one.values, other.values)
    without = _identify(layers.where("measurement != 'smooth1sepFeat'")).summary().set_index("measure")["accuracy"]
    np.testing.assert_allclose(without[["raw", "rank", "topology"]], [0.44, 0.92, 0.963], atol=0.001)
