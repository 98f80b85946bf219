"""Identification against loops that build every centroid; nested choice, resampled groups and conditions, permutations."""

import numpy as np
import pytest
from scipy.spatial.distance import squareform

import brainenc as be
from brainenc.metrics.resample import bootstrap_weights, permutations
from brainenc.rsa.topology import category, identify, make_grid, rgdm, rgtm, sweep

GRID = {"l": [0.0, 0.3, 0.5], "u": [0.3, 0.5, 0.9, 1.0]}


def _rdms(n_subjects=5, rois=("V1", "V4", "IT"), n=9, noise=0.6, seed=0, drop=()):
    rng = np.random.default_rng(seed)
    base = rng.random((len(rois), n * (n - 1) // 2))
    rows, values = [], []
    for subject in range(n_subjects):
        for code, roi in enumerate(rois):
            if (subject, roi) not in drop:
                rows.append({"subject": f"s{subject}", "roi": roi})
                values.append(base[code] + noise * rng.random(base.shape[1]))
    order = rng.permutation(len(rows))
    table = {name: [rows[i][name] for i in order] for name in ("subject", "roi")}
    return be.RDMs(np.array(values)[order], {"stimulus_id": [f"c{i}" for i in range(n)]}, table)


def _predict(values, roi, subject, held, without=(), times=None, pairs=1.0):
    """Return for each row of the held-out subject the predicted roi; a copy of a row for every time its subject comes."""
    times = {s: 1 for s in set(subject)} if times is None else times
    names = sorted(set(roi))
    rows = [r for r in range(len(values)) if subject[r] == held]
    out = {}
    for r in rows:
        distance = {}
        for name in names:
            train = [values[k] for k in range(len(values)) if roi[k] == name and subject[k] not in (held, *without) for _ in range(times[subject[k]])]
            if train:
                distance[name] = float((pairs * (values[r] - np.mean(train, axis=0)) ** 2).sum())
        out[r] = min(distance, key=distance.get) if distance else None
    return out


def _accuracy(values, roi, subject, without=(), times=None, pairs=1.0):
    right = total = 0
    for held in sorted(set(subject)):
        if held in without:
            continue
        weight = 1 if times is None else times[held]
        for r, name in _predict(values, roi, subject, held, without, times, pairs).items():
            right, total = right + weight * (name == roi[r]), total + weight
    return right / total


def _columns(rdms):
    return list(rdms.rdms["roi"]), list(rdms.rdms["subject"])


@pytest.mark.parametrize("transform", ["rgtm", "rgdm"])
def test_accuracies_and_confusions_are_those_of_loops(transform):
    rdms = _rdms(drop={(1, "V4")})
    roi, subject = _columns(rdms)
    # at l = u geodesics are 0 within a component, so that all RDMs can be alike and ties are shared: not what the loops do
    grid = GRID if transform == "rgtm" else {"l": [0.0, 0.2], "u": [0.3, 0.6]}
    found = identify(rdms, **grid, transform=transform, n_bootstrap=0)
    assert list(found.entries["transform"][:2]) == ["raw", "rank"]
    ranks = rgtm(rdms, 0, 1).values
    np.testing.assert_allclose(found.accuracy[:2], [_accuracy(v, roi, subject) for v in (rdms.values, ranks)], atol=1e-12)
    change = rgtm if transform == "rgtm" else rgdm
    for position, row in found.entries.iloc[2:].iterrows():
        values = change(rdms, row["l"], row["u"]).values
        assert found.accuracy[position] == pytest.approx(_accuracy(values, roi, subject), abs=1e-12)
        given = np.zeros((3, 3))
        for held in set(subject):
            for r, name in _predict(values, roi, subject, held).items():
                given[found.items.index(roi[r]), found.items.index(name)] += 1
        np.testing.assert_allclose(found.confusion[position], given, atol=1e-9)


def test_the_nested_choice_does_not_see_the_held_out_subject():
    rdms = _rdms(noise=1.4, seed=4)
    roi, subject = _columns(rdms)
    found = identify(rdms, **GRID, n_bootstrap=0)
    frame = make_grid(**GRID).frame()
    values = [rgtm(rdms, row.l, row.u).values for row in frame.itertuples()]
    right = 0
    for chosen in found.chosen.itertuples():
        inner = [_accuracy(v, roi, subject, without=(chosen.subject,)) for v in values]
        assert chosen.inner == pytest.approx(max(inner), abs=1e-6)
        cell = int(np.flatnonzero((frame["l"] == chosen.l) & (frame["u"] == chosen.u))[0])
        assert inner[cell] == pytest.approx(max(inner), abs=1e-12), "the chosen cell is one of the best inside"
        hits = [name == roi[r] for r, name in _predict(values[cell], roi, subject, chosen.subject).items()]
        assert chosen.accuracy == pytest.approx(np.mean(hits))
        right += sum(hits)
    assert found.nested == pytest.approx(right / len(roi))
    # the held-out rows themselves have no say: replace them by noise and the choice for them stays
    values_changed = rdms.values.copy()
    mine = np.array(subject) == "s2"
    values_changed[mine] = np.random.default_rng(9).random((mine.sum(), values_changed.shape[1]))
    again = identify(be.RDMs(values_changed, rdms.conditions, rdms.rdms), **GRID, n_bootstrap=0).chosen
    pair = [table[table["subject"] == "s2"][["l", "u", "inner"]].to_numpy() for table in (found.chosen, again)]
    np.testing.assert_array_equal(*pair)


def test_draws_resample_subjects_whole():
    rdms = _rdms(noise=1.2, seed=2, drop={(0, "IT")})
    roi, subject = _columns(rdms)
    found = identify(rdms, **GRID, n_bootstrap=12, nested=False, seed=3)
    weights = bootstrap_weights(5, 12, 3, "identify", "groups")
    for draw, weight in zip(found.draws, weights, strict=True):
        times = {name: int(w) for name, w in zip(found.groups, weight, strict=True)}
        for position in (0, 4):
            row = found.entries.iloc[position]
            values = rdms.values if position == 0 else rgtm(rdms, row["l"], row["u"]).values
            assert draw[position] == pytest.approx(_accuracy(values, roi, subject, times=times), abs=1e-12)


def test_the_nested_choice_is_repeated_in_every_draw():
    rdms = _rdms(noise=1.4, seed=6)
    roi, subject = _columns(rdms)
    found = identify(rdms, **GRID, n_bootstrap=3, seed=1)
    values = [rgtm(rdms, row.l, row.u).values for row in make_grid(**GRID).frame().itertuples()]
    for nested, weight in zip(found.nested_draws, bootstrap_weights(5, 3, 1, "identify", "groups"), strict=True):
        times = {name: int(w) for name, w in zip(found.groups, weight, strict=True)}
        low = high = 0.0  # equal inner accuracies may be ordered either way
        for held in found.groups:
            if not times[held]:
                continue
            inner = np.array([_accuracy(v, roi, subject, without=(held,), times=times) for v in values])
            best = [np.mean([n == roi[r] for r, n in _predict(values[i], roi, subject, held, times=times).items()]) for i in np.flatnonzero(inner > inner.max() - 1e-9)]
            low, high = low + times[held] * min(best) / 5, high + times[held] * max(best) / 5
        assert low - 1e-9 <= nested <= high + 1e-9


def test_resampled_conditions_drop_pairs_with_their_own_copy():
    rdms = _rdms(noise=1.2, seed=2)
    roi, subject = _columns(rdms)
    found = identify(rdms, **GRID, n_bootstrap=4, stimuli=True, nested=False, seed=3)
    assert found.resampled == ("subject", "conditions")
    groups, conditions = (bootstrap_weights(n, 4, 3, "identify", what) for n, what in ((5, "groups"), (9, "conditions")))
    values = rgtm(rdms, found.entries["l"][3], found.entries["u"][3]).values
    for draw in range(4):
        drawn = np.repeat(np.arange(9), conditions[draw].astype(int))
        first, second = np.triu_indices(9, 1)
        kept = [(a, b) for a, b in zip(drawn[first], drawn[second], strict=True) if a != b]
        expanded = np.array([[squareform(row)[a, b] for a, b in kept] for row in values])
        times = {name: int(w) for name, w in zip(found.groups, groups[draw], strict=True)}
        assert found.draws[draw, 3] == pytest.approx(_accuracy(expanded, roi, subject, times=times), abs=1e-12)


def test_draws_with_nobody_to_learn_from_are_counted_out():
    found = identify(_rdms(3), **GRID, n_bootstrap=200, seed=0)
    different = (bootstrap_weights(3, 200, 0, "identify", "groups") > 0).sum(axis=1)
    np.testing.assert_array_equal(np.isnan(found.draws[:, 0]), different < 2)
    np.testing.assert_array_equal(np.isnan(found.nested_draws), different < 3)
    table = found.summary().set_index("measure")
    assert table.loc["raw", "n_draws"] == (different > 1).sum() and table.loc["nested", "n_draws"] == (different > 2).sum() and table.loc["best", "n_draws"] == 0


def test_equally_near_centroids_share_the_row():
    values = np.tile(np.arange(1.0, 7.0), (6, 1))  # all RDMs alike
    rdms = be.RDMs(values, {"stimulus_id": list("abcd")}, {"roi": ["A", "B", "C"] * 2, "subject": ["x"] * 3 + ["y"] * 3})
    found = identify(rdms, l=[0.0], u=[0.5], nested=False, n_bootstrap=0)
    np.testing.assert_allclose(found.accuracy, 1 / 3)
    np.testing.assert_allclose(found.confusion, 2 / 3)
    np.testing.assert_array_equal(found.discriminability, 0.0)


def test_maps_over_the_triangle():
    rdms = _rdms(noise=0.9, seed=1)
    found = identify(rdms, **GRID, n_bootstrap=0, nested=False)
    accuracy = found.triangle()
    assert accuracy.shape == (3, 4) and np.isnan(accuracy[2, 0]) and np.isnan(accuracy).sum() == 12 - len(found.grid)
    assert accuracy[1, 2] == found.accuracy[2:][found.grid.row.tolist().index(1) + found.grid.column[found.grid.row == 1].tolist().index(2)]
    np.testing.assert_allclose(found.triangle("sensitivity"), accuracy)  # as many rows of each item
    first = found.confusion[2]
    assert found.triangle("sensitivity", "IT").ravel()[0] == pytest.approx(first[found.items.index("IT"), found.items.index("IT")] / 5)
    wrong = first[:, found.items.index("IT")].sum() - first[found.items.index("IT"), found.items.index("IT")]
    assert found.triangle("specificity", "IT").ravel()[0] == pytest.approx(1 - wrong / 10)
    # discriminability by a loop
    values, (roi, subject) = rgtm(rdms, 0.0, 0.3).values, _columns(rdms)
    pairs = [(i, j) for i in range(15) for j in range(15) if subject[i] != subject[j] and roi[i] == "V4"]
    within = np.mean([np.linalg.norm(values[i] - values[j]) for i, j in pairs if roi[j] == "V4"])
    between = np.mean([np.linalg.norm(values[i] - values[j]) for i, j in pairs if roi[j] != "V4"])
    assert found.triangle("discriminability", "V4")[0, 0] == pytest.approx((between - within) / (between + within))
    for wrong in ({"quantity": "speed"}, {"item": "V9"}):
        with pytest.raises(be.BrainencError):
            found.triangle(**wrong)


def test_permuted_items_are_at_chance_and_planted_ones_are_found():
    planted = identify(_rdms(noise=0.5), **GRID, n_bootstrap=200, n_permutations=99, seed=0)
    table = planted.summary().set_index("measure")
    assert planted.null.mean() == pytest.approx(1 / 3, abs=0.05)
    assert table.loc["nested", "accuracy"] == 1 and table.loc["nested", "p"] == 0.01 and table.loc["best", "p"] == 0.01
    assert list(table.index) == ["raw", "rank", "topology", "geometry", "local", "intermediate", "nested", "best"] or "global" in table.index
    frame = planted.to_frame()
    assert len(frame) == 2 + len(planted.grid) and (frame["p_max"] >= frame["p"]).all() and (frame["ci_low"] <= frame["ci_high"]).all()
    noise = identify(be.RDMs(np.random.default_rng(0).random((15, 36)), _rdms().conditions, _rdms().rdms), **GRID, n_bootstrap=0, n_permutations=99)
    assert noise.summary().set_index("measure").loc["best", "p"] > 0.05


def test_permuted_accuracies_are_those_of_relabelled_rdms():
    rdms = _rdms(noise=1.3, seed=5, drop={(2, "V4")})
    roi, subject = (np.array(column) for column in _columns(rdms))
    found = identify(rdms, **GRID, n_bootstrap=0, n_permutations=4, seed=6)
    for draw in range(4):
        labels = roi.copy()
        for name in found.groups:
            rows = np.flatnonzero(subject == name)
            labels[rows] = roi[rows[list(permutations(len(rows), 4, 6, "identify", name))[draw]]]
        again = identify(be.RDMs(rdms.values, rdms.conditions, {"roi": labels, "subject": subject}), **GRID, n_bootstrap=0)
        np.testing.assert_allclose(found.null[draw], again.accuracy, atol=1e-12)
        assert found.nested_null[draw] == pytest.approx(again.nested)


def test_differences_are_paired_over_draws():
    found = identify(_rdms(noise=1.5, seed=8), **GRID, n_bootstrap=100, seed=2)
    table = found.differences()
    row = table[(table["first"] == "raw") & (table["second"] == "nested")].iloc[0]
    gap = found.draws[:, 0] - found.nested_draws
    gap = gap[np.isfinite(gap)]
    assert row["difference"] == pytest.approx(found.accuracy[0] - found.nested)
    np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), np.percentile(gap, (2.5, 97.5)))
    assert row["p"] == pytest.approx(min(1, 2 * min(1 + (gap <= 1e-12).sum(), 1 + (gap >= -1e-12).sum()) / 101))
    with pytest.raises(be.BrainencError, match="bootstrap draws"):
        identify(_rdms(), **GRID, n_bootstrap=0).differences()


