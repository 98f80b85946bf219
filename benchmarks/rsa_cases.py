"""The cases of `rsa.py`: what is computed, by us and by the peer, from the same inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from _frame import Case, Cases, at, largest

CASES = Cases()
case = CASES.add


def dataset(values: np.ndarray, **columns: Any) -> Any:
    """Return a data set of rsatoolbox with one row a trial."""
    from rsatoolbox.data import Dataset

    return Dataset(values, obs_descriptors={name: np.asarray(column) for name, column in columns.items()})


@case
def crossnobis(size: str) -> Case:
    """Balanced crossnobis with a full noise precision: 1000 conditions x 1000 voxels x 8 runs."""
    n, p, folds = at(size, (6, 5, 3), (200, 200, 8), (1000, 1000, 8))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((folds * n, p))
    conditions, runs = np.tile(np.arange(n), folds), np.repeat(np.arange(folds), n)
    residuals = rng.standard_normal((2 * p + 50, p))
    precision = np.linalg.inv(residuals.T @ residuals / len(residuals))

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm(X, metric="crossnobis", conditions=conditions, folds=runs, noise=precision).values[0]

    def peer() -> Any:
        from rsatoolbox.rdm import calc_rdm

        data = dataset(X, conds=conditions, runs=runs)
        return calc_rdm(data, method="crossnobis", descriptor="conds", cv_descriptor="runs", noise=precision).dissimilarities[0]

    # fold means through the precision and one Gram of the sum; the grams of the folds
    return Case(ours, peer, largest, flops=2.0 * n * p * p * 1 + 2.0 * n * n * p * 1)


@case
def unbalanced_crossnobis(size: str) -> Case:
    """Crossnobis of an unbalanced design: 200 conditions, 1500 trials, 500 channels, 8 runs."""
    n, trials, p = at(size, (5, 40, 4), (50, 300, 100), (200, 1500, 500))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((trials, p))
    conditions = np.concatenate([np.arange(n), np.arange(n), rng.integers(n, size=trials - 2 * n)])
    runs = np.concatenate([np.zeros(n, int), np.ones(n, int), rng.integers(8, size=trials - 2 * n)])

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm(X, metric="crossnobis", conditions=conditions, folds=runs, center=False).values[0]  # the peer leaves the mean pattern in

    def peer() -> Any:
        from rsatoolbox.rdm import calc_rdm_unbalanced

        return calc_rdm_unbalanced(dataset(X, conds=conditions, runs=runs), method="crossnobis", descriptor="conds", cv_descriptor="runs").dissimilarities[0]

    return Case(ours, peer, largest, flops=2.0 * n * n * p)


@case
def crossnobis_movie(size: str) -> Case:
    """Crossnobis at every time point: 40 conditions x 16 folds x 64 channels x 100 times."""
    n, folds, p, times = at(size, (5, 3, 4, 6), (40, 4, 16, 20), (40, 16, 64, 100))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((folds * n, p, times))
    conditions, runs = np.tile(np.arange(n), folds), np.repeat(np.arange(folds), n)

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm_movie(X, np.arange(times), metric="crossnobis", conditions=conditions, folds=runs).values

    def peer() -> Any:
        from rsatoolbox.data import TemporalDataset
        from rsatoolbox.rdm import calc_rdm_movie

        data = TemporalDataset(X, obs_descriptors={"conds": conditions, "runs": runs}, time_descriptors={"time": np.arange(times)})
        return calc_rdm_movie(data, method="crossnobis", descriptor="conds", cv_descriptor="runs").dissimilarities

    return Case(ours, peer, largest, flops=2.0 * n * n * p * times * 2)


@case
def shrinkage_precision(size: str) -> Case:
    """The shrunken precision itself, channels x channels: 1500 channels, 300 residuals."""
    p, count = at(size, (8, 6), (300, 100), (1500, 300))
    residuals = np.random.default_rng(0).standard_normal((count, p))

    def ours() -> Any:
        import brainenc as be

        return be.rsa.noise_model(residuals, method="schaefer_strimmer").precision()

    def peer() -> Any:
        from rsatoolbox.data.noise import prec_from_residuals

        return prec_from_residuals(residuals, method="shrinkage_diag")

    return Case(ours, peer, largest, flops=2.0 * count * p * p)


@case
def shrinkage_gram(size: str) -> Case:
    """Patterns whitened by a shrunken precision, X W X': 1500 channels, 300 residuals, 92 conditions."""
    n, p, count = at(size, (5, 8, 6), (20, 300, 100), (92, 1500, 300))
    rng = np.random.default_rng(0)
    X, residuals = rng.standard_normal((n, p)), rng.standard_normal((count, p))

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm(X, metric="mahalanobis", noise=be.rsa.noise_model(residuals, method="schaefer_strimmer")).values[0]

    def peer() -> Any:
        from rsatoolbox.data.noise import prec_from_residuals
        from rsatoolbox.rdm import calc_rdm

        precision = prec_from_residuals(residuals, method="shrinkage_diag")
        return calc_rdm(dataset(X, conds=np.arange(n)), method="mahalanobis", descriptor="conds", noise=precision).dissimilarities[0]

    return Case(ours, peer, largest, flops=2.0 * count * count * p)


