"""Text networks of transformers: ``"transformers:bert-base-uncased"`` (extra ``text``).

Each row of a text set is one unit; its features are pooled over its own tokens (``pooling="mean"``, ``"last"``, ``"first"``, ``"max"``,
or ``"cls"`` for the first token of the input). With ``model_kwargs={"context": n}`` the network reads up to ``n`` preceding rows of the
same document first (see `brainenc.features.split_words`).

Weights: pretrained ones from the hub, a local folder (``weights="folder"`` with config.json, model.safetensors and the tokenizer), or
random ones from the hub's configuration or from ``model_kwargs={"config": {"model_type": "bert", ...}}``; a network built from a bare
configuration reads UTF-8 bytes. Code from the hub is never run. Layer names are the library's own module names. Default layers:
the blocks (all modules ``….N`` of the deepest list of blocks).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import DataError, InputError
from brainenc.core.extras import need
from brainenc.features import weights as weight_files
from brainenc.features.adapters import Network
from brainenc.features.words import Tokenize, TokenReader, byte_tokens

SUMMARY = "text networks of transformers (extra: text)"
KINDS = ("text",)
OPTIONS = ("config", "context", "revision", "max_tokens")
BYTE_VOCABULARY = 259
_EXAMPLES = ["bert-base-uncased", "distilbert-base-uncased", "gpt2", "roberta-base", "sentence-transformers/all-MiniLM-L6-v2"]


def variants() -> list[str]:
    """Return a few examples: any text model of the hub whose architecture the library itself knows can be named."""
    return list(_EXAMPLES)


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Network:
    """Build a text network."""
    library = need("transformers", "text", purpose="text models")
    _check(variant, model_kwargs, preprocess)
    source = weight_files.resolve(weights)
    own_config = model_kwargs.get("config")
    revision = model_kwargs.get("revision")
    where: str | Path = source if isinstance(source, Path) else variant
    if isinstance(source, Path) and not source.is_dir():
        raise DataError("text models load from a folder", where=source, expected="config.json, model.safetensors and the tokenizer's files")
    if own_config is not None:
        if source != weight_files.RANDOM:
            raise InputError("a bare configuration has no weights", where="model_kwargs config", fix='ask for untrained ones with weights="random"')
        config, pad = _bare(library, own_config), 0
        tokenize: Tokenize = byte_tokens
    else:
        config = _get(library.AutoConfig, where, revision)
        tokenize, pad = _tokenizer(_get(library.AutoTokenizer, where, revision, use_fast=True), where)
    facts: dict[str, Any] = {"source": "random", "seed": seed}
    if source == weight_files.RANDOM:
        with weight_files.seeded(seed, "transformers", variant):
            module = library.AutoModel.from_config(config)
    else:
        module = _get(library.AutoModel, where, revision, config=config, use_safetensors=True)
        facts = {"source": "file", "file": source.name} if isinstance(source, Path) else {"source": "pretrained", "tag": revision or "main"}
    module = module.float()
    facts["fingerprint"] = weight_files.fingerprint(module)
    limit = min(int(model_kwargs.get("max_tokens", 512)), int(getattr(config, "max_position_embeddings", 512) or 512))
    reader = TokenReader(tokenize, context=int(model_kwargs.get("context", 0)), max_tokens=limit, pad_id=pad)
    identity = {"family": "transformers", "variant": variant, "model_kwargs": model_kwargs, "weights": facts, "library": f"transformers {library.__version__}"}
    if getattr(config, "is_encoder_decoder", False):
        raise InputError("encoder-decoder models are not offered", where=f"transformers:{variant}", fix="use an encoder or a decoder")
    return Network(f"transformers:{variant}", module, identity, encode=lambda batch: module(**batch), default=_blocks, reader=reader)


def _check(variant: str, options: Mapping[str, Any], preprocess: Mapping[str, Any] | None) -> None:
    if not variant or not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?", variant) or ".." in variant:
        raise InputError("not a model's name", where="transformers", expected="e.g. transformers:bert-base-uncased", got=repr(variant))
    for key in options:
        if key not in OPTIONS:
            raise InputError(f"unknown option {key!r}", where="transformers model_kwargs", expected=", ".join(OPTIONS), fix=did_you_mean(key, OPTIONS))
    for key, least in (("context", 0), ("max_tokens", 1)):
        value = options.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"not a usable value for {key}", where="transformers model_kwargs", expected=f"an integer of at least {least}", got=repr(value))
    if preprocess:
        raise InputError("texts are not preprocessed", where="preprocess", got=repr(dict(preprocess)))


def _bare(library: Any, options: Any) -> Any:
    if not isinstance(options, Mapping) or "model_type" not in options:
        raise InputError("a configuration names its model_type", where="model_kwargs config", expected='{"model_type": "bert", ...}', got=repr(options))
    rest = {k: v for k, v in options.items() if k != "model_type"}
    try:
        config = library.AutoConfig.for_model(options["model_type"], **rest)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError("transformers cannot read this configuration", where="model_kwargs config", got=weight_files.reason(error)) from error
    if config.vocab_size < BYTE_VOCABULARY:
        raise InputError("vocabulary too small for bytes", where="model_kwargs config", expected=f"vocab_size >= {BYTE_VOCABULARY}", got=config.vocab_size)
    return config


def _get(kind: Any, where: str | Path, revision: str | None, **options: Any) -> Any:
    if isinstance(where, Path):
        try:
            return kind.from_pretrained(str(where), local_files_only=True, trust_remote_code=False, **options)
        except Exception as error:  # the library raises OSError, ValueError and those of its readers
            raise DataError("not a usable model folder", where=where, got=weight_files.reason(error)) from error
    return weight_files.download(
        f"transformers:{where}", lambda: kind.from_pretrained(where, revision=revision, trust_remote_code=False, **options)
    )


def _tokenizer(tokenizer: Any, where: str | Path) -> tuple[Tokenize, int]:
    if not getattr(tokenizer, "is_fast", False):
        raise InputError("this model's tokenizer does not tell which characters a token covers", where=str(where), fix="choose a model with a fast tokenizer")

    def tokenize(text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoded = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
        return list(encoded["input_ids"]), [(int(a), int(b)) for a, b in encoded["offset_mapping"]]

    return tokenize, int(tokenizer.pad_token_id or 0)


def _blocks(known: list[str]) -> list[str]:
    """Return the numbered modules of the list that has most of them, outermost first."""
    parents = Counter(n.rpartition(".")[0] for n in known if n.rpartition(".")[2].isdigit())
    if not parents:
        return known[-6:]
    most = max(parents.values())
    parent = min((p for p, count in parents.items() if count == most), key=len)
    return [n for n in known if n.rpartition(".")[0] == parent and n.rpartition(".")[2].isdigit()]
