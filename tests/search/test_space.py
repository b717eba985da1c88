"""What a spec's search can say, and what its points are."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench.errors import SpecError
from bench.masking import masked
from bench.plan.expand import make_plan
from bench.plan.objectives import Objective
from bench.plan.space import Space, read_space
from bench.search.request import SearchRequest, read_request
from bench.spec.load import load_spec
from bench.spec.schema import json_schema
from bench.spec.search import read_constraint
from tests.spec.test_schema import fits

GOOD = """\
experiment: found
task: segmentation
data: {name: shapes, image_size: 32}
train: {epochs: 9}
search:
  trials: 20
  timeout: 3600
  seeds_per_trial: 2
  sampler: {name: tpe, startup_trials: 5}
  pruner: {name: median, warmup_epochs: 2}
  objectives: [{metric: best_val_dice, direction: max}]
  constraints: [memory_mb < 8000]
  enqueue: [{train.lr: 1e-3, train.batch_size: 20, model: small}]
  confirm_seeds: [7, 8]
  space:
    model: {choice: {small: {name: unet, width: 0.25}, large: {name: resnet34_unet}}}
    model.upsample: {choice: [bilinear, transposed], when: {model: small}}
    train.lr: {float: [1e-5, 1e-2], log: true}
    train.batch_size: {int: [4, 20], step: 4}
    train.optimizer: {choice: [adam, sgd]}
    train.momentum: {float: [0.5, 0.99], when: {train.optimizer: [sgd]}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(GOOD)
    return tmp_path / "spec.yaml"


@pytest.fixture
def search_request(path: Path) -> SearchRequest:
    return read_request(load_spec(path))


@pytest.fixture
def space(search_request: SearchRequest) -> Space:
    return search_request.space


def test_samples_have_every_choice_and_both_ends(space: Space) -> None:
    seen = {(name, value) for point in space.samples() for name, value in point.items()}
    assert {("train.lr", 1e-5), ("train.lr", 1e-2), ("train.batch_size", 4)} <= seen
    assert {("model", "small"), ("model", "large"), ("model.upsample", "transposed")} <= seen
    assert {("train.momentum", 0.5), ("train.momentum", 0.99)} <= seen


def test_a_dimension_is_there_only_under_its_condition(space: Space) -> None:
    for point in space.samples():
        assert ("train.momentum" in point) == (point["train.optimizer"] == "sgd")
        assert ("model.upsample" in point) == (point["model"] == "small")


POINT = {"model": "large", "train.lr": 0.002, "train.batch_size": 8, "train.optimizer": "adam"}


def test_a_point_is_a_trial_like_any_other(space: Space) -> None:
    trial, other = space.trials(POINT, (3, 4))
    assert trial.id.startswith("large-8-0.002-adam-s3-")
    assert trial.axes["train.momentum"] == trial.axes["model.upsample"] == "–"
    assert (trial.settings.train.lr, trial.settings.train.batch_size) == (0.002, 8)
    assert trial.arm == other.arm
    assert trial.common == space.trials(space.samples()[0], (0,))[0].common


def test_objectives_and_what_epochs_are_judged_by(search_request: SearchRequest) -> None:
    objective = Objective("best_val_dice", "max")
    assert search_request.objectives == (objective,)
    assert search_request.curve == objective
    assert (objective.curve, objective.better(0.9, 0.8)) == ("val/dice", True)


def test_enqueued_points_are_written_as_the_space_writes_them(
    search_request: SearchRequest,
) -> None:
    assert search_request.enqueued == (
        {"train.lr": 1e-3, "train.batch_size": 20, "model": "small"},
    )


@pytest.mark.parametrize(
    ("dimensions", "size"),
    [
        ("{train.batch_size: {int: [4, 20], step: 4}}", 5),
        ("{train.optimizer: {choice: [adam, sgd]},"
         " train.weight_decay: {float: [0, 1], step: 0.5}}", 6),
        ("{train.optimizer: {choice: [adam, sgd]},"
         " train.momentum: {float: [0.5, 0.9], step: 0.2, when: {train.optimizer: sgd}}}", 4),
        ("{train.lr: {float: [1e-3, 1e-2]}}", None),
    ],
)  # fmt: skip
def test_size(path: Path, dimensions: str, size: int | None) -> None:
    changes = [f"search.space={dimensions}", "search.enqueue=[]", "model={name: unet}"]
    assert read_space(load_spec(path, changes)).size == size


CASES: list[tuple[str, str, str]] = YAML(typ="safe", pure=True).load(
    Path(__file__).with_name("malformed.yaml")
)


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_malformed(path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(SpecError) as caught:
        read_request(load_spec(path))
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert expected in message
    assert "\n" not in message


LOSSES = "train.loss: {choice: [dice, focal]}"


def test_a_loss_that_a_dimension_changes_the_meaning_of_is_no_objective(path: Path) -> None:
    kept = "\n".join(line for line in GOOD.splitlines() if "momentum" not in line)
    path.write_text(kept.replace("train.optimizer: {choice: [adam, sgd]}", LOSSES))
    with pytest.raises(SpecError, match=r"not comparable across values of train\.loss"):
        read_request(load_spec(path, ["search.objectives=[best_val_loss]"]))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.lr=1e-3", "override the axis instead: search.space.train.lr=…"),
        ("search.space.train.lr={float: [1, -1]}", "search.space.train.lr.float: the lowest"),
        (
            "search.space.train.epochs={int: [0, 3]}",
            "search.space.train.epochs.int.0: must be at least",
        ),
    ],
)
def test_overrides(path: Path, override: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_request(load_spec(path, [override]))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(f"override {override!r}")


def test_run_and_plan_say_whose_spec_it_is(path: Path) -> None:
    with pytest.raises(SpecError, match=r"spec.yaml:5: search: is for `bench search`"):
        make_plan(load_spec(path))
    path.write_text(
        "experiment: a\ntask: segmentation\ndata: {name: shapes}\nmodel: {name: unet}\n"
    )
    with pytest.raises(SpecError, match="has no `search:`; use `bench run`"):
        read_request(load_spec(path))


def test_editors_know_a_search(path: Path) -> None:
    from bench.spec import yaml12

    schema = json_schema()
    tree, _ = yaml12.parse(GOOD, "spec.yaml")
    assert fits(tree, schema, schema["$defs"])
    tree["search"]["space"]["train.lr"]["logg"] = True
    assert not fits(tree, schema, schema["$defs"])


def test_constraints_and_urls() -> None:
    below = read_constraint("memory_mb < 8e3")
    assert (below.excess(9000), below.excess(7000)) == (1000, -1000)
    assert below.excess(8000) > 0
    assert read_constraint("params <= 5").excess(5) == 0
    assert masked("postgresql://me:pass@host/db") == "postgresql://me:***@host/db"


@pytest.mark.parametrize("name", ["search_unet", "search_pets"])
def test_shipped_searches(name: str) -> None:
    """Their planning; `tests/plan/test_expand.py` takes their trials, test_command.py runs one."""
    search_request = read_request(
        load_spec(Path(__file__).parents[2] / "experiments" / f"{name}.yaml")
    )
    assert search_request.space.spec.experiment == name
    assert search_request.curve == Objective("best_val_dice", "max")
    assert len(search_request.objectives) == (2 if name == "search_pets" else 1)
    first = search_request.enqueued[0]
    assert (first["train.lr"], first["train.batch_size"]) == (1e-3, 20)
