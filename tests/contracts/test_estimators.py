"""scikit-learn's contract for every estimator of the package: all checks, none expected to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from brainenc.encoding import BandedRidge, ReceptiveField, Ridge, Stacking


class MultiTarget(Ridge):
    """The same estimator, declared to take matrices only, so that every check passes a two-dimensional y."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        return tags


CONFIGURATIONS = [
    Ridge(),
    Ridge(cv="loo"),
    Ridge(cv="gcv", solver="primal"),
    Ridge((0.1, 1, 10), solver="kernel", fit_intercept=False),
    Ridge(1.0, cv=None, memory="1GB"),
    Ridge(cv=3, search="hybrid", conservative=True),
    MultiTarget(),
    MultiTarget(cv="loo", solver="kernel"),
    BandedRidge(),
    Stacking(),
    BandedRidge(cv="loo", search="random", n_iter=5, full=True),
    BandedRidge(alphas=(1.0, 10.0), solver="kernel", fit_intercept=False),
    ReceptiveField(),
    ReceptiveField(alphas=(0.1, 1.0, 10.0), cv=3, solver="cholesky", fit_intercept=False),
]


def _checks() -> list[Any]:
    return [
        pytest.param(estimator, check, id=f"{estimator!r}-{getattr(check, 'func', check).__name__}")
        for configured in CONFIGURATIONS
        for estimator, check in estimator_checks_generator(configured)
        # array-API input is declared unsupported, and the check skips itself for everybody but scikit-learn's own CI
        if getattr(check, "func", check).__name__ != "check_array_api_input"
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), _checks())
def test_scikit_learn_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


def test_it_works_inside_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 9))
    Y = X @ rng.normal(size=(9, 7)) + rng.normal(size=(80, 7))
    scores = cross_val_score(make_pipeline(StandardScaler(), Ridge(cv="loo")), X, Y, cv=4)
    assert scores.shape == (4,) and scores.min() > 0.5
    search = GridSearchCV(Ridge(), {"fit_intercept": [True, False], "solver": ["primal", "kernel"]}, cv=3).fit(X, Y + 20)
    assert search.best_params_["fit_intercept"] is True


def test_parameters_are_knobs_not_dicts() -> None:
    parameters = clone(Ridge(alphas=(1, 2), cv="loo")).get_params()
    assert parameters == {
        "alphas": (1, 2), "cv": "loo", "search": "full", "conservative": False, "fit_intercept": True, "solver": "auto", "memory": None, "device": "auto",
    }  # fmt: skip
