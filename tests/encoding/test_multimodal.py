"""Sites that integrate modalities: planted ones are found and no others, numbers are those of resampling by hand, errors are clear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import BandedRidge, Integration, multimodal_sites
from brainenc.simulate.insilico_seeg import models

ROLES = {"multimodal": "both", "unimodal": ["see", "read"]}


def toy(n=240, gain=1.0, seed=0, n_times=12, channels=("A1", "A2", "A3")):
    """A1 fuses, A2 adds, A3 is silent; one event a second, epochs of 0.55 s."""
    rng = np.random.default_rng(seed)
    see, read, other = rng.standard_normal((3, n, 4))
    fused = see * read
    spaces = {"see": see, "read": read, "both": np.hstack([see, read, fused]), "both-random": np.hstack([see, read, np.tanh(see @ other[:4]) * other])}
    ids = [f"word{i}" for i in range(n)]
    features = {name: be.FeatureSpace(x, {"stimulus_id": ids}, name=f"{name}/top") for name, x in spaces.items()}
    course = np.hanning(n_times + 2)[1:-1]
    signals = [fused.sum(axis=1), see[:, 0] + read[:, 0], np.zeros(n)]
    values = np.hstack([gain * np.outer(x, course) + rng.standard_normal((n, n_times)) for x in signals])
    targets = {"channel": np.repeat(channels, n_times), "time": list(np.arange(n_times) / 20) * 3, "region": np.repeat(["STS", "STS", "IFG"], n_times)}
    samples = {"stimulus_id": ids, "run": np.repeat(np.arange(4), n // 4), "onset": np.tile(np.arange(n // 4, dtype=float), 4)}
    return features, be.Responses(values, samples, targets, name="01")


def test_the_fusing_site_is_found_and_the_adding_one_is_not():
    features, brain = toy()
    found = multimodal_sites(features, brain, **ROLES, random="both-random", pairs=[("both", "see")], split=be.split.runs(), n=200)
    assert found.sites["multimodal"].tolist() == [True, False, False]
    assert found.comparisons == ["prediction", "unimodal", "concatenation", "random", "both > see"]
    effects = found.to_frame().set_index(["channel", "comparison"])
    assert effects.loc[("A2", "unimodal"), "passes"] and not effects.loc[("A2", "concatenation"), "passes"]
    assert effects.loc[("A1", "concatenation"), "ci_low"] > 0.1 and not effects.loc["A3", "passes"].any()
    assert found.criteria["min_bins"] == 5 and found.criteria["block"] == {"events": 2}
    table = found.regions()
    assert table["region"].tolist() == ["STS", "IFG"] and table["share"].tolist() == [0.5, 0.0] and table["ci_high"].max() < 1
    assert table["gain"][0] == pytest.approx(effects.loc[(["A1", "A2"], "concatenation"), "mean_difference"].mean()) and table["gain"][0] > table["gain"][1]
    image = found.to_image("concatenation")
    assert image.loc[0, "value"] == pytest.approx(effects.loc[("A1", "concatenation"), "mean_difference"]) and found.to_image()["value"].tolist() == [1, 0, 0]


def test_numbers_are_those_of_draws_by_hand():
    """Scores, Δr, intervals and q of one comparison from scores of one's own and a bootstrap written out, events in blocks of two."""
    features, brain = toy(n=120, n_times=3)
    split = be.split.runs()
    found = multimodal_sites(features, brain, **ROLES, split=split, n=2000)
    bins = found.bins[(found.bins["channel"] == "A1") & (found.bins["comparison"] == "unimodal")].sort_values("time")
    with pytest.warns(match="penalty"):
        scores = be.score_layers({f"{name}/top": features[name] for name in ("see", "read", "both")}, brain, split=split, ceiling=None, average=False, keep_predictions=True)
    r = scores.mean()[:, :3]
    np.testing.assert_allclose(found.models[(found.models["channel"] == "A1") & (found.models["model"] == "both")]["score"], r[2], atol=1e-6)
    rng, rows = np.random.default_rng(1), scores.test_rows["01"]
    y, kept = scores.observed["01"][:, :3].astype(float), {name: one[:, :3].astype(float) for name, one in scores.predictions["01"].items()}
    draws = np.empty((2, 400, 3))
    for i in range(400):
        parts = []
        for fold in range(4):
            index = np.flatnonzero(rows["fold"] == fold).reshape(-1, 2)
            take = index[rng.integers(len(index), size=len(index))].ravel()
            parts.append([[np.corrcoef(y[take, v], kept[f"{name}/top"][take, v])[0, 1] for v in range(3)] for name in ("both", "see", "read")])
        mean = np.mean(parts, axis=0)
        draws[:, i] = mean[0] - mean[1], mean[0] - mean[2]
    spread = draws.std(axis=1) * np.sqrt(60 / 59) * np.sqrt(2)  # four folds train one another
    difference = np.stack([r[2] - r[0], r[2] - r[1]])
    p = stats.t.sf(difference / spread, 59)
    hardest = p.argmax(axis=0)
    np.testing.assert_allclose(bins["difference"], difference[hardest, range(3)], atol=1e-6)
    width = (bins["ci_high"] - bins["ci_low"]).to_numpy() / 2
    np.testing.assert_allclose(width, stats.t.ppf(0.975, 59) * spread[hardest, range(3)], rtol=0.2)
    assert bins["against"].tolist() == [["see", "read"][i] for i in hardest]
    all_bins = found.bins[found.bins["comparison"] == "unimodal"]
    np.testing.assert_allclose(all_bins["q"], stats.false_discovery_control(all_bins["p"]))


