"""Vision-language models of open_clip: ``"open_clip:ViT-B-32"``, with a tag where several weights exist (``"open_clip:ViT-B-32:openai"``).

Images go through the image tower and texts through the text tower; layer names are open_clip's own module names. Default
layers: the blocks or stages of the tower, and its embedding (``"visual"`` for images, ``"text"`` for texts). ``model_kwargs`` go to
``open_clip.create_model``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError
from brainenc.features import weights as weight_files
from brainenc.features.adapters import Network
from brainenc.features.hooks import stages
from brainenc.features.preprocess import Preprocess
from brainenc.features.words import ClipReader

if TYPE_CHECKING:
    from torch import nn

SUMMARY = "vision-language models of open_clip"
KINDS = ("image", "text")
PREFERRED = ("openai", "laion2b_s34b_b79k", "laion2b_s32b_b82k", "datacomp_xl_s13b_b90k", "webli")
_ALLOWED = (
    "force_quick_gelu", "force_custom_text", "force_patch_dropout", "force_image_size", "force_context_length", "vision_cfg", "text_cfg", "embed_dim",
)  # fmt: skip


def variants() -> list[str]:
    """Return the architectures that open_clip knows."""
    import open_clip

    return open_clip.list_models()


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Network:
    """Build one tower of an open_clip model."""
    import open_clip

    name, _, tag = variant.partition(":")
    _check(name, tag, model_kwargs)
    source = weight_files.resolve(weights)
    facts: dict[str, Any] = {"source": source, "seed": seed}
    if source == weight_files.PRETRAINED:
        tag = tag or _preferred(name)
        options = {"force_quick_gelu": True} if (open_clip.get_pretrained_cfg(name, tag) or {}).get("quick_gelu") else {}
        module = weight_files.download(f"open_clip:{name}:{tag}", lambda: _create(name, tag, {**options, **model_kwargs}))
        facts = {"source": "pretrained", "tag": tag}
    else:
        with weight_files.seeded(seed, "open_clip", name):
            module = _create(name, None, model_kwargs)
        if source != weight_files.RANDOM:
            facts = weight_files.load_into(module, Path(source))
    facts["fingerprint"] = weight_files.fingerprint(module)
    identity = {"family": "open_clip", "variant": variant, "model_kwargs": model_kwargs, "weights": facts, "library": f"open_clip {open_clip.__version__}"}
    own = dict(getattr(module.visual, "preprocess_cfg", {}))
    reader = None if kind == "image" else ClipReader(open_clip.get_tokenizer(name) if _plain_tokenizer(name) else _no_tokenizer(name))
    return tower(f"open_clip:{variant}", module, identity, kind=kind, own=own, preprocess=preprocess, reader=reader)


def tower(
    name: str, module: Any, identity: dict[str, Any], *, kind: str, own: Mapping[str, Any], preprocess: Mapping[str, Any] | None, reader: Any
) -> Network:
    """Return the adapter of the image tower or the text tower of an open_clip module."""
    identity = {**identity, "tower": kind}
    if kind == "text":
        encode = module.encode_text
        return Network(name, module, identity, encode=encode, default=_text_default, output="text", reader=reader)
    visual = module.visual
    prefix = hasattr(visual, "class_embedding") or getattr(getattr(visual, "trunk", None), "cls_token", None) is not None
    n_prefix = int(getattr(getattr(visual, "trunk", None), "num_prefix_tokens", prefix))
    settings = Preprocess.build(_own_preprocess(own, preprocess), preprocess)
    return Network(
        name, module, identity, encode=module.encode_image, scope="visual", preprocess=settings,
        default=lambda known: [*_blocks(module, known), *(["visual"] if "visual" in known else [])], n_prefix=n_prefix, has_cls=bool(prefix),
    )  # fmt: skip


def _blocks(module: nn.Module, known: list[str]) -> list[str]:
    """Return the blocks of a transformer tower or the stages of a convolutional one."""
    lists = ("visual.transformer.resblocks", "visual.trunk.blocks", "visual.trunk.stages")
    blocks = [n for n in known if n.rpartition(".")[2].isdigit() and n.rpartition(".")[0] in lists]
    blocks = blocks or [n for n in known if re.fullmatch(r"visual\.(trunk\.)?layer\d", n)]
    return blocks or [n for n in stages(module, known, "visual.") if "." in n]


def _text_default(known: list[str]) -> list[str]:
    blocks = [n for n in known if n.rpartition(".")[0].endswith("resblocks") and n.rpartition(".")[2].isdigit()]
    return [*(blocks or known[:-1]), "text"]


def _check(name: str, tag: str, model_kwargs: Mapping[str, Any]) -> None:
    import open_clip

    known = open_clip.list_models()
    if name not in known:
        raise NotFoundError(f"open_clip has no model {name!r}", expected=f"names like {examples(known)}", fix=did_you_mean(name, known))
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag and tag not in tags:
        raise NotFoundError(f"open_clip has no weights {tag!r} for {name}", expected=examples(tags, 12) or "none", fix=did_you_mean(tag, tags))
    for key in model_kwargs:
        if key not in _ALLOWED:
            fix = did_you_mean(key, _ALLOWED)
            raise InputError(f"unknown option {key!r} in model_kwargs", where=f"open_clip:{name}", expected=", ".join(_ALLOWED), fix=fix)


def _preferred(name: str) -> str:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(name)
    if not tags:
        raise weight_files.unavailable(f"open_clip:{name}", "open_clip offers none for this model")
    return next((tag for tag in PREFERRED if tag in tags), tags[0])


def _create(name: str, tag: str | None, options: Mapping[str, Any]) -> nn.Module:
    import logging

    import open_clip

    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)  # open_clip warns of random weights, which were asked for by name
    try:
        return open_clip.create_model(name, pretrained=tag, pretrained_image=False, pretrained_text=False, require_pretrained=tag is not None, **options)
    except (TypeError, AssertionError, KeyError) as error:
        raise InputError(f"open_clip cannot build {name!r} with these options", where=f"model_kwargs {dict(options)}", got=str(error)) from error
    finally:
        logger.setLevel(before)


def _plain_tokenizer(name: str) -> bool:
    import open_clip

    return "hf_tokenizer_name" not in (open_clip.get_model_config(name) or {}).get("text_cfg", {})


def _no_tokenizer(name: str) -> Any:
    raise InputError("this model's tokenizer is not offered", where=f"open_clip:{name}", fix="use a model with open_clip's own tokenizer for texts")


def _own_preprocess(own: Mapping[str, Any], override: Mapping[str, Any] | None) -> dict[str, Any]:
    settings = {k: own[k] for k in ("size", "interpolation", "mean", "std", "crop") if k in own}
    if isinstance(settings.get("size"), tuple):
        settings["size"] = list(settings["size"])
    mode = own.get("resize_mode", "shortest")
    if mode == "squash":
        settings["crop"] = "squash"
    elif mode != "shortest" and "crop" not in (override or {}):
        raise InputError(f"this model pads its images (resize mode {mode!r}), which is not offered", where="preprocess", fix='give preprocess={"crop": ...}')
    return settings
