"""Published relations of RDMs over 92 objects, and a negative control in which nothing may be claimed."""

import numpy as np
import pytest
import scipy.stats

import brainenc as be
from brainenc.rsa.claims import NO_CLAIM


@pytest.fixture(scope="module")
def objects(real_data):
    real_data("objects92_rdm")
    return be.load("objects92").rdms


@pytest.fixture(scope="module")
def human_it(objects):
    """Four people, two sessions each."""
    return objects.where("study == 'Kriegeskorte 2008'")


@pytest.fixture(scope="module")
def models(objects):
    found = be.load("objects92_models").rdms
    behaviour = objects.where("study == 'Mur 2013'").values.mean(axis=0)
    names = [*found.rdms["model"], "behaviour"]
    return be.RDMs(np.concatenate([found.values, behaviour[None]]), found.conditions, {"model": names})


@pytest.fixture(scope="module")
def scenes(real_data):
    real_data("scenes78_negative_control")
    return be.load("scenes78").rdms


def ranked(rdms):
    return be.RDMs(scipy.stats.rankdata(rdms.values, axis=1), rdms.conditions, rdms.rdms)


@pytest.mark.parametrize(("name", "folder"), [("objects92_models", "objects92_rdm"), ("scenes78", "scenes78_negative_control")])
def test_files_here_are_the_public_ones(real_data, name, folder):
    from brainenc.io.fetch import fetch_file

    plan = be.datasets.fetch_plan(name, root=real_data(folder).parent)
    assert plan.needs.n_files == 0
    for item in plan.files:
        assert fetch_file(item.url, item.path, sha256=item.sha256) == item.path
        assert item.path.stat().st_size == item.n_bytes


def test_human_and_monkey_it(objects, models):
    monkey, human = (objects.where(f"study == 'Kriegeskorte 2008, figure 1' and species == '{s}'") for s in ("monkey", "human"))
    assert be.rsa.compare(monkey, human, "pearson")[0, 0] == pytest.approx(0.4912, abs=5e-5)
    assert be.rsa.compare(monkey, human, "spearman")[0, 0] == pytest.approx(0.439, abs=5e-4)
    assert be.rsa.compare(monkey, human, "tau_a")[0, 0] == pytest.approx(0.304, abs=5e-4)
    np.testing.assert_allclose(be.rsa.compare(models.where(model="monkey IT"), monkey), 1.0, rtol=1e-10)


def test_the_ranking_of_models_of_human_it_and_its_noise_ceiling(human_it, models):
    """Spearman with four people, their two sessions averaged."""
    found = be.rsa.evaluate(models, human_it, method="spearman", n=200)
    expected = {
        "animacy": 0.386, "monkey IT": 0.296, "four categories": 0.277, "behaviour": 0.259, "EVA": 0.245, "HMAX": 0.160, "silhouette": 0.097,
        "HMAX natural patches": 0.073, "RADON": 0.038, "V1": 0.027,
    }  # fmt: skip
    score = dict(zip(found.models["model"], found.mean[0], strict=True))
    assert sorted(score, key=score.get, reverse=True) == list(expected)
    for name, value in expected.items():
        assert score[name] == pytest.approx(value, abs=6e-4), name
    assert found.provenance["n_averaged"] == [2]
    assert found.ceiling[0, 0] == pytest.approx(0.372, abs=5e-4)
    # of the mean of ranks as it is, which no ranking exceeds, and of its own ranks
    it = human_it.values
    four = be.RDMs((it[:4] + it[4:]) / 2, human_it.conditions)
    assert be.rsa.noise_ceiling(ranked(four), "pearson")["upper"][0] == pytest.approx(0.672, abs=5e-4)
    assert found.ceiling[0, 1] == pytest.approx(0.666, abs=5e-4)
    table = found.to_frame().set_index("model")
    assert table.loc["animacy", "claim"].endswith("; not below the lower noise ceiling")
    assert not table.loc[["V1", "RADON"], "significant"].any()


def test_sessions_of_one_person_agree_little(human_it):
    for person, reliability in {"BE": 0.277, "KO": 0.095, "SN": 0.382, "TI": 0.120}.items():
        one = human_it.where(subject=person)
        assert be.rsa.compare(one.take([0]), one.take([1]), "spearman")[0, 0] == pytest.approx(reliability, abs=6e-4)


