"""Multivariate noise normalisation of epochs, fitted on training trials alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column

METHODS = ("schaefer_strimmer", "ledoit_wolf", "diagonal", "full")


class NoiseNormalizer:
    """Whiten channels by the covariance of trials about their condition means.

    With residuals E_t (n_trials, n_channels) of the training trials at time t, after the mean of each condition is removed, and ν = n_trials −
    n_conditions: Σ_t is their covariance shrunk by ``method``, Σ = mean_t Σ_t, and every time of every trial becomes x Σ^{-½} (symmetric root).

    Parameters
    ----------
    method : {"schaefer_strimmer", "ledoit_wolf", "diagonal", "full"}
        Shrinkage towards the diagonal, towards the identity, only the diagonal (univariate), or none. Channels of different types have different
        units and refuse ``"ledoit_wolf"``.
    tmin, tmax : float, optional
        Times that Σ is averaged over, in seconds; all of the epoch where None.
    by : str
        Column of ``samples`` that names the condition.

    Attributes
    ----------
    whitening_ : ndarray of shape (n_channels, n_channels)
    shrinkage_ : ndarray of shape (n_times,)
    channels_ : list of str
    n_train_ : int

    References
    ----------
    Guggenmos, Sterzer & Cichy 2018, doi:10.1016/j.neuroimage.2018.02.044, their "epoch" variant; pooling the residuals of all conditions, rather than
    averaging a covariance for each, is our choice.

    Examples
    --------
    >>> whitener = NoiseNormalizer().fit(epochs, rows=train)                                              # doctest: +SKIP
    >>> white = whitener.transform(epochs)                                                                # doctest: +SKIP
    """

    def __init__(self, *, method: str = "schaefer_strimmer", tmin: float | None = None, tmax: float | None = None, by: str = "stimulus_id") -> None:
        self.method = method
        self.tmin = tmin
        self.tmax = tmax
        self.by = by

    def fit(self, responses: Responses, rows: npt.ArrayLike | None = None) -> NoiseNormalizer:
        """Fit on these rows (positions or a mask); all of them where None, which is for training responses alone.

        Raises
        ------
        InputError
            Not channels × times, missing values, conditions without a repeat, fewer degrees of freedom than the method needs.
        """
        import torch

        from brainenc.linalg import noise

        one_of(self.method, METHODS, "method")
        chosen = responses if rows is None else responses.take_rows(rows)
        data, channels, times = _cube(chosen)
        if self.method == "ledoit_wolf" and "type" in chosen.targets and chosen.targets["type"].nunique() > 1:
            got = examples(pd.unique(chosen.targets["type"]))
            raise InputError("channels of different units do not share one variance", where="NoiseNormalizer", got=got, fix='method="schaefer_strimmer"')
        inside = np.ones(len(times), dtype=bool)
        inside &= True if self.tmin is None else times >= self.tmin - 1e-9
        inside &= True if self.tmax is None else times <= self.tmax + 1e-9
        if not inside.any():
            raise InputError(
                "no times to fit on", where="NoiseNormalizer", expected=f"within {times[0]:g} to {times[-1]:g} s", got=f"{self.tmin} to {self.tmax}"
            )
        codes, names = pd.factorize(need_column(chosen.samples, self.by, "samples"))
        dof = len(codes) - len(names)
        if dof < 2 or (self.method == "full" and dof < len(channels)):
            got = f"{len(codes)} trials of {len(names)} conditions"
            raise InputError("too few repeats for a covariance", where="NoiseNormalizer", got=got, fix="give more trials, or a condition in by=")
        means = np.zeros((len(names), *data.shape[1:]))
        np.add.at(means, codes, data)
        means /= np.bincount(codes)[:, None, None]
        residuals = torch.from_numpy(np.ascontiguousarray((data - means[codes])[:, :, inside].transpose(2, 0, 1)))
        if bool(((residuals * residuals).sum(dim=1) == 0).any()):
            raise InputError("channels never vary about their condition means", where="NoiseNormalizer", fix="leave flat channels out")
        diagonal, factor, shrinkage = noise.estimate(residuals, float(dof), self.method)
        covariance = (torch.diag_embed(diagonal) + factor.mT @ factor).mean(dim=0)
        values, vectors = torch.linalg.eigh(covariance)
        if float(values[0]) <= 1e-12 * float(values[-1]):
            fix = "shrink it, or drop channels: an average reference makes them dependent"
            raise InputError(
                "the noise covariance is singular", where="NoiseNormalizer", got=f"eigenvalues {float(values[0]):.3g} to {float(values[-1]):.3g}", fix=fix
            )
        self.whitening_ = ((vectors / values.sqrt()) @ vectors.T).numpy()
        self.shrinkage_ = shrinkage.numpy()
        self.channels_, self.n_train_ = channels, len(codes)
        return self

    def transform(self, responses: Responses) -> Responses:
        """Return all trials in channels whose noise is white; the order of columns stays."""
        if not hasattr(self, "whitening_"):
            raise InputError("not fitted yet", where="NoiseNormalizer", fix="call fit with the training rows")
        data, channels, times = _cube(responses)
        if channels != self.channels_:
            raise InputError("responses have other channels than those fitted on", expected=examples(self.channels_), got=examples(channels))
        white = np.einsum("cd,ndt->nct", self.whitening_, data).reshape(len(data), -1)
        values = np.empty_like(white)
        values[:, _order(responses, channels, times)] = white
        dtype = responses.values.dtype if responses.values.dtype.kind == "f" else np.float64
        done: dict[str, Any] = {"method": self.method, "by": self.by, "n_train": self.n_train_, "tmin": self.tmin, "tmax": self.tmax}
        return replace(responses, values=values.astype(dtype), units="noise SD", provenance={**responses.provenance, "noise_normalization": done})


def _cube(responses: Responses) -> tuple[npt.NDArray[np.float64], list[str], npt.NDArray[np.float64]]:
    """Return (n_trials, n_channels, n_times), channels in order of appearance and sorted times."""
    channel = need_column(responses.targets, "channel", f"targets of {responses.name!r}")
    times = np.unique(need_column(responses.targets, "time", f"targets of {responses.name!r}").to_numpy(dtype=np.float64))
    channels = list(dict.fromkeys(channel))
    if len(channels) * len(times) != responses.n_targets:
        raise InputError(
            "targets are not all pairs of channels and times", where="NoiseNormalizer", expected=len(channels) * len(times), got=responses.n_targets
        )
    data = np.asarray(responses.values, dtype=np.float64)[:, _order(responses, channels, times)]
    if not np.isfinite(data).all():
        raise InputError("responses hold missing values", where="NoiseNormalizer", got=f"{int((~np.isfinite(data)).sum())} values")
    return data.reshape(len(data), len(channels), len(times)), channels, times


def _order(responses: Responses, channels: list[str], times: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the columns in the order channel by channel, time by time."""
    row = pd.Index(channels).get_indexer(pd.Index(responses.targets["channel"]))
    column = np.searchsorted(times, responses.targets["time"].to_numpy(dtype=np.float64))
    return np.lexsort((column, row))
