from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.commands.inspect import outlook_lines
from bench.commands.reporting import named
from bench.errors import BenchError
from bench.experiment.reports import make_report
from bench.plan.expand import make_plan
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.builders.experiments import finish, row

SPEC = """\
experiment: e
task: segmentation
data: {name: shapes}
train: {epochs: 1}
grid:
  model: {a: {name: unet}, b: {name: resnet34_unet}}
seeds: 3
"""
HYPOTHESES = """\
hypotheses:
  - {id: dice, claim: c, metric: best_val_dice, a: {model: a}, b: {model: b}, expect: higher}
"""
DICE = {"a": (0.9, 0.91, 0.92), "b": (0.5, 0.51, 0.53)}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC + HYPOTHESES)
    return path


def recorded(path: Path) -> Store:
    """A store with every trial of the spec finished."""
    plan = make_plan(load_spec(path))
    store = Store(path.parent / "results")
    store.write_plan(plan.experiment, plan.record())
    for trial in plan.trials:
        dice = DICE[trial.axes["model"]][trial.seed]
        finish(store, plan, trial, rows=[{**row(trial, 1), "val/dice": dice}])
    return store


def verdicts(page: Path) -> list[tuple[str, str]]:
    found = json.loads((page.parent / "verdicts.json").read_text())
    return [(entry["id"], entry["verdict"]) for entry in found]


def test_verdicts_are_written_next_to_the_page(spec: Path) -> None:
    store = recorded(spec)
    assert verdicts(make_report(store, "e", spec.parent / "out")) == [("dice", "supported")]


def test_a_spec_file_gives_its_hypotheses_as_they_stand_now(spec: Path) -> None:
    store = recorded(spec)
    spec.write_text(SPEC + HYPOTHESES.replace("higher", "lower").replace("id: dice", "id: new"))
    name, hypotheses = named(store, str(spec))
    page = make_report(store, name, spec.parent / "out", hypotheses)
    assert verdicts(page) == [("new", "refuted")]
    spec.write_text(SPEC)
    assert named(store, str(spec)) == ("e", ())
    assert named(store, "e") == ("e", None)


def test_a_wrong_hypothesis_or_an_unknown_experiment_is_reported(spec: Path) -> None:
    store = recorded(spec)
    spec.write_text(SPEC + HYPOTHESES.replace("{model: a}", "{model: c}"))
    with pytest.raises(BenchError, match=r"hypotheses.0.a.model: unknown level 'c'"):
        named(store, str(spec))
    shutil.rmtree(store.root)
    with pytest.raises(BenchError, match="no experiment 'e'"):
        named(store, str(spec))


def test_planning_tells_what_the_seeds_can_settle(spec: Path) -> None:
    assert outlook_lines(make_plan(load_spec(spec, ["seeds=2"]))) == [
        "Warning: dice: 2 seeds cannot settle it, 3 are the least."
    ]
    (line,) = outlook_lines(make_plan(load_spec(spec, ["seeds=20"])))
    assert line.startswith("Hypothesis: dice: 20 seeds settle it with 80% power, if the true")
    spec.write_text(SPEC)
    assert outlook_lines(make_plan(load_spec(spec))) == []
