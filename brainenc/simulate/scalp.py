"""Potentials on the scalp: an electrode cap of standard positions, and the lead field of dipoles in a sphere."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError

Floats = npt.NDArray[np.float64]

ELECTRODES = (
    "Fp1", "Fp2", "AF3", "AF4", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4", "T8", "CP5", "CP1", "CP2", "CP6",
    "P7", "P3", "Pz", "P4", "P8", "PO3", "PO4", "O1", "Oz", "O2",
)  # fmt: skip
CONDUCTIVITY = 0.33  # S/m, of brain tissue


@lru_cache(maxsize=1)
def _places() -> Floats:
    import mne

    # mne is renaming the montage
    name = next(one for one in ("colin27_1020", "standard_1020") if one in mne.channels.get_builtin_montages())
    info = mne.create_info(list(ELECTRODES), 100.0, "eeg")
    info.set_montage(mne.channels.make_standard_montage(name), verbose="error")
    return np.array([info["chs"][i]["loc"][:3] for i in range(len(ELECTRODES))]) * 1000


def cap() -> pd.DataFrame:
    """Return the 32 electrodes: ``channel``, ``type`` and x, y, z (mm, head frame) of mne's montage ``standard_1020``.

    Examples
    --------
    >>> cap().shape
    (32, 5)
    """
    return pd.DataFrame({"channel": list(ELECTRODES), "type": "eeg"}).assign(**dict(zip("xyz", _places().T, strict=True)))


def fitted_sphere(points: Floats) -> tuple[Floats, float]:
    """Return centre (3,) and radius of the sphere that fits points (n, 3) best: least squares of |p|² = 2 p·c + (R² − |c|²)."""
    design = np.column_stack([2 * points, np.ones(len(points))])
    found = np.linalg.lstsq(design, (points**2).sum(axis=1), rcond=None)[0]
    return found[:3], float(np.sqrt(found[3] + found[:3] @ found[:3]))


def lead_field(electrodes: Floats, places: Floats, moments: Floats, *, radius: float = 1.0, conductivity: float = CONDUCTIVITY) -> Floats:
    """Return the potentials on a homogeneous conducting sphere of current dipoles inside of it.

    V(r) = 1 / (4πσ) · p · [ 2 (r − r₀) / d³ + (r / R + (r − r₀) / d) / (R² − r·r₀ + R d) ],   d = |r − r₀|, |r| = R

    It is the gradient, in the place of the dipole r₀, of the sphere's Green's function for a surface that no current leaves, and has mean 0 over
    the sphere. A head has a skull, which smears potentials further; for simulations with known sources the homogeneous sphere is our choice.

    Parameters
    ----------
    electrodes : ndarray of shape (n_electrodes, 3)
        From the centre of the sphere (m); only their direction counts: they are taken to lie on the sphere.
    places, moments : ndarray of shape (n_dipoles, 3)
        Positions (m), inside of the sphere, and moments (A m).
    radius : float
        m.
    conductivity : float
        S/m.

    Returns
    -------
    ndarray of shape (n_electrodes, n_dipoles)
        Volt.

    Raises
    ------
    InputError
        A dipole that is not inside of the sphere.

    Notes
    -----
    Derived from the Green's function 2 / d − ln(R² − r·r₀ + R d) / R; tests compare it with the series of Legendre polynomials.

    Examples
    --------
    >>> poles = lead_field(np.array([[0, 0, 1.0], [0, 0, -1.0]]), np.zeros((1, 3)), np.array([[0, 0, 1.0]]), conductivity=1.0)
    >>> (4 * np.pi * poles).round(3).tolist()       # a dipole in the centre: 3 cos θ / R²
    [[3.0], [-3.0]]
    """
    farthest = np.linalg.norm(places, axis=1).max(initial=0.0)
    if farthest >= radius:
        raise InputError("dipoles lie inside of the sphere", where="lead_field", expected=f"a distance below {radius:g} m", got=f"{farthest:g} m")
    r = radius * electrodes / np.linalg.norm(electrodes, axis=1, keepdims=True)
    away = r[:, None] - places
    d = np.linalg.norm(away, axis=2, keepdims=True)
    below = radius**2 - r @ places.T + radius * d[..., 0]
    field = 2 * away / d**3 + (r[:, None] / radius + away / d) / below[..., None]
    return np.asarray(np.einsum("edi,di->ed", field, moments) / (4 * np.pi * conductivity))
