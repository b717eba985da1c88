"""Every block of code in the documentation is tried: specs planned, commands parsed, Python run.

Pages whose blocks run as a whole have a test of their own: `OWN_TESTS`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from markdown_it import MarkdownIt

from bench.cli.app import app
from bench.plan.expand import make_plan
from bench.spec import yaml12
from bench.spec.load import load_spec
from bench.spec.schema import Sweep, TrialSettings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN_TESTS = {
    "augmentation.md": "tests/test_augmentation_guide.py",
    "own-parts.md": "tests/test_own_parts_guide.py",
    "python.md": "tests/api/test_documentation.py",
}
"""Pages whose Python and YAML runs as a whole elsewhere."""

SECTIONS = {*TrialSettings.model_fields, *Sweep.model_fields}
OTHERS = (
    "optuna-dashboard ",
    "python3 -m venv",
    ".venv/bin/pip",
    "pip install",
    "uv pip",
    "git clone",
    "source ",
)
"""Other programs: the workflow installs, and docs/_site/pictures.py opens the dashboard."""


class Block(NamedTuple):
    """One block of code."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _blocks() -> Iterator[Block]:
    for page in PAGES:
        for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
            if token.type in ("code_block", "fence") and not token.info.startswith("{"):
                line = token.map[0] + 1 if token.map else 0
                language = token.info.split()[0] if token.info else _language(token.content)
                yield Block(page, line, language, token.content)


def _language(text: str) -> str:
    """That of a block that does not say it."""
    first = text.strip().split("\n")[0]
    if re.match(r"(\.venv/bin/)?(python3? -m|bench |pip |uv |bash |git |source )", first):
        return "bash"
    if re.match(r"(import |from \w+ import|bench\.\w+\()", first):
        return "python"
    key = re.match(r"([a-z_]+):( |$)", first)
    return "yaml" if key is not None and key[1] in SECTIONS else "text"


BLOCKS = list(_blocks())
YAML = [b for b in BLOCKS if b.language == "yaml" and b.page.name != "own-parts.md"]
SHELL = [b for b in BLOCKS if b.language in ("bash", "sh", "console", "shell")]
PYTHON = [b for b in BLOCKS if b.language == "python" and b.page.name not in OWN_TESTS]
WRITTEN = {"experiments/mine.yaml"}
"""Specs that a page has had written before."""
KNOWN = {"yaml", "bash", "sh", "console", "shell", "python", "text", "csv", "json", "toml"}


def test_every_block_has_a_language_that_is_tried() -> None:
    assert {block.language for block in BLOCKS} <= KNOWN
    assert min(len(YAML), len(SHELL)) > 10
    for page, test in OWN_TESTS.items():
        assert page in (ROOT / test).read_text()


@pytest.mark.parametrize("block", YAML, ids=str)
def test_specs_and_parts_of_specs_are_valid(block: Block, tmp_path: Path) -> None:
    for text in _alternatives(block.text):
        tree = yaml12.parse(text, str(block))[0]
        if "experiment" in tree:
            written = tmp_path / "spec.yaml"
            written.write_text(text)
            assert make_plan(load_spec(written)).trials
        else:
            _check_part(tree)


def _alternatives(text: str) -> list[str]:
    """Lines that say the same key are alternatives, each for itself."""
    lines = text.splitlines()
    keys = {line.partition(":")[0] for line in lines}
    return lines if len(lines) > 1 and len(keys) == 1 else [text]


def _check_part(tree: dict[str, Any]) -> None:
    """Some sections of a spec, with the others as they may be."""
    assert set(tree) <= SECTIONS
    settings = {key: value for key, value in tree.items() if key in TrialSettings.model_fields}
    classifies = settings.get("data", {}).get("name") == "class_folder"
    base = {
        "task": "classification" if classifies else "segmentation",
        "data": {"name": "shapes"},
        "model": {"name": "resnet", "depth": 18} if classifies else {"name": "unet"},
    }
    TrialSettings.model_validate(base | settings)
    sweep = {key: value for key, value in tree.items() if key in Sweep.model_fields}
    Sweep.model_validate({"experiment": "page"} | sweep)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_and_their_options_exist(block: Block) -> None:
    text = block.text.replace("\\\n", " ")
    lines = [line.split("  #")[0].strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        for command in re.split(r"\s+&&\s+", line):
            _check_command(command)


def _check_command(command: str) -> None:
    said = re.sub(r"^(\w+=\S+ )*(\.venv/bin/|srun |sbatch )?", "", command)
    said = re.sub(r"^python3? -m bench|^bench(?= )", "bench", said)
    if said.startswith("ray "):
        _check_ray(shlex.split(said)[1:])
        return
    if said.startswith("kubectl exec"):
        _check_command(said.partition(" -- ")[2])
        return
    if not said.startswith("bench "):
        assert command.startswith(OTHERS) or _is_ours(said), f"not tried: {command}"
        return
    words = shlex.split(re.split(r" [|>] ", said)[0])[1:]
    group: Any = typer.main.get_command(app)
    if words[0].startswith("-"):
        return
    context = group.commands[words[0]].make_context(words[0], [_plain(w) for w in words[1:]])
    spec = str(context.params.get("spec") or "")
    if spec.startswith("experiments/") and spec not in WRITTEN:
        load_spec(ROOT / spec, context.params.get("overrides") or ())


def _check_ray(words: list[str]) -> None:
    scripts = pytest.importorskip(
        "ray.scripts.scripts", reason="needs Ray: pip install 'bench[ray]'"
    )
    scripts.cli.commands[words[0]].make_context(words[0], words[1:])


def _plain(word: str) -> str:
    """A word of a command; `[--cost]` in a synopsis is an option."""
    return word.strip("[]")


def _is_ours(command: str) -> bool:
    """Whether it calls a module or a script of this repository."""
    module = re.match(r"(?:PYTHONPATH=\. )?python3? -m ([\w.]+)", command)
    if module is not None:
        path = ROOT / module[1].replace(".", "/")
        known = ("build", "twine", "pytest", "sphinx", "http.server")
        return module[1] in known or path.with_suffix(".py").is_file() or path.is_dir()
    script = re.match(r"(?:bash|python3?) (\S+)", command)
    return script is not None and (ROOT / script[1]).is_file()


def test_python_is_python() -> None:
    for block in PYTHON:
        compile(block.text, str(block), "exec")
