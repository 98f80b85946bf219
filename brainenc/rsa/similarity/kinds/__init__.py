"""One measure, one module; the folder is the registry.

A module holds ``KIND`` ("similarity" or "distance"), ``SYMMETRIC``, ``IDENTITY`` (the value of a representation with itself),
``INVARIANT`` (what may be done to the left and to the right side without a change: translation, scale, rotation, linear; exactly these
in a contract test), ``prepare(x, *, memory, device, **options)``, which does what belongs to one side alone, ``between(a, b)``, a float,
and the public function of the same name. Optional: ``reorder(state, order)`` and ``subset(state, rows)``, which give the state of other
rows without preparing anew, and ``nulls(sides, b, orders)``, values (n_orders, n_sides) under many orders of the rows of ``b``.
"""
