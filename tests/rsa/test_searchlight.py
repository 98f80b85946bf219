"""The searchlight against a naive loop: rdm() on the columns of each neighbourhood, then compare()."""

import warnings

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.rsa._choices import ESTIMATORS

pytestmark = pytest.mark.filterwarnings("ignore:.*made of the differences between folds:brainenc.BrainencWarning")
CONDITIONS = list("abcdefg")
N_RUNS = 4
CROSSVALIDATED = ("crossnobis", "poisson_cv")
FORMS = ("pearson", "spearman", "cosine_similarity", "rho_a", "whitened_pearson", "whitened_cosine_similarity")
MODULES = ("tau_a", "tau_b", "bures_similarity", "bures_distance")


def _space(rng, shape=(4, 4, 3)):
    return be.VolumeSpace.from_mask(rng.random(shape) < 0.8, np.array([[-3.0, 0.2, 0, 5], [0, 3.5, 0, -2], [0, 0.1, 4, 1], [0, 0, 0, 1]]))


def _brain(rng, space=None, *, balanced=True, repeats=1, dtype=np.float64, name="01"):
    """Seven conditions in four runs; counts, so that every estimator takes them."""
    space = _space(rng) if space is None else space
    labels = np.tile(np.repeat(CONDITIONS, repeats), N_RUNS)
    runs = np.repeat(np.arange(1, N_RUNS + 1), len(CONDITIONS) * repeats)
    keep = np.arange(len(labels))
    if not balanced:
        keep = np.setdiff1d(keep, [9, 17, 26])
    labels, runs = labels[keep], runs[keep]
    signal = rng.gamma(4.0, size=(len(CONDITIONS), space.n_targets))
    codes = np.searchsorted(CONDITIONS, labels)
    values = rng.poisson(signal[codes] * 3).astype(dtype)
    values += rng.random(values.shape).astype(dtype)  # no ties
    return be.Responses(values, {"stimulus_id": labels, "run": runs}, space=space, name=name)


@pytest.fixture
def models(rng):
    values = rng.random((3, 21))
    values[2] = rng.integers(0, 2, 21)  # a categorical model: ties
    return be.RDMs(values, {"stimulus_id": CONDITIONS}, {"model": ["one", "two", "categories"]})


def _naive_rdms(brain, lists, metric, **options):
    folds = brain.samples["run"] if metric in CROSSVALIDATED else None
    conditions = brain.samples["stimulus_id"]
    return np.concatenate([be.rsa.rdm(brain.values[:, near], metric=metric, conditions=conditions, folds=folds, **options).values for near in lists])


def _uses():
    """Every estimator that is registered, with every noise that it takes."""
    for metric in ESTIMATORS.names():
        need = ESTIMATORS.get(metric).NOISE
        yield from [(metric, None)] if need != "required" else []
        yield from [(metric, noise) for noise in ("local", "ledoit_wolf", "diagonal", "model", "precision")] if need else []
    yield "crossnobis", "folds"


