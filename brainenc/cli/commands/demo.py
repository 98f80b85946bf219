"""``brainenc demo``: the whole job on simulated subjects whose answer is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainenc.cli.commands.run import finish
from brainenc.cli.console import progress, say, show
from brainenc.io import atomic

if TYPE_CHECKING:
    import pandas as pd

    from brainenc.study import Results

SUBJECTS = ("01", "02")
# toyclip: every visual layer and the image embedding
MODELS: tuple[str | dict[str, Any], ...] = ("gabor", {"name": "toyclip", "layers": ["visual.*", "visual"]}, "table:concepts")
MANIFEST = """name = "insilico"
title = "Simulated subjects with known drivers, seed {seed}"
generator = "brainenc.simulate.insilico:load"
subjects = ["01", "02", "03", "04"]

[options]
seed = {seed}
"""


def execute(args: argparse.Namespace) -> int:
    """Simulate, score, compare, report; return 1 if a task failed."""
    from brainenc.reporting import report
    from brainenc.study import run

    root = Path(args.out)
    say("two simulated subjects, three families of models, every layer against every region; nothing is downloaded")
    plan = demo_plan(root, args.seed)
    _look_once(args.seed)
    results = run(plan, root, progress=progress(args), overwrite=args.overwrite)
    if len(results.summary):
        verdict = compare(results, args.seed)
        atomic.write_csv(root / "demo.csv", verdict, index=False)
        show(verdict, decimals=2)
        right, all_ = int(verdict["found"].sum()), len(verdict)
        say(f"\nthe planted model wins clearly in {right} of {all_} subject-region pairs (the bootstrap interval of the lead excludes zero)")
    say(f"maps and tables: {root}\nreport: {report(results, root / 'report.html', title='brainenc demo')}")
    return finish(results)


def _look_once(seed: int) -> None:
    """Extract all layers of toyclip before the simulation asks for one of them: one pass over the scenes instead of two."""
    from brainenc.features import extract
    from brainenc.simulate.insilico import scenes

    model = next(model for model in MODELS if isinstance(model, dict))
    extract(scenes(seed), str(model["name"]), layers=list(model["layers"]), progress=False)


def demo_plan(root: Path, seed: int) -> dict[str, Any]:
    """Return the plan of the demo; another seed than 0 is another simulation, described by a manifest in the results folder."""
    dataset = "insilico"
    if seed:
        dataset = str(atomic.write_text(root / f"seed-{seed}" / "insilico.toml", MANIFEST.format(seed=seed)).resolve())
    analysis = {
        "name": "demo", "dataset": dataset, "subjects": list(SUBJECTS), "models": list(MODELS), "metric": ["pearson", "r2"],
        "split": {"kind": "column", "name": "split", "test": "test"},
    }  # fmt: skip
    return {"name": "demo", "seed": seed, "threads": 2, "memory": "1GB", "device": "cpu", "analysis": [analysis]}


def compare(results: Results, seed: int) -> pd.DataFrame:
    """Return one row per subject and region: the planted driver, the winner, both scores, the ceiling and whether the driver was found.

    "found": the winner is the planted layer, and the 95 % paired-bootstrap interval of its lead over the runner-up, whatever model
    that is of, excludes zero.
    """
    import pandas as pd

    from brainenc.encoding import winners
    from brainenc.simulate.insilico import REGIONS

    planted = {region.name: region.driver for region in REGIONS}
    summary = results.summary[results.summary["metric"] == "pearson"]
    ceilings = summary.groupby(["subject", "roi"], sort=False)["ceiling"].first()
    tables = [winners(scores.entry(metric="pearson"), by="roi", seed=seed) for scores in results.scores().values()]
    table = pd.concat(tables, ignore_index=True)
    table.insert(2, "planted", table["roi"].map(planted))
    table["ceiling"] = [ceilings.get((subject, roi)) for subject, roi in zip(table["subject"], table["roi"], strict=True)]
    table["found"] = (table["winner"] == table["planted"]) & table["distinct"]
    return table[["subject", "roi", "planted", "winner", "score", "ceiling", "runner_up", "difference", "ci_low", "ci_high", "found"]]
