"""ToyCLIP: a small open_clip model, trained on simulated scenes, that travels in the package.

It is an ordinary ``open_clip.CLIP`` (a narrow ModifiedResNet and a two-layer text transformer) with open_clip's tokenizer of
49,408 tokens. The file keeps float16 weights and, of the token table, only the rows of the tokens that were seen in training,
after one row that all the others share; `load` writes the table out in full. How it was trained and how good it is:
``features/data/toyclip/MODEL_CARD.md``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brainenc.core.errors import DataError

FOLDER = Path(__file__).resolve().parent.parent / "data" / "toyclip"
CONFIG, WEIGHTS = "config.json", "toyclip.safetensors"


def load(folder: str | Path | None = None) -> tuple[Any, dict[str, Any], Any]:
    """Return the model in evaluation mode, its preprocessing, and its tokenizer.

    Parameters
    ----------
    folder : path, optional
        With ``config.json`` and ``toyclip.safetensors``; the package's own when not given.

    Returns
    -------
    model : open_clip.CLIP
        float32; visual stages are ``visual.layer1`` to ``visual.layer4`` and ``visual.attnpool``.
    preprocess : dict
        ``size`` (pixels), ``interpolation``, ``crop``, ``mean`` and ``std`` (of channels scaled to 0-1).
    tokenizer : open_clip.SimpleTokenizer
        Texts to int64 tokens of shape (n_texts, context_length).

    Raises
    ------
    DataError
        For a missing or damaged file.

    Examples
    --------
    >>> model, preprocess, tokenizer = load()
    >>> tuple(model.encode_text(tokenizer(["a red circle"])).shape)
    (1, 64)
    """
    from open_clip import SimpleTokenizer

    root = FOLDER if folder is None else Path(folder)
    config = read_config(root)
    model = build(config)
    model.load_state_dict(_expand(root / WEIGHTS, config, model))
    tokenizer = SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    return model.eval(), dict(config["preprocess"]), tokenizer


def read_config(folder: str | Path | None = None) -> dict[str, Any]:
    """Return the configuration: ``embed_dim``, ``vision_cfg`` and ``text_cfg`` in open_clip's terms, and ``preprocess``."""
    path = (FOLDER if folder is None else Path(folder)) / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("the configuration of toyclip cannot be read", where=str(path), got=str(error), fix="install brainenc again") from error
    return config


def build(config: dict[str, Any]) -> Any:
    """Return the untrained model of a configuration; the state of torch's global generator is left as it was."""
    import torch
    from open_clip import CLIP

    with torch.random.fork_rng(devices=[]):
        return CLIP(embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=config["text_cfg"])


def _expand(path: Path, config: dict[str, Any], model: Any) -> dict[str, Any]:
    """Return the state of the model: float32, with the whole token table and fresh batch counters."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
        rows, ids = stored.pop("token_rows"), stored.pop("token_ids").long()
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError("the weights of toyclip cannot be read", where=str(path), got=str(error), fix="install brainenc again") from error
    table = rows[0].repeat(config["text_cfg"]["vocab_size"], 1)
    table[ids] = rows[1:]
    counters = {name: torch.zeros_like(value) for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    return {**stored, **counters, "token_embedding.weight": table}
