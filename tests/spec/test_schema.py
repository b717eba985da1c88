from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.spec import yaml12
from bench.spec.schema import Sweep, TrialSettings, json_schema
from bench.spec.train_settings import TrainSettings

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))


def settings(**changes: Any) -> TrialSettings:
    tree = {"task": "segmentation", "data": {"name": "shapes"}, "model": {"name": "unet"}}
    return TrialSettings.model_validate(tree | changes)


def test_select_follows_the_task() -> None:
    assert settings().select.model_dump() == {"metric": "val/dice", "mode": "max"}


def test_the_mode_follows_the_metric() -> None:
    assert settings(select={"metric": "val/loss"}).select.mode == "min"
    assert settings(select={"mode": "max"}).select.metric == "val/dice"
    with pytest.raises(ValidationError, match="val/dice is better higher: use max"):
        settings(select={"mode": "min"})


def test_a_class_of_its_own_has_a_metric() -> None:
    chosen = settings(
        data={"name": "shapes", "kinds": 2}, select={"metric": "val/dice_kind2"}
    ).select
    assert chosen.mode == "max"


def test_unfreezing_after_the_last_epoch_is_refused() -> None:
    train = {"epochs": 2, "freeze": "encoder", "unfreeze_epoch": 3}
    with pytest.raises(ValidationError, match="nothing is ever unfrozen"):
        settings(model={"name": "resnet18_unet"}, train=train)


def test_mistakes_have_one_order() -> None:
    first = settings(mistakes=["unpaired_masks", "eval_mode_leak"])
    assert first.mistakes == ("eval_mode_leak", "unpaired_masks")


@pytest.mark.parametrize("wrong", [{"epochs": "3"}, {"epochs": True}, {"lr": "1e-3"}, {"lr": True}])
def test_types_are_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainSettings.model_validate(wrong)


def test_an_integer_is_a_number() -> None:
    assert TrainSettings.model_validate({"lr": 1}).lr == 1.0


def test_a_part_of_the_users_own_keeps_its_arguments() -> None:
    model = settings(model={"target": "my.nets:Net", "depth": 3}).model
    assert model.model_dump() == {"target": "my.nets:Net", "depth": 3}


@pytest.mark.parametrize(
    ("seeds", "meant"), [(3, (0, 1, 2)), ([5, 2], (5, 2)), (1, (0,)), (None, (0,))]
)
def test_seeds_are_a_list_or_a_count(seeds: Any, meant: tuple[int, ...]) -> None:
    given = {} if seeds is None else {"seeds": seeds}
    assert Sweep.model_validate({"experiment": "a"} | given).seeds == meant


