"""Model families, one file each: ``KINDS``, ``SUMMARY``, ``variants()`` and ``build(...)`` (see `brainenc.features.adapters`)."""
