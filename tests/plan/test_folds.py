"""Folds in a plan: in a trial's id, in every arm alike, and never an axis."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bench.errors import SpecError
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.plan import Plan
from bench.plan.recorded import check_identity
from bench.plan.space import read_space
from bench.spec.jsonschema import Schema
from bench.spec.load import spec_of
from bench.spec.schema import json_schema

TREE: dict[str, Any] = {
    "experiment": "x",
    "task": "segmentation",
    "data": {"name": "shapes", "train": 12, "val": 4, "test": 4, "folds": {"k": 3}},
    "model": {"name": "unet", "width": 0.05},
    "grid": {"train.lr": [0.1, 0.2]},
    "seeds": 2,
}


def plan(**changes: Any) -> Plan:
    return make_plan(spec_of(copy.deepcopy(TREE) | changes, "spec"))


def test_arms_times_seeds_times_folds() -> None:
    found = plan().trials
    places = [(trial.seed, trial.fold, trial.axes["train.lr"]) for trial in found]
    assert places == [(s, f, a) for s in (0, 1) for f in range(3) for a in ("0.1", "0.2")]
    assert len({trial.id for trial in found}) == 12
    assert found[5].id.startswith("0.2-s0-f2-")
    assert len({trial.arm for trial in found}) == 2
    assert len({trial.common for trial in found}) == 1


def test_a_trial_is_known_by_its_fold() -> None:
    for trial in plan().trials:
        config = trial_config(trial)
        assert config["fold"] == trial.fold
        assert load_trial(config) == trial
        check_identity(config, trial.id, "x")
        assert trial.identity["fold"] == trial.fold


def test_without_folds_nothing_is_said_of_them() -> None:
    data = {key: value for key, value in TREE["data"].items() if key != "folds"}
    found = plan(data=data)
    assert "fold" not in trial_config(found.trials[0])
    assert "folds" not in found.trials[0].identity["data"]
    assert found.trials[0].id == "0.1-s0-f3809cfb"
    assert "folds" not in found.record()
    assert plan(data={**data, "folds": None}).trials[0].id == found.trials[0].id


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": {"data.folds.k": [2, 3]}},
        {"grid": {"data.folds": {"a": {"k": 2}, "b": {"k": 3}}}},
        {"grid": {"fold": [0, 1]}},
        {"zip": {"folds": [0, 1], "train.epochs": [1, 2]}},
        {"exclude": [{"fold": 1}]},
        {"include": [{"fold": 1, "train.lr": 0.1}]},
        {
            "hypotheses": [
                {
                    "id": "h",
                    "claim": "c",
                    "metric": "best_val_dice",
                    "a": {"fold": 0},
                    "b": {"fold": 1},
                    "expect": "higher",
                }
            ]
        },
    ],
)
def test_a_fold_is_no_axis(changes: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"fold.*: is no axis: every arm and seed"):
        plan(**changes)


def test_arms_have_the_same_folds() -> None:
    levels = {"a": {"name": "shapes", "folds": {"k": 3}}, "b": {"name": "shapes", "kinds": 2}}
    tree = {"grid": {"data": levels}, "data": None}
    with pytest.raises(SpecError, match="must be the same in all arms"):
        make_plan(spec_of({k: v for k, v in (TREE | tree).items() if v is not None}, "spec"))


@pytest.mark.parametrize("space", [{"data.folds.k": {"int": [2, 4]}}, {"train.lr": [0.1, 0.2]}])
def test_a_search_has_no_folds(space: dict[str, Any]) -> None:
    tree = {k: v for k, v in TREE.items() if k not in ("grid", "seeds")}
    given = {k: {"choice": v} if isinstance(v, list) else v for k, v in space.items()}
    with pytest.raises(SpecError, match=r"(is no axis|cannot be combined with `search`)"):
        read_space(spec_of(tree | {"search": {"trials": 2, "space": given}}, "spec"))


def test_repeats_until_settled_have_no_folds() -> None:
    hypothesis = {
        "id": "h",
        "claim": "c",
        "metric": "best_val_dice",
        "a": {"train.lr": 0.1},
        "b": {"train.lr": 0.2},
        "expect": "higher",
    }
    with pytest.raises(SpecError, match=r"cannot be combined with data\.folds"):
        plan(seeds={"until": "settled"}, hypotheses=[hypothesis])


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"k": 1}, r"data\.folds\.k: must be at least 2"),
        ({}, r"data\.folds\.k: is missing"),
        ({"k": 3, "of": "test"}, r"data\.folds\.of"),
        ({"k": 3, "groups": "x"}, r"data\.folds\.groups: unknown key.*'group'"),
        ({"k": 3, "group": "("}, r"data\.folds\.group: is no regular expression"),
        ({"k": 3, "stratify": "mask"}, r"data\.folds\.stratify"),
    ],
)
def test_what_folds_can_be(folds: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(data={**TREE["data"], "folds": folds})


HYPOTHESIS = {
    "id": "h",
    "claim": "c",
    "a": {"train.lr": 0.1},
    "b": {"train.lr": 0.2},
    "expect": "higher",
}


@pytest.mark.parametrize(
    ("task", "figure"),
    [
        ("segmentation", "cross_val_dice"),
        ({"name": "segmentation", "average": "split"}, "final_val_dice"),
    ],
)
def test_without_a_test_split_no_figure_is_of_it(task: Any, figure: str) -> None:
    data = TREE["data"] | {"folds": {"k": 3, "of": "all"}}
    assert plan(task=task, data=data, hypotheses=[HYPOTHESIS]).hypotheses[0].metric == figure
    message = rf"metric: test_dice needs a test split, and .*; take {figure}, or of: trainval"
    with pytest.raises(SpecError, match=message):
        plan(task=task, data=data, hypotheses=[HYPOTHESIS | {"metric": "test_dice"}])
    with pytest.raises(SpecError, match="take final_val_iou"):
        plan(data=data, hypotheses=[HYPOTHESIS | {"metric": "test_iou"}])


def test_components_have_no_figure_of_the_test_split_either() -> None:
    tree = {key: value for key, value in TREE.items() if key != "grid"}
    data = TREE["data"] | {"folds": {"k": 3, "of": "all"}}
    tree |= {"data": data, "design": {"add_one": {"average": {"train.ema": 0.9}}}}
    found = make_plan(spec_of(tree, "spec"))
    assert [each.metric for each in found.hypotheses] == ["cross_val_dice"]
    tree["design"] = {"path": {"to": {"train.ema": 0.9}}}
    found = make_plan(spec_of(tree, "spec"))
    assert [each.metric for each in found.hypotheses] == ["cross_val_dice"]


def test_too_many_trials() -> None:
    with pytest.raises(SpecError, match=r"data\.folds: makes 200000 trials of 2 arms"):
        plan(data={**TREE["data"], "folds": {"k": 1000}}, seeds=100)


def test_editors_know_them() -> None:
    schema: Schema = json_schema()
    assert schema["$defs"]["FoldSettings"]["properties"].keys() == {
        "k", "stratify", "group", "of", "repartition",
    }  # fmt: skip
    for name in ("FolderSettings", "ClassFolderSettings"):
        assert {"group", "groups"} <= schema["$defs"][name]["properties"].keys()
