"""What a searchlight returns: scores with the way back to the brain, and RDMs where they were asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.scores import Scores
from brainenc.rsa._light_job import Job, Subject


def as_scores(job: Job) -> Scores:
    """Return the scores of all subjects, one after the other, NaN at targets that are no centres or got no score."""
    assert job.entries is not None
    subjects = job.subjects
    values = np.concatenate([job.values[one.name] for one in subjects], axis=1)
    n_conditions = subjects[0].part.n_conditions
    return Scores(
        values=values[:, None, :], entries=job.entries, targets=pd.concat([_targets(one) for one in subjects], ignore_index=True),
        spaces={one.name: one.responses.space for one in subjects}, split=_words(job), n_test=np.full((1, values.shape[1]), n_conditions),
        aggregate="folds", ceiling_status=_ceiling_words(job), provenance=_provenance(job),
    )  # fmt: skip


def as_rdms(job: Job) -> dict[str, RDMs]:
    """Return the RDMs of each subject, a row a centre."""
    facts = _provenance(job)
    out = {}
    for one in job.subjects:
        out[one.name] = job.keepers[one.name].finish(one.name, one.responses, one.areas.near, one.part.table, job.options.how.metric, facts)
    return out


def _targets(subject: Subject) -> pd.DataFrame:
    near = subject.areas.near
    sizes = np.zeros(subject.responses.n_targets, dtype=np.int64)
    sizes[near.centres] = near.sizes
    table = subject.responses.targets.drop(columns=["subject", "n_neighbours"], errors="ignore")
    return pd.concat([pd.DataFrame({"subject": [subject.name] * len(table)}), table.reset_index(drop=True).assign(n_neighbours=sizes)], axis=1)


def _words(job: Job) -> str:
    """Return the searchlight in words, for tables."""
    how, areas = job.options.how, [one.areas for one in job.subjects]
    scored, targets = sum(len(a.near) for a in areas), sum(a.near.n_targets for a in areas)
    folds = len(job.subjects[0].part.folds)
    across = f" across {folds} folds" if how.estimator.CROSSVALIDATED else ""
    reasons = {why: sum(a.skipped.get(why, 0) for a in areas) for why in dict.fromkeys(w for a in areas for w in a.skipped)}
    left = f"; left out: {', '.join(f'{n} {why}' for why, n in reasons.items())}" if reasons else ""
    what = f"{how.metric} RDMs of {job.subjects[0].part.n_conditions} conditions{across}"
    return f"searchlight {job.options.reach.describe()}, {what}, {scored} of {targets} centres{left}"


def _ceiling_words(job: Job) -> str:
    if job.options.ceiling:
        return f"group ceilings of {len(job.subjects)} subjects are the entries ceiling/lower and ceiling/upper (their means over subjects)"
    return "no ceiling was asked for: ceiling=True with several subjects on the same targets gives one at every centre"


def _provenance(job: Job) -> dict[str, Any]:
    options, how = job.options, job.options.how
    scorer = job.subjects[0].scorer
    return {
        "searchlight": options.reach.describe(), "metric": how.metric, "method": options.method, **(scorer.facts if scorer is not None else {}),
        "squared": how.squared, "per_channel": how.per_channel, "noise": _noise_words(options.noise), "n_conditions": job.subjects[0].part.n_conditions,
        "n_folds": len(job.subjects[0].part.folds), "nan": options.nan, "constant": options.constant, "min_targets": options.min_targets,
        "min_fraction": options.min_fraction, "n_scored": {one.name: len(one.areas.near) for one in job.subjects},
        "skipped": {one.name: one.areas.skipped for one in job.subjects}, "omitted_targets": {one.name: one.areas.omitted for one in job.subjects},
        "median_size": {one.name: float(np.median(one.areas.near.sizes)) for one in job.subjects},
        "responses": {one.name: dict(one.responses.provenance) for one in job.subjects},
    }  # fmt: skip


def _noise_words(noise: Any) -> str:
    if noise is None or isinstance(noise, str):
        return noise or "none"
    return examples([type(noise).__name__]).strip("'") if not hasattr(noise, "method") else repr(noise)
