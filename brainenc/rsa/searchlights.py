"""A searchlight: the RDM of the targets around each centre, scored against models while it streams by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.io.store import Store
from brainenc.linalg.device import resolve_device
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.responses import Responses
from brainenc.nouns.scores import Scores
from brainenc.rsa._choices import choices
from brainenc.rsa._light_areas import Reach
from brainenc.rsa._light_job import Job, Options, run_job, subjects_of
from brainenc.rsa._light_result import as_rdms, as_scores
from brainenc.rsa._light_stream import open_store

Floats = npt.NDArray[np.float64]
Result = Scores | RDMs | dict[str, RDMs] | tuple[Scores, RDMs] | tuple[Scores, dict[str, RDMs]]


def searchlight(
    responses: Responses | Mapping[str, Responses],
    models: RDMs | Mapping[str, RDMs] | None = None,
    *,
    radius_mm: float | None = None,
    rings: int | None = None,
    time_window: float | None = None,
    neighbours: Any = None,
    meshes: Any = None,
    centres: Any = None,
    metric: str = "correlation",
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    residuals: Any = None,
    dof: float | None = None,
    method: str = "spearman",
    scorer: str | Callable[[Floats], npt.ArrayLike] = "compare",
    sigma_k: npt.ArrayLike | None = None,
    ceiling: bool = False,
    squared: bool = True,
    per_channel: bool = True,
    weights: Any = None,
    weighting: str = "trials",
    center: bool = True,
    prior: tuple[float, float] = (1.0, 0.1),
    nan: str = "raise",
    constant: str = "keep",
    min_targets: int = 2,
    min_fraction: float | None = None,
    return_rdms: bool = False,
    store: str | Path | Store | None = None,
    block: int | str = "auto",
    memory: str | int | float | None = "4GB",
    n_jobs: int = 1,
    device: str = "auto",
    progress: bool | None = None,
) -> Result:
    """Score models against the RDM of the neighbourhood of every target.

    For each centre the RDM of the targets in reach is that of ``be.rsa.rdm`` on these columns, and its scores are those of
    ``be.rsa.compare`` with every model. RDMs are computed in batches of equal size, scored with one product for all models, and gone.

    Parameters
    ----------
    responses : Responses or {subject: Responses}
        Trials (or betas) by targets in any space with distances. Time series are refused, as in `rdm`.
    models : RDMs or {name: RDMs}, optional
        One model a row, over the conditions of the responses in any order. Not needed for a ``scorer`` of your own or ``return_rdms``.
    radius_mm : float, optional
        Reach in millimetres: through the affine of a volume, along the edges of a surface, between sensors or contacts.
    rings : int, optional
        Reach on a surface in edges, instead of ``radius_mm``.
    time_window : float, optional
        Of sensors and contacts with times: reach to either side in seconds. Alone (without ``radius_mm``) all sensors of a type are
        one neighbourhood.
    neighbours : Neighbourhoods or sequence of array_like of int, optional
        Instead of a reach: one list of targets a centre.
    meshes : mapping, optional
        ``{"left": (coordinates in mm, faces), "right": …}`` of native surfaces and grayordinates.
    centres : str, mapping, mask or positions, optional
        Where to look, e.g. ``"roi == 'VT'"``; neighbourhoods still reach beyond. All targets when not given.
    metric, conditions, folds, squared, per_channel, weights, weighting, center, prior
        Of the RDMs, as in `rdm`; ``folds`` is the column ``run`` where a cross-validated metric is given none.
    noise : str, NoiseModel, array, sequence or mapping, optional
        ``"local"`` (or a method of `noise_model`) estimates the covariance of each neighbourhood from its own targets: trials less the mean
        of their condition and fold, or of their condition where no cell has repeats. A `NoiseModel` of all targets, or a precision
        matrix, gives each neighbourhood its block of the covariance (never of the precision). One model a fold as in `rdm`.
    residuals : array or Responses (n_rows, n_targets), optional
        Local noise from these rows, e.g. of a GLM, instead of the trials.
    dof : float, optional
        Degrees of freedom of the residuals.
    method : str
        Comparator of `compare`.
    scorer : {"compare", "regression", "partial"} or callable
        ``"compare"``: each model on its own. ``"regression"``: standardised weights of all models together (β = R⁻¹r, of ranks where the
        method is ``"spearman"``). ``"partial"``: the correlation with each model, the others held. A function takes RDMs
        (n_centres, n_pairs) and returns (n_centres,) or (n_centres, n_entries); it must treat every row by itself.
    sigma_k : array_like, optional
        Noise covariance of the conditions, for whitened comparators.
    ceiling : bool
        Of several subjects on the same targets: two more entries, ``ceiling/lower`` and ``ceiling/upper``, with how well the pooled RDM of
        the others (of all) agrees with each subject's at each centre; their means over subjects are the noise ceilings of the group.
    nan : {"raise", "omit", "skip"}
        Targets with NaN in any row: an error; taken out of every neighbourhood; or the centres that see them get no score.
    constant : {"keep", "omit", "raise"}
        Targets that are the same in all rows: kept with a warning, taken out of every neighbourhood, or an error.
    min_targets : int
        Centres with fewer targets get no score.
    min_fraction : float, optional
        Centres whose neighbourhood the mask cuts to less than this share get no score (volumes and surfaces).
    return_rdms : bool
        Also return the RDMs, one a centre (a dict of several subjects): in memory, or with ``store`` in a file there.
    store : path or Store, optional
        Keep finished blocks here, under a fingerprint of all inputs: an interrupted call goes on where it stopped, to the same bytes.
    block : int or "auto"
        Centres scored and stored at a time.
    memory : str or number
        Bound on the working memory beside the responses; more is an error that says how much.
    n_jobs : int
        Threads over blocks.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    progress : bool, optional
        Show a bar; by default in a terminal.

    Returns
    -------
    Scores
        ``values`` (n_entries, 1, n_targets), one entry a model, NaN at targets that are no centres or got no score; ``to_image("faces")``
        paints a model. ``targets`` has ``n_neighbours``; counts of what was left out, and why, are in ``provenance``. ``n_test`` is the number of
        conditions. With ``return_rdms`` (Scores, RDMs), or the RDMs alone without models and scorer.

    Raises
    ------
    InputError
        No reach, a reach that the space does not know, NaN (by default), models over other conditions, collinear models in a regression.

    Notes
    -----
    Group maps: ``be.rsa.sign_flip_test`` and ``be.rsa.cluster_test`` take the values of several subjects; shuffled models give a null for
    one subject. RDMs with missing pairs (a pattern that is constant within a neighbourhood) are scored on the pairs they have.

    A local noise covariance from trials that come once a condition and fold is not independent of what is cross-validated: of pure
    noise the distances are then above 0, by about 2(c − 1)/n_folds a channel with c = mean tr(Σ Σ̂⁻¹)/p; a warning says so. Noise from
    repeats within folds, or from ``residuals`` that are independent of the trials (those of the GLM that gave the betas), is not biased.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> space = be.VolumeSpace.from_mask(np.ones((3, 4, 5)), np.diag([3.0, 3.0, 3.0, 1.0]))
    >>> rng = np.random.default_rng(0)
    >>> brain = be.Responses(rng.standard_normal((6, 60)), {"stimulus_id": list("abcdef")}, space=space)
    >>> model = be.rsa.rdm(rng.standard_normal((6, 9)), conditions=list("abcdef"))
    >>> scores = be.rsa.searchlight(brain, {"mine": model}, radius_mm=4.0)
    >>> scores.to_image("mine").shape
    (3, 4, 5)

    References
    ----------
    Kriegeskorte, Goebel & Bandettini 2006, doi:10.1073/pnas.0600244103; Walther et al. 2016, doi:10.1016/j.neuroimage.2015.12.012.
    """
    how = choices(
        metric, folds=folds, noise=noise, squared=squared, per_channel=per_channel, weighting=weighting, center=center, prior=prior, memory=memory,
        device=device,
    )  # fmt: skip
    if models is None and not callable(scorer) and not return_rdms:
        raise InputError("nothing is asked of the searchlight", where="searchlight", fix="give models, a function as scorer, or return_rdms=True")
    options = Options(
        how=how, reach=Reach(radius_mm, rings, time_window, neighbours, meshes, centres), conditions=conditions, folds=folds, weights=weights, noise=noise,
        residuals=residuals, dof=dof, method=method, scorer=scorer, sigma_k=sigma_k, ceiling=ceiling, nan=nan, constant=constant,
        min_targets=min_targets, min_fraction=min_fraction, return_rdms=return_rdms, store=open_store(store), block=block, memory=memory,
        n_jobs=n_jobs, device=resolve_device(device), progress=progress,
    )  # fmt: skip
    several = isinstance(responses, Mapping)
    subjects = subjects_of(responses, models, options)
    job: Job = run_job(subjects, options)
    rdms = as_rdms(job) if return_rdms else {}
    kept = rdms if several else next(iter(rdms.values()), None)
    if models is None and not callable(scorer):
        return kept  # type: ignore[return-value]
    scores = as_scores(job)
    return (scores, kept) if return_rdms else scores  # type: ignore[return-value]
