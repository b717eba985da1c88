from __future__ import annotations

from typing import Any

import pytest

from bench.errors import SpecError
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.spec.load import spec_of
from bench.spec.repeats import EarlierLooks, RepeatPlan, RepeatSettings, looks
from bench.spec.schema import json_schema

HYPOTHESES = [
    {"id": "h", "claim": "c", "metric": "test_dice", "a": {"train.lr": "b"},
     "b": {"train.lr": "a"}, "expect": "higher"}
]  # fmt: skip
SPEC: dict[str, Any] = {
    "experiment": "settled",
    "task": "segmentation",
    "data": {"name": "shapes", "image_size": 32, "train": 12, "val": 4, "test": 4},
    "train": {"epochs": 1, "batch_size": 6},
    "model": {"name": "unet", "width": 0.05},
    "grid": {"train.lr": {"a": 0.001, "b": 0.002, "c": 0.003}},
    "hypotheses": HYPOTHESES,
}


def planned(seeds: Any, *overrides: str, **changes: Any) -> Plan:
    return make_plan(spec_of({**SPEC, "seeds": seeds, **changes}, "spec.yaml", overrides))


def test_every_arm_has_the_first_seeds_and_compared_ones_may_get_more() -> None:
    plan = planned({"until": "settled"})
    assert [trial.seed for trial in plan.trials] == [0] * 3 + [1] * 3 + [2] * 3
    assert {trial.axes["train.lr"] for trial in plan.further} == {"a", "b"}
    assert sorted({trial.seed for trial in plan.further}) == list(range(3, 20))
    assert plan.repeats == RepeatPlan(asked=looks(3, 20), looks=looks(3, 20))


@pytest.mark.parametrize(
    ("given", "looks"),
    [
        ({"min": 5}, (5, 6, 8, 10, 13, 16, 20)),
        ({"max": 5}, (3, 4, 5)),
        ({"looks": [3, 7, 30]}, (3, 7, 30)),
        ({"looks": [3, 7], "max": 7, "min": 3}, (3, 7)),
    ],
)
def test_looks(given: dict[str, Any], looks: tuple[int, ...]) -> None:
    plan = planned({"until": "settled", **given})
    assert plan.repeats is not None
    assert plan.repeats.looks == looks
    assert max(trial.seed for trial in plan.further) == looks[-1] - 1


@pytest.mark.parametrize(
    ("budget", "seconds"), [("8h", 28800.0), ("1h30m", 5400.0), (90, 90.0), ("90", 90.0)]
)
def test_budget(budget: Any, seconds: float) -> None:
    plan = planned({"until": "settled", "budget": budget})
    assert plan.repeats is not None
    assert plan.repeats.budget == seconds


def test_overrides() -> None:
    assert len(planned({"until": "settled"}, "seeds.max=4").further) == 2
    assert len(planned({"until": "settled"}, "seeds=2").trials) == 6
    assert planned(2, "seeds={until: settled, max: 5}").repeats is not None


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("settled", "seeds: write {until: settled}, a number of seeds or a list of them"),
        ({"min": 3}, "seeds.until: is missing"),
        ({"until": "done"}, "seeds.until: must be settled, not 'done'"),
        ({"until": "settled", "min": 2}, "seeds.min: must be at least 3, not 2"),
        ({"until": "settled", "max": 201}, "seeds.max: must be at most 200, not 201"),
        (
            {"until": "settled", "min": 6, "max": 4},
            "seeds.max: `max` (4 seeds) must not be less than `min` (6)",
        ),
        ({"until": "settled", "min": 30}, "`max` (20 seeds) must not be less than `min` (30)"),
        (
            {"until": "settled", "looks": [3, 5, 5]},
            "seeds.looks: must rise from 3 seeds or more, not [3, 5, 5]",
        ),
        ({"until": "settled", "looks": []}, "must rise from 3 seeds or more, not []"),
        ({"until": "settled", "looks": [3, 500]}, "must end at 200 seeds or before, not 500"),
        (
            {"until": "settled", "looks": [3, 5], "max": 9},
            "seeds.max: is 9, but `looks` say 5: leave one of them out",
        ),
        (
            {"until": "settled", "budget": "soon"},
            "seeds.budget: must be seconds, or a time like 90s, 5m, 1h30m or 2d, not 'soon'",
        ),
        ({"until": "settled", "budget": 0}, "seeds.budget: must be seconds"),
        ({"until": "settled", "futility": 1}, "seeds.futility: must be less than 1, not 1"),
        ({"until": "settled", "maxx": 5}, "seeds.maxx: unknown key (did you mean 'max'?)"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_its_key(seeds: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        planned(seeds)
    assert message in str(error.value)


def test_without_hypotheses_there_is_nothing_to_settle() -> None:
    with pytest.raises(SpecError, match=r"seeds\.until: there is nothing to settle: add `hypoth"):
        planned({"until": "settled"}, hypotheses=[])


def test_folds_are_refused_with_a_remedy() -> None:
    data = {**SPEC["data"], "folds": {"k": 3}}
    with pytest.raises(SpecError, match=r"data\.folds.*remove data\.folds, or give a number"):
        planned({"until": "settled"}, data=data)
    assert planned(3, data=data).repeats is None


def test_plans_of_fixed_seeds_are_as_they_were() -> None:
    plan = planned(3)
    assert (plan.repeats, plan.further, "repeats" in plan.record()) == (None, (), False)


def test_looks_that_were_taken_stay() -> None:
    first, second = (RepeatPlan(asked=asked, looks=asked) for asked in ((3, 5, 9), (4, 6)))
    assert second.continuing(first, 0) == second
    after = second.continuing(first, 2)
    assert (after.asked, after.looks) == ((4, 6), (3, 5, 6))
    assert after.earlier == (EarlierLooks(looks=(3, 5, 9), taken=2),)
    assert second.continuing(after, 3) == after
    back = first.continuing(after, 3)
    assert back.looks == (3, 5, 6, 9)
    assert [one.taken for one in back.earlier] == [2, 3]
    assert RepeatPlan.model_validate(back.record()) == back


def test_a_plan_whose_looks_contradict_each_other_is_refused() -> None:
    record = RepeatPlan(asked=(3, 5), looks=(3, 5)).record()
    with pytest.raises(ValueError, match="do not begin with those already taken"):
        RepeatPlan.model_validate(record | {"earlier": [{"looks": [4, 5], "taken": 1}]})


def test_the_schema_knows_it() -> None:
    schema = json_schema()
    known = schema["$defs"]["RepeatSettings"]
    assert set(known["properties"]) == set(RepeatSettings.model_fields)
    assert (known["required"], known["additionalProperties"]) == (["until"], False)
    budget = [kind["type"] for kind in known["properties"]["budget"]["anyOf"]]
    assert budget == ["number", "string", "null"]  # 3600, 8h
    assert {"$ref": "#/$defs/RepeatSettings"} in schema["properties"]["seeds"]["anyOf"][1]["oneOf"]
