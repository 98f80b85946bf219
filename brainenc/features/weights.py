"""Where a network's weights come from, and the only two formats that are read: safetensors, and torch files of plain tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brainenc.core.checks import examples
from brainenc.core.errors import BrainencError, DataError, InputError
from brainenc.core.fingerprint import of_file
from brainenc.core.rng import derive
from brainenc.io.paths import is_offline

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")
PRETRAINED, RANDOM = "pretrained", "random"
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def resolve(weights: Any) -> str | Path:
    """Return ``"pretrained"``, ``"random"`` or the path of an existing file or folder.

    None means pretrained: random weights must be asked for by name.
    """
    if weights is None or weights == PRETRAINED:
        return PRETRAINED
    if weights == RANDOM:
        return RANDOM
    if not isinstance(weights, str | Path):
        raise InputError("weights are named by text or a path", expected='"pretrained", "random" or a file', got=type(weights).__name__)
    path = Path(weights).expanduser()
    if not path.exists():
        raise DataError("no such weights file", where=path, expected='"pretrained", "random" or the path of a .safetensors or torch file')
    return path


def refuse(weights: Any, family: str) -> None:
    """Raise `InputError` where weights are given to a family that has none."""
    if weights not in (None, PRETRAINED):
        raise InputError(f"{family} has no weights", where="weights", got=repr(weights), fix="leave weights out")


@contextmanager
def seeded(seed: int, *keys: object) -> Iterator[None]:
    """Draw a network's random weights from ``seed`` alone, and leave torch's own generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "weights", *keys))
        yield


def load_into(module: torch.nn.Module, path: Path, *, state: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Load a file into a network, key by key, and return what was done for provenance.

    Values are converted to the network's dtype (a float16 file gives a float32 network). Counters of batches, which no
    network uses at test time, may be missing.

    Raises
    ------
    DataError
        When the file cannot be read safely, or its keys or shapes are not the network's.
    """
    facts: dict[str, Any] = {"source": "file", "file": path.name}
    if state is None:
        state = read_state(path)
        facts["sha256"] = of_file(path)
    own = module.state_dict()
    if not set(state) & set(own) and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
        facts["removed prefix"] = "module."
    _compare(own, state, path)
    module.load_state_dict(dict(state), strict=False)
    return facts


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a flat dictionary of tensors from a ``.safetensors`` file or a torch file of plain tensors.

    A torch file may wrap it once under ``state_dict``, ``model_state_dict`` or ``model``. Files that hold anything that
    would have to be executed are refused.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in (".safetensors", *TORCH_SUFFIXES):
        raise DataError("unknown kind of weights file", where=path, expected=f".safetensors, or one of {', '.join(TORCH_SUFFIXES)}")
    content = _read_safetensors(path) if suffix == ".safetensors" else _read_torch(path)
    return _flat(content, path)


def fingerprint(module: torch.nn.Module) -> str:
    """Return the sha256 of all weights and buffers: names, dtypes, shapes and bytes."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if not torch.is_tensor(value):
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        raw = value.detach().cpu().contiguous()
        digest.update(raw.reshape(-1).view(torch.uint8).numpy().data if raw.numel() else b"")
    return digest.hexdigest()


def download(what: str, get: Callable[[], T]) -> T:
    """Run a library's own download; a failure becomes a `DataError` with the ways out.

    Where ``BRAINENC_OFFLINE`` is set, only what the library's cache already holds is used.
    """
    try:
        with _offline_hub():
            return get()
    except BrainencError:
        raise
    except Exception as error:  # each library and transport has exceptions of its own
        raise unavailable(what, reason(error)) from error


def reason(error: Exception) -> str:
    """Return an error's type and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])


def unavailable(what: str, cause: str) -> DataError:
    """Return the error for pretrained weights that cannot be had here."""
    offline = "; BRAINENC_OFFLINE forbids downloads" if is_offline() else ""
    return DataError(
        f"the pretrained weights of {what} are not on this machine and could not be downloaded",
        got=f"{cause}{offline}",
        fix='give a local file with weights="path/to/file.safetensors", or ask for untrained ones with weights="random"',
    )


@contextmanager
def _offline_hub() -> Iterator[None]:
    """Keep huggingface_hub from the network while ``BRAINENC_OFFLINE`` is set (it reads its own variable only once)."""
    if not is_offline():
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError("not a readable safetensors file", where=path, got=str(error)) from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged zips, refused globals and old formats all raise differently
        raise DataError(
            "torch file refused: it is damaged or holds more than tensors", where=path, got=reason(error),
            fix="save it again as safetensors, or with torch.save(model.state_dict(), path)",
        ) from error  # fmt: skip


def _flat(content: Any, path: Path) -> dict[str, Tensor]:
    import torch

    if isinstance(content, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
                break
        if content and all(isinstance(k, str) and torch.is_tensor(v) for k, v in content.items()):
            return dict(content)
    raise DataError("weights file holds no dictionary of tensors", where=path, got=type(content).__name__)


def _compare(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in own]
    shapes = [f"{k}: file {tuple(state[k].shape)}, network {tuple(own[k].shape)}" for k in own if k in state and own[k].shape != state[k].shape]
    if not (missing or unexpected or shapes):
        return
    parts = [
        f"{len(found)} {word} (e.g. {examples(found, 2)})"
        for found, word in ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
        if found
    ]
    raise DataError(
        "the weights do not fit this network", where=path, expected=f"{len(own)} keys", got="; ".join(parts),
        fix="check the model's name; did you mean to pass model_kwargs (for instance num_classes, pad_type or a size)?",
    )  # fmt: skip