def test_ceilings_and_split_halves_of_fifteen_people(objects):
    """The published ceilings are those of Spearman with the mean of ranks, not ranked again: Pearson's on ranks."""
    fifteen = objects.where("study == 'Algonauts 2019'")
    found = be.rsa.noise_ceiling(ranked(fifteen), "pearson", by="roi").set_index("roi")
    np.testing.assert_allclose(found.loc["IT", ["lower", "upper"]].astype(float), [0.459, 0.549], atol=6e-4)
    np.testing.assert_allclose(found.loc["EVC", ["lower", "upper"]].astype(float), [0.247, 0.399], atol=6e-4)
    for roi, half in {"IT": 0.69, "EVC": 0.42}.items():
        values = fifteen.where(roi=roi).values
        assert be.rsa.compare(values[::2].mean(axis=0), values[1::2].mean(axis=0), "spearman")[0, 0] == pytest.approx(half, abs=6e-3)


def test_the_bootstrap_agrees_with_the_tests_of_relabelled_conditions(objects, models):
    found = be.rsa.evaluate(models, objects.where("study == 'Algonauts 2019'"), by="roi", method="whitened_cosine_similarity", n=100, permutations=99)
    assert found.draws.shape == (100, 2, 10)
    it = found.where(roi="IT").to_frame().set_index("model")
    assert it.loc["animacy", "p"] == 0.01
    assert it.loc["monkey IT", "significant"]
    assert it.loc["animacy", "claim"].startswith("better than relabelled conditions")


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_a_negative_control_yields_no_claim(scenes, method):
    """The models include the mean RDMs of these very people: circular, and tiny p; yet nothing is significant."""
    first = scenes.where("version == '1'")
    means = {f"mean {v} {r}": scenes.where(version=v, roi=r).values.mean(axis=0) for v in ("1", "T2") for r in ("EVC", "IT")}
    other = np.random.default_rng(0).random((4, first.values.shape[1]))
    values = np.concatenate([np.stack(list(means.values())), other])
    models = be.RDMs(values, scenes.conditions, {"model": [*means, *(f"random {i}" for i in range(4))]})
    found = be.rsa.evaluate(models, first, by="roi", method=method, n=200)
    low, high = found.interval()[:, len(values)].T
    assert ((low < 0) & (high > 0)).all()
    table = found.to_frame()
    assert (table["claim"] == NO_CLAIM).all()
    assert not table["significant"].any()
    assert table["p"].min() < 1e-3
    permuted = be.rsa.evaluate(models, first, by="roi", method=method, n=50, permutations=99).to_frame()
    assert not permuted["significant"].any()
    assert permuted["p"].min() == 0.01


def test_the_ceilings_of_the_negative_control_are_those_of_noise(scenes):
    found = be.rsa.noise_ceiling(scenes.where("version == '1'"), "spearman", by="roi").set_index("roi")
    np.testing.assert_allclose(found.loc["EVC", ["lower", "upper"]].astype(float), [0.018, 0.261], atol=6e-4)
    np.testing.assert_allclose(found.loc["IT", ["lower", "upper"]].astype(float), [0.006, 0.256], atol=6e-4)
    assert found["upper"].mean() == pytest.approx(15**-0.5, abs=0.005)


def test_of_four_files_of_the_negative_control_three_yield_no_claim(scenes):
    """The second version of IT is not quite noise: its people agree a little. No unrelated model is significant in any of the four."""
    models = be.RDMs(np.random.default_rng(0).random((6, scenes.values.shape[1])), scenes.conditions, {"model": [f"random {i}" for i in range(6)]})
    table = be.rsa.evaluate(models, scenes, by=["version", "roi"], n=200).to_frame()
    assert not table["significant"].any()
    void = table.groupby(["version", "roi"])["claim"].agg(lambda claims: (claims == NO_CLAIM).all())
    assert void[("1", "EVC")] and void[("1", "IT")] and void[("T2", "EVC")] and not void[("T2", "IT")]
    # the exception by another computation: the people's agreement, each with the others, against relabelled conditions of each
    values = scenes.where(version="T2", roi="IT")
    square = values.square()
    upper = np.triu_indices(78, 1)

    def agreement(squares):
        x = np.stack([one[upper] for one in squares])
        x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
        total = x.sum(axis=0)
        return np.mean([one @ (total - one) / np.linalg.norm(one) / np.linalg.norm(total - one) for one in x])

    rng = np.random.default_rng(1)
    orders = [[rng.permutation(78) for _ in square] for _ in range(199)]
    null = [agreement([one[np.ix_(order, order)] for one, order in zip(square, some, strict=True)]) for some in orders]
    assert agreement(square) == pytest.approx(table.loc[(table["version"] == "T2") & (table["roi"] == "IT"), "ceiling_low"].iloc[0], abs=1e-10)
    assert (1 + np.sum(np.array(null) >= agreement(square))) / 200 <= 0.03
