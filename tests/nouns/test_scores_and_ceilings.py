import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError


@pytest.fixture
def scores(rng):
    targets = pd.DataFrame({"subject": ["01"] * 4 + ["02"] * 4, "target_id": [f"t{i}" for i in range(8)], "roi": ["V1", "V1", "V4", "V4"] * 2})
    entries = pd.DataFrame({"model": ["m"] * 6, "layer": list("aabbcc"), "metric": ["pearson", "r2"] * 3, "seed": 0})
    spaces = {"01": be.ArraySpace(4), "02": be.ArraySpace(4)}
    values, inner = rng.random((6, 2, 8)), rng.random((6, 2, 8))
    predictions = {s: {f"m/{k}": rng.random((10, 4)) for k in "abc"} for s in spaces}
    return be.Scores(
        values, entries, targets, spaces, "80/20 images", n_test=[[5], [5]], inner=inner, alpha=np.ones((6, 2, 8)), predictions=predictions,
        ceiling=be.NoiseCeiling(np.linspace(0.0, 0.7, 8), n_repeats=3), ceiling_status="variance ceiling",
    )  # fmt: skip


def test_regions_are_summarised_by_medians(scores):
    table = scores.by("roi").set_index(["subject", "roi", "layer", "metric"])
    row = table.loc[("02", "V1", "b", "pearson")]
    np.testing.assert_allclose(row["score"], np.median(scores.values[2, :, 4:6].mean(axis=0)))
    np.testing.assert_allclose(row["ceiling"], np.median(np.sqrt(np.linspace(0, 0.7, 8)[4:6])))
    assert row["n_test"] == 10 and row["n_targets"] == 2 and len(table) == 2 * 2 * 6


def test_targets_without_a_region_are_a_group_and_not_dropped(scores):
    from dataclasses import replace

    loose = replace(scores, targets=scores.targets.assign(roi=["V1", "V1", None, None] * 2))
    table = loose.by("roi")
    assert table["n_targets"].sum() == 6 * 8 and table["roi"].isna().sum() == 2 * 6
    assert replace(scores, targets=scores.targets.drop(columns="roi")).by()["n_targets"].tolist() == [4] * 12


def test_the_best_layer_is_chosen_by_inner_scores_alone(scores):
    best = scores.entry(metric="pearson").best()
    inner, values = scores.inner[[0, 2, 4]], scores.values[[0, 2, 4]]
    for fold in range(2):
        for target in range(8):
            assert best.values[0, fold, target] == values[np.argmax(inner[:, fold, target]), fold, target]
    by_roi = scores.entry(metric="r2").best("roi")
    pick = np.argmax(np.median(scores.inner[[1, 3, 5]][:, 0, 2:4], axis=1))
    np.testing.assert_array_equal(by_roi.values[0, 0, 2:4], scores.values[[1, 3, 5]][pick, 0, 2:4])


def test_raising_a_held_out_score_never_changes_the_choice(scores):
    from dataclasses import replace

    lifted = replace(scores, values=scores.values + np.arange(6)[:, None, None])
    np.testing.assert_array_equal(lifted.best().provenance["chosen"], scores.best().provenance["chosen"])


def test_pooled_scores_of_several_folds_refuse_a_choice(scores):
    from dataclasses import replace

    pooled = replace(scores, values=scores.values[:, :1], n_test=[10], aggregate="pooled")
    with pytest.raises(InputError, match="no honest choice"):
        pooled.best()
    with pytest.raises(InputError, match="needs inner scores"):
        replace(scores, inner=None).best()


def test_the_tidy_table_has_one_row_a_target(scores):
    table = scores.to_frame()
    assert len(table) == 6 * 2 * 8
    row = table[(table.layer == "c") & (table.metric == "r2") & (table.fold == 1) & (table.target_id == "t6")].iloc[0]
    assert row.score == scores.values[5, 1, 6] and row.subject == "02" and row.n == 5
    np.testing.assert_allclose(row.ceiling, 0.6)
    assert {"alpha", "inner_score", "split", "ceiling_status", "seed", "roi"} <= set(table.columns)


def test_scores_are_normalised_in_their_own_units(scores):
    normal = scores.normalized()
    np.testing.assert_allclose(normal.values[0, 0, 7], scores.values[0, 0, 7] / np.sqrt(0.7))
    np.testing.assert_allclose(normal.values[1, 0, 7], scores.values[1, 0, 7] / 0.7)
    assert np.isnan(normal.values[:, :, 0]).all()
    with pytest.raises(InputError, match="no ceiling"):
        normal.normalized()


def test_maps_are_painted_per_subject(scores):
    assert scores.to_image("b", subject="02", metric="r2").tolist() == scores.values[3, :, 4:].mean(axis=0).tolist()
    with pytest.raises(InputError, match="several subjects"):
        scores.to_image("b")
    with pytest.raises(NotFoundError, match="no layer 'z'"):
        scores.vector("z")


