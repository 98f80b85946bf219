"""A plan: every choice of a study, read from strict TOML and fixed once.

.. code-block:: toml

    name = "demo"
    seed = 0

    [[analysis]]
    dataset = "insilico"
    subjects = ["01", "02"]
    models = ["gabor", { name = "toyclip", layers = "visual.*" }]
    split = { kind = "images", test = 0.2, seeds = [0, 1, 2] }
    metric = ["pearson", "r2"]
"""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from brainenc.core.checks import one_of, parse_bytes
from brainenc.core.errors import DataError, InputError
from brainenc.core.registry import Registry
from brainenc.study import tomltext
from brainenc.study.schema import REQUIRED, TEXT, Key, as_list, read_table

KINDS = Registry("brainenc.study.analyses", "kind of analysis", "brainenc.analyses")
PACKAGES = ("brainenc", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "torch", "timm", "open_clip_torch", "nibabel", "nilearn")
WEIGHT_WORDS = ("pretrained", "random")

_PLAN_KEYS = {
    "name": Key((str,), "study"),
    "seed": Key((int,), 0, least=0),
    "memory": Key((str, int), "4GB"),
    "dtype": Key((str,), "float32", allowed=("float32", "float64")),
    "device": TEXT,
    "threads": Key((int,), 1, least=1),
    "batch_size": Key((int,), 32, least=1),
    "environment": Key((dict,)),
    "analysis": Key((list,), REQUIRED, items=(dict,)),
}
_COMMON_KEYS = {
    "kind": Key((str,), "encoding"),
    "name": TEXT,
    "dataset": Key((str,), REQUIRED),
    "subjects": Key((list, str), items=(str,)),
    "sessions": Key((list, str), items=(str,)),
    "variant": TEXT,
    "roi": Key((list, str), items=(str,)),
    "where": TEXT,
    "root": TEXT,
    "models": Key((list,), REQUIRED, items=(dict, str)),
}
_MODEL_KEYS = {
    "name": Key((str,), REQUIRED),
    "layers": Key((str, list), "default", items=(str,)),
    "weights": Key((str,), "pretrained"),
    "pooling": TEXT,
    "preprocess": Key((dict,)),
    "model_kwargs": Key((dict,)),
    "reduce": TEXT,
}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model and the layers of it that a study looks at; the fields are arguments of `brainenc.extract`."""

    name: str
    layers: str | tuple[str, ...] = "default"
    weights: str = "pretrained"
    pooling: str | None = None
    preprocess: Mapping[str, Any] | None = None
    model_kwargs: Mapping[str, Any] | None = None
    reduce: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for `brainenc.extract` and `brainenc.features.list_layers`, layers left out."""
        named = {"weights": self.weights, "pooling": self.pooling, "preprocess": self.preprocess, "model_kwargs": self.model_kwargs, "reduce": self.reduce}
        return {name: value for name, value in named.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the TOML table."""
        layers = list(self.layers) if isinstance(self.layers, tuple) else self.layers
        return {"name": self.name, "layers": layers, **self.arguments()}


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis: which data, which models, and the options of its kind (for "encoding": split, encoder, metric …)."""

    name: str
    dataset: str
    models: tuple[ModelSpec, ...]
    kind: str = "encoding"
    subjects: tuple[str, ...] | None = None
    sessions: tuple[str, ...] | None = None
    variant: str | None = None
    roi: tuple[str, ...] | None = None
    where: str | None = None
    root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the TOML table; options stand beside the common keys."""
        plain = {"kind": self.kind, "name": self.name, "dataset": self.dataset}
        for name in ("subjects", "sessions", "variant", "roi", "where", "root"):
            value = getattr(self, name)
            if value is not None:
                plain[name] = list(value) if isinstance(value, tuple) else value  # type: ignore[assignment]
        return {**plain, "models": [model.to_dict() for model in self.models], **self.options}


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of a study. `Plan.resolve` fixes what would depend on the machine, and writes down versions.

    Parameters
    ----------
    analyses : tuple of Analysis
        What is scored.
    name : str
        Of the study.
    seed : int
        For everything that is drawn, except splits, which have seeds of their own.
    memory : str or int
        Bound on the working memory of one task ("4GB"); never what happens to be free.
    dtype : {"float32", "float64"}
        Of features and responses in the products.
    device : str, optional
        "cpu", "cuda", or "auto" (the default), which `resolve` replaces.
    threads : int
        Threads of one task; results are equal to the byte only for equal numbers.
    batch_size : int
        Stimuli per forward pass.
    environment : mapping, optional
        Versions of Python and packages; set by `resolve`.

    Examples
    --------
    >>> plan = Plan.from_dict({"analysis": [{"dataset": "insilico", "models": ["gabor"]}]})
    >>> Plan.from_dict(plan.to_dict()) == plan
    True
    """

    analyses: tuple[Analysis, ...]
    name: str = "study"
    seed: int = 0
    memory: str | int = "4GB"
    dtype: str = "float32"
    device: str | None = None
    threads: int = 1
    batch_size: int = 32
    environment: Mapping[str, str] | None = None

    @classmethod
    def from_toml(cls, path: str | Path) -> Plan:
        """Read a plan; paths in it (``root``, ``weights``, a manifest as ``dataset``) are relative to the plan's folder.

        Raises
        ------
        DataError
            When there is no such file.
        InputError
            For TOML that cannot be read, an unknown key (with the nearest one and its path), a wrong type.
        """
        source = Path(path)
        if not source.is_file():
            raise DataError("no such plan", where=source, fix="give the path of a TOML file")
        try:
            table = tomllib.loads(source.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError("plan is not valid TOML", where=source, got=str(error)) from None
        return cls.from_dict(table, where=source.name, base=source.resolve().parent)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], *, where: str = "plan", base: Path | None = None) -> Plan:
        """Build a plan from the keys of the TOML form; see `from_toml`."""
        values = read_table(table, _PLAN_KEYS, where)
        blocks = values.pop("analysis")
        if not blocks:
            raise InputError("plan has no analysis", where=where, fix="add a table [[analysis]]")
        parse_bytes(values["memory"])
        analyses = tuple(_analysis(block, f"{where}: analysis[{i}]", base) for i, block in enumerate(blocks))
        names = [analysis.name for analysis in analyses]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InputError("analyses share a name", where=where, got=", ".join(doubled), fix='give each its own: name = "…"')
        return cls(analyses=analyses, **values)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the TOML form."""
        plain = {name: getattr(self, name) for name in ("name", "seed", "memory", "dtype", "device", "threads", "batch_size")}
        known = {name: value for name, value in plain.items() if value is not None}
        tables: dict[str, Any] = {"environment": dict(self.environment)} if self.environment is not None else {}
        return {**known, **tables, "analysis": [analysis.to_dict() for analysis in self.analyses]}

    def to_toml(self) -> str:
        """Return the plan as TOML text, which `from_toml` reads back to an equal plan."""
        return tomltext.dumps(self.to_dict())

    @property
    def memory_bytes(self) -> int:
        """The bound on one task's working memory, in bytes."""
        return parse_bytes(self.memory)

    def resolve(self) -> Plan:
        """Return the plan with device and versions fixed; everything else is fixed already."""
        return replace(self, device=_device(self.device), environment=environment())


