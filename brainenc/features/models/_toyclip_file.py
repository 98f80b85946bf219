"""Reading ToyCLIP from its own small file.

The file holds a float16 state dict without the token table. Of that table (49,408 rows) it stores the rows of the tokens that occur
in the training captions (``token_ids``, ``token_rows``) and one shared row for all the others (``token_shared``). Counters of batches
are left out: evaluation does not read them.
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


def build(settings: dict[str, Any] | None = None) -> Any:
    """Return an untrained `open_clip.CLIP` of this architecture, or of other settings of the same form."""
    from open_clip.model import CLIP

    return CLIP(**(config() if settings is None else settings))


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
    """Return the trained model in evaluation mode, its preprocessing and its tokenizer.

    Parameters
    ----------
    path : path, optional
        Another ToyCLIP file; the package's own when not given.

    Returns
    -------
    model : open_clip.CLIP
        float32; the visual stages are ``visual.layer1`` to ``visual.layer4`` and ``visual.attnpool``.
    preprocess : dict
        ``size`` (pixels), ``interpolation``, ``crop``, ``mean`` and ``std`` (of channels scaled to 0-1).
    tokenizer : open_clip.SimpleTokenizer
        Texts to int64 tokens of shape (n_texts, context_length).

    Raises
    ------
    DataError
        When the file is missing, is not a ToyCLIP file, or does not fit the configuration.

    Examples
    --------
    >>> model, preprocess, tokenizer = load()
    >>> tuple(model.encode_text(tokenizer(["a red circle"])).shape)
    (1, 64)
    """
    import torch

    with torch.random.fork_rng(devices=[]):  # building draws weights, which are then replaced
        model = build()
    counters = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        model.load_state_dict(counters | state_dict(path))
    except RuntimeError as error:
        raise DataError("the ToyCLIP file does not fit its configuration", where=path or FOLDER, got=str(error)) from error
    return model.eval(), dict(PREPROCESS), tokenizer()


def tokenizer() -> Any:
    """Return open_clip's tokenizer with the context length of the model."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(context_length=config()["text_cfg"]["context_length"])
