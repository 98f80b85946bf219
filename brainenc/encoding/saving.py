"""Fitted models on disk: one ``.safetensors`` file of plain arrays with a JSON header. Nothing in it is ever executed.

A class takes part by deriving from `Savable`, by naming the arrays (with their axes) and the plain numbers of its fit, and by its line in
`SAVABLE`. The header holds the schema version, the class, its parameters, the names of features and targets, and where the model came from.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import BrainencWarning, DataError, InputError
from brainenc.core.resolver import resolve
from brainenc.io.atomic import atomic_write, json_text
from brainenc.io.paths import existing_file

SCHEMA = 1
SUFFIX = ".safetensors"
SAVABLE = {
    "BandedRidge": "brainenc.encoding.banded:BandedRidge", "ReceptiveField": "brainenc.encoding.receptive_field:ReceptiveField",
    "Ridge": "brainenc.encoding.ridge:Ridge", "Stacking": "brainenc.encoding.stacking:Stacking",
}  # fmt: skip
_KEY = "brainenc"
_LARGEST_HEADER = 100_000_000
Array = npt.NDArray[Any]


class Savable:
    """What an estimator needs to be saved; mix it in and fill the class variables.

    ``saved_arrays`` maps the names of fitted arrays to the names of their axes (equal names have equal lengths); all must be there,
    but of those in ``saved_either`` one set is enough and the others may be None. ``saved_plain`` lists fitted numbers, texts and tuples.
    """

    saved_arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    saved_either: ClassVar[tuple[tuple[str, ...], ...]] = ()
    saved_plain: ClassVar[tuple[str, ...]] = ()

    def save(self, path: str | Path, *, target_names: Any = None, provenance: Mapping[str, Any] | None = None) -> Path:
        """Write the fitted model; `brainenc.encoding.load_model` gets it back and predicts the same numbers.

        Parameters
        ----------
        path : str or Path
            ``.safetensors`` is added when missing. Written whole or not at all.
        target_names : sequence of str, optional
            One name a target; kept as ``target_names_``.
        provenance : dict, optional
            What JSON can hold: data set, subject, split, features; kept as ``provenance_``.

        Raises
        ------
        InputError
            For a model that is not fitted, or names that do not fit.
        DataError
            Where it cannot be written.

        Warns
        -----
        BrainencWarning
            For parameters that a file cannot hold, such as splitters: they are needed for fitting only.
        """
        return _write(self, Path(path), target_names, provenance)


def load_model(path: str | Path) -> Any:
    """Read a model that was saved with its ``save`` method.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    estimator
        Fitted, of the class that was saved; it predicts the same numbers. ``provenance_`` holds what was saved with it, and
        the versions that wrote it.

    Raises
    ------
    DataError
        When the file is missing, damaged, of a newer schema, of an unknown class, or when its arrays do not fit together.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from brainenc.encoding import Ridge, load_model
    >>> X = np.random.default_rng(0).normal(size=(30, 4))
    >>> model = Ridge(1.0, cv=None).fit(X, X @ np.ones((4, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_model(model.save(f"{folder}/model"))
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path) if Path(path).is_file() else existing_file(_with_suffix(Path(path)))
    try:
        with safe_open(source, framework="numpy") as stored:
            header = _header(stored.metadata(), source)
            model = _blank(header, source)
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("not a readable model file", where=source, got=f"{type(error).__name__}: {error}") from error
    _check_arrays(arrays, type(model), source)
    for name in type(model).saved_arrays:
        setattr(model, name, arrays.get(name))
    for name, value in _fitted_plain(header, type(model), arrays, source).items():
        setattr(model, name, value)
    _set_names(model, header, arrays, source)
    model.provenance_ = {**header["provenance"], "saved_by": header["versions"]}
    return model


def _write(model: Any, path: Path, target_names: Any, provenance: Mapping[str, Any] | None) -> Path:
    from safetensors.numpy import save_file

    kind = type(model)
    if SAVABLE.get(kind.__name__) is None or resolve(SAVABLE[kind.__name__]) is not kind:
        raise InputError("models of this class cannot be saved", where="save", expected=f"one of {', '.join(SAVABLE)}", got=kind.__name__)
    if not hasattr(model, "n_features_in_"):
        raise InputError("the model is not fitted", where=f"{kind.__name__}.save", fix="call fit first")
    arrays = {name: getattr(model, name, None) for name in kind.saved_arrays}
    stored = {name: np.ascontiguousarray(value) for name, value in arrays.items() if value is not None}
    sizes = {axis: size for name, value in stored.items() for axis, size in zip(kind.saved_arrays[name], value.shape, strict=True)}
    parameters, dropped = {}, []
    for name, value in model.get_params(deep=False).items():
        packed = _pack(value, f"param.{name}", stored)
        if packed is None:
            dropped.append(f"{name}={value!r}"[:200])
        else:
            parameters[name] = packed
    names = getattr(model, "target_names_", None) if target_names is None else target_names
    header = {
        "schema": SCHEMA, "class": kind.__name__, "params": parameters, "not_stored": dropped, "versions": _versions(),
        "plain": {name: _pack(getattr(model, name), name, stored) for name in kind.saved_plain},
        "n_features": int(model.n_features_in_), "feature_names": _texts(getattr(model, "feature_names_in_", None), model.n_features_in_, "features"),
        "target_names": _texts(names, sizes.get("targets", 0), "targets"), "provenance": dict(provenance or getattr(model, "provenance_", {})),
    }  # fmt: skip
    text = json_text(header)
    if dropped:
        warnings.warn(f"not stored with the model, and needed to fit it again: {'; '.join(dropped)}", BrainencWarning, stacklevel=3)
    target = _with_suffix(path)
    with atomic_write(target) as temporary:
        save_file(stored, temporary, metadata={_KEY: text})
    return target


def _header(metadata: Mapping[str, str] | None, source: Path) -> dict[str, Any]:
    text = (metadata or {}).get(_KEY)
    if text is None:
        raise DataError("a safetensors file, but not a model of brainenc", where=source)
    if len(text) > _LARGEST_HEADER:
        raise DataError("header is too large", where=source, expected=f"at most {_LARGEST_HEADER} characters", got=len(text))
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("header is not JSON", where=source, got=f"{type(error).__name__}: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("schema"), int) or header["schema"] < 1:
        raise DataError("header names no schema", where=source)
    if header["schema"] > SCHEMA:
        raise DataError("model was saved by a newer brainenc", where=source, expected=f"schema {SCHEMA} or older", got=header["schema"], fix="update brainenc")
    kinds: dict[str, type | tuple[type, ...]] = {
        "class": str, "params": dict, "plain": dict, "n_features": int, "feature_names": (list, type(None)), "target_names": (list, type(None)),
        "provenance": dict, "versions": dict,
    }  # fmt: skip
    wrong = [name for name, kind in kinds.items() if not isinstance(header.get(name), kind)]
    if wrong:
        raise DataError("header is not complete", where=source, got=f"no usable {', '.join(wrong)}")
    return header


def _blank(header: dict[str, Any], source: Path) -> Any:
    """Return an unfitted model of the class."""
    name = header["class"]
    if name not in SAVABLE:
        raise DataError("model is of an unknown class", where=source, expected=f"one of {', '.join(SAVABLE)}", got=name[:80], fix=did_you_mean(name, SAVABLE))
    kind = resolve(SAVABLE[name])
    known = set(inspect.signature(kind).parameters)
    unknown = set(header["params"]) - known
    if unknown:
        raise DataError("model has unknown parameters", where=source, expected=", ".join(sorted(known)), got=", ".join(sorted(unknown))[:200])
    model = kind()
    model.n_features_in_ = header["n_features"]
    return model


def _check_arrays(arrays: Mapping[str, Array], kind: Any, source: Path) -> None:
    """Refuse missing arrays, unknown ones, other dtypes than numbers, and lengths that contradict each other."""
    axes = kind.saved_arrays
    absent = set(axes) - {name for names in kind.saved_either for name in names} - set(arrays)
    if absent or (kind.saved_either and not any(set(names) <= set(arrays) for names in kind.saved_either)):
        raise DataError("model file lacks arrays", where=source, got=f"no {', '.join(sorted(absent)) or 'weights'}")
    sizes: dict[str, tuple[int, str]] = {}
    for name, value in arrays.items():
        if name not in axes and not name.startswith(("param.", "plain.")):
            raise DataError("model file holds an unknown array", where=source, got=name[:80])
        if value.dtype.kind not in "fiub":
            raise DataError("model file holds an array that is not of numbers", where=source, got=f"{name}: {value.dtype}")
        if name not in axes:
            continue
        if value.ndim != len(axes[name]):
            raise DataError("array has another number of axes", where=f"{source}, {name}", expected=axes[name], got=value.shape)
        for axis, size in zip(axes[name], value.shape, strict=True):
            before = sizes.setdefault(axis, (size, name))
            if before[0] != size:
                raise DataError(f"arrays do not fit together along {axis}", where=source, expected=f"{before[0]} as in {before[1]}", got=f"{size} in {name}")


def _fitted_plain(header: dict[str, Any], kind: Any, arrays: Mapping[str, Array], source: Path) -> dict[str, Any]:
    missing = set(kind.saved_plain) - set(header["plain"])
    if missing:
        raise DataError("model file is not complete", where=source, got=f"no {', '.join(sorted(missing))}")
    return {name: _unpack(header["plain"][name], arrays, source) for name in kind.saved_plain}


def _set_names(model: Any, header: dict[str, Any], arrays: Mapping[str, Array], source: Path) -> None:
    parameters = {name: _unpack(value, arrays, source) for name, value in header["params"].items()}
    model.set_params(**parameters)
    axes = type(model).saved_arrays
    sizes = {axis: size for name, value in arrays.items() if name in axes for axis, size in zip(axes[name], value.shape, strict=True)}
    if sizes.get("features", model.n_features_in_) != model.n_features_in_:
        raise DataError("arrays do not fit the number of features", where=source, expected=model.n_features_in_, got=sizes["features"])
    for key, attribute, size in (("feature_names", "feature_names_in_", model.n_features_in_), ("target_names", "target_names_", sizes.get("targets", 0))):
        if header[key] is None:
            continue
        if len(header[key]) != size or not all(isinstance(one, str) for one in header[key]):
            raise DataError(f"{key} do not fit the model", where=source, expected=f"{size} texts", got=f"{len(header[key])} entries")
        setattr(model, attribute, np.array(header[key], dtype=object))


def _pack(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Return the JSON form of a parameter, arrays going beside the header; None for what has none."""
    from brainenc.linalg.plan import ChunkPlan

    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and np.isfinite(value)):
        return {"value": value}
    if isinstance(value, np.generic):
        return _pack(value.item(), name, arrays)
    if isinstance(value, ChunkPlan):
        return {"plan": list(astuple(value))}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        key = name if name.startswith("param.") else f"plain.{name}"
        arrays[key] = np.ascontiguousarray(value)
        return {"array": key}
    if isinstance(value, list | tuple):
        parts = [_pack(part, f"{name}.{i}", arrays) for i, part in enumerate(value)]
        return None if any(part is None for part in parts) else {type(value).__name__ if type(value) in (list, tuple) else "tuple": parts}
    return None


def _unpack(packed: Any, arrays: Mapping[str, Array], source: Path) -> Any:
    from brainenc.linalg.plan import ChunkPlan

    if isinstance(packed, dict) and len(packed) == 1:
        ((kind, value),) = packed.items()
        if kind == "value" and (value is None or isinstance(value, bool | int | float | str)):
            return value
        if kind == "array" and isinstance(value, str) and value in arrays:
            return arrays[value]
        if kind in ("list", "tuple") and isinstance(value, list):
            parts = [_unpack(part, arrays, source) for part in value]
            return tuple(parts) if kind == "tuple" else parts
        if kind == "plan" and isinstance(value, list) and len(value) == 5 and all(isinstance(part, int) for part in value):
            return ChunkPlan(*value)
    raise DataError("a number of the header cannot be read", where=source, got=repr(packed)[:80])


def _texts(names: Any, size: int, what: str) -> list[str] | None:
    if names is None:
        return None
    texts = [str(name) for name in names]
    if len(texts) != size:
        raise InputError(f"names of {what} do not fit the model", where="save", expected=f"{size} names", got=len(texts))
    return texts


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {"brainenc": version("brainenc"), "numpy": np.__version__}
    except PackageNotFoundError:
        return {"numpy": np.__version__}


def _with_suffix(path: Path) -> Path:
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