def environment() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if "brainenc" not in found:
        from brainenc import __version__

        found["brainenc"] = __version__
    return found


def _device(device: str | None) -> str:
    if device not in (None, "auto"):
        return str(device)
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _analysis(table: Mapping[str, Any], where: str, base: Path | None) -> Analysis:
    kind = table.get("kind", "encoding")
    module = KINDS.get(one_of(kind, KINDS.names(), f"{where}.kind"))
    values = read_table(table, {**_COMMON_KEYS, **module.KEYS}, where)
    options = {name: table[name] for name in module.KEYS if name in table}
    module.check(options, where)
    if not values["models"]:
        raise InputError("analysis has no model", where=f"{where}.models")
    if values["where"] is not None:
        _check_selection(values["where"], f"{where}.where")
    dataset = _near(values["dataset"], base) if values["dataset"].endswith(".toml") else values["dataset"]
    listed = {name: None if values[name] is None else tuple(as_list(values[name])) for name in ("subjects", "sessions", "roi")}
    models = tuple(_model(model, f"{where}.models[{i}]", base) for i, model in enumerate(values["models"]))
    doubled = sorted({model.name for model in models if [other.name for other in models].count(model.name) > 1})
    if doubled:
        raise InputError("models share a name", where=f"{where}.models", got=", ".join(doubled), fix="give each an analysis of its own")
    return Analysis(
        name=values["name"] or Path(values["dataset"]).stem, dataset=dataset, kind=kind, variant=values["variant"], where=values["where"],
        root=None if values["root"] is None else _near(values["root"], base), options=options, models=models, **listed,
    )  # fmt: skip


def _check_selection(text: str, where: str) -> None:
    from brainenc.core.selection import parse

    try:
        parse(text)
    except InputError as error:
        raise InputError(str(error), where=where) from None


def _model(table: Mapping[str, Any] | str, where: str, base: Path | None) -> ModelSpec:
    values = read_table({"name": table} if isinstance(table, str) else table, _MODEL_KEYS, where)
    if isinstance(values["layers"], list):
        values["layers"] = tuple(values["layers"])
    if values["weights"] not in WEIGHT_WORDS and Path(values["weights"]).suffix:
        values["weights"] = _near(values["weights"], base)
    return ModelSpec(**values)


def _near(path: str, base: Path | None) -> str:
    """Return a path of the plan; a relative one counts from the plan's folder."""
    given = Path(path).expanduser()
    return str(given if base is None or given.is_absolute() else base / given)
