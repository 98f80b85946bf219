"""Image networks of torchvision: ``"torchvision:resnet18"``; a weight set may be named (``"torchvision:resnet50:IMAGENET1K_V1"``).

Layer names are torchvision's own module names. Default layers: the stages (children of the network, unfolded where there are
few). ``model_kwargs`` go to ``torchvision.models.get_model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError
from brainenc.features import weights as weight_files
from brainenc.features.adapters import Network
from brainenc.features.preprocess import Preprocess
from brainenc.io.paths import is_offline

if TYPE_CHECKING:
    from torch import nn

SUMMARY = "image networks of torchvision"
KINDS = ("image",)
_RESERVED = ("weights", "weights_backbone", "progress")


def variants() -> list[str]:
    """Return the classification networks that torchvision knows."""
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Network:
    """Build a torchvision network for images."""
    import torchvision

    name, _, tag = variant.partition(":")
    known = variants()
    if name not in known:
        raise NotFoundError(f"torchvision has no model {name!r}", expected=f"names like {examples(known)}", fix=did_you_mean(name, known))
    for key in model_kwargs:
        if key in _RESERVED:
            raise InputError(f"model_kwargs may not set {key!r}", where=f"torchvision:{variant}", fix="use weights= instead")
    offered = _offered(name, tag)
    source = weight_files.resolve(weights)
    with weight_files.seeded(seed, "torchvision", name):
        module = _create(name, model_kwargs)
    facts: dict[str, Any] = {"source": source, "seed": seed}
    if source == weight_files.PRETRAINED:
        facts = _load_pretrained(module, name, offered)
    elif source != weight_files.RANDOM:
        facts = weight_files.load_into(module, Path(source))
    facts["fingerprint"] = weight_files.fingerprint(module)
    return Network(
        f"torchvision:{variant}", module,
        {"family": "torchvision", "variant": variant, "model_kwargs": model_kwargs, "weights": facts, "library": f"torchvision {torchvision.__version__}"},
        preprocess=Preprocess.build(_own_preprocess(offered), preprocess), n_prefix=1 if hasattr(module, "class_token") else 0,
        has_cls=hasattr(module, "class_token"), channels_last="swin" in name,
    )  # fmt: skip


def _offered(name: str, tag: str) -> Any:
    import torchvision

    sets = torchvision.models.get_model_weights(name)
    if not tag:
        return sets.DEFAULT
    if tag not in sets.__members__:
        raise NotFoundError(f"torchvision has no weights {tag!r} for {name}", expected=", ".join(sets.__members__), fix=did_you_mean(tag, sets.__members__))
    return sets[tag]


def _create(name: str, model_kwargs: Mapping[str, Any]) -> nn.Module:
    import torchvision

    if name in ("googlenet", "inception_v3"):
        model_kwargs = {"init_weights": True, "aux_logits": True, **model_kwargs}
    try:
        return torchvision.models.get_model(name, weights=None, **model_kwargs)
    except (TypeError, ValueError) as error:
        raise InputError(f"torchvision cannot build {name!r} with these options", where=f"model_kwargs {dict(model_kwargs)}", got=str(error)) from error


def _load_pretrained(module: nn.Module, name: str, offered: Any) -> dict[str, Any]:
    import torch

    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(offered.url).path).name
    if is_offline() and not cached.is_file():
        raise weight_files.unavailable(f"torchvision:{name}", f"{cached} is not there")
    state = weight_files.download(f"torchvision:{name}", lambda: offered.get_state_dict(progress=False, check_hash=True, weights_only=True))
    return {**weight_files.load_into(module, cached, state=state), "source": "pretrained", "tag": offered.name}


def _own_preprocess(offered: Any) -> dict[str, Any]:
    preset = offered.transforms()
    size, resize = int(preset.crop_size[0]), int(preset.resize_size[0])
    interpolation = str(preset.interpolation.value)
    return {"size": size, "interpolation": interpolation, "crop": min(1.0, size / resize), "mean": list(preset.mean), "std": list(preset.std)}
