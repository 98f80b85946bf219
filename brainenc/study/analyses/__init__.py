"""The kinds of analysis a plan can hold: one module, one kind.

A module has ``VERSION``, ``KEYS`` (its keys in the TOML table), ``check(options, where)``, ``seeds(options)``,
``estimate(loaded, n_features, settings)`` and ``score(loaded, space, name, options, seed, settings)``.
"""
