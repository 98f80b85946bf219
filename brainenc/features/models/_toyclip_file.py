"""Reading ToyCLIP from its own small file.

The file holds a float16 state dict without the token table. Of that table (49,408 rows) it stores the rows of the tokens that occur
in the training captions (``token_ids``, ``token_rows``) and one shared row for all the others (``token_shared``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brainenc.core.errors import DataError

FOLDER = Path(__file__).resolve().parents[1] / "data" / "toyclip"
TABLE = "token_embedding.weight"
PREPROCESS = {"size": 64, "interpolation": "bilinear", "crop": 1.0, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def config() -> dict[str, Any]:
    """Return open_clip's arguments of the model: embed_dim, vision_cfg, text_cfg."""
    return json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))


def build() -> Any:
    """Return an untrained `open_clip.CLIP` of this architecture."""
    from open_clip.model import CLIP

    return CLIP(**config())


def state_dict(path: str | Path | None = None) -> dict[str, Any]:
    """Return the full float32 state dict, with the token table expanded.

    Raises
    ------
    DataError
        When the file is missing or is not a ToyCLIP file.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    source = Path(path) if path is not None else FOLDER / "toyclip.safetensors"
    try:
        stored = load_file(source)
        ids, rows, shared = (stored.pop(name) for name in ("token_ids", "token_rows", "token_shared"))
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError("not a ToyCLIP file", where=source, got=f"{type(error).__name__}: {error}") from error
    table = shared.float().repeat(config()["text_cfg"]["vocab_size"], 1)
    table[ids.long()] = rows.float()
    full = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    return full | {TABLE: table.to(torch.float32)}


def load(path: str | Path | None = None) -> tuple[Any, dict[str, Any], Any]:
    """Return the trained model in evaluation mode, its preprocessing and its tokenizer."""
    model = build()
    model.load_state_dict(state_dict(path))
    return model.eval(), dict(PREPROCESS), tokenizer()


def tokenizer() -> Any:
    """Return open_clip's tokenizer with the context length of the model."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=config()["text_cfg"]["context_length"])
