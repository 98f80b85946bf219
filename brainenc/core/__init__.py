"""The ground floor: errors, checks, seeds, selections, fingerprints, registries and the resolver."""
