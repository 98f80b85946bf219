"""The kinds of analysis a plan can hold: one module, one kind.

A module has ``KEYS`` (its keys in the TOML table) and ``check(options, where)``; ``unit_tasks(context)`` and
``layer_tasks(context, model, layers, needs)``, which list what is to be done for one unit and for the layers of one model;
``compute(task, settings)``, which does one task and returns the files to be stored; and ``gather(gathering)``, which makes an
analysis' part of the outputs from what its finished tasks stored. ``VERSION`` is part of the keys of its tasks.
"""
