"""Seeds: one integer gives one result, whatever the order or the process in which tasks run."""

from __future__ import annotations

import hashlib

import numpy as np

from brainenc.core.errors import InputError


def generator(seed: int, *keys: object) -> np.random.Generator:
    """Return the generator that belongs to ``seed`` and a path of keys.

    Parameters
    ----------
    seed : int
        A non-negative integer.
    *keys : object
        Names of what is drawn (``"subject", "01", "noise"``); different keys give independent streams, and a stream
        never depends on which others were drawn before it.

    Examples
    --------
    >>> bool(generator(0, "noise").integers(100) == generator(0, "noise").integers(100))
    True
    """
    return np.random.default_rng(np.random.SeedSequence([check_seed(seed), *map(_key, keys)]))


def derive(seed: int, *keys: object) -> int:
    """Return a 32-bit seed that belongs to ``seed`` and the keys, for libraries that want an integer."""
    return int(np.random.SeedSequence([check_seed(seed), *map(_key, keys)]).generate_state(1)[0])


def check_seed(seed: object) -> int:
    """Return ``seed`` as an int, or refuse it: a missing seed would make the result unrepeatable."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("a seed is a non-negative integer", where="seed", got=repr(seed))
    return int(seed)


def _key(key: object) -> int:
    return int.from_bytes(hashlib.sha256(repr((type(key).__name__, str(key))).encode()).digest()[:8], "little")
