"""Only public names of Optuna are used, so that its minor releases break nothing.

Private attributes are ruff's (SLF001); modules and names that begin with `_` are checked here.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

import bench
from bench.search.pruning import OptunaPruning
from bench.search.samplers import make_sampler
from bench.spec.search_parts import Nsga2, RandomSampling, Sampler, Tpe


def private_imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (n for n in names if n.startswith("optuna") and "._" in n)


def test_private_imports_are_recognised() -> None:
    assert list(private_imports("from optuna.storages.journal._file import Lock")) != []
    assert list(private_imports("from optuna import _imports")) != []
    assert list(private_imports("import optuna.storages._base")) != []
    assert list(private_imports("from optuna.storages import BaseStorage")) == []


def test_no_private_module_of_optuna_is_imported() -> None:
    files = sorted(Path(bench.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    found = [(path.name, name) for path in files for name in private_imports(path.read_text())]
    assert found == []


def test_an_epoch_reported_again_keeps_its_value_without_a_warning() -> None:
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    trial = study.ask()
    policy = OptunaPruning(by_seed=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy.epoch(trial, 1, 0.5)
        policy.epoch(trial, 1, 0.75)
    assert study.trials[0].intermediate_values == {1: 0.5}


@pytest.mark.parametrize("settings", [RandomSampling(), Tpe(startup_trials=2), Nsga2(population=2)])
def test_enqueued_values_come_by_number_and_the_rest_is_drawn(settings: Sampler) -> None:
    """Whether the sampler draws parameters one by one or, after the first trials, together."""
    enqueued = [{"a": 0.25}, {"a": 0.5, "b": 0.125, "not drawn": 7}, {}, {"b": 0.75}]
    study = optuna.create_study(sampler=make_sampler(settings, enqueued))
    points = []
    for _ in range(6):
        trial = study.ask()
        points.append((trial.suggest_float("a", 0, 1), trial.suggest_float("b", 0, 1)))
        study.tell(trial, sum(points[-1]))
    assert points[0][0] == 0.25
    assert points[1] == (0.5, 0.125)
    assert points[3][1] == 0.75
    drawn = [points[0][1], *points[2], points[3][0], *points[4], *points[5]]
    assert len(set(drawn)) == len(drawn)
