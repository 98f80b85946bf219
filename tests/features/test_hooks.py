from __future__ import annotations

import pytest
import torch
from torch import nn

from brainenc.core.errors import InputError, NotFoundError
from brainenc.features import hooks
from brainenc.features.pooling import Layer


def known(*names, passive=()):
    return {name: Layer(name, "vector", (3,), passive=name in passive) for name in names}


LAYERS = known("stem", "blocks.0", "blocks.1", "blocks.1.conv", "blocks.1.drop", "head.fc", passive=("blocks.1.drop",))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("stem", ["stem"]),
        ("blocks.*", ["blocks.0", "blocks.1"]),
        ("blocks.**", ["blocks.0", "blocks.1", "blocks.1.conv"]),
        ("*", ["stem"]),
        ("**", ["stem", "blocks.0", "blocks.1", "blocks.1.conv", "head.fc"]),
        ("all", ["stem", "blocks.0", "blocks.1", "blocks.1.conv", "head.fc"]),
        ("default", ["blocks.1", "head.fc"]),
        ("blocks.?", ["blocks.0", "blocks.1"]),
        ("head.fc, stem", ["stem", "head.fc"]),
        (["head.*", "stem"], ["stem", "head.fc"]),
        ("blocks.1.drop", ["blocks.1.drop"]),
        ("**.conv", ["blocks.1.conv"]),
    ],
)
def test_globs(pattern, expected):
    assert hooks.match(pattern, LAYERS, ["head.fc", "blocks.1"], model="m") == expected


def test_unknown_layer_names_the_nearest():
    with pytest.raises(NotFoundError, match=r"did you mean 'blocks.1'|Did you mean"):
        hooks.match("block.1", LAYERS, [], model="m")
    with pytest.raises(NotFoundError, match="nothing.\\*"):
        hooks.match(["stem", "nothing.*"], LAYERS, [], model="m")


@pytest.mark.parametrize("patterns", [["blocks.*", "blocks.1"], ["stem", "stem"]])
def test_a_layer_selected_twice_is_refused(patterns):
    with pytest.raises(InputError, match="selected twice"):
        hooks.match(patterns, LAYERS, [], model="m")


@pytest.mark.parametrize("patterns", ["", [], [""], [3]])
def test_layers_must_be_names(patterns):
    with pytest.raises(InputError, match="names or globs"):
        hooks.match(patterns, LAYERS, [], model="m")


class Net(nn.Module):
    """A network with an in-place activation, a module used twice, and a part that must not run."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.act = nn.ReLU(inplace=True)
        self.mix = nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(4, 2)
        self.ran = []

    def forward(self, x):
        x = self.act(self.conv(x))
        x = self.act(self.mix(x))
        self.ran.append("mix")
        x = self.last(x.mean((2, 3)))
        self.ran.append("last")
        return x


def probe(net, batch):
    return hooks.probe(net, net, batch, lambda name, x: hooks.describe_output(name, x, passive=False))


def test_hooks_copy_before_an_in_place_module_changes_the_output():
    torch.manual_seed(0)
    net, batch = Net().eval(), torch.randn(3, 3, 5, 5)
    found = probe(net, batch)
    taken = {}
    with torch.inference_mode():
        hooks.run(net, net, batch, ["conv"], found=found, take=lambda n, x: taken.setdefault(n, x.clone()))
        expected = torch.nn.functional.conv2d(batch, net.conv.weight, net.conv.bias)
    assert bool((expected < 0).any())
    torch.testing.assert_close(taken["conv"], expected)


def test_a_module_used_twice_gives_its_last_output_and_the_rest_is_not_run():
    net, batch = Net().eval(), torch.randn(3, 3, 5, 5)
    found = probe(net, batch)
    assert found.calls == {"conv": 1, "act": 2, "mix": 1, "last": 1}
    net.ran.clear()
    taken = {}
    with torch.inference_mode():
        out = hooks.run(net, net, batch, ["act"], found=found, take=lambda n, x: taken.setdefault(n, x.clone()))
        expected = net.mix(torch.relu(net.conv(batch))).relu()
    assert out is None
    assert net.ran == []
    torch.testing.assert_close(taken["act"], expected)


def test_hooks_are_removed_even_after_an_error():
    net, batch = Net().eval(), torch.randn(3, 3, 5, 5)
    found = probe(net, batch)

    def fail(name, x):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        hooks.run(net, net, batch, ["conv"], found=found, take=fail)
    assert not any(part._forward_hooks for part in net.modules())


@pytest.mark.parametrize(
    ("shape", "kind", "axis", "last"),
    [
        ((3, 8), "vector", 0, False),
        ((3, 17, 8), "tokens", 0, False),
        ((17, 3, 8), "tokens", 1, False),
        ((3, 16, 7, 7), "map", 0, False),
        ((3, 7, 7, 16), "map", 0, True),
    ],
)
def test_outputs_are_told_apart_by_shape(shape, kind, axis, last):
    layer = hooks.describe_output("x", torch.empty(shape), passive=False)
    assert (layer.kind, layer.batch_axis, layer.channels_last) == (kind, axis, last)


@pytest.mark.parametrize("shape", [(6, 8), (3,), (3, 1, 2, 2, 2), (12, 4, 4, 8)])
def test_outputs_that_are_no_layers_of_stimuli_are_left_out(shape):
    assert hooks.describe_output("x", torch.empty(shape), passive=False) is None


def test_first_tensor_looks_into_tuples_and_mappings():
    x = torch.ones(2)
    assert hooks.first_tensor((None, {"a": [x]})) is x
    assert hooks.first_tensor("text") is None
