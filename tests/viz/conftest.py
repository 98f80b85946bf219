from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

LAYERS = [("gabor", "energy"), ("toy", "l1"), ("toy", "l2"), ("toy", "l3")]


@pytest.fixture
def make_scores(rng):
    """Return a maker of scores whose medians are known: layer i scores best in region i."""
    import brainenc as be

    def make(
        subjects=("01", "02"),
        regions=("V1", "V2", "V4"),
        *,
        ceiling=True,
        inner=True,
        n=9,
        spaces=None,
        layers=LAYERS,
        metrics=("pearson",),
        n_folds=2,
        **rest,
    ):
        per = [np.repeat(list(regions), n)] * len(subjects) if regions else [np.repeat(["x"], n)] * len(subjects)
        targets = pd.concat(
            [
                pd.DataFrame({"subject": s, "target_id": [f"{s}-{i}" for i in range(len(p))], "roi": p})
                for s, p in zip(subjects, per)
            ],
            ignore_index=True,
        )
        roi = targets["roi"].to_numpy()
        values, entries = [], []
        for i, (model, layer) in enumerate(layers):
            for metric in metrics:
                top = np.array([0.6 if regions and list(regions).index(r) == i else 0.1 + 0.01 * i for r in roi])
                values.append(np.broadcast_to(top + 0.001 * rng.standard_normal(len(top)), (n_folds, len(top))))
                entries.append({"model": model, "layer": layer, "metric": metric, "seed": 0})
        values = np.stack(values)
        if not regions:
            targets = targets.drop(columns="roi")
        where = spaces or {s: be.ArraySpace((len(p),)) for s, p in zip(subjects, per)}
        return be.Scores(
            values, pd.DataFrame(entries), targets, where, split="80/20 images", n_test=np.array(40), inner=values.copy() if inner else None,
            alpha=np.full(values.shape, 10.0), ceiling=be.NoiseCeiling(np.full(len(targets), 0.64), n_repeats=3) if ceiling else None,
            ceiling_status="variance ceiling of the mean of 3 repeats" if ceiling else "no repeats", **rest,
        )  # fmt: skip

    return make


def pixels(figure):
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=45)
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def texts(figure):
    from matplotlib.text import Text

    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def make_rdms(n=9, n_rdms=2, *, categories=("face", "house", "cat"), seed=0, **columns):
    import brainenc as be

    rng = np.random.default_rng(seed)
    conditions = pd.DataFrame({"stimulus_id": [f"s{i}" for i in range(n)]})
    if categories:
        conditions["category"] = [categories[i * len(categories) // n] for i in range(n)]
    table = columns or {"roi": [f"R{i}" for i in range(n_rdms)]}
    return be.RDMs(rng.random((n_rdms, n * (n - 1) // 2)), conditions, table, "correlation")


def make_evaluation(means, *, low=0.3, groups=None, se=0.02, n_subjects=8, names=None, kind="similarity", ceiling=True, p_max=None, layers=None):
    """means (n_groups, n_models) are met exactly; ``low`` is the lower ceiling of each group, the upper one lies 0.1 above."""
    from brainenc.nouns.evaluation import Evaluation

    means = np.atleast_2d(np.asarray(means, dtype=float))
    n_groups, n_models = means.shape
    noise = np.random.default_rng(0).standard_normal((n_groups, n_subjects, n_models)) * 0.05
    scores = means[:, None] + noise - noise.mean(axis=1, keepdims=True)
    models = pd.DataFrame({"model": names or [f"m{i}" for i in range(n_models)]})
    if layers is not None:
        models["layer"] = layers
    lows = np.broadcast_to(np.asarray(low, dtype=float), (n_groups,))
    return Evaluation(
        scores, models, groups if groups is not None else pd.DataFrame({"roi": [f"R{i}" for i in range(n_groups)]}),
        pd.DataFrame({"subject": [f"{i:02d}" for i in range(n_subjects)]}), "spearman", kind,
        ceiling=np.column_stack([lows, lows + 0.1]) if ceiling else None,
        covariance=np.broadcast_to(np.diag(np.full(n_models + 2, se**2)), (n_groups, n_models + 2, n_models + 2)).copy(),
        dof=n_subjects - 1.0, draws=np.zeros((99, n_groups, n_models)), n_conditions=12, resampled=("subjects", "conditions"), p_max=p_max,
    )  # fmt: skip


@pytest.fixture
def made():
    """Makers of RDMs and evaluations with known content, and what tests look at in a figure."""
    return SimpleNamespace(make_rdms=make_rdms, make_evaluation=make_evaluation, pixels=pixels, texts=texts)
