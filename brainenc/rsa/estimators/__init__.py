"""Estimators of dissimilarity, one file each; the folder is the registry (entry-point group ``brainenc.rsa.estimators``).

A module states what it needs and what its values are, and has one function.

``CROSSVALIDATED``: needs folds. ``NOISE``: ``None`` (takes no noise model), ``"optional"`` or ``"required"``. ``SQUARED``: values are squares,
of which ``squared=False`` takes the root. ``PER_CHANNEL``: values are sums over channels, which ``per_channel=True`` divides by their
number. ``CENTER``: depends only on differences between patterns, so that the mean pattern goes first. ``NONNEGATIVE``: takes counts
or rates. ``ADDITIVE``: without correlated noise, blocks of channels can be added up.

``distances(cells, *, noise, prior) -> (total, channels)``: ``cells`` are `brainenc.linalg.distances.Cells`; ``total`` (n_batch, n_pairs) float64
sums over channels, ``channels`` how many (a number, or one per pair where values are missing; None where the values are no sums).
"""