def test_layers_are_chosen_within_each_model_and_structures_all_have_to_agree():
    features, brain = toy()
    rng = np.random.default_rng(5)
    noise = be.FeatureSpace(rng.standard_normal((240, 6)), {"stimulus_id": list(brain.samples["stimulus_id"])}, name="both/first")
    layered = {**features, "both": {"first": noise, "top": features["both"]}}
    silent = replace(brain, values=rng.standard_normal(brain.values.shape))
    alone = multimodal_sites(layered, {"language": brain}, **ROLES, split=be.split.runs(), n=100)
    two = multimodal_sites(layered, {"language": brain, "vision": silent}, **ROLES, split=be.split.runs(), n=100, encoder=BandedRidge(n_iter=5))
    assert alone.sites["multimodal"].tolist() == [True, False, False] and not two.sites["multimodal"].any()
    assert two.sites["weakest"][0] == "prediction (vision)" and set(two.bins["structure"]) == {"language", "vision"}


def test_simulated_film():
    """Both planted sites in two event structures whose epochs overlap, and none of those that see, hear or add."""
    brain = be.load("insilico_seeg", subject="01").responses.where("shaft in ['LT', 'RP']")
    structures = {name: brain.rows(f"structure == {name!r}") for name in ("language", "vision")}
    roles = {"multimodal": "fusion", "unimodal": ["vision", "language"], "random": "fusion-random"}
    found = multimodal_sites(models(), structures, **roles, split=be.split.runs(), n=100)
    driver = brain.targets.drop_duplicates("channel").set_index("channel")["driver"]
    assert set(found.sites.loc[found.sites["multimodal"], "channel"]) == set(driver.index[driver == "fusion"])
    adding = found.effects[found.effects["channel"].map(driver) == "sum"]
    assert adding[adding["comparison"] == "unimodal"]["n_bins"].min() > 0 and adding[adding["comparison"] == "concatenation"]["n_bins"].max() == 0
    assert found.criteria["block"]["vision"] >= 4
    with pytest.raises(InputError, match="overlap"):
        multimodal_sites(models(), structures, **roles, split=be.split.kfold(5, seed=0), n=200)


