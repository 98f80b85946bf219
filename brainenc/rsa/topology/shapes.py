"""Four curves that share a geometry or a topology: what a transform is sensitive to."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]


def curve_points(n: int = 50) -> dict[tuple[str, str], Floats]:
    """Return four closed curves as points (n, 3), by geometry and topology.

    With t = 2πk / n: a flat figure eight (cos t, ½ sin 2t, 0) and a twisted one (½ cos t, ¼ sin 2t, cos 2t), both crossing themselves; and
    two loops of nearly the same geometry whose strands pass each other: z = ⅓ sin t, and z = cos 2t (1 + ⅓ sin t).

    References
    ----------
    After the example of Lin & Kriegeskorte (2024) doi:10.1073/pnas.2317881121; the equations are from their code.

    Examples
    --------
    >>> sorted(curve_points(8))
    [('flat', 'eight'), ('flat', 'loop'), ('twisted', 'eight'), ('twisted', 'loop')]
    """
    if n < 8:
        raise InputError("too few points for a curve", where="curves", expected="at least 8", got=n)
    t = 2 * np.pi * np.arange(n) / n
    x, y = np.cos(t), np.sin(2 * t) / 2
    return {
        ("flat", "eight"): np.stack([x, y, 0 * t], axis=1),
        ("twisted", "eight"): np.stack([x / 2, y / 2, np.cos(2 * t)], axis=1),
        ("flat", "loop"): np.stack([x, y, np.sin(t) / 3], axis=1),
        ("twisted", "loop"): np.stack([x / 2, y / 2, np.cos(2 * t) * (1 + np.sin(t) / 3)], axis=1),
    }


def curves(n: int = 50) -> RDMs:
    """Return the Euclidean RDMs of the four curves of `curve_points`, with the columns geometry and topology.

    Examples
    --------
    >>> curves()
    RDMs(4 × 50 conditions, euclidean)
    """
    rows, columns = np.triu_indices(n, 1)
    points = curve_points(n)
    values = np.stack([np.linalg.norm(one[rows] - one[columns], axis=1) for one in points.values()])
    table = {"geometry": [name for name, _ in points], "topology": [name for _, name in points]}
    return RDMs(values, {"stimulus_id": [f"point_{i:03d}" for i in range(n)]}, table, metric="euclidean")


def sensitivity_ratio(rdms: RDMs, *, same: str = "topology", other: str = "geometry") -> float:
    """Return how far apart RDMs of one topology are, relative to RDMs of one geometry.

    Mean Euclidean distance of RDMs that share ``same`` and differ in ``other``, over that of RDMs that share ``other`` and differ in
    ``same``. Below 1 the RDMs tell topologies apart better than geometries; NaN where those that share ``other`` are all alike.

    Parameters
    ----------
    rdms : RDMs
    same, other : str
        Columns of its table.

    Raises
    ------
    InputError
        Where one of the two kinds of pairs does not occur.

    Examples
    --------
    >>> from brainenc.rsa.topology import rgdm
    >>> sensitivity_ratio(rgdm(curves(), 0, 0.075)) < 1 < sensitivity_ratio(curves())
    True
    """
    first, second = (need_column(rdms.rdms, name, "RDMs.rdms").to_numpy() for name in (same, other))
    near: dict[str, list[float]] = {same: [], other: []}
    for i, j in combinations(range(rdms.n_rdms), 2):
        if (first[i] == first[j]) != (second[i] == second[j]):
            near[same if first[i] == first[j] else other].append(float(np.linalg.norm(rdms.values[i] - rdms.values[j])))
    if not near[same] or not near[other]:
        lacking = same if not near[same] else other
        raise InputError(f"no two RDMs share only their {lacking}", where="sensitivity_ratio", fix="give RDMs that cross the two columns")
    below = np.mean(near[other])
    return float(np.mean(near[same]) / below) if below > 0 else float("nan")
