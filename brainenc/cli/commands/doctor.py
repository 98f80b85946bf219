"""``brainenc doctor``: what is installed, how much room there is, what data are found."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from brainenc.cli.console import say
from brainenc.core.checks import human_bytes
from brainenc.core.errors import BrainencError

EXTRAS = {"text": ("transformers",), "cluster": ("dask", "distributed", "dask_jobqueue"), "peers": ("himalaya",)}


def execute(args: argparse.Namespace) -> int:
    """Print one line per fact; return 1 where something would stop a run."""
    faults: list[str] = []
    for title, facts in (("packages", _packages()), ("machine", _machine()), ("folders", _folders(faults)), ("extras", _extras()), ("data sets", _datasets())):
        say(title)
        for name, value in facts:
            say(f"  {name:<22} {value}")
    for fault in faults:
        say(f"problem: {fault}")
    say("nothing stands in the way of a run" if not faults else "")
    return 1 if faults else 0


def _packages() -> Iterator[tuple[str, str]]:
    from brainenc.study.plan import environment

    yield from environment().items()


def _machine() -> Iterator[tuple[str, str]]:
    import psutil
    import torch

    memory = psutil.virtual_memory()
    yield "cores", str(os.cpu_count())
    yield "torch threads", str(torch.get_num_threads())
    yield "memory", f"{human_bytes(memory.available)} free of {human_bytes(memory.total)}"
    yield "GPU", torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    yield "python", sys.executable


def _folders(faults: list[str]) -> Iterator[tuple[str, str]]:
    import shutil

    from brainenc.io.paths import cache_dir, data_roots, is_offline

    for name, folder in (("cache", cache_dir()), ("working folder", Path.cwd())):
        place = next(p for p in (folder, *folder.parents) if p.exists())
        writable = os.access(place, os.W_OK)
        if not writable:
            faults.append(f"no permission to write to {place}; " + ("set BRAINENC_CACHE to another folder" if name == "cache" else "give --out"))
        yield name, f"{folder} ({human_bytes(shutil.disk_usage(place).free)} free, {'writable' if writable else 'not writable'})"
    for root in data_roots():
        yield "data", f"{root} ({'there' if root.is_dir() else 'not there'})"
    yield "downloads", "forbidden (BRAINENC_OFFLINE)" if is_offline() else "allowed"


def _extras() -> Iterator[tuple[str, str]]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        yield extra, "installed" if not missing else f'missing {", ".join(missing)}: pip install "brainenc[{extra}]"'


def _datasets() -> Iterator[tuple[str, str]]:
    from brainenc import datasets
    from brainenc.datasets.places import find_folder

    for name in datasets.names():
        manifest = datasets.manifest(name)
        if manifest.generator:
            yield name, "simulated on first use"
            continue
        try:
            yield name, f"in {find_folder(manifest, datasets.units(name)[0])}"
        except BrainencError:
            yield name, f"not here: brainenc fetch {name}"
