"""The choices of a call that makes RDMs, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.registry import Registry

ESTIMATORS = Registry("brainenc.rsa.estimators", "metric of dissimilarity", group="brainenc.rsa.estimators")


@dataclass(frozen=True, slots=True, eq=False)
class How:
    """The choices of one call; ``estimator`` is the module of the metric."""

    metric: str
    estimator: Any
    squared: bool = True
    per_channel: bool = True
    nan: str = "raise"
    weighting: str = "trials"
    center: bool = True
    prior: tuple[float, float] = (1.0, 0.1)
    memory: str | int | float | None = None
    device: str = "auto"


def choices(metric: str, *, folds: Any, noise: Any, **rest: Any) -> How:
    """Check the choices of a call and return them with the module of the metric; what the metric would ignore is refused."""
    estimator = ESTIMATORS.get(metric)
    how = How(metric, estimator, **rest)
    where = f"metric {metric!r}"
    one_of(how.nan, ("raise", "omit", "propagate"), "nan")
    one_of(how.weighting, ("trials", "folds"), "weighting")
    if not how.squared and not estimator.SQUARED:
        raise InputError("there is no square to take the root of", where=where, got="squared=False", fix="leave squared as it is")
    if not how.per_channel and not estimator.PER_CHANNEL:
        raise InputError("values are no sums over channels", where=where, got="per_channel=False", fix="leave per_channel as it is")
    try:
        rate, weight = map(float, how.prior)
    except (TypeError, ValueError):
        raise InputError("the prior is a rate and a weight", where="prior", expected="two numbers, e.g. (1.0, 0.1)", got=repr(how.prior)) from None
    for name in ("squared", "per_channel", "center"):
        if not isinstance(getattr(how, name), bool | np.bool_):
            raise InputError(f"{name} is True or False", where=where, got=repr(getattr(how, name)))
    if estimator.NONNEGATIVE and not (rate > 0 and weight > 0):
        raise InputError("the prior needs a positive rate and weight: the log of a rate of 0 is infinite", where="prior", got=how.prior)
    if folds is not None and not estimator.CROSSVALIDATED:
        raise InputError("the metric is not cross-validated and would ignore the folds", where=where, fix='use "crossnobis"')
    if noise is not None and estimator.NOISE is None:
        raise InputError("the metric takes no noise model and would ignore it", where=where, fix='use "mahalanobis" or "crossnobis"')
    if noise is None and estimator.NOISE == "required":
        fix = 'noise="schaefer_strimmer" estimates it from repeats; see brainenc.rsa.noise_model'
        raise InputError("the metric needs a noise model", where=where, fix=fix)
    return how