def fits(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """A JSON Schema validator for the keywords that the spec's schema uses."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    for keyword, wanted in schema.items():
        if keyword == "$ref":
            ok = fits(value, definitions[wanted.removeprefix("#/$defs/")], definitions)
        elif keyword in {"anyOf", "oneOf"}:
            found = [fits(value, option, definitions) for option in wanted]
            ok = any(found) if keyword == "anyOf" else sum(found) == 1
        elif keyword == "allOf":
            ok = all(fits(value, option, definitions) for option in wanted)
        elif keyword == "type" and wanted in {"integer", "number"}:
            numbers = int if wanted == "integer" else int | float
            ok = isinstance(value, numbers) and not isinstance(value, bool)
        elif keyword == "type":
            ok = isinstance(value, kinds[wanted])
        elif keyword in {"enum", "const"}:
            ok = value in wanted if keyword == "enum" else value == wanted
        elif keyword == "minimum":
            ok = isinstance(value, str) or value >= wanted
        elif isinstance(value, dict):
            ok = _object_fits(value, keyword, wanted, schema, definitions)
        elif isinstance(value, list) and keyword in {"items", "minItems"}:
            listed = keyword == "items"
            ok = (
                all(fits(v, wanted, definitions) for v in value) if listed else len(value) >= wanted
            )
        else:
            ok = True
        if not ok:
            return False
    return True


def _object_fits(
    value: dict[str, Any], keyword: str, wanted: Any, schema: Any, definitions: Any
) -> bool:
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    if keyword == "properties":
        return all(fits(v, wanted[k], definitions) for k, v in value.items() if k in wanted)
    if keyword == "required":
        return set(wanted) <= set(value)
    if keyword in {"minProperties", "maxProperties"}:
        return len(value) >= wanted if keyword == "minProperties" else len(value) <= wanted
    if keyword == "additionalProperties":
        rest = [
            v
            for k, v in value.items()
            if k not in properties and not any(re.search(p, k) for p in patterns)
        ]
        return (
            not rest
            if wanted is False
            else wanted is True or all(fits(v, wanted, definitions) for v in rest)
        )
    return True


def valid(tree: Any) -> bool:
    schema = json_schema()
    return fits(tree, schema, schema["$defs"])


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_editors_accept_our_experiments(path: Path) -> None:
    assert valid(yaml12.parse(path.read_text(), path.name)[0])


SPEC = {"experiment": "a", "task": "segmentation", "data": {"name": "shapes"}}
HYPOTHESIS = {
    "id": "h",
    "claim": "unet is better",
    "metric": "best_val_dice",
    "a": {"model": "unet", "train.lr": 0.001},
    "b": {"model": "resnet", "train.lr": 0.001},
    "expect": "higher",
}


@pytest.mark.parametrize(
    "more",
    [
        {"task": {"name": "segmentation"}, "model": {"name": "unet", "width": 1}},
        {"model": {"target": "my.nets:Net", "depth": 3}},
        {"model": {"width": 0.5}, "grid": {"model.name": ["unet", "resnet34_unet"]}},
        {"grid": {"train.lr": [1e-3], "model.depth": {"deep": 50}, "mistakes": {"none": []}}},
        {"grid": {"train.early_stopping.patience": [3], "augment.mode": ["append"]}},
        {"zip": [{"train.epochs": [1, 2], "data.seed": [0, 1]}], "seeds": 3},
        {"select": {"metric": "val/loss"}, "machine": {"device": "cpu"}, "seeds": [1, 2]},
        {"task": "diffusion", "grid": {"task.noise": ["linear"], "task.frechet.samples": [9]}},
        {"grid": {"task": {"plain": {"name": "diffusion", "noise": "cosine"}}}},
        {"train": {"loss": ["dice", {"name": "focal", "weight": 2}, {"target": "a:b", "k": 1}]}},
        {"train": {"schedule": "polynomial", "optimizer": {"target": "a:b", "betas": [0.9, 0.99]}}},
        {"train": {"schedule": {"name": "step", "every": 3}, "class_weights": [1, 2.5]}},
        {"grid": {"train.loss": ["dice", {"target": "a:b"}], "train.loss.alpha": [0.3]}},
        {"task": {"name": "segmentation", "metrics": ["hd95", {"name": "nsd", "tolerance": 2}]}},
        {"hypotheses": [HYPOTHESIS, HYPOTHESIS | {"b": 0.1}]},
        {"hypotheses": [HYPOTHESIS | {"expect": "equivalent", "margin": 0.01}]},
    ],
)
def test_editors_accept_what_planning_accepts(more: dict[str, Any]) -> None:
    assert valid(SPEC | more)


@pytest.mark.parametrize(
    "more",
    [
        {"sedes": 3},
        {"task": "segmentaton"},
        {"train": {"epochs": "3"}},
        {"train": {"lrr": 1}},
        {"model": {"name": "unet", "widht": 1}},
        {"grid": {"model": {"unet": {"name": "unte"}}}},
        {"grid": {"train.lrr": [1]}},
        {"train": {"loss": "dise"}},
        {"train": {"loss": ["dise", "focal"]}},
        {"train": {"schedule": "linear"}},
        {"task": {"name": "segmentation", "metrics": ["hd94"]}},
        {"grid": {"train.lr": ["fast"]}},
        {"grid": {"task.noise": ["quadratic"]}},
        {"zip": {"machine.device": ["cpu"]}},
        {"grid": {"augment": {"flip": ["hflp"]}}},
        {"grid": {}},
        {"seeds": 0},
        {"mistakes": ["leak"]},
        {"hypotheses": [HYPOTHESIS | {"expects": "lower"}]},
        {"hypotheses": [HYPOTHESIS | {"expect": "bigger"}]},
        {"hypotheses": [HYPOTHESIS | {"margin": "wide"}]},
        {"hypotheses": [HYPOTHESIS | {"b": "resnet"}]},
    ],
)
def test_editors_refuse_what_planning_refuses(more: dict[str, Any]) -> None:
    assert not valid(SPEC | more)


def test_every_key_of_a_spec_is_described() -> None:
    schema = json_schema()
    bare = [key for key, value in schema["properties"].items() if not value.get("description")]
    train = schema["$defs"]["TrainSettings"]["properties"]
    bare += [key for key, value in train.items() if not value.get("description")]
    assert bare == []
