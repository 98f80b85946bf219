"""Extraction against the bare forward pass of the same network, in one process.

    python benchmarks/extract.py --images 256 --repeats 5

Both get images that are already decoded and of the network's size. ``bare`` is ``network(batch)`` over normalised batches under
``torch.inference_mode``; ``extract`` is the whole public call: uint8 pixels in, normalisation, hooks, pooling, a fresh cache
written and synced. Wall time and the processor time of all threads are both given: the second hardly feels other work on
the machine. What a call costs once, whatever the number of images (building the network, the probing pass, hashing the
weights), is measured by itself and printed; the ratio is given with and without it. The two are run in turn, and the median of
the ratios of neighbours is printed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import psutil
from _measure import clocked


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="timm:mobilenetv2_100")
    parser.add_argument("--layers", default="default")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()

    import torch

    import brainenc as be
    from brainenc.features.adapters import build

    if options.threads:
        torch.set_num_threads(options.threads)
    settings = {"crop": 1.0}  # the images have the network's size: nothing is left to resize
    adapter = build(options.model, kind="image", weights="random", preprocess=settings)
    height, width = adapter.preprocess.size
    pixels = np.random.default_rng(0).integers(0, 256, (options.images, height, width, 3), dtype=np.uint8)
    starts = range(0, options.images, options.batch)
    ready = [adapter.preprocess.normalise(np.ascontiguousarray(pixels[i : i + options.batch].transpose(0, 3, 1, 2))) for i in starts]

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", pixels)
        table = {"stimulus_id": [f"image{i}" for i in range(options.images)], "path": [f"images.npy::[{i}]" for i in range(options.images)]}
        stimuli = be.StimulusSet(table, root=Path(folder))

        def bare() -> None:
            with torch.inference_mode():
                for batch in ready:
                    adapter.module(batch)

        def extract(run: int, subset: be.StimulusSet) -> None:
            be.extract(
                subset, options.model, options.layers, weights="random", preprocess=settings, batch_size=options.batch,
                cache=Path(folder) / f"cache{run}", progress=False,
            )  # fmt: skip

        first = stimuli.take(stimuli.ids[:1])
        bare()
        extract(-1, first)
        calls = [_seconds(lambda run=run: extract(-2 - run, first)) for run in range(3)]
        passes = [_seconds(lambda: _one(adapter, ready[0])) for _ in range(3)]
        once = np.min(calls, axis=0) - np.min(passes, axis=0)
        pairs = np.array([(_seconds(bare), _seconds(lambda run=run: extract(run, stimuli))) for run in range(options.repeats)])

    print(f"{options.model}, layers {options.layers!r}, {options.images} images, batch {options.batch}, {torch.get_num_threads()} threads")
    for column, clock in enumerate(("wall time", "processor time")):
        ours, theirs = pairs[:, 1, column], pairs[:, 0, column]
        running = (ours - once[column]) / theirs
        each = ", ".join(f"{ratio:.3f}" for ratio in running)
        print(f"{clock}: extract / bare {np.median(running):.3f} (each {each}); with the one-off cost {np.median(ours / theirs):.3f}")
        print(f"    one-off cost {once[column]:.2f} s, bare forward pass {np.median(theirs):.2f} s")
    print(f"resident memory at the end: {psutil.Process().memory_info().rss / 1e6:.0f} MB")


def _one(adapter, batch) -> None:
    import torch

    with torch.inference_mode():
        adapter.module(batch[:1])


def _seconds(work) -> tuple[float, float]:
    return clocked(work)[:2]


if __name__ == "__main__":
    main()
