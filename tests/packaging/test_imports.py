"""Importing is cheap, lazy and never shadows a verb."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import brainenc

HEAVY = ("torch", "mne", "nilearn", "pandas", "matplotlib", "sklearn", "open_clip")


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_nothing_heavy():
    loaded = _run("import sys, brainenc; print(*[m for m in sys.modules if '.' not in m])").split()
    assert not set(loaded) & set(HEAVY)


def test_command_help_loads_nothing_heavy():
    code = "import sys\nfrom brainenc.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint('MODULES', *[m for m in sys.modules if '.' not in m])"
    loaded = _run(code).split("MODULES")[1].split()
    assert not set(loaded) & set(HEAVY)


@pytest.mark.parametrize("room", ["core", "io", "linalg", "nouns", "metrics"])
def test_the_lower_floors_load_no_imaging_or_plotting_library(room):
    code = (
        f"import sys, pkgutil, importlib, brainenc.{room} as r\n"
        "[importlib.import_module(m.name) for m in pkgutil.walk_packages(r.__path__, r.__name__ + '.')]\n"
        "print(*[m for m in sys.modules if '.' not in m])"
    )
    loaded = set(_run(code).split())
    assert not loaded & {"mne", "nilearn", "matplotlib", "open_clip"}
    if room != "linalg":
        assert "torch" not in loaded


def test_no_module_shadows_a_public_name():
    for module in pkgutil.walk_packages(brainenc.__path__, "brainenc."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in brainenc.__all__:
        value = getattr(brainenc, name)
        if name in ("load", "fetch", "extract", "design", "score_layers", "plot", "run", "report", "read"):
            assert callable(value) and not isinstance(value, type(sys)), name
    assert callable(brainenc.split.images)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nonsense"):
        brainenc.nonsense  # noqa: B018
