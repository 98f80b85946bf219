"""Wrong input is refused in words, by the call that got it, and never computed with."""

import warnings

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 10))
CONDITIONS = {"condition": list("abcdefghij")}
DATA = be.RDMs(RNG.random((10, 45)), CONDITIONS, {"participant": np.repeat(list("12345"), 2), "session": ["1", "2"] * 5})
MODELS = be.RDMs(RNG.random((2, 45)), CONDITIONS, {"model": ["m", "n"]})
SPACE = be.VolumeSpace.from_mask(np.ones((4, 4, 4)), np.diag([3.0, 3.0, 3.0, 1.0]))
BRAIN = be.Responses(RNG.standard_normal((120, 64)), {"stimulus_id": list("abcdef") * 20, "run": np.repeat(list("1234"), 30)}, space=SPACE)
MODEL = be.rsa.rdm(RNG.standard_normal((6, 9)), conditions=list("abcdef"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prior": 1.0, "metric": "poisson"}, "the prior is a rate and a weight"),
        ({"squared": "no", "metric": "euclidean"}, "squared is True or False"),
        ({"conditions": np.zeros((6, 2))}, r"labels are one a row.*\(6, 2\)"),
        ({"conditions": pd.DataFrame({"name": list("abcdef")})}, "a table with a column condition or stimulus_id"),
        ({"conditions": list("abcabc"), "weights": [1, 2, -3, 1, 1, 1]}, "values like -3"),
    ],
)
def test_rdm_says_what_is_wrong_with_its_options(options, says):
    with pytest.raises((InputError, NotFoundError), match=says):
        be.rsa.rdm(X, **options)


@pytest.mark.parametrize(("patterns", "got"), [(np.empty((5, 0)), r"\(5, 0\)"), (None, "NoneType"), ("insilico", "got str")])
def test_rdm_says_what_it_got_instead_of_patterns(patterns, got):
    with pytest.raises(InputError, match=got):
        be.rsa.rdm(patterns)


def test_masked_values_are_refused_and_can_be_made_missing():
    masked = np.ma.masked_greater(X, 1.5)
    with pytest.raises(InputError, match=rf"values are masked.*{masked.mask.sum()} of 60"):
        be.rsa.rdm(masked)
    found = be.rsa.rdm(masked.filled(np.nan), metric="euclidean", nan="omit")
    both = ~masked.mask[0] & ~masked.mask[1]
    assert found.values[0, 0] == pytest.approx(np.mean((X[0] - X[1])[both] ** 2))
    np.testing.assert_array_equal(be.rsa.rdm(np.ma.array(X)).values, be.rsa.rdm(X).values)


def test_rows_of_a_dataframe_keep_the_names_of_its_index():
    assert be.rsa.rdm(pd.DataFrame(X, index=list("uvwxyz"))).ids.tolist() == list("uvwxyz")
    assert be.rsa.rdm(pd.DataFrame(X)).ids.tolist() == list("012345")
    assert be.rsa.rdm(pd.DataFrame(X, index=list("uvwxyz")), conditions=list("abcdef")).ids.tolist() == list("abcdef")


def test_one_leading_axis_may_be_named_by_a_word():
    assert list(be.rsa.rdm(np.stack([X, X + 1]), metric="euclidean", axes="subject").rdms.columns) == ["subject"]


def test_a_subject_column_that_is_not_there_does_not_make_a_subject_of_every_rdm():
    for call in (be.rsa.evaluate, be.rsa.permutation_test, be.rsa.partition_variance):
        with pytest.raises(NotFoundError, match=r"no column 'participan'.*Did you mean 'participant'"):
            call(MODELS, DATA, subject="participan", n=2)
    with pytest.raises(NotFoundError, match="participan"):
        be.rsa.noise_ceiling(DATA, subject="participan")
    assert be.rsa.evaluate(MODELS, DATA, subject="participant", n=0).scores.shape[1] == 5


def test_models_of_one_name_are_refused_however_they_come():
    twins = be.RDMs(MODELS.values, CONDITIONS, {"model": ["m", "m"]})
    for models in (twins, {"m": twins}):
        with pytest.raises(InputError, match="models cannot be told apart"):
            be.rsa.evaluate(models, DATA, subject="participant", n=0)


@pytest.mark.parametrize("n", [10.5, "many", -1, True, 1])
def test_a_number_of_samples_is_whole(n):
    with pytest.raises(InputError, match="a bootstrap needs at least two samples, or none"):
        be.rsa.evaluate(MODELS, DATA, subject="participant", n=n)


@pytest.mark.parametrize(
    "call",
    [
        lambda n: be.rsa.permutation_test(MODELS, DATA, n=n),
        lambda n: be.rsa.sign_flip_test(RNG.random((4, 3)), n=n),
        lambda n: be.rsa.cluster_test(RNG.standard_normal((8, 20)), n=n),
        lambda n: be.rsa.partition_variance(MODELS, DATA, n=n),
        lambda n: be.rsa.topology.identify(DATA, item="session", group="participant", n_bootstrap=n),
        lambda n: be.rsa.topology.identify(DATA, item="session", group="participant", n_permutations=n),
    ],
)
@pytest.mark.parametrize("n", [-1, 2.5, "a"])
def test_numbers_of_draws_are_whole(call, n):
    with pytest.raises(InputError, match="is a whole number of at least"):
        call(n)