def test_silent_and_missing_targets_are_not_sites():
    """A constant contact has no score and is no site; one bin that lacks some rows has a score but no draws, and the others of its contact count."""
    features, brain = toy()
    values = brain.values.copy()
    values[:, 24:], values[:, 5], values[:10, 6] = 3.0, np.nan, np.nan
    with pytest.warns(match="have no scores|lack some rows"):
        found = multimodal_sites(features, replace(brain, values=values), **ROLES, split=be.split.runs(), n=50, min_bins=3)
    assert found.sites["multimodal"].tolist() == [True, False, False]
    silent = found.effects[found.effects["channel"] == "A3"]
    assert silent["mean_difference"].isna().all() and (silent["n_bins"] == 0).all() and np.isfinite(found.effects["mean_difference"][:6]).all()
    assert len(be.plot(found).axes) == 3


def test_subjects_are_stacked_and_drawn():
    features, brain = toy()
    options = {**ROLES, "split": be.split.runs(), "n": 50}
    one = multimodal_sites(features, brain, **options)
    two = multimodal_sites(features, replace(brain, name="02"), **options)
    both = Integration.stack([one, two])
    assert len(both.sites) == 6 and both.regions()["n_sites"].tolist() == [4, 2] and "2 of 6 sites" in repr(both)
    assert len(be.plot(both, subject="02").axes) == 3 and be.plot(both, "regions").axes[0].get_yticklabels()[1].get_text() == "STS  (2 of 4)"
    with pytest.raises(InputError, match="only different subjects"):
        Integration.stack([one, one])
    with pytest.raises(InputError, match="no coordinates"):
        be.plot(both, "map")
    with pytest.raises(NotFoundError, match="no site 'A9'"):
        be.plot(both, sites=["A9"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multimodal": "bot"}, "no features of 'bot'"), ({"unimodal": ["see"]}, "two other models"), ({"unimodal": ["see", "both"]}, "two other models"),
        ({"random": "both"}, "own control"), ({"pairs": [("both",)]}, "a pair is two models"), ({"n": 5}, "too few draws"), ({"alpha": 2}, "alpha is a level"),
        ({"min_bins": 0}, "min_bins is a count"), ({"responses": {"a": "b"}}, "responses cannot be used"), ({"features": {"a/b": None}}, "one feature space"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(change, message):
    features, brain = toy(n=40, n_times=2)
    given = {"features": features, "responses": brain, **ROLES, "split": be.split.runs(), "n": 50, **change}
    with pytest.raises((InputError, NotFoundError), match=message):
        multimodal_sites(given.pop("features"), given.pop("responses"), **given)


def test_epochs_of_channels_and_times_are_needed():
    features, brain = toy(n=40, n_times=2)
    call = lambda responses: multimodal_sites(features, responses, **ROLES, split=be.split.runs(), n=50)  # noqa: E731
    with pytest.raises(InputError, match="epochs of .channel, time. targets"):
        call(replace(brain, targets=brain.targets.drop(columns="time")))
    with pytest.raises(InputError, match="stands for two targets"):
        call(replace(brain, targets=brain.targets.assign(time=0.0)))
    with pytest.raises(InputError, match="other channels or times"):
        call({"a": brain, "b": brain.take_targets([0, 1, 2])})
    with pytest.raises(InputError, match="of one subject"):
        call({"a": brain, "b": replace(brain, name="02")})


@pytest.mark.slow
def test_sites_that_add_are_rarely_called_multimodal(capsys):
    """Where a sum of modalities is all there is, the concatenation is beaten in no more bins than the level allows; 200 recordings."""
    passed, below = 0, []
    for seed in range(200):
        features, brain = toy(n=160, seed=seed, n_times=6)
        adding = brain.take_targets(np.flatnonzero(brain.targets["channel"] != "A1"))
        found = multimodal_sites(features, adding, **ROLES, split=be.split.runs(), n=200, min_bins=1)
        passed += int(found.sites["multimodal"].sum())
        p = found.bins[found.bins["comparison"] == "concatenation"]["p"]
        below.append(np.mean(p <= 0.05))
    with capsys.disabled():
        print(f"\nsites without fusion: {passed} of 400 multimodal with one bin; p <= .05 over the concatenation in {np.mean(below):.1%} of the bins")
    assert passed <= 4 and np.mean(below) <= 0.05
