from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from brainenc.core.errors import InputError
from brainenc.viz.summaries import ALL, summarize


def test_medians_agree_with_the_table_of_scores(make_scores):
    scores = make_scores()
    table = summarize(scores)
    expected = scores.by("roi")
    for _, row in expected.iterrows():
        s, r = table.subjects.index(row["subject"]), table.regions.index(row["roi"])
        i = table.names.index(f"{row['model']}/{row['layer']}")
        assert table.score[s, i, r] == pytest.approx(row["score"], abs=1e-12)
        assert table.ceiling[s, r] == pytest.approx(row["ceiling"])
        assert table.normalized[s, i, r] == pytest.approx(row["normalized"], abs=1e-12)


def test_planted_best_layer_and_quartiles(make_scores):
    table = summarize(make_scores(layers=[("m", "a"), ("m", "b"), ("m", "c")]))
    assert table.best().tolist() == [[0, 1, 2]] * 2
    assert (table.chosen == table.best()).all()
    assert (table.low <= table.score).all() and (table.score <= table.high).all()


def test_choice_uses_inner_scores_only(make_scores):
    scores = make_scores(layers=[("m", "a"), ("m", "b"), ("m", "c")])
    inner = np.array(scores.inner)
    inner[2] = 0.9
    assert (summarize(replace(scores, inner=inner)).chosen == 2).all()
    assert (summarize(replace(scores, inner=None)).chosen == -1).all()


def test_nan_targets_are_counted_and_regions_fall_back_to_all(make_scores):
    scores = make_scores(regions=())
    values = np.array(scores.values)
    values[:, :, 0] = np.nan
    table = summarize(replace(scores, values=values))
    assert table.regions == [ALL]
    assert table.n_nan.tolist() == [[1], [0]]
    assert np.isfinite(table.score).all()


def test_seeds_are_averaged(make_scores):
    scores = make_scores(subjects=("01",), layers=[("m", "a"), ("m", "a")])
    scores = replace(
        scores,
        entries=scores.entries.assign(seed=[0, 1]),
        values=np.stack([np.full((2, 27), 0.2), np.full((2, 27), 0.4)]),
    )
    table = summarize(scores)
    assert table.names == ["m/a"]
    assert np.allclose(table.score, 0.3)


def test_unknown_metric_and_column_are_refused(make_scores):
    with pytest.raises(InputError, match="metric"):
        summarize(make_scores(), "r3")
    with pytest.raises(InputError, match="no column"):
        summarize(make_scores(), by="area")
