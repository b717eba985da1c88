"""plan.json that somebody changed: the trials' own records are right, edited hypotheses are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pandas as pd
import pytest

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.plan.expand import make_plan
from bench.spec.load import load_spec
from tests.faults.tampering import (
    TamperedCopy,
    edit_json,
)
from tests.faults.workspace import ROOT


def exchange_axes(plan: dict) -> None:
    """Trials of `none` are called `elastic`, and the other way round."""
    other = {"none": "elastic", "elastic": "none"}
    for trial in plan["trials"]:
        trial["axes"]["augment"] = other[trial["axes"]["augment"]]


def exchange_seeds(plan: dict) -> None:
    for trial in plan["trials"]:
        trial["seed"] = 2 - trial["seed"]


def rename_axis(plan: dict) -> None:
    plan["axes"]["augmentation"] = plan["axes"].pop("augment")


def other_levels(plan: dict) -> None:
    plan["axes"]["model"] = ["unet", "resnet", "none", "transformer"]


def turn_directions(plan: dict) -> None:
    plan["metrics"]["dice"] = "min"


def other_selection(plan: dict) -> None:
    plan["select"] = {"metric": "val/loss", "mode": "min"}


def other_arms(plan: dict) -> None:
    for trial in plan["trials"]:
        trial["arm"] = plan["trials"][0]["arm"]


def a_trial_twice(plan: dict) -> None:
    plan["trials"] += plan["trials"][:3]


@pytest.mark.parametrize(
    ("change", "caution"),
    [
        (exchange_axes, "plan.json gave 12 trials other labels"),
        (exchange_seeds, "plan.json gave 8 trials other labels or seeds"),
        (rename_axis, None),
        (other_levels, None),
        (turn_directions, "another metrics"),
        (other_selection, "another select"),
        (other_arms, "plan.json gave 9 trials"),
        (a_trial_twice, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_edited_plan_moves_no_number(
    tampered: TamperedCopy, before: Records, change: Callable[[dict], None], caution: str | None
) -> None:
    path = tampered.store.plan_path("built")
    plan = json.loads(path.read_text())
    change(plan)
    path.write_text(json.dumps(plan))
    records = tampered.load()
    pd.testing.assert_frame_equal(records.runs, before.runs)
    assert (records.axes, records.select, records.metrics) == (
        before.axes, before.select, before.metrics,
    )  # fmt: skip
    assert [o.record() for o in outcomes(records)] == [o.record() for o in outcomes(before)]
    if caution is not None:
        assert any(caution in text for text in records.cautions), records.cautions


def test_edited_hypotheses_are_not_tested(tampered: TamperedCopy) -> None:
    plan = make_plan(load_spec(ROOT / "experiments" / "quickstart.yaml"))
    path = tampered.store.plan_path("quickstart")
    tampered.store.write_plan("quickstart", plan.record())
    records = load(tampered.store, "quickstart")
    assert records.hypotheses == plan.hypotheses
    assert len(records.hypotheses) == 2
    edit_json(path, notes=["a note"])  # anything else
    assert load(tampered.store, "quickstart").hypotheses == plan.hypotheses
    planned = path.read_text()
    edit_json(path, statistics={"over": "seeds"})
    assert load(tampered.store, "quickstart").hypotheses == ()
    assert load(tampered.store, "quickstart").over is None
    path.write_text(planned)
    hypotheses = json.loads(path.read_text())["hypotheses"]
    for changed in (
        hypotheses[:1],
        [hypotheses[0] | {"margin": 0.5}, hypotheses[1]],
        [hypotheses[0] | {"claim": "what came out"}, hypotheses[1]],
    ):
        edit_json(path, hypotheses=changed)
        records = load(tampered.store, "quickstart")
        assert records.hypotheses == ()
        assert any("in plan.json were changed" in text for text in records.cautions)
    edit_json(path, hypotheses=hypotheses)
    assert load(tampered.store, "quickstart").hypotheses == plan.hypotheses


def test_planned_trials_without_a_record_have_the_labels_of_their_ids(
    tampered: TamperedCopy, before: Records
) -> None:
    shutil.rmtree(tampered.first.folder)
    path = tampered.store.plan_path("built")
    plan = json.loads(path.read_text())
    plan["trials"][0]["axes"]["augment"] = "elastic"
    path.write_text(json.dumps(plan))
    records = tampered.load()
    assert tampered.ids[0] not in set(records.runs["id"])
    assert "other labels or another seed than its id has" in dict(records.left_out)[tampered.ids[0]]
