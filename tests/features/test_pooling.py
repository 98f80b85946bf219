from __future__ import annotations

import numpy as np
import pytest
import torch

from brainenc.core.errors import InputError
from brainenc.features.pooling import Layer, parse, pool

MAP = Layer("conv", "map", (7, 8, 9))
LAST = Layer("conv", "map", (8, 9, 7), channels_last=True)
TOKENS = Layer("block", "tokens", (1 + 16, 5), n_prefix=1, has_cls=True)
REGISTERS = Layer("block", "tokens", (16, 5))
WORDS = Layer("block", "words", (6, 5), has_cls=True)
VECTOR = Layer("fc", "vector", (11,))


@pytest.fixture
def x(rng):
    return rng.standard_normal((3, 7, 8, 9)).astype(np.float32)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("gap", lambda x: x.mean((2, 3))),
        ("mean", lambda x: x.mean((2, 3))),
        ("max", lambda x: x.max((2, 3))),
        ("none", lambda x: x.reshape(3, -1)),
        ("grid2", lambda x: np.stack([x[:, :, i : i + 4, j].mean((2, 3)) for i in (0, 4) for j in (slice(0, 5), slice(4, 9))], 2).reshape(3, -1)),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_pool_as_numpy_does(x, how, expected, channels_last):
    layer, tensor = (LAST, torch.from_numpy(x.transpose(0, 2, 3, 1).copy())) if channels_last else (MAP, torch.from_numpy(x))
    got = pool(tensor, layer, how)
    np.testing.assert_allclose(got.numpy(), expected(x), rtol=1e-5, atol=1e-6)
    assert layer.width(how) == got.shape[1]


def test_tokens_leave_the_class_token_out_of_the_mean(rng):
    x = rng.standard_normal((3, 17, 5)).astype(np.float32)
    tensor = torch.from_numpy(x)
    np.testing.assert_allclose(pool(tensor, TOKENS, "gap").numpy(), x[:, 1:].mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(pool(tensor, TOKENS, "cls").numpy(), x[:, 0])
    np.testing.assert_array_equal(pool(tensor, TOKENS, "max").numpy(), x[:, 1:].max(1))
    np.testing.assert_array_equal(pool(tensor, TOKENS, "none").numpy(), x.reshape(3, -1))
    cells = x[:, 1:].reshape(3, 2, 2, 2, 2, 5).mean((2, 4)).reshape(3, 4, 5).transpose(0, 2, 1).reshape(3, -1)
    np.testing.assert_allclose(pool(tensor, TOKENS, "grid2").numpy(), cells, rtol=1e-5, atol=1e-6)


def test_words_pool_over_their_own_tokens_only(rng):
    x = rng.standard_normal((2, 6, 5)).astype(np.float32)
    mask = np.array([[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], dtype=bool)
    take = {how: pool(torch.from_numpy(x), WORDS, how, torch.from_numpy(mask)).numpy() for how in ("mean", "gap", "max", "last", "first", "cls")}
    for row in range(2):
        own = x[row, mask[row]]
        np.testing.assert_allclose(take["mean"][row], own.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(take["gap"][row], take["mean"][row])
        np.testing.assert_array_equal(take["max"][row], own.max(0))
        np.testing.assert_array_equal(take["last"][row], own[-1])
        np.testing.assert_array_equal(take["first"][row], own[0])
        np.testing.assert_array_equal(take["cls"][row], x[row, 0])


@pytest.mark.parametrize("how", ["none", "gap", "max", "cls", "mean", "grid3", "last"])
def test_vectors_stay_as_they_are(how):
    x = torch.arange(22.0).reshape(2, 11)
    assert torch.equal(pool(x, VECTOR, how), x)


@pytest.mark.parametrize("layer", [MAP, LAST, TOKENS, WORDS, VECTOR])
@pytest.mark.parametrize("how", ["none", "gap", "max", "cls", "grid2", "last"])
def test_results_never_share_memory_with_activations(layer, how):
    x = torch.ones((2, *layer.shape))
    try:
        got = pool(x, layer, how)
    except InputError:
        return
    x.zero_()
    assert bool((got == 1).all())


@pytest.mark.parametrize(
    ("layer", "how", "says"),
    [
        (MAP, "cls", "is a map"),
        (MAP, "last", "for texts"),
        (MAP, "grid9", "only 8 × 9"),
        (REGISTERS, "cls", "no class token"),
        (WORDS, "none", "unequal"),
        (WORDS, "grid2", "unequal"),
        (Layer("b", "tokens", (18, 5), n_prefix=1), "grid2", "17 patch tokens form no square"),
    ],
)
def test_a_pooling_that_does_not_fit_is_refused(layer, how, says):
    with pytest.raises(InputError, match=says):
        layer.width(how)


@pytest.mark.parametrize("how", ["average", "grid0", "grid", "grid-1", "", None, 4])
def test_unknown_poolings_are_refused(how):
    with pytest.raises(InputError, match="unknown pooling"):
        parse(how)


def test_half_precision_is_averaged_in_float32():
    x = torch.full((1, 1, 100, 100), 60000.0, dtype=torch.float16)
    got = pool(x, Layer("c", "map", (1, 100, 100)), "gap")
    assert got.dtype == torch.float32
    assert float(got) == pytest.approx(60000, rel=1e-3)