@pytest.mark.parametrize("balanced", [True, False], ids=["balanced", "unbalanced"])
@pytest.mark.parametrize(("metric", "noise"), list(_uses()))
def test_every_estimator_equals_the_loop(rng, models, metric, noise, balanced):
    brain = _brain(rng, balanced=balanced)
    lists = list(brain.space.neighbourhoods(5.0))
    checked = [place for place, near in enumerate(lists) if len(near) > 1][::3]
    given, each = noise, {}
    if noise == "local":
        each = {"noise": "schaefer_strimmer"}
    elif noise in ("ledoit_wolf", "diagonal"):
        each = {"noise": noise}
    elif noise is not None:
        residuals = rng.standard_normal((90, brain.n_targets)) @ (np.eye(brain.n_targets) + 0.1 * rng.standard_normal((brain.n_targets,) * 2))
        given = be.rsa.noise_model(residuals)
        if noise == "precision":
            given = given.precision()
        if noise == "folds":
            given = {run: be.rsa.noise_model(residuals[run :: N_RUNS + 1]) for run in range(1, N_RUNS + 1)}
    scores, rdms = be.rsa.searchlight(brain, models, radius_mm=5.0, metric=metric, noise=given, return_rdms=True)
    covariance = np.linalg.inv(given) if noise == "precision" else None
    expected = []
    for near in (lists[place] for place in checked):
        if noise == "model":
            each = {"noise": given.take(near)}
        elif noise == "precision":
            each = {"noise": np.linalg.inv(covariance[np.ix_(near, near)])}
        elif noise == "folds":
            each = {"noise": {run: model.take(near) for run, model in given.items()}}
        expected.append(_naive_rdms(brain, [near], metric, **each)[0])
    expected = np.array(expected)
    ids = brain.targets["target_id"].iloc[checked]
    np.testing.assert_allclose(rdms.values[rdms.rdms["target_id"].isin(ids)], expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(scores.values[:, 0, checked].T, be.rsa.compare(expected, models.values, "spearman"), atol=1e-10)


@pytest.mark.parametrize("method", [*FORMS, *MODULES])
def test_every_comparator_equals_compare(rng, models, method):
    brain = _brain(rng)
    if method.startswith("bures"):  # needs distances of some patterns
        models = be.rsa.rdm(rng.random((3, 7, 9)), conditions=CONDITIONS, metric="euclidean")
    lists = list(brain.space.neighbourhoods(6.0))
    scores = be.rsa.searchlight(brain, models, radius_mm=6.0, metric="euclidean", method=method, block=9)
    np.testing.assert_allclose(scores.values[:, 0].T, be.rsa.compare(_naive_rdms(brain, lists, "euclidean"), models.values, method), atol=1e-10)
    assert scores.entries["metric"].unique().tolist() == [method]


def test_whitening_by_condition_noise(rng, models):
    brain, sigma = _brain(rng), np.diag(rng.random(7) + 0.5) + 0.1
    lists = list(brain.space.neighbourhoods(6.0))
    scores = be.rsa.searchlight(brain, models, radius_mm=6.0, metric="crossnobis", method="whitened_pearson", sigma_k=sigma)
    expected = be.rsa.compare(_naive_rdms(brain, lists, "crossnobis"), models.values, "whitened_pearson", sigma_k=sigma)
    np.testing.assert_allclose(scores.values[:, 0].T, expected, atol=1e-10)


@pytest.mark.parametrize("options", [{"squared": False}, {"per_channel": False}, {"weighting": "folds"}, {"center": False}])
def test_conventions_are_those_of_rdm(rng, options):
    brain = _brain(rng, balanced=False)
    rdms = be.rsa.searchlight(brain, radius_mm=5.0, min_targets=1, metric="crossnobis", return_rdms=True, **options)
    expected = _naive_rdms(brain, brain.space.neighbourhoods(5.0), "crossnobis", **options)
    np.testing.assert_allclose(rdms.values, expected, atol=1e-9)


def test_repeats_within_runs_give_the_noise(rng, models):
    brain = _brain(rng, repeats=3)
    rdms = be.rsa.searchlight(brain, radius_mm=5.0, min_targets=1, metric="crossnobis", noise="local", return_rdms=True)
    expected = _naive_rdms(brain, brain.space.neighbourhoods(5.0), "crossnobis", noise="schaefer_strimmer")
    np.testing.assert_allclose(rdms.values, expected, rtol=1e-9)


def test_local_noise_of_the_same_trials_is_told(rng):
    """Pure noise: unbiased with noise of other rows or of repeats in a fold, above 0 with the very differences that are multiplied."""
    space, runs, n = be.ArraySpace((40 * 12,)), 6, 5
    lists = np.arange(480).reshape(40, 12)
    mixing = np.kron(np.eye(40), np.linalg.cholesky(0.7 * np.ones((12, 12)) + 0.3 * np.eye(12)))
    labels, folds = np.tile(list("abcde"), runs), np.repeat(np.arange(runs), n)
    found = {"same": [], "other": [], "repeats": []}
    for _ in range(6):
        once = be.Responses(rng.standard_normal((runs * n, 480)) @ mixing.T, {"stimulus_id": labels, "run": folds}, space=space)
        twice = be.Responses(
            rng.standard_normal((2 * runs * n, 480)) @ mixing.T, {"stimulus_id": np.repeat(labels, 2), "run": np.repeat(folds, 2)}, space=space
        )
        options = {"neighbours": lists, "centres": np.arange(0, 480, 12), "metric": "crossnobis", "noise": "full", "return_rdms": True}
        with pytest.warns(BrainencWarning, match="differences between folds"):
            warnings.simplefilter("always")
            found["same"].append(be.rsa.searchlight(once, **options).values.mean())
        found["other"].append(be.rsa.searchlight(once, residuals=rng.standard_normal((30, 480)) @ mixing.T, **options).values.mean())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found["repeats"].append(be.rsa.searchlight(twice, **options).values.mean())
    mean = {name: (np.mean(v), np.std(v, ddof=1) / np.sqrt(len(v))) for name, v in found.items()}
    inflation = 25 / (25 - 12 - 1)  # mean of tr(Σ Σ̂⁻¹)/p of a Wishart covariance with 25 degrees of freedom
    assert abs(mean["same"][0] - 2 * (inflation - 1) / runs) < 4 * mean["same"][1] + 0.05
    assert all(abs(mean[name][0]) < 4 * mean[name][1] for name in ("other", "repeats"))


@pytest.mark.parametrize("n_rows", [6, 200], ids=["fewer rows than targets", "more rows"])
@pytest.mark.parametrize("method", ["schaefer_strimmer", "ledoit_wolf"])
def test_noise_from_residuals_of_a_model(rng, method, n_rows):
    brain = _brain(rng)
    residuals = rng.standard_normal((n_rows, brain.n_targets)) * (1 + rng.random(brain.n_targets))
    rdms = be.rsa.searchlight(brain, radius_mm=9.0, metric="mahalanobis", noise=method, residuals=residuals, dof=n_rows - 2.0, return_rdms=True)
    lists = list(brain.space.neighbourhoods(9.0))
    assert max(map(len, lists)) > 3 * 6  # the low-rank branch is taken
    for row, near in zip(rdms.values, lists, strict=True):
        model = be.rsa.noise_model(residuals[:, near], method=method, dof=n_rows - 2.0)
        np.testing.assert_allclose(row, _naive_rdms(brain, [near], "mahalanobis", noise=model)[0], rtol=1e-8)


def test_float32_is_followed(rng, models):
    brain = _brain(rng, dtype=np.float32)
    for metric, noise in (("correlation", None), ("crossnobis", "local")):
        rdms = be.rsa.searchlight(brain, radius_mm=6.0, metric=metric, noise=noise, return_rdms=True)
        expected = _naive_rdms(brain, brain.space.neighbourhoods(6.0), metric, **({"noise": "schaefer_strimmer"} if noise else {}))
        assert np.abs(rdms.values - expected).max() < 2e-4 * np.abs(expected).max()


@pytest.mark.parametrize("scorer", ["regression", "partial"])
@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_models_together(rng, models, scorer, method):
    from scipy.stats import rankdata

    brain = _brain(rng)
    scores, rdms = be.rsa.searchlight(brain, models, radius_mm=6.0, method=method, scorer=scorer, return_rdms=True)
    ready = rankdata if method == "spearman" else np.asarray
    standard = lambda v: (v - v.mean()) / v.std()  # noqa: E731
    design = np.stack([standard(ready(row)) for row in models.values], axis=1)
    for column, row in enumerate(rdms.values):
        y = standard(ready(row))
        if scorer == "regression":
            expected = np.linalg.lstsq(design, y, rcond=None)[0]
        else:
            expected = []
            for model in range(3):
                others = np.column_stack([np.ones(len(y)), np.delete(design, model, axis=1)])
                rest = lambda v: v - others @ np.linalg.lstsq(others, v, rcond=None)[0]  # noqa: B023, E731
                expected.append(np.corrcoef(rest(y), rest(design[:, model]))[0, 1])
        np.testing.assert_allclose(scores.values[:, 0, column], expected, atol=1e-10)
    assert scores.entries["metric"].unique().tolist() == [f"{scorer}_{method}"]


def test_collinear_models_are_refused(rng, models):
    doubled = be.RDMs(np.concatenate([models.values, models.values[:1] * 2 + 1]), models.conditions, {"model": list("abcd")})
    with pytest.raises(InputError, match="cannot be told apart"):
        be.rsa.searchlight(_brain(rng), doubled, radius_mm=6.0, scorer="regression")
    with pytest.raises(InputError, match="correlation or cosine"):
        be.rsa.searchlight(_brain(rng), models, radius_mm=6.0, scorer="partial", method="tau_a")


def test_a_function_scores_too(rng, models):
    brain = _brain(rng)

    def spread(rdms):
        return np.stack([rdms.mean(axis=1), rdms.std(axis=1)], axis=1)

    scores, rdms = be.rsa.searchlight(brain, radius_mm=6.0, scorer=spread, return_rdms=True)
    np.testing.assert_allclose(scores.values[:, 0], spread(rdms.values).T)
    assert scores.entries["model"].tolist() == ["spread", "spread"]
    one = be.rsa.searchlight(brain, radius_mm=6.0, scorer=lambda rdms: rdms.max(axis=1))
    np.testing.assert_allclose(one.values[0, 0], rdms.values.max(axis=1))
    with pytest.raises(InputError, match="unusable shape"):
        be.rsa.searchlight(brain, radius_mm=6.0, scorer=lambda rdms: 1.0)


@pytest.mark.parametrize("metric", ["correlation", "crossnobis"])
def test_blocks_threads_and_order_change_nothing(rng, models, metric):
    brain = _brain(rng)
    noise = "local" if metric == "crossnobis" else None
    whole = be.rsa.searchlight(brain, models, radius_mm=6.0, metric=metric, noise=noise).values
    for options in ({"block": 1}, {"block": 7}, {"n_jobs": 3, "block": 5}, {"memory": "1MB"}):
        np.testing.assert_allclose(be.rsa.searchlight(brain, models, radius_mm=6.0, metric=metric, noise=noise, **options).values, whole, atol=1e-10)
    order = rng.permutation(brain.n_targets)
    moved = be.rsa.searchlight(brain.take_targets(order), models, radius_mm=6.0, metric=metric, noise=noise).values
    np.testing.assert_allclose(moved, whole[..., order], atol=1e-10)


def test_models_in_another_order_of_conditions(rng, models):
    brain = _brain(rng)
    turned = be.RDMs.from_square(models.square()[:, ::-1, ::-1], {"stimulus_id": CONDITIONS[::-1]}, rdms=models.rdms)
    first, second = (be.rsa.searchlight(brain, m, radius_mm=6.0) for m in (models, turned))
    np.testing.assert_allclose(first.values, second.values, atol=1e-12)
    with pytest.raises(InputError, match="different conditions"):
        be.rsa.searchlight(brain, be.RDMs(models.values, {"stimulus_id": list("abcdefx")}), radius_mm=6.0)


def test_results_are_painted_back(rng, models):
    brain = _brain(rng)
    scores = be.rsa.searchlight(brain, models, radius_mm=6.0)
    image = scores.to_image("two")
    np.testing.assert_allclose(brain.space.unpaint(image), scores.values[1, 0], rtol=1e-6)
    frame = scores.to_frame()
    assert len(frame) == 3 * brain.n_targets and (frame["n"] == 7).all() and set(frame["model"]) == {"one", "two", "categories"}
    assert "within 6 mm" in repr(scores) and f"{brain.n_targets} of {brain.n_targets} centres" in repr(scores)


def test_scores_survive_a_file(rng, models, tmp_path):
    scores, rdms = be.rsa.searchlight(_brain(rng), models, radius_mm=6.0, return_rdms=True)
    np.testing.assert_array_equal(be.read(scores.save(tmp_path / "s")).values, scores.values)
    np.testing.assert_array_equal(be.read(rdms.save(tmp_path / "r")).values, rdms.values)


def test_centres_are_chosen_and_still_see_their_surroundings(rng, models):
    brain = _brain(rng)
    targets = brain.targets.assign(roi=np.where(np.arange(brain.n_targets) % 3, "V1", "V4"))
    brain = be.Responses(brain.values, brain.samples, targets, brain.space)
    whole = be.rsa.searchlight(brain, models, radius_mm=6.0).values
    v4 = np.arange(brain.n_targets) % 3 == 0
    for centres in ("roi == 'V4'", {"roi": "V4"}, v4, np.flatnonzero(v4)):
        some = be.rsa.searchlight(brain, models, radius_mm=6.0, centres=centres).values
        np.testing.assert_allclose(some[..., v4], whole[..., v4], atol=1e-12)
        assert np.isnan(some[..., ~v4]).all()
    for bad in ([0, 0], [-1], [10_000], []):
        with pytest.raises(InputError, match="centres name no targets"):
            be.rsa.searchlight(brain, models, radius_mm=6.0, centres=np.array(bad, dtype=int))


def test_small_neighbourhoods_are_left_out_and_counted(rng, models):
    brain = _brain(rng)
    sizes = np.array([len(near) for near in brain.space.neighbourhoods(5.0)])
    scores = be.rsa.searchlight(brain, models, radius_mm=5.0, min_targets=6)
    np.testing.assert_array_equal(np.isnan(scores.values[0, 0]), sizes < 6)
    assert scores.provenance["skipped"] == {"01": {"with fewer than 6 targets": int((sizes < 6).sum())}}
    np.testing.assert_array_equal(scores.targets["n_neighbours"], np.where(sizes < 6, 0, sizes))
    share = sizes / brain.space.full_sizes(5.0)
    scores = be.rsa.searchlight(brain, models, radius_mm=5.0, min_fraction=0.7, min_targets=1)
    np.testing.assert_array_equal(np.isnan(scores.values[0, 0]), share < 0.7)
    with pytest.raises(InputError, match="no centre is left"):
        be.rsa.searchlight(brain, models, radius_mm=5.0, min_targets=1000)


def _with(brain, values):
    return be.Responses(values, brain.samples, brain.targets, brain.space, name=brain.name)


def test_targets_with_nan_need_a_policy(rng, models):
    brain = _brain(rng)
    values = brain.values.copy()
    values[3, 11] = values[5, 20] = np.nan
    broken = _with(brain, values)
    with pytest.raises(InputError, match="2 of .* targets hold NaN"):
        be.rsa.searchlight(broken, models, radius_mm=5.0)
    lists = list(brain.space.neighbourhoods(5.0))
    omitted = be.rsa.searchlight(broken, models, radius_mm=5.0, nan="omit")
    rest = [near[~np.isin(near, [11, 20])] for near in lists]
    known = np.array([len(near) > 1 for near in rest])
    expected = be.rsa.compare(_naive_rdms(brain, [near for near in rest if len(near) > 1], "correlation"), models.values, "spearman")
    np.testing.assert_allclose(omitted.values[:, 0, known].T, expected, atol=1e-10)
    assert omitted.provenance["omitted_targets"] == {"01": {"NaN": 2}}
    skipped = be.rsa.searchlight(broken, models, radius_mm=5.0, nan="skip")
    hit = np.array([np.isin(near, [11, 20]).any() for near in lists])
    np.testing.assert_array_equal(np.isnan(skipped.values[0, 0]), hit)
    assert skipped.provenance["skipped"]["01"]["holding NaN"] == hit.sum()
    # NaN that no neighbourhood sees is nobody's business
    far = np.flatnonzero([not np.isin(near, [11, 20]).any() for near in lists])
    be.rsa.searchlight(broken, models, radius_mm=5.0, centres=far)
    with pytest.raises(InputError, match="infinity"):
        be.rsa.searchlight(_with(brain, np.where(values == values[3, 4], np.inf, brain.values)), models, radius_mm=5.0)


def test_constant_targets_are_kept_with_a_warning_or_left_out(rng, models):
    brain = _brain(rng)
    values = brain.values.copy()
    values[:, 7] = 2.5
    flat = _with(brain, values)
    with pytest.warns(BrainencWarning, match="1 of .* targets are constant and stay"):
        kept = be.rsa.searchlight(flat, models, radius_mm=5.0)
    lists = [near for near in brain.space.neighbourhoods(5.0) if len(near) > 1]
    np.testing.assert_allclose(
        kept.values[:, 0][:, [len(n) > 1 for n in brain.space.neighbourhoods(5.0)]].T,
        be.rsa.compare(_naive_rdms(flat, lists, "correlation"), models.values, "spearman"), atol=1e-10,
    )  # fmt: skip
    omitted = be.rsa.searchlight(flat, models, radius_mm=5.0, constant="omit")
    assert omitted.provenance["omitted_targets"] == {"01": {"constant": 1}}
    with pytest.raises(InputError, match="constant"):
        be.rsa.searchlight(flat, models, radius_mm=5.0, constant="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrainencWarning)
        with pytest.raises(InputError, match="no noise variance"):
            be.rsa.searchlight(flat, models, radius_mm=5.0, metric="crossnobis", noise="local")
    be.rsa.searchlight(flat, models, radius_mm=5.0, metric="crossnobis", noise="local", constant="omit")


def test_a_pattern_without_correlation_is_scored_on_the_pairs_that_are_left(rng, models):
    """Different neighbourhoods miss different pairs: each is compared over its own (rsatoolbox #248)."""
    brain = _brain(rng)
    values = brain.values.copy()
    lists = list(brain.space.neighbourhoods(5.0))
    corner = lists[0]
    values[brain.samples["stimulus_id"] == "c"] = np.where(np.isin(np.arange(brain.n_targets), corner), 4.0, values[brain.samples["stimulus_id"] == "c"])
    values[brain.samples["stimulus_id"] == "e"] = np.where(np.isin(np.arange(brain.n_targets), lists[-1]), 1.0, values[brain.samples["stimulus_id"] == "e"])
    broken = _with(brain, values)
    for scorer in ("compare", "regression"):
        scores, rdms = be.rsa.searchlight(broken, models, radius_mm=5.0, scorer=scorer, method="pearson", return_rdms=True)
        lost = np.isnan(rdms.values)
        assert lost[0].sum() >= 6 and lost[-1].sum() >= 6 and (lost[0] != lost[-1]).any()
        for place in (0, len(rdms.values) - 1):
            keep = ~lost[place]
            if scorer == "compare":
                expected = [np.corrcoef(rdms.values[place, keep], model[keep])[0, 1] for model in models.values]
            else:
                z = lambda v: (v - v.mean()) / v.std()  # noqa: E731
                design = np.stack([z(model[keep]) for model in models.values], axis=1)
                expected = np.linalg.lstsq(design, z(rdms.values[place, keep]), rcond=None)[0]
            target = int(rdms.rdms["target_id"].iloc[place][1:])
            np.testing.assert_allclose(scores.values[:, 0, target], expected, atol=1e-10)


def test_several_subjects_with_ceilings(rng, models):
    space = _space(rng)
    brains = {name: _brain(rng, space, name="x") for name in ("s1", "s2", "s3")}
    order = rng.permutation(28)
    brains["s2"] = brains["s2"].take_rows(order)  # conditions come in another order
    for method in ("pearson", "spearman", "cosine_similarity", "tau_a"):
        scores, rdms = be.rsa.searchlight(brains, models, radius_mm=6.0, metric="crossnobis", method=method, ceiling=True, return_rdms=True)
        assert list(rdms) == ["s1", "s2", "s3"] and scores.subjects == ["s1", "s2", "s3"]
        alone = be.rsa.searchlight(brains["s2"], models, radius_mm=6.0, metric="crossnobis", method=method)
        n = space.n_targets
        np.testing.assert_allclose(scores.values[:3, :, n : 2 * n], alone.values, atol=1e-12)
        for centre in (0, n // 2):
            stack = be.RDMs(np.stack([one.values[centre] for one in rdms.values()]), models.conditions, {"subject": list(rdms)})
            lower, upper = be.rsa.noise_ceiling(stack, method)[["lower", "upper"]].iloc[0]
            per_subject = scores.values[3:, 0].reshape(2, 3, n)[:, :, centre]
            np.testing.assert_allclose(per_subject.mean(axis=1), [lower, upper], atol=1e-10)
    assert scores.entries["layer"].tolist()[-2:] == ["lower", "upper"]
    assert scores.where(subject="s1").to_image("ceiling/upper").shape == space.shape
    with pytest.raises(InputError, match="several subjects"):
        be.rsa.searchlight(brains["s1"], models, radius_mm=6.0, ceiling=True)
    with pytest.raises(InputError, match="different neighbourhoods"):
        be.rsa.searchlight({"a": brains["s1"], "b": brains["s2"].take_targets(np.arange(20))}, models, radius_mm=6.0, ceiling=True)


def test_what_is_refused(rng, models):
    brain = _brain(rng)
    cases = [
        ({}, "needs its reach"), ({"radius_mm": 5.0, "metric": "nonsense"}, "nonsense"), ({"radius_mm": 5.0, "method": "nonsense"}, "nonsense"),
        ({"rings": 2}, "for surfaces"), ({"radius_mm": 5.0, "time_window": 0.1}, "no times"), ({"radius_mm": -1.0}, "non-negative"),
        ({"radius_mm": 5.0, "neighbours": [[0, 1]] * brain.n_targets}, "leave nothing"), ({"radius_mm": 5.0, "metric": "mahalanobis"}, "noise model"),
        ({"radius_mm": 5.0, "noise": "local"}, "takes no noise"), ({"radius_mm": 5.0, "folds": "run"}, "not cross-validated"),
        ({"radius_mm": 5.0, "min_targets": 0}, "positive whole"), ({"radius_mm": 5.0, "min_fraction": 2}, "between 0 and 1"),
        ({"radius_mm": 5.0, "block": 0}, "positive number of centres"), ({"radius_mm": 5.0, "n_jobs": 0}, "positive number of threads"),
        ({"radius_mm": 5.0, "memory": "1kB"}, "exceed the memory budget"), ({"radius_mm": 5.0, "scorer": "nonsense"}, "unknown scorer"),
        ({"radius_mm": 5.0, "nan": "drop"}, "unknown value for nan"), ({"radius_mm": 5.0, "dof": 4.0}, "belong to local noise"),
        ({"radius_mm": 50.0, "metric": "crossnobis", "noise": "full"}, "singular"),
    ]  # fmt: skip
    for options, match in cases:
        with pytest.raises((InputError, KeyError), match=match):
            be.rsa.searchlight(brain, models, **options)
    with pytest.raises(InputError, match="nothing is asked"):
        be.rsa.searchlight(brain, radius_mm=5.0)
    with pytest.raises(InputError, match="needs Responses"):
        be.rsa.searchlight(brain.values, models, radius_mm=5.0)


def test_sensors_in_space_and_time(rng, models):
    table = {"channel": [f"c{i}" for i in range(6)], **dict(zip("xyz", rng.random((3, 6)) * 60, strict=True))}
    space = be.SensorSpace(table, np.arange(8) / 100)
    brain = _brain(rng, space)
    for options in ({"radius_mm": 40.0, "time_window": 0.02}, {"time_window": 0.02}, {"radius_mm": 0.0, "time_window": 0.03}):
        lists = list(space.neighbourhoods(options.get("radius_mm"), time_window=options["time_window"]))
        scores = be.rsa.searchlight(brain, models, **options)
        np.testing.assert_allclose(scores.values[:, 0].T, be.rsa.compare(_naive_rdms(brain, lists, "correlation"), models.values, "spearman"), atol=1e-10)
    assert scores.to_image("one").data.shape == (6, 8)


def test_surfaces_by_radius_and_by_ring(rng, models):
    space = be.SurfaceSpace("fsaverage5", ["left"] * 40 + ["right"] * 30, np.r_[np.arange(40), np.arange(30)])
    brain = _brain(rng, space)
    every = be.SurfaceSpace("fsaverage5", ["left"] * 10242, np.arange(10242))
    reach = sorted(every.rings(2, centres=np.array([12])))[0]
    brain = _brain(rng, be.SurfaceSpace("fsaverage5", ["left"] * len(reach), reach))
    for options, lists in (({"rings": 1}, list(brain.space.rings(1))), ({"radius_mm": 9.0}, list(brain.space.neighbourhoods(9.0)))):
        scores = be.rsa.searchlight(brain, models, min_targets=3, **options)
        known = np.array([len(near) > 2 for near in lists])
        expected = be.rsa.compare(_naive_rdms(brain, [near for near in lists if len(near) > 2], "correlation"), models.values, "spearman")
        np.testing.assert_allclose(scores.values[:, 0, known].T, expected, atol=1e-10)
        assert np.isnan(scores.values[:, 0, ~known]).all()


def test_given_neighbourhoods_and_plain_arrays(rng, models):
    brain = _brain(rng, be.ArraySpace((12,)))
    lists = [np.sort(rng.choice(12, 5, replace=False)) for _ in range(12)]
    scores = be.rsa.searchlight(brain, models, neighbours=lists)
    np.testing.assert_allclose(scores.values[:, 0].T, be.rsa.compare(_naive_rdms(brain, lists, "correlation"), models.values, "spearman"), atol=1e-10)
    near = be.Neighbourhoods.of(lists, 12, description="five of twelve")
    again = be.rsa.searchlight(brain, models, neighbours=near, centres=[3, 1])
    np.testing.assert_allclose(again.values[..., [1, 3]], scores.values[..., [1, 3]], atol=1e-12)
    assert "five of twelve" in again.split and np.isnan(again.values[..., 0]).all()
    with pytest.raises(InputError, match="other responses"):
        be.rsa.searchlight(brain, models, neighbours=be.Neighbourhoods.of(lists, 13))
