"""The import rules of CONTRIBUTING.md, checked on the code's own imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "bench"
LEAVES = {"models", "data", "augment", "tasks", "measure"}
# what each stage may import of the other stages; leaves and root modules are free to all stages
ALLOWED = {
    "spec": set[str](),
    "plan": {"spec"},
    "train": {"spec", "plan"},
    "run": {"spec", "plan", "train"},
    "record": {"spec", "plan"},
    "analysis": {"spec", "plan", "record"},
    "importing": {"spec", "plan", "record"},
    "inference": {"spec", "plan", "train", "record"},
    "report": {"spec", "plan", "record", "analysis"},
    "slurm": set[str](),
    "experiment": {"slurm", "spec", "plan", "train", "run", "record", "analysis", "report"},
    "search": {"spec", "plan", "run", "record", "experiment"},
}
STAGES = {*ALLOWED, "commands", "api", "cli"}
ALLOWED |= {"testing": {"spec", "plan", "train"}}
ALLOWED |= {
    "commands": STAGES - {"api", "cli"},
    "api": STAGES - {"cli", "commands"},
    "cli": STAGES - {"api"},
}
# the report's own order, from what every page needs to the page
REPORT = ["format", "narrative", "tables", "figures", "search"]


def room(module: str) -> str:
    """`bench.models.unet` → `models`."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    """`bench/models/unet.py` → `bench.models.unet`."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """All modules that a file imports, in functions too; `from package import module` counts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inner if name in MODULES]
            yield from modules
            if len(modules) < len(inner):
                yield node.module or ""


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}
GRAPH = {name: {m for m in imports(path) if m in MODULES} for name, path in MODULES.items()}


def violations() -> Iterator[str]:
    for module, imported in GRAPH.items():
        here = room(module)
        for other in sorted(imported):
            there = room(other)
            if there == here:
                continue
            if here in LEAVES and there in LEAVES | STAGES:
                yield f"{module} imports {other}: leaves stand alone"
            if here in ALLOWED and there in STAGES - ALLOWED[here]:
                yield f"{module} imports {other}: against the flow"


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other, over any number of steps (Tarjan, 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], index[other])
        if lowest[module] == index[module]:
            at = stack.index(module)
            group = sorted(stack[at:])
            del stack[at:]
            if len(group) > 1 or module in graph[module]:
                found.append(group)

    for module in graph:
        if module not in index:
            visit(module)
    return found


def test_data_flows_one_way() -> None:
    assert list(violations()) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(GRAPH) == []


def test_circles_of_any_length_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set[str](), "e": {"e"}}
    assert circles(graph) == [["a", "b", "c"], ["e"]]


def test_report_reads_from_words_to_page() -> None:
    """Nothing in `report/` imports a package that comes after its own, or the page."""
    found = []
    for module, imported in GRAPH.items():
        package = module.split(".")[2:3]
        for other in imported:
            if room(module) == room(other) == "report" and package[0] in REPORT:
                after = other.split(".")[2]
                if after not in REPORT[: REPORT.index(package[0]) + 1]:
                    found.append(f"{module} imports {other}")
    assert found == []


def test_every_stage_has_a_rule() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms <= LEAVES | set(ALLOWED), "say in ALLOWED what the new room may import"


LIGHT = {
    "bench": {"torch", "mlflow", "pandas", "pydantic", "optuna", "typer"},
    "bench.api.experiment": {"torch", "mlflow", "optuna", "matplotlib"},
    "bench.api.running": {"torch", "mlflow", "pandas", "optuna"},
    "bench.cli.main": {"torch", "mlflow", "pandas", "pydantic", "optuna"},
    "bench.spec.load": {"torch", "mlflow", "pandas"},
    "bench.plan.expand": {"torch", "mlflow", "pandas"},
    "bench.record.store": {"torch", "mlflow", "pandas"},
    "bench.run.runner": {"torch", "mlflow"},
    ", ".join(name for name in MODULES if room(name) == "analysis"): {
        "torch",
        "mlflow",
        "matplotlib",
        "seaborn",
        "jinja2",
        "rich",
        "optuna",
        "PIL",
    },
    "bench.report.page": {"torch", "mlflow", "optuna"},
    "bench.experiment.running": {"torch", "optuna"},
    "bench.commands.search": {"torch", "optuna"},
    "bench.search.driver": {"torch", "mlflow"},
}


@pytest.mark.parametrize("modules", sorted(LIGHT), ids=lambda modules: modules.split(",")[0])
def test_imported_without(modules: str) -> None:
    code = (
        f"import sys, {modules}; print(*sorted(m for m in {LIGHT[modules]!r} if m in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