def test_selection_cuts_everything_alike(scores):
    part = scores.where(roi="V4", subject="02").entry(layer="b")
    assert part.values.shape == (2, 2, 2) and part.spaces["02"].n_targets == 2 and list(part.spaces) == ["02"]
    np.testing.assert_array_equal(part.predictions["02"]["m/b"], scores.predictions["02"]["m/b"][:, 2:])
    assert list(part.predictions["02"]) == ["m/b"]
    np.testing.assert_array_equal(part.ceiling.values, scores.ceiling.values[6:])


def test_stacking_layers_gives_back_the_whole(scores):
    from dataclasses import replace

    parts = [scores.entry(layer=name) for name in "abc"]
    parts = [replace(part, provenance={"edge_share": {part.layers[0]: 0.1 * i}, "seed": 0}) for i, part in enumerate(parts)]
    whole = be.Scores.stack(parts)
    assert list(whole.provenance["edge_share"]) == ["m/a", "m/b", "m/c"] and whole.provenance["seed"] == 0
    np.testing.assert_array_equal(whole.values, scores.values)
    assert whole.layers == scores.layers and set(whole.predictions["01"]) == {"m/a", "m/b", "m/c"}
    with pytest.raises(InputError, match="same targets"):
        be.Scores.stack([parts[0], parts[1].where(subject="01")])


def test_every_noun_comes_back_from_its_file(scores, responses, features, tmp_path):
    again = be.read(scores.save(tmp_path / "scores"))
    pd.testing.assert_frame_equal(again.to_frame(), scores.to_frame())
    back = be.read(responses.save(tmp_path / "r.npz"))
    np.testing.assert_array_equal(back.values, responses.values)
    pd.testing.assert_frame_equal(back.samples, responses.samples)
    assert be.read(features.save(tmp_path / "f")).name == features.name
    features.save(tmp_path / "g.be")
    assert be.read(tmp_path / "g.be").name == features.name
    assert be.read(be.split.blocks(3, 2).save(tmp_path / "s")) == be.split.blocks(3, 2)


def test_damaged_and_foreign_files_are_data_errors(responses, tmp_path):
    path = responses.save(tmp_path / "r")
    path.write_bytes(path.read_bytes()[:200])
    (tmp_path / "x.npz").write_bytes(b"hello")
    np.savez(tmp_path / "y.npz", a=np.ones(3))
    for name in ("r.npz", "x.npz", "y.npz", "absent.npz"):
        with pytest.raises(DataError):
            be.read(tmp_path / name)


def test_ceilings_know_their_units():
    ceiling = be.NoiseCeiling([0.25, 0.005, -0.1, np.nan], n_repeats=3)
    np.testing.assert_allclose(ceiling.correlation[:2], [0.5, np.sqrt(0.005)])
    np.testing.assert_allclose(ceiling.normalize([0.5, 0.5, 0.5, 0.5], "pearson"), [1, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(ceiling.normalize([[0.25, 1, 1, 1]], "r2"), [[1, np.nan, np.nan, np.nan]])
    with pytest.raises(InputError, match="variance or correlation"):
        ceiling.normalize([1, 1, 1, 1], "spearman")
    np.testing.assert_allclose(be.NoiseCeiling.from_ncsnr([1.0], n_repeats=3).variance, [0.75])
    assert "mean of 3 repeats" in ceiling.describe()


def test_a_vector_averages_split_seeds_and_never_guesses_the_model(scores):
    from dataclasses import replace

    one = scores.entry(metric="pearson")
    again = replace(one, entries=one.entries.assign(seed=1), values=one.values + 1, inner=one.inner[::-1])
    both = be.Scores.stack([one, again])
    np.testing.assert_allclose(both.vector("b"), one.vector("b") + 0.5)
    np.testing.assert_allclose(both.vector("best"), (one.vector("best") + again.vector("best")) / 2)
    other = be.Scores.stack([one, replace(one, entries=one.entries.assign(model="n"))])
    with pytest.raises(InputError, match="several models"):
        other.vector("b")
    np.testing.assert_allclose(other.vector("n/b"), one.vector("b"))


def test_a_ceiling_is_described_in_the_units_of_the_metric(scores):
    variance, correlation = be.NoiseCeiling([0.5], n_repeats=3, method="m"), be.NoiseCeiling([0.5], "correlation", 3, "m")
    assert variance.describe() == "variance ceiling of the mean of 3 repeats (m)" == variance.describe("rank")
    assert variance.describe("pearson") == "noise ceiling on r (square root of the variance ceiling of the mean of 3 repeats, m)"
    assert variance.describe("r2") == "noise ceiling on R² (variance ceiling of the mean of 3 repeats, m)"
    assert correlation.describe("pearson") == "noise ceiling on r (correlation ceiling of the mean of 3 repeats, m)"
    assert correlation.describe("r2") == "noise ceiling on R² (square of the correlation ceiling of the mean of 3 repeats, m)"
    status = scores.normalized().ceiling_status
    assert status.startswith("divided by the noise ceiling on r (square root of") and " and the noise ceiling on R² (variance" in status
