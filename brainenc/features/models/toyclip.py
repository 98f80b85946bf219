"""ToyCLIP: a small open_clip model that travels in the package, trained on simulated scenes and their captions.

It goes through the same code as ``open_clip:ViT-B-32``. Layers: ``visual.layer1`` to ``visual.layer4``, ``visual.attnpool`` and the
embedding ``visual``; for texts the blocks of the text tower and the embedding ``text``. How it was trained and how good it is:
``features/data/toyclip/MODEL_CARD.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainenc.core.errors import InputError
from brainenc.features import weights as weight_files
from brainenc.features.adapters import Network
from brainenc.features.models import _toyclip_file
from brainenc.features.models._toyclip_file import load
from brainenc.features.models.open_clip import tower
from brainenc.features.words import ClipReader

SUMMARY = "a small vision-language model, embedded in the package"
KINDS = ("image", "text")
VARIED = False


def variants() -> list[str]:
    """Return the variants: none, there is one ToyCLIP."""
    return []


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Network:
    """Build one tower of ToyCLIP with its trained weights, random ones, or those of a file."""
    import open_clip

    if variant or model_kwargs:
        raise InputError("toyclip has no variants and no options", where="model", got=f"{variant!r}, {model_kwargs}", fix='write "toyclip"')
    source = weight_files.resolve(weights)
    facts: dict[str, Any] = {"source": source, "seed": seed}
    with weight_files.seeded(seed, "toyclip"):  # building draws random weights, even where a file replaces them
        if source == weight_files.RANDOM:
            module = _toyclip_file.build()
        elif source == weight_files.PRETRAINED:
            module, facts = load()[0], {"source": "pretrained", "tag": "embedded"}
        else:
            module, facts = load(Path(source))[0], {"source": "file", "file": Path(source).name}
    facts["fingerprint"] = weight_files.fingerprint(module)
    identity = {"family": "toyclip", "variant": "", "model_kwargs": {}, "weights": facts, "library": f"open_clip {open_clip.__version__}"}
    reader = ClipReader(_toyclip_file.tokenizer()) if kind == "text" else None
    return tower("toyclip", module.eval(), identity, kind=kind, own=_toyclip_file.PREPROCESS, preprocess=preprocess, reader=reader)


__all__ = ["KINDS", "SUMMARY", "build", "load", "variants"]
