"""Image networks of timm: ``"timm:resnet50"``, with a tag where several weights exist (``"timm:vit_base_patch16_224.augreg_in21k"``).

Layer names are timm's own module names. Default layers: the stages that timm names in ``feature_info``, with their siblings
(all ``blocks.N`` of a transformer), and the pooled features before the classifier. ``model_kwargs`` go to ``timm.create_model``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError
from brainenc.features import weights as weight_files
from brainenc.features.adapters import Network
from brainenc.features.hooks import stages
from brainenc.features.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import nn

SUMMARY = "image networks of timm"
KINDS = ("image",)
_RESERVED = ("pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "scriptable", "exportable", "features_only")


def variants() -> list[str]:
    """Return the architectures that timm knows."""
    import timm

    return timm.list_models()


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Network:
    """Build a timm network for images."""
    import timm

    _check(variant, model_kwargs)
    source = weight_files.resolve(weights)
    facts: dict[str, Any] = {"source": source, "seed": seed} if source == weight_files.RANDOM else {"source": "pretrained"}
    if source == weight_files.PRETRAINED:
        if timm.models.get_pretrained_cfg(variant, allow_unregistered=True) is None or not timm.models.is_model_pretrained(variant):
            raise weight_files.unavailable(f"timm:{variant}", "timm offers none for this name")
        module = weight_files.download(f"timm:{variant}", lambda: _create(variant, True, model_kwargs))
        facts["tag"] = module.pretrained_cfg.get("tag") or ""
    else:
        with weight_files.seeded(seed, "timm", variant):
            module = _create(variant, False, model_kwargs)
        if source != weight_files.RANDOM:
            facts = weight_files.load_into(module, source)  # type: ignore[arg-type]
    facts["fingerprint"] = weight_files.fingerprint(module)
    config = module.pretrained_cfg
    n_prefix = int(getattr(module, "num_prefix_tokens", 0) or 0)
    return Network(
        f"timm:{variant}", module,
        {"family": "timm", "variant": variant, "model_kwargs": model_kwargs, "weights": facts, "library": f"timm {timm.__version__}"},
        preprocess=Preprocess.build(_own_preprocess(config, preprocess), preprocess),
        default=lambda known: _default(module, known), n_prefix=n_prefix, has_cls=getattr(module, "cls_token", None) is not None and n_prefix > 0,
        channels_last=getattr(module, "output_fmt", "NCHW") == "NHWC",
    )  # fmt: skip


def _check(variant: str, model_kwargs: Mapping[str, Any]) -> None:
    import timm

    name = variant.split(".")[0]
    if not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", variant) or not timm.is_model(name):
        known = timm.list_models()
        raise NotFoundError(f"timm has no model {variant!r}", expected=f"names like {examples(known)}", fix=did_you_mean(variant, known))
    for key in model_kwargs:
        if key in _RESERVED:
            raise InputError(f"model_kwargs may not set {key!r}", where=f"timm:{variant}", fix="use weights= and preprocess= instead")


def _create(variant: str, pretrained: bool, model_kwargs: Mapping[str, Any]) -> Any:
    import timm

    try:
        return timm.create_model(variant, pretrained=pretrained, **model_kwargs)
    except (TypeError, AssertionError, KeyError, ValueError) as error:
        raise InputError(f"timm cannot build {variant!r} with these options", where=f"model_kwargs {dict(model_kwargs)}", got=str(error)) from error


def _own_preprocess(config: Mapping[str, Any], override: Mapping[str, Any] | None) -> dict[str, Any]:
    mode = config.get("crop_mode") or "center"
    crop: Any = config.get("crop_pct") or 1.0
    if mode == "squash":
        crop = "squash"
    elif mode != "center" and "crop" not in (override or {}):
        raise InputError(f"this model pads its images (crop mode {mode!r}), which is not offered", where="preprocess", fix='give preprocess={"crop": ...}')
    return {
        "size": [int(s) for s in config["input_size"][1:]], "interpolation": str(config.get("interpolation") or "bicubic"), "crop": crop,
        "mean": config["mean"], "std": config["std"],
    }  # fmt: skip


def _default(module: nn.Module, known: list[str]) -> list[str]:
    info = getattr(module, "feature_info", None) or []
    named = [str(stage["module"]) for stage in info]
    parents = {name.rpartition(".")[0] for name in named} - {""}
    picked = [n for n in known if n in named or (n.rpartition(".")[0] in parents and n.rpartition(".")[2].isdigit())]
    if len(picked) < 2:
        return stages(module, known)
    return [n for n in known if n in picked or n == "global_pool"]
