"""A design that gets a component more: what is recorded stays, and belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.load import load
from bench.errors import StoreError
from bench.experiment.renamed_trials import adopt
from bench.plan.design import Design
from bench.record.files import write_json
from bench.record.store import Store
from tests.builders.designs import COMPONENTS, HEAD, built
from tests.builders.experiments import planned

ADD_ONE = f"design:\n  add_one:\n{COMPONENTS}"
MORE = ADD_ONE + "    rate: {train.lr: 2e-3}\n"


def test_a_component_more_leaves_the_others_trials_where_they_belong(tmp_path: Path) -> None:
    store, before = built(tmp_path, ADD_ONE)
    plan = planned(tmp_path, HEAD + MORE)
    assert {trial.id for trial in before.trials} < {trial.id for trial in plan.trials}
    assert adopt(plan, store) == []
    store.write_plan(plan.experiment, plan.record() | {"notes": []})
    records = load(store, plan.experiment)
    assert records.left_out == ()
    assert records.cautions == ()
    assert (records.runs["status"] == "done").sum() == 16
    for trial in before.trials:
        assert "train.lr" in store.trial(trial.experiment, trial.id).config()["varied"]


def test_trials_of_a_grid_are_taken_over_by_a_design(tmp_path: Path) -> None:
    from tests.builders.experiments import finish

    grid = planned(tmp_path, HEAD + "grid: {augment: {flip: [{hflip: {p: 0.5}}], none: []}}\n")
    store = Store(tmp_path / "results")
    for trial in grid.trials:
        finish(store, grid, trial)
    plan = planned(tmp_path, HEAD + ADD_ONE)
    renamed = adopt(plan, store)
    assert sorted({new.rpartition("-s")[0] for _, new in renamed}) == ["base", "with_flips"]
    assert len(renamed) == 8


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "leave_two_out"),
        ("components", {"flips": ["off"]}),
        ("components", {}),
        ("components", 3),
        ("configurations", {"base": {"flips": "on"}}),
        ("resolution", "III"),
        ("varied", None),
    ],
)
def test_a_damaged_design_is_named(key: str, value: object, tmp_path: Path) -> None:
    store, plan = built(tmp_path, ADD_ONE)
    record = plan.record()
    record["design"] = {**record["design"], key: value}
    write_json(store.plan_path(plan.experiment), record | {"notes": []})
    if key == "resolution":  # has no meaning here
        assert load(store, plan.experiment).design is not None
        return
    with pytest.raises(StoreError, match=r"plan\.json.*its design"):
        load(store, plan.experiment)


def test_what_a_record_says_is_checked_against_its_components(tmp_path: Path) -> None:
    record = planned(tmp_path, HEAD + ADD_ONE).record()["design"]
    record["configurations"]["with flips"]["average"] = "on"
    with pytest.raises(ValueError, match="configurations that are not of these components"):
        Design.of(record)