def test_compare_refuses_what_are_no_rows_of_pairs():
    square = MODELS.square()[0]
    with pytest.raises(InputError, match="one square RDM.*from_square"):
        be.rsa.compare(square, square)
    for wrong in (np.arange(4.0), RNG.random((5, 5))):
        with pytest.raises(InputError, match="not the number of pairs.*from_square"):
            be.rsa.compare(wrong, wrong)
    with pytest.raises(InputError, match="RDMs are numbers"):
        be.rsa.compare("a", "b")


@pytest.mark.parametrize("sigma", [-np.ones(10), -np.eye(10), np.full(10, np.nan), np.eye(10) + np.triu(np.ones((10, 10)), 1)])
def test_a_covariance_of_conditions_is_one(sigma):
    with pytest.raises(InputError, match=r"a covariance.*\[sigma_k\]"):
        be.rsa.compare(MODELS, DATA, "whitened_pearson", sigma_k=sigma)


def test_an_unknown_noise_of_a_searchlight_is_not_taken_for_the_sample_covariance():
    with pytest.raises(InputError, match="unknown value for noise.*'ledoitwolf'.*Did you mean 'ledoit_wolf'"):
        be.rsa.searchlight(BRAIN, MODEL, radius_mm=4, metric="crossnobis", noise="ledoitwolf")


@pytest.mark.parametrize("radius", ["4mm", -1, np.nan, True])
def test_a_radius_is_a_number_of_millimetres(radius):
    with pytest.raises(InputError, match="radius must be a non-negative number of millimetres"):
        be.rsa.searchlight(BRAIN, MODEL, radius_mm=radius)


def test_a_scorer_that_returns_words_is_refused():
    with pytest.raises(InputError, match="scores are no array of numbers"):
        be.rsa.searchlight(BRAIN, radius_mm=4, scorer=lambda rdms: ["a"] * len(rdms))


def test_times_and_bins_of_a_movie_are_seconds():
    trials = RNG.standard_normal((4, 5, 3))
    with pytest.raises(InputError, match=r"times are increasing seconds.*0.2 before 0.1 at position 1"):
        be.rsa.rdm_movie(trials, [0.0, 0.2, 0.1])
    with pytest.raises(InputError, match="times are increasing seconds.*'a'"):
        be.rsa.rdm_movie(trials, ["a", "b", "c"])
    with pytest.raises(InputError, match="bins are pairs of seconds"):
        be.rsa.rdm_movie(trials, [0.0, 0.1, 0.2], bins=[0.0, 0.1])


def test_noise_at_each_moment_warns_once():
    trials = RNG.standard_normal((12, 4, 6))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        be.rsa.rdm_movie(
            trials, metric="crossnobis", conditions=list("abcdef") * 2, folds=np.repeat([1, 2], 6), noise="schaefer_strimmer", noise_window="each"
        )
    assert len(caught) == 1 and "every condition comes once a fold" in str(caught[0].message)


def test_alpha_and_scores_of_a_cluster_test():
    with pytest.raises(InputError, match="alpha lies between 0 and 1"):
        be.rsa.cluster_test(RNG.standard_normal((8, 20)), alpha=5)
    for call in (be.rsa.cluster_test, be.rsa.sign_flip_test):
        with pytest.raises(InputError, match="scores are no array of numbers"):
            call("scores")


def test_positions_of_rdms():
    for wrong in ([10], [-11], [0.5], np.ones(3, dtype=bool)):
        with pytest.raises(InputError, match=r"RDMs\.take"):
            DATA.take(wrong)
    assert DATA.take([-1]).rdms["participant"].tolist() == ["5"] and DATA.take([]).n_rdms == 0


def test_thresholds_and_neighbours_of_topology_are_numbers():
    with pytest.raises(InputError, match="thresholds out of order"):
        be.rsa.topology.rgtm(DATA, "a", "b")
    with pytest.raises(InputError, match="dissimilarities are numbers"):
        be.rsa.topology.rgtm("insilico")
    with pytest.raises(InputError, match="k is a whole number"):
        be.rsa.topology.rgdm(DATA, graph="k_nearest", k=1.5)


def test_arguments_in_another_order_are_refused_in_words():
    with pytest.raises(InputError, match="the name of a similarity measure is text"):
        be.rsa.similarity.subsample_stability(X, X, "cka")


def test_a_file_of_something_else_is_not_recommended_for_unpickling(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not an archive")
    with pytest.raises(DataError, match="not a readable brainenc file") as caught:
        be.read(path)
    assert "pickle" not in str(caught.value)


def test_rdms_of_rsatoolbox_are_not_taken_for_ours():
    theirs = pytest.importorskip("rsatoolbox").rdm.RDMs(MODELS.values)
    for call in (lambda: be.rsa.compare(theirs, DATA), lambda: be.rsa.evaluate(theirs, DATA, subject="participant")):
        with pytest.raises(InputError, match="got rsatoolbox RDMs.*from_rsatoolbox"):
            call()


def test_rows_of_different_lengths_and_names_without_a_table():
    with pytest.raises(InputError, match="patterns are an array of real numbers"):
        be.rsa.rdm(np.ones(3))
    with pytest.raises(InputError, match="patterns are an array of real numbers"):
        be.rsa.rdm([[1.0, 2.0], [1.0]])
    with pytest.raises(InputError, match="conditions are a table.*condition"):
        be.RDMs([[1.0, 2.0, 3.0]], list("abc"))
    assert be.RDMs([[1.0, 2.0, 3.0]], [{"condition": name} for name in "abc"]).ids.tolist() == list("abc")