def test_one_seed_one_result_and_blocks_change_nothing():
    whole = identify(_rdms(noise=1.3), **GRID, n_bootstrap=20, n_permutations=5, seed=7)
    cut = identify(_rdms(noise=1.3), **GRID, n_bootstrap=20, n_permutations=5, seed=7, memory="4kB")
    for name in ("accuracy", "draws", "nested_draws", "null", "nested_null", "confusion", "discriminability"):
        np.testing.assert_allclose(getattr(whole, name), getattr(cut, name), atol=1e-10)
    assert not np.array_equal(whole.draws, identify(_rdms(noise=1.3), **GRID, n_bootstrap=20, seed=8).draws)


def test_designs_that_cannot_be_evaluated_are_refused():
    with pytest.raises(be.BrainencError, match="too few of subject"):
        identify(_rdms(2), **GRID)
    assert identify(_rdms(2), **GRID, nested=False, n_bootstrap=0).accuracy.shape == (2 + len(make_grid(**GRID)),)
    with pytest.raises(be.BrainencError, match="nothing to tell apart"):
        identify(_rdms(rois=("V1",)), **GRID)
    with pytest.raises(be.BrainencError, match="in one subject only"):
        identify(_rdms(drop={(s, "IT") for s in range(1, 5)}), **GRID)
    with pytest.raises(be.BrainencError, match="no column 'layer'"):
        identify(_rdms(), item="layer", **GRID)


