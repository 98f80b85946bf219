"""Every registered similarity measure keeps what it states: kind, identity, symmetry, invariances (and no others)."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import brainenc as be

similarity = be.rsa.similarity
TRANSFORMS = ("translation", "scale", "rotation", "linear")
N = 31


def kind_of(name):
    from brainenc.rsa.similarity.pairing import measure_of

    return measure_of(name, {})


@pytest.fixture
def pair(rng):
    x = rng.standard_normal((N, 7)) * np.linspace(1, 3, 7) + 0.3
    return x, x @ rng.standard_normal((7, 8)) + 2 * rng.standard_normal((N, 8))


def transformed(x, how, rng):
    p = x.shape[1]
    if how == "translation":
        return x + 5 * rng.standard_normal(p)
    if how == "scale":
        return 0.01 * x
    if how == "rotation":
        return x @ np.linalg.qr(rng.standard_normal((p, p)))[0]
    return x @ (rng.standard_normal((p, p)) + 2 * np.eye(p))


@pytest.mark.parametrize("name", similarity.names())
class TestEveryMeasure:
    def test_the_name_says_what_it_is(self, name):
        kind = kind_of(name)
        assert kind.KIND in ("similarity", "distance")
        assert (kind.KIND == "distance") == name.endswith("_distance")
        assert callable(getattr(similarity, name)), "the public function bears the name of its file"
        assert set(kind.INVARIANT) == {"x", "y"} and set(kind.INVARIANT["x"]) | set(kind.INVARIANT["y"]) <= set(TRANSFORMS)

    def test_the_public_function_has_the_options_of_the_file(self, name):
        public, own = inspect.signature(getattr(similarity, name)).parameters, inspect.signature(kind_of(name).prepare).parameters
        for option, parameter in own.items():
            if option not in ("x", "memory", "device"):
                assert public[option].default == parameter.default

    def test_identity(self, name, pair):
        x, _ = pair
        assert getattr(similarity, name)(x, x.copy()) == pytest.approx(kind_of(name).IDENTITY, abs=1e-10)

    def test_better_than_another(self, name, pair, rng):
        x, y = pair
        sign = 1 if kind_of(name).KIND == "similarity" else -1
        measure = getattr(similarity, name)
        assert sign * measure(x, x + 0.01 * y[:, :7]) > sign * measure(x, rng.permutation(y))

    def test_symmetry(self, name, pair):
        x, y = pair
        forth, back = getattr(similarity, name)(x, y), getattr(similarity, name)(y, x)
        assert (abs(forth - back) < 1e-10) == kind_of(name).SYMMETRIC

    @pytest.mark.parametrize("side", ["x", "y"])
    @pytest.mark.parametrize("how", TRANSFORMS)
    def test_invariances_are_those_stated(self, name, pair, rng, how, side):
        x, y = pair
        before = getattr(similarity, name)(x, y)
        after = getattr(similarity, name)(*((transformed(x, how, rng), y) if side == "x" else (x, transformed(y, how, rng))))
        assert (abs(after - before) < 1e-8) == (how in kind_of(name).INVARIANT[side])

    def test_stimuli_can_stand_in_any_order(self, name, pair, rng):
        x, y = pair
        order = rng.permutation(N)
        assert getattr(similarity, name)(x[order], y[order]) == pytest.approx(getattr(similarity, name)(x, y), abs=1e-10)

    def test_states_can_be_reordered(self, name, pair, rng):
        from brainenc.linalg.device import resolve_device

        x, y = pair
        kind = kind_of(name)
        a, b = (kind.prepare(side, memory=2**30, device=resolve_device("cpu")) for side in (x, y))
        orders = np.stack([rng.permutation(N) for _ in range(5)])
        expected = [getattr(similarity, name)(x, y[order]) for order in orders]
        np.testing.assert_allclose([kind.between(a, kind.reorder(b, order)) for order in orders], expected, atol=1e-10)
        if hasattr(kind, "nulls"):
            again = [getattr(similarity, name)(y, y[order]) for order in orders]
            np.testing.assert_allclose(kind.nulls([a, b], b, orders), np.column_stack([expected, again]), atol=1e-10)

    def test_inputs_are_left_alone(self, name, pair):
        x, y = pair
        before = x.copy(), y.copy()
        x.flags.writeable = y.flags.writeable = False
        getattr(similarity, name)(x, y)
        np.testing.assert_array_equal(x, before[0])
        np.testing.assert_array_equal(y, before[1])

    def test_float32_and_float64_agree(self, name, pair):
        x, y = (side.astype(np.float32) for side in pair)
        wide = getattr(similarity, name)(x.astype(float), y.astype(float))
        assert getattr(similarity, name)(x, y) == pytest.approx(wide, abs=1e-12)

    def test_unknown_options_are_refused(self, name, pair):
        with pytest.raises(be.BrainencError, match="no option 'nonsense'"):
            similarity.matrix(*pair, metric=name, nonsense=1)

    def test_nan_is_refused_and_counted(self, name, pair):
        x, y = pair
        y[3, 2] = np.nan
        with pytest.raises(be.BrainencError, match="1 of 31 rows"):
            getattr(similarity, name)(x, y)


def test_names_are_files_and_public():
    assert {"cka", "cca", "svcca", "pwcca", "procrustes_distance", "shape_distance", "mutual_knn", "cknna", "ssm"} <= set(similarity.names())
    assert set(similarity.names()) <= set(similarity.__all__)
    assert all(hasattr(similarity, name) for name in similarity.__all__)


def test_an_unknown_measure_raises_with_the_nearest(pair):
    with pytest.raises(be.BrainencError, match="cka"):
        similarity.matrix(*pair, metric="ckaa")
