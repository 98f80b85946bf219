from __future__ import annotations

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
