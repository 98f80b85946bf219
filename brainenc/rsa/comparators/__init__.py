"""Comparators of RDMs: the folder is the registry.

A comparator is one module (or an object from the entry-point group ``brainenc.rsa.comparators``) with

* ``compare(a, b, *, sigma_k=None)``: float64 arrays (n_a, n_pairs) and (n_b, n_pairs) to (n_a, n_b);
* ``pool(x)``: RDMs (n, n_pairs) to the one (n_pairs,) that stands for them in a noise ceiling;
* ``KIND``: "similarity" or "distance"; ``SUMMARY``: one line;
* ``MISSING``: "pairs" where any subset of the pairs can be compared, "masked" where NaN marks the pairs that are missing from both
  stacks, "none" where every pair is needed;
* ``SYMMETRIC``, ``SCALE_FREE``: whether compare(a, b) is compare(b, a)', and whether scaling an RDM changes nothing;
* ``ZERO_IS_NULL``: False where unrelated RDMs have a similarity above zero (True where not given);
* ``SIGMA_K``: True where a noise covariance of the conditions is used;
* optionally ``compare_copies(a, b, w)``: the same for samples in which condition i comes w_i times, where leaving pairs of copies out
  is not what the comparator means.
"""
