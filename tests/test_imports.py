"""The import rules of CONTRIBUTING.md, checked on the code's own imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "bench"
LEAVES = {"models", "data", "augment", "tasks", "measure"}
STAGES = {"spec", "plan", "run", "train", "record", "report", "search", "commands", "cli"}
# what each stage may import of the other stages; leaves and root modules are free to all stages
ALLOWED = {
    "spec": set[str](),
    "plan": {"spec"},
    "train": {"spec", "plan"},
    "run": {"spec", "plan", "train"},
    "record": {"spec", "plan"},
    "report": {"spec", "plan", "record"},
    "search": {"spec", "plan", "run", "record"},
    "commands": STAGES - {"cli"},
    "cli": STAGES,
}


def room(module: str) -> str:
    """`bench.models.unet` → `models`."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def violations() -> Iterator[str]:
    for path in sorted(ROOT.rglob("*.py")):
        here = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for module in imports(path):
            there = room(module)
            if not module.startswith("bench") or there == here:
                continue
            if here in LEAVES and there in LEAVES | STAGES:
                yield f"{path.relative_to(ROOT)} imports {module}: leaves stand alone"
            if here in ALLOWED and there in STAGES - ALLOWED[here]:
                yield f"{path.relative_to(ROOT)} imports {module}: against the flow"


def test_data_flows_one_way() -> None:
    assert list(violations()) == []


def test_every_stage_has_a_rule() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms <= LEAVES | set(ALLOWED), "say in ALLOWED what the new room may import"


LIGHT = {
    "bench.cli": {"torch", "mlflow", "pandas", "pydantic", "optuna"},
    "bench.spec.load": {"torch", "mlflow", "pandas"},
    "bench.plan.expand": {"torch", "mlflow", "pandas"},
    "bench.record.store": {"torch", "mlflow", "pandas"},
    "bench.run.runner": {"torch", "mlflow"},
    "bench.report.page": {"torch", "mlflow", "optuna"},
    "bench.commands.run": {"torch", "optuna"},
    "bench.commands.search": {"torch", "optuna"},
    "bench.search.driver": {"torch", "mlflow"},
}


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_imported_without(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(m for m in {LIGHT[module]!r} if m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
