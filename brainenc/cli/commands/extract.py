"""``brainenc extract DATASET --model …``."""

from __future__ import annotations

import argparse
from pathlib import Path

from brainenc.cli.commands.score import models_of
from brainenc.cli.console import progress, say, show


def execute(args: argparse.Namespace) -> int:
    """Extract features for each distinct set of stimuli of the units asked for; print what there is."""
    import pandas as pd

    from brainenc import datasets
    from brainenc.core.checks import slug
    from brainenc.features import extract
    from brainenc.loaders.stimuli import stimulus_fingerprint
    from brainenc.study.inputs import units_of
    from brainenc.study.plan import Plan

    table = {"dataset": args.dataset, "subjects": args.subject, "sessions": args.session, "variant": args.variant, "root": args.root}
    block = {"models": models_of(args), **{k: v for k, v in table.items() if v is not None}}
    analysis = Plan.from_dict({"analysis": [block]}, where="arguments", base=Path.cwd()).analyses[0]
    seen: set[str] = set()
    rows = []
    for unit in units_of(analysis):
        stimuli = datasets.load(unit.dataset, unit.subject, session=unit.session, variant=unit.variant, root=unit.root).stimuli
        key = stimulus_fingerprint(stimuli)
        if key in seen:
            continue
        seen.add(key)
        for model in analysis.models:
            layers = list(model.layers) if isinstance(model.layers, tuple) else model.layers
            spaces = extract(stimuli, model.name, layers=layers, batch_size=args.batch_size, device=args.device, progress=progress(args), **model.arguments())
            for space in spaces.values():
                path = space.save(Path(args.out) / slug(unit.label) / f"{slug(space.name)}.npz") if args.out else None
                row = {"stimuli": stimuli.name, "model": space.model, "layer": space.layer, "rows": space.n_samples, "features": space.n_features}
                rows.append({**row, **({"file": str(path)} if path else {})})
    show(pd.DataFrame(rows))
    say(f"\n{len(rows)} layers extracted")
    return 0
