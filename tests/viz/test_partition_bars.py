"""Bars of a variance partition show its numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import VariancePartition
from brainenc.encoding._partition import commonality_matrix


def partition(product: bool) -> VariancePartition:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.2, 1, size=(4, 30, 5)).astype(np.float32)
    errors[0] += 1
    r2 = 1 - errors[1:].sum(1, dtype=float) / errors[0].sum(0, dtype=float)
    terms = rng.normal(size=(2, 30, 5)).astype(np.float32) if product else None
    targets = pd.DataFrame({"target_id": list("abcde"), "roi": ["V1", "V1", "V2", "V2", "V3"]})
    rows = pd.DataFrame({"fold": 0, "unit": np.arange(30)})
    shares = None if terms is None else terms.sum(1) / errors[0].sum(0)
    return VariancePartition(("edges", "words"), (("edges",), ("words",), ("edges", "words")), r2, shares, targets, errors, terms, rows, 50, 0, "Ridge", "s")


def test_bars_are_as_long_as_the_parts() -> None:
    one = partition(product=True)
    fig = be.plot(one)
    panels = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in panels] == ["V1  (2)", "V2  (2)", "V3  (1)"]
    widths = [patch.get_width() for patch in panels[1].patches]
    np.testing.assert_allclose(widths, (commonality_matrix(2) @ one.r2)[:, 2:4].mean(1))
    assert [text.get_text() for text in panels[0].get_yticklabels()] == ["edges", "words", "edges & words"]
    assert len(be.plot(one, quantity="product").axes[0].patches) == 2
    assert len(be.plot(one, by="target_id", quantity="shapley").axes) == 8


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(InputError, match="no product measure"):
        be.plot(partition(product=False), quantity="product")
    with pytest.raises(InputError, match="quantity"):
        be.plot(partition(product=False), quantity="shares")
