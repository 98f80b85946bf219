"""The catalogue of manifests is found in a source tree, in an editable install and in an installed wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {path.stem for path in (ROOT / "data_manifests").glob("*.toml")}


def test_the_source_tree_lists_every_manifest():
    import brainenc as be

    assert SHIPPED and SHIPPED <= set(be.datasets.names())


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Build a wheel and an editable wheel with the project's own backend."""
    target = tmp_path_factory.mktemp("wheels")
    code = (
        "import hatchling.build as b, sys\n"
        "print(b.build_wheel(sys.argv[1]), b.build_editable(sys.argv[1], None) if len(sys.argv) > 2 else '')"
    )
    made = {}
    for kind, extra in (("wheel", []), ("editable", ["editable"])):
        folder = target / kind
        folder.mkdir()
        subprocess.run([sys.executable, "-c", code, str(folder), *extra], cwd=ROOT, check=True, capture_output=True)
        made[kind] = max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    return made


def _names(path_entry: Path) -> set[str]:
    code = f"import sys; sys.path.insert(0, {str(path_entry)!r}); import brainenc.datasets as d; print(brainenc_file := d.__file__); print(*d.names())"
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert str(path_entry) in out[0]
    return set(out[1].split())


def test_an_installed_wheel_carries_the_manifests_the_model_and_the_template(wheels, tmp_path):
    with zipfile.ZipFile(wheels["wheel"]) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert SHIPPED <= _names(tmp_path)
    assert any(name.endswith("toyclip.safetensors") for name in names)
    assert any(name.startswith("brainenc/reporting/") and "template" in name for name in names)
    assert not any(name.startswith(("tests/", "tutorials/")) for name in names)


def test_an_editable_install_finds_them_beside_the_package(wheels):
    with zipfile.ZipFile(wheels["editable"]) as archive:
        pth = [archive.read(name).decode().strip() for name in archive.namelist() if name.endswith(".pth")]
    assert [str(ROOT)] == pth
    assert SHIPPED <= _names(ROOT)