def _bootstrap(size: str, method: str, theirs: str, *, ceiling: bool, share: float = 1.0) -> Case:
    """Condition bootstraps; the peer does ``share`` of them, and both are compared on the peer's own samples."""
    subjects, models, n, draws = at(size, (3, 2, 8, 4), (8, 4, 40, 100), (20, 10, 92, 1000))
    rng = np.random.default_rng(0)
    truth = rng.random(n * (n - 1) // 2)
    data, candidates = (truth + rng.random((many, len(truth))) for many in (subjects, models))
    names = {"condition": [f"{i:03d}" for i in range(n)]}
    few = max(2, round(draws * share))

    def ours() -> Any:
        import brainenc as be

        rdms = be.RDMs(data, names, {"subject": [str(i) for i in range(subjects)]})
        fixed = be.RDMs(candidates, names, {"model": [str(i) for i in range(models)]})
        return be.rsa.bootstrap(fixed, rdms, method=method, subjects=False, n=draws, ceiling=ceiling)

    def peer() -> Any:
        import contextlib
        import os

        from rsatoolbox.inference import eval_bootstrap_pattern
        from rsatoolbox.model import ModelFixed
        from rsatoolbox.rdm import RDMs

        np.random.seed(0)  # noqa: NPY002 - the peer draws from the global generator
        fixed = [ModelFixed(str(i), row) for i, row in enumerate(candidates)]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            found = eval_bootstrap_pattern(fixed, RDMs(data), method=theirs, N=few, boot_noise_ceil=ceiling)
        return np.concatenate([found.evaluations, found.noise_ceiling.T], axis=1) if ceiling else found.evaluations

    def difference(_: Any, other: Any) -> float:
        import torch

        from brainenc.rsa._samples import engine
        from brainenc.rsa.bootstrapping import Draws, resample_group

        np.random.seed(0)  # noqa: NPY002
        drawn = np.stack([np.bincount(np.random.randint(0, n, size=n), minlength=n) for _ in range(few)])  # noqa: NPY002
        device = torch.device("cpu")
        job = engine(method, data, candidates, keep=np.ones(data.shape[1], dtype=bool), device=device, copies=True)
        same = Draws(drawn.astype(float), None)
        mine = resample_group(job, same, (subjects, models, n), ceiling=ceiling, memory="256MB", device=device).draws
        return largest(mine if ceiling else mine[:, :models], other)

    return Case(ours, peer, difference, share=few / draws)


@case
def bootstrap_pearson(size: str) -> Case:
    """1000 bootstraps of 92 conditions, 20 subjects x 10 models, Pearson, with noise ceilings."""
    return _bootstrap(size, "pearson", "corr", ceiling=True)


@case
def bootstrap_whitened_cosine(size: str) -> Case:
    """The same with the whitened cosine, evaluations alone; the peer does a twentieth."""
    return _bootstrap(size, "whitened_cosine_similarity", "cosine_cov", ceiling=False, share=0.05)


@case
def bootstrap_whitened_cosine_ceilings(size: str) -> Case:
    """The same with noise ceilings; the peer does a hundredth."""
    return _bootstrap(size, "whitened_cosine_similarity", "cosine_cov", ceiling=True, share=0.01)


@case
def bootstrap_spearman(size: str) -> Case:
    """The same with Spearman, evaluations alone; the peer does a tenth."""
    return _bootstrap(size, "spearman", "spearman", ceiling=False, share=0.1)


@case
def bootstrap_spearman_ceilings(size: str) -> Case:
    """The same with noise ceilings; the peer does a tenth."""
    return _bootstrap(size, "spearman", "spearman", ceiling=True, share=0.1)


def _light(size: str, n: int, *, folds: int = 1) -> tuple[Any, Any, np.ndarray]:
    """Return a full box of voxels, responses of n conditions in each fold, and one model RDM."""
    import brainenc as be

    shape = at(size, (5, 5, 4), (10, 10, 10), (28, 28, 26))
    rng = np.random.default_rng(0)
    space = be.VolumeSpace.from_mask(np.ones(shape), np.diag([2.0, 2.0, 2.0, 1.0]))
    labels = np.tile([f"{i:03d}" for i in range(n)], folds)
    values = rng.standard_normal((n * folds, space.n_targets))
    brain = be.Responses(values, {"stimulus_id": labels, "run": np.repeat(np.arange(folds), n)}, space=space)
    return space, brain, rng.random((1, n * (n - 1) // 2))


def _light_case(size: str, n: int, *, scored: bool) -> Case:
    space, brain, values = _light(size, n)
    mask, data, labels = np.ones(space.shape, dtype=bool), np.asarray(brain.values), brain.samples["stimulus_id"].to_numpy(dtype=str)

    def ours() -> Any:
        import brainenc as be

        if not scored:
            return be.rsa.searchlight(brain, radius_mm=5.9, return_rdms=True).values
        return be.rsa.searchlight(brain, be.RDMs(values, {"stimulus_id": labels}), radius_mm=5.9).values[0, 0]

    def peer() -> Any:
        import contextlib
        import os

        from rsatoolbox.inference import eval_fixed
        from rsatoolbox.model import ModelFixed
        from rsatoolbox.util.searchlight import evaluate_models_searchlight, get_searchlight_RDMs, get_volume_searchlight

        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            centres, neighbours = get_volume_searchlight(mask, radius=2.95, threshold=1.0)
            rdms = get_searchlight_RDMs(data, centres, neighbours, labels, method="correlation")
            if not scored:
                return rdms.dissimilarities
            found = evaluate_models_searchlight(rdms, ModelFixed("model", values[0]), eval_fixed, method="spearman")
        return np.array([one.evaluations.mean() for one in found])

    return Case(ours, peer, largest, flops=2.0 * n * n * 93 * space.n_targets)


@case
def searchlight_rdms_20(size: str) -> Case:
    """Correlation RDMs of 20 conditions in spheres of up to 93 voxels about 20,384 centres."""
    return _light_case(size, 20, scored=False)


@case
def searchlight_rdms_92(size: str) -> Case:
    """The same of 92 conditions."""
    return _light_case(size, 92, scored=False)


@case
def searchlight_20(size: str) -> Case:
    """RDMs of 20 conditions about 20,384 centres and their Spearman correlation with a model."""
    return _light_case(size, 20, scored=True)


@case
def searchlight_92(size: str) -> Case:
    """The same of 92 conditions."""
    return _light_case(size, 92, scored=True)


@case
def searchlight_crossnobis(size: str) -> Case:
    """Crossnobis with local shrunken noise about 20,384 centres, 20 conditions x 8 runs (no peer has it)."""
    space, brain, values = _light(size, 20, folds=8)

    def ours() -> Any:
        import warnings

        import brainenc as be

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", be.BrainencWarning)  # the noise is of the same trials
            model = be.RDMs(values, {"stimulus_id": [f"{i:03d}" for i in range(20)]})
            return be.rsa.searchlight(brain, model, radius_mm=5.9, metric="crossnobis", noise="local").values

    return Case(ours, against="none", flops=(2.0 * 160 * 93 * 93 + 93**3 / 3 + 160 * 93 * 93) * space.n_targets)


@case
def searchlight_sensors(size: str) -> Case:
    """Searchlight over 64 sensors x 60 times, 40 items, Spearman with one model, beside mne-rsa."""
    import brainenc as be

    sensors, times, n = at(size, (5, 8, 6), (16, 20, 20), (64, 60, 40))
    rng = np.random.default_rng(0)
    points, values = rng.random((sensors, 3)) * 100, rng.standard_normal((n, sensors, times))
    labels = [f"{i:03d}" for i in range(n)]
    model = rng.random((1, n * (n - 1) // 2))
    space = be.SensorSpace({"channel": [f"c{i}" for i in range(sensors)], **dict(zip("xyz", points.T, strict=True))}, np.arange(times) / 100)
    brain = be.Responses(values.reshape(n, -1), {"stimulus_id": labels}, space=space)

    def ours() -> Any:
        scores = be.rsa.searchlight(brain, be.RDMs(model, {"stimulus_id": labels}), radius_mm=40.0, time_window=0.02)
        # the peer has no centres whose window runs over an edge
        return scores.values[0, 0].reshape(sensors, times)[:, 2:-2]

    def peer() -> Any:
        import mne_rsa
        from scipy.spatial.distance import cdist

        patches = mne_rsa.searchlight(values.shape, dist=cdist(points, points), spatial_radius=40.0, temporal_radius=2)
        return mne_rsa.rsa_array(values, model[0], patches, data_rdm_metric="correlation", rsa_metric="spearman")

    return Case(ours, peer, largest, against="mne-rsa")
