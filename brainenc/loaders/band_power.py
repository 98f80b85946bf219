"""Power of a band over time (Hilbert, multitaper), and means in sliding windows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError

HIGH_GAMMA = (70.0, 150.0)
_BLOCK = 2**23  # numbers in one block of windows


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPower:
    """Power of one band over time.

    hilbert
        |analytic signal|² of the signal filtered to the band (FIR, zero phase), at every sample. With ``width`` the band is cut into sub-bands
        of at most that many Hz and their powers (or log powers) are averaged, which keeps the strong low frequencies of a 1/f spectrum from being all
        that is seen.
    multitaper
        Mean over DPSS tapers (time half bandwidth 2, 3 tapers, our choice) and over the frequencies of the band of the squared spectrum of windows
        of ``window`` s, one every ``step`` s, centred at 0, ``step``, 2 ``step`` …; at the ends of the recording the signal is mirrored.

    Parameters
    ----------
    low, high : float
        Edges in Hz, 70 to 150 for high gamma.
    method : {"hilbert", "multitaper"}
    width : float, optional
        Hz (hilbert).
    window, step : float
        Seconds (multitaper).
    log : bool
        10 log10 of the power in units² (dB); the power itself otherwise.

    References
    ----------
    Thomson 1982, doi:10.1109/PROC.1982.12433 (multitaper); Ray et al. 2008, doi:10.1523/JNEUROSCI.2848-08.2008 (high gamma).

    Examples
    --------
    >>> BandPower(low=70, high=150, width=20, log=True).low
    70
    """

    low: float = HIGH_GAMMA[0]
    high: float = HIGH_GAMMA[1]
    method: str = "hilbert"
    width: float | None = None
    window: float = 0.2
    step: float = 0.05
    log: bool = False

    def __post_init__(self) -> None:
        one_of(self.method, ("hilbert", "multitaper"), "method")
        numbers = (self.low, self.high, self.window, self.step, *([] if self.width is None else [self.width]))
        if not all(np.isfinite(one) and one > 0 for one in numbers) or self.low >= self.high:
            raise InputError("a band has positive edges in order, and positive width, window and step", where="BandPower", got=asdict(self))
        if self.width is not None and self.method != "hilbert":
            raise InputError("width cuts the band for the Hilbert transform alone", where="BandPower", got=self.method)


def band_power(data: npt.NDArray[np.float64], rate: float, band: BandPower) -> tuple[npt.NDArray[np.float64], float]:
    """Return the power (n_channels, n_times') of signals (n_channels, n_times), and its sampling rate.

    Raises
    ------
    InputError
        A band above half the sampling rate, or a signal shorter than a window.
    """
    if band.high >= rate / 2:
        raise InputError("band reaches half the sampling rate", where="BandPower", expected=f"below {rate / 2:g} Hz", got=f"{band.high:g} Hz")
    if band.method == "multitaper":
        return _multitaper(data, rate, band)
    import mne

    n_parts = 1 if band.width is None else int(np.ceil((band.high - band.low) / band.width - 1e-9))
    edges = np.linspace(band.low, band.high, n_parts + 1)
    total = np.zeros_like(data)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        part = mne.filter.filter_data(data, rate, float(low), float(high), verbose="error")
        total += _scaled(np.abs(_analytic(part)) ** 2, band.log)
    return total / n_parts, rate


def window_means(data: npt.NDArray[Any], times: npt.NDArray[np.float64], length: float, step: float) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return means over windows of ``length`` s every ``step`` s along the last axis, and the windows' centres.

    Windows begin at the first time and lie wholly inside; lengths and steps are rounded to samples.

    Raises
    ------
    InputError
        Windows shorter than a sample or longer than the data.
    """
    if len(times) < 2:
        raise InputError("one time has no windows", where="windows")
    period = float(times[1] - times[0])
    n, hop = round(length / period), round(step / period)
    if n < 1 or hop < 1 or n > len(times):
        got = f"length {length:g} s, step {step:g} s"
        raise InputError("windows do not fit", where="windows", expected=f"{period:g} s to {len(times) * period:g} s", got=got)
    starts = np.arange(0, len(times) - n + 1, hop)
    sums = np.cumsum(np.concatenate([np.zeros((*data.shape[:-1], 1)), np.nan_to_num(data)], axis=-1, dtype=np.float64), axis=-1)
    means = (sums[..., starts + n] - sums[..., starts]) / n
    if np.isnan(data).any():  # a window with a hole has no mean
        holes = np.cumsum(np.concatenate([np.zeros((*data.shape[:-1], 1)), np.isnan(data)], axis=-1), axis=-1)
        means[holes[..., starts + n] > holes[..., starts]] = np.nan
    return means.astype(data.dtype), (times[starts] + times[starts + n - 1]) / 2


def _analytic(data: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Return the analytic signal, padded to a fast length."""
    from scipy.fft import next_fast_len
    from scipy.signal import hilbert

    n = data.shape[-1]
    return np.asarray(hilbert(data, N=next_fast_len(n), axis=-1))[..., :n]


def _multitaper(data: npt.NDArray[np.float64], rate: float, band: BandPower) -> tuple[npt.NDArray[np.float64], float]:
    from scipy.signal.windows import dpss

    n, hop = round(band.window * rate), round(band.step * rate)
    if n < 4 or hop < 1 or n // 2 + 1 > data.shape[-1]:
        raise InputError("window does not fit", where="BandPower", expected=f"4 samples to {data.shape[-1] / rate:g} s", got=f"{band.window:g} s")
    frequencies = np.fft.rfftfreq(n, 1 / rate)
    inside = (frequencies >= band.low) & (frequencies <= band.high)
    if not inside.any():
        raise InputError(
            "window is too short for the band", where="BandPower", expected=f"at least {1 / (band.high - band.low):.3g} s", got=f"{band.window:g} s"
        )
    tapers = dpss(n, 2.0, 3)
    padded = np.pad(data, [(0, 0), (n // 2, n - n // 2 - 1)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, n, axis=-1)[:, ::hop]
    out = np.empty(windows.shape[:2])
    block = max(1, _BLOCK // (len(tapers) * n))
    for channel in range(len(data)):
        for start in range(0, windows.shape[1], block):
            part = windows[channel, start : start + block, None, :] * tapers
            spectrum = np.abs(np.fft.rfft(part, axis=-1)[..., inside]) ** 2
            out[channel, start : start + block] = spectrum.mean(axis=(1, 2)) / rate
    return _scaled(out, band.log), rate / hop


def _scaled(power: npt.NDArray[np.float64], log: bool) -> npt.NDArray[np.float64]:
    return 10.0 * np.log10(np.maximum(power, np.finfo(np.float64).tiny)) if log else power
