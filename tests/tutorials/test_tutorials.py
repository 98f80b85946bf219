"""Tutorials and the README's Python blocks run as they are printed."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "tutorials").glob("plot_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_tutorial_runs(script, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert not list(tmp_path.iterdir()), "a tutorial leaves nothing in the working directory"


def test_there_are_tutorials_and_each_has_a_title():
    assert len(SCRIPTS) >= 3
    for script in SCRIPTS:
        assert re.match(r'"""\n[^\n]+\n=+\n', script.read_text(encoding="utf-8")), script.name


def test_the_blocks_of_the_readme_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    assert blocks
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)  # noqa: S102


@pytest.mark.filterwarnings("ignore:targets whose penalty")  # before the stimulus there is nothing to predict
def test_the_block_of_eeg_in_the_readme_runs():
    _, block = re.findall(r"```py\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    scope: dict[str, object] = {}
    exec(compile("import brainenc as be\n" + block, "README.md", "exec"), scope)  # noqa: S102
    when = scope["when"].set_index("layer")["peak"]  # type: ignore[attr-defined]
    assert (when.sort_index().diff().dropna() > 0).all() and len(when) == 4


def test_the_plan_of_the_readme_is_a_plan():
    import tomllib

    from brainenc.study import Plan

    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    plan = Plan.from_dict(tomllib.loads(block))
    assert [model.name for model in plan.analyses[0].models] == ["gabor", "toyclip", "table:concepts"]
