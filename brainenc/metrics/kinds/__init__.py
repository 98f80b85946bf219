"""One metric, one module: ``score(observed, predicted) -> (n_targets,)``; the folder is the registry."""
