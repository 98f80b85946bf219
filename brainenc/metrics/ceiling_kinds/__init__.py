"""One estimator of a noise ceiling from repeats, one module; the folder is the registry.

A module holds ``SUMMARY`` (one line), ``estimate(trials, weights, q)`` and, where it does not take every layout, ``check(layout, own, n_boot)``.
``estimate`` returns the share of signal in the variance of mean responses that keep the share ``q`` of the trials' noise variance
(1 / repeats), shape (n_draws, n_targets): one row for each row of ``weights`` (n_draws, n_stimuli), which counts how often a stimulus comes.
``check`` raises where the trials do not allow the estimate; ``own`` says that the ceiling is for the repeats of these trials.
"""
