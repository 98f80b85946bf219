"""What is done to a continuous recording before it is cut: explicit, in one fixed order, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import DataError, InputError
from brainenc.io.paths import check_budget
from brainenc.loaders.band_power import BandPower, band_power
from brainenc.loaders.channels import field_units, pick_channels
from brainenc.loaders.recordings import Recording
from brainenc.loaders.rereferencing import reference_matrix

PLAUSIBLE = {  # SD over time in SI units; far outside them the header is wrong
    "eeg": (1e-8, 1e-2), "seeg": (1e-8, 2e-2), "ecog": (1e-8, 2e-2), "dbs": (1e-8, 2e-2), "mag": (1e-15, 1e-9), "grad": (1e-14, 1e-8),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Steps, in this order: channels, bad channels, projections, notch, filter, reference, power of a band, resampling. None of them by default.

    Parameters
    ----------
    channels : sequence of str, optional
        Names or types to keep; None keeps EEG, MEG and intracranial channels.
    bads : sequence of str
        Bad channels besides those that the recording marks.
    bad_channels : {"drop", "interpolate", "keep"}
        What becomes of them; interpolation (spherical splines, mne) needs positions and is for EEG and MEG.
    flat : {"raise", "drop"}
        What becomes of channels that never change.
    missing : {"raise", "mark"}
        What becomes of NaN segments. Marked, they are bridged by straight lines for the filters; epochs that touch them are left out and counted,
        and rows of time series are NaN there. The filters' reach around them is not marked.
    units : {"check", "as_is"}
        Whether to refuse signals whose median SD over channels is implausible for their type (volts taken for microvolts).
    projections : bool
        Apply the projections stored in the recording (SSP, average reference).
    notch : float or sequence of float, optional
        Line frequencies in Hz, harmonics named one by one.
    l_freq, h_freq : float, optional
        Edges in Hz of the filter: high-pass, low-pass.
    filter : {"fir", "iir"}
        Zero phase both: FIR with a Hamming window and mne's transition widths, or a Butterworth of order 4 run forth and back.
    reference : str or sequence of str, optional
        ``"average"``, ``"bipolar"``, ``"laplacian"``, or names of channels.
    power : BandPower, optional
    resample : float, optional
        Samples per second, after everything else (FFT with mne's low-pass).

    Examples
    --------
    >>> Preprocessing(l_freq=1.0, h_freq=30.0, reference="average").describe()["h_freq"]
    30.0
    """

    channels: Sequence[str] | None = None
    bads: Sequence[str] = ()
    bad_channels: str = "drop"
    flat: str = "raise"
    missing: str = "raise"
    units: str = "check"
    projections: bool = False
    notch: float | Sequence[float] | None = None
    l_freq: float | None = None
    h_freq: float | None = None
    filter: str = "fir"
    reference: str | Sequence[str] | None = None
    power: BandPower | None = None
    resample: float | None = None

    def __post_init__(self) -> None:
        one_of(self.bad_channels, ("drop", "interpolate", "keep"), "bad_channels")
        one_of(self.flat, ("raise", "drop"), "flat")
        one_of(self.missing, ("raise", "mark"), "missing")
        one_of(self.units, ("check", "as_is"), "units")
        one_of(self.filter, ("fir", "iir"), "filter")
        for name in ("l_freq", "h_freq", "resample"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} is a positive number of hertz, or None", where="Preprocessing", got=value)
        if self.l_freq is not None and self.h_freq is not None and self.l_freq >= self.h_freq:
            raise InputError(
                "l_freq lies above h_freq", where="Preprocessing", got=f"{self.l_freq} and {self.h_freq} Hz", fix="they are high-pass and low-pass"
            )

    def describe(self) -> dict[str, Any]:
        """Return what differs from doing nothing, as plain values."""
        out: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                out[one.name] = {f.name: getattr(value, f.name) for f in fields(value)} if isinstance(value, BandPower) else _plain(value)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A recording after its steps: data in field units, channels, holes, and the record of what was done."""

    data: npt.NDArray[np.float64]
    rate: float
    channels: pd.DataFrame
    holes: npt.NDArray[np.bool_]
    units: str
    lowpass: float
    record: dict[str, Any]


def prepare(recording: Recording, steps: Preprocessing) -> Prepared:
    """Return the data of one run after the steps; the recording stays as it is.

    Raises
    ------
    InputError, DataError
        Unknown channels, flat channels, missing values, implausible units, frequencies above half the sampling rate.
    """
    raw, where = recording.raw, f"run {recording.run}"
    rate = recording.sampling_rate
    _check_frequencies(steps, rate)
    rows = pick_channels(recording.channels, steps.channels, where)
    check_budget(3 * 8 * len(rows) * len(raw.times), where)
    raw, channels, record = _without_bads(raw, recording.channels, rows, steps, where)
    data = raw.get_data()
    data, holes = _bridge(data, channels, steps, where, record)
    data, channels = _without_flat(data, channels, steps, where, record)
    if steps.units == "check":
        check_units(data, channels, where)
    data = _filtered(data, rate, steps)
    lowpass = min(float(raw.info["lowpass"]), rate / 2, steps.h_freq or np.inf)
    if steps.reference is not None:
        matrix, made, record["reference"] = reference_matrix(channels, raw.info["bads"], steps.reference)
        data, channels = matrix @ data, made
    factors, units = field_units(list(channels["type"]))
    data = data * factors[:, None]
    if steps.power is not None:
        before = rate
        data, rate = band_power(data, rate, steps.power)
        units = "dB" if steps.power.log else f"({units})²"
        holes, lowpass = _at_rate(holes, before, rate, data.shape[1]), rate / 2
    if steps.resample is not None and steps.resample != rate:
        data, holes = _resampled(data, holes, rate, float(steps.resample))
        rate, lowpass = float(steps.resample), min(lowpass, float(steps.resample) / 2)
    return Prepared(data, rate, channels.reset_index(drop=True), holes, units, lowpass, record)


def _check_frequencies(steps: Preprocessing, rate: float) -> None:
    notch = [] if steps.notch is None else np.atleast_1d(np.asarray(steps.notch, dtype=np.float64)).tolist()
    for name, value in [("l_freq", steps.l_freq), ("h_freq", steps.h_freq), *(("notch", one) for one in notch)]:
        if value is not None and not 0 < value < rate / 2:
            raise InputError(f"{name} is not below half the sampling rate", where="Preprocessing", expected=f"0 to {rate / 2:g} Hz", got=f"{value:g} Hz")


def _without_bads(raw: Any, table: pd.DataFrame, rows: npt.NDArray[np.intp], steps: Preprocessing, where: str) -> tuple[Any, pd.DataFrame, dict[str, Any]]:
    """Return a loaded copy of the chosen channels with bad ones dropped, mended or kept."""
    names = list(table["channel"])
    unknown = [name for name in steps.bads if name not in names]
    if unknown:
        raise InputError("no such bad channels", where=where, expected=examples(names, 8), got=examples(unknown))
    chosen = [names[i] for i in rows]
    bads = [name for name in chosen if name in set(raw.info["bads"]) | set(steps.bads)]
    record: dict[str, Any] = {"bads": bads}
    if steps.bad_channels == "drop":
        chosen = [name for name in chosen if name not in bads]
        if not chosen:
            raise InputError("all channels are bad", where=where, got=examples(bads))
    raw = raw.copy().pick(chosen, exclude=()).load_data(verbose="error")
    raw.info["bads"] = [] if steps.bad_channels == "drop" else bads
    if steps.bad_channels == "interpolate" and bads:
        channels = table.set_index("channel").loc[raw.ch_names]
        kinds = channels.loc[bads, "type"]
        if not kinds.isin(["eeg", "mag", "grad"]).all() or channels[["x", "y", "z"]].isna().any(axis=None):
            raise InputError("only EEG and MEG channels with positions can be interpolated", where=where, got=examples(bads), fix='bad_channels="drop"')
        raw.interpolate_bads(reset_bads=True, verbose="error")
    if steps.projections:
        record["n_projections"] = len(raw.info["projs"])
        raw.apply_proj(verbose="error")
    return raw, table.set_index("channel", drop=False).loc[raw.ch_names].reset_index(drop=True), record


def _bridge(
    data: npt.NDArray[np.float64], channels: pd.DataFrame, steps: Preprocessing, where: str, record: dict[str, Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    lost = ~np.isfinite(data)
    holes = np.asarray(lost.any(axis=0))
    if not holes.any():
        return data, holes
    n, spoiled = int(holes.sum()), channels["channel"][lost.any(axis=1)]
    if steps.missing == "raise":
        first = int(np.flatnonzero(holes)[0])
        fix = 'pass missing="mark" to leave these times out, or name bad channels'
        raise DataError("recording holds missing values", where=where, got=f"{n} samples from sample {first} on, in {examples(spoiled)}", fix=fix)
    if lost.all(axis=1).any():
        raise DataError("channels hold nothing but missing values", where=where, got=examples(channels["channel"][lost.all(axis=1)]), fix="name them in bads=")
    record["n_missing_samples"] = n
    place, out = np.arange(data.shape[1]), data.copy()
    for row in np.flatnonzero(lost.any(axis=1)):
        out[row, lost[row]] = np.interp(place[lost[row]], place[~lost[row]], data[row, ~lost[row]])
    return out, holes


def _without_flat(
    data: npt.NDArray[np.float64], channels: pd.DataFrame, steps: Preprocessing, where: str, record: dict[str, Any]
) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    flat = np.ptp(data, axis=1) == 0
    if not flat.any():
        return data, channels
    names = channels["channel"][flat]
    if steps.flat == "raise" or flat.all():
        fix = 'pass flat="drop", or choose other channels'
        raise DataError("channels never change", where=where, got=examples(names, 8), fix=fix)
    record["flat"] = list(names)
    return data[~flat], channels[~flat].reset_index(drop=True)


def check_units(data: npt.NDArray[np.float64], channels: pd.DataFrame, where: str) -> None:
    """Raise `DataError` where the median SD of channels (n_channels, n_times; SI units) is implausible for their type."""
    for kind, (low, high) in PLAUSIBLE.items():
        rows = np.flatnonzero(channels["type"] == kind)
        if len(rows):
            spread = float(np.median(data[rows].std(axis=1)))
            if not low <= spread <= high:
                fix = 'mend them with read_recording(…, scale=1e-6) or the like, or pass units="as_is"'
                unit = {"mag": "T", "grad": "T/m"}.get(kind, "V")
                raise DataError(
                    f"units of {kind} channels are implausible", where=where, expected=f"SD of {low:g} to {high:g} {unit}", got=f"{spread:.3g} {unit}", fix=fix
                )


def _filtered(data: npt.NDArray[np.float64], rate: float, steps: Preprocessing) -> npt.NDArray[np.float64]:
    import mne

    if steps.notch is not None:
        data = mne.filter.notch_filter(data, rate, np.atleast_1d(np.asarray(steps.notch, dtype=np.float64)), verbose="error")
    if steps.l_freq is not None or steps.h_freq is not None:
        need = _filter_length(rate, steps)
        if steps.filter == "fir" and data.shape[1] / rate < need:
            raise InputError(
                "recording is shorter than the filter", where="Preprocessing", expected=f"at least {need:.3g} s", got=f"{data.shape[1] / rate:.3g} s"
            )
        data = mne.filter.filter_data(data, rate, steps.l_freq, steps.h_freq, method=steps.filter, verbose="error")
    return data


def _filter_length(rate: float, steps: Preprocessing) -> float:
    """Return how many seconds mne's filter spans: 3.3 over its narrowest transition."""
    low = np.inf if steps.l_freq is None else min(max(0.25 * steps.l_freq, 2.0), steps.l_freq)
    high = np.inf if steps.h_freq is None else min(max(0.25 * steps.h_freq, 2.0), rate / 2 - steps.h_freq)
    return 3.3 / min(low, high)


def _resampled(
    data: npt.NDArray[np.float64], holes: npt.NDArray[np.bool_], rate: float, target: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    import mne

    out = mne.filter.resample(data, up=target / rate, npad="auto", verbose="error")
    return out, _at_rate(holes, rate, target, out.shape[1])


def _at_rate(holes: npt.NDArray[np.bool_], rate: float, target: float, n: int) -> npt.NDArray[np.bool_]:
    """Return where samples at another rate touch a hole."""
    out = np.zeros(n, dtype=bool)
    places = np.flatnonzero(holes) / rate * target
    for near in (np.floor(places), np.ceil(places)):
        out[np.clip(near.astype(np.intp), 0, n - 1)] = True
    return out


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) or value is None else [float(v) if not isinstance(v, str) else v for v in value]