def test_cells_of_the_grid():
    frame = make_grid().frame()
    assert len(frame) == 229 and not ((frame["l"] + frame["u"]) == 0).any() and not ((frame["l"] + frame["u"]) == 2).any()
    assert [category(*lu) for lu in [(0, 0.4), (0.6, 1), (0.1, 0.9), (0.4, 0.6), (0.2, 0.6)]] == ["local", "global", "geometry", "topology", "intermediate"]
    for low, high in ([[0.5], [0.2]], [[-0.1], [0.2]], [[1.0], [1.0]], [[np.nan], [1.0]]):
        with pytest.raises(be.BrainencError):
            make_grid(low, high)


def test_thresholds_are_the_decimals_that_were_meant():
    assert make_grid(np.linspace(0, 1, 11), np.arange(0, 1.05, 0.1)).frame().query("l == 0.3 and u == 0.7")["category"].tolist() == ["intermediate"]


@pytest.mark.parametrize("transform", ["rgtm", "rgdm"])
def test_a_sweep_is_the_transform_of_every_cell(transform):
    rdms = _rdms()
    swept = sweep(rdms, **GRID, transform=transform, memory="2kB")
    change = rgtm if transform == "rgtm" else rgdm
    gram, distances = swept.gram(), swept.distances()
    for cell, (low, high, values) in enumerate(swept):
        expected = change(rdms, low, high).values
        np.testing.assert_allclose(values, expected, atol=1e-12)
        np.testing.assert_allclose(swept.at(low, high).values, expected, atol=1e-12)
        centred = expected - expected.mean(axis=0)
        np.testing.assert_allclose(gram[cell], centred @ centred.T, atol=1e-9)
        np.testing.assert_allclose(distances[cell], np.linalg.norm(expected[:, None] - expected[None], axis=-1), atol=1e-6)
    with pytest.raises(be.BrainencError, match="not a cell"):
        swept.at(0.1, 0.2)
    with pytest.raises(be.BrainencError, match="not RDMs"):
        sweep(rdms.values)


@pytest.mark.slow
def test_p_is_uniform_without_regions():
    """Nested choice, category means and the best of all cells, against items permuted within subjects."""
    out = []
    for i in range(300):
        rdms = _rdms(4)
        noise = be.RDMs(np.random.default_rng([1, i]).random(rdms.values.shape), rdms.conditions, rdms.rdms)
        table = identify(noise, **GRID, n_bootstrap=0, n_permutations=39, seed=i).summary().set_index("measure")
        out.append(table.loc[["raw", "geometry", "nested", "best"], "p"])
    p = np.array(out)
    # accuracies are coarse and ties count against, so p may be too large but never too small
    for level in (0.05, 0.1, 0.25, 0.5):
        assert ((p <= level).mean(axis=0) < level + 3 * np.sqrt(level * (1 - level) / 300)).all()
    assert ((p <= 0.25).mean(axis=0) > 0.08).all()
