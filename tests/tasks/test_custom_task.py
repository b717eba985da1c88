"""Tasks of a user's own: what a spec says of them, training, and errors that name what to set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import SpecError
from bench.plan.arms import refuse_multiple_tasks
from bench.plan.expand import targets_in
from bench.plan.trial import Trial
from bench.spec.schema import TrialSettings
from bench.testing import task_conforms
from bench.testing.cases import DutyError
from bench.train.check_parts import check_parts
from bench.train.session import train_trial
from tests.builders.training import SETTINGS, MemoryRecorder, Silent

HERE = "tests.builders.own_tasks"
RESTORE: dict[str, Any] = {
    "target": f"{HERE}:SuperResolution",
    "learns": "none",
    "scores": {"psnr": "max"},
    "outputs": 3,
}
COUNT: dict[str, Any] = {
    "target": f"{HERE}:Counting",
    "learns": "mask",
    "output": "vector",
    "outputs": 1,
    "scores": {"relative_error": "min"},
}
EDGES: dict[str, Any] = {
    "target": f"{HERE}:EdgeSegmentation",
    "learns": "mask",
    "scores": {"dice": "max", "iou": "max"},
}
NO_LOSS = {"epochs": 1, "batch_size": 5}

test_restoring = task_conforms(RESTORE)
test_counting = task_conforms(COUNT)
test_edges = task_conforms(EDGES, classes=("background", "cat"))


def trial(task: dict[str, Any], **changes: Any) -> Any:
    data = {"name": "shapes", "image_size": 32, "train": 10, "val": 4, "test": 4}
    data |= {"normalize": "unit"}
    tree = SETTINGS | {"task": task, "data": data, "train": NO_LOSS}
    del tree["select"]  # the first of its scores
    return Trial("made", 0, {}, TrialSettings.model_validate(tree | changes))


@pytest.mark.parametrize("task", [RESTORE, EDGES])
def test_a_trial_is_trained_and_scored(task: dict[str, Any], tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path)
    train_trial(trial(task), recorder, Silent())
    name = next(iter(task["scores"]))
    assert recorder.rows[-1][f"val/{name}"] is not None
    assert f"test_{name}" in recorder.facts
    assert recorder.scores is not None
    assert name in recorder.scores.splits["test"].selected.metrics


def test_what_a_spec_says() -> None:
    found = trial(RESTORE).settings
    assert found.metrics == {"loss": "min", "psnr": "max"}
    assert (found.select.metric, found.select.mode) == ("val/psnr", "max")
    assert found.train.loss == "own"
    assert found.task.output_shape((), (32, 32)) == (1, 3, 32, 32)
    assert list(targets_in(found)) == [RESTORE["target"]]
    short = TrialSettings.model_validate
    with pytest.raises(ValueError, match="learns"):
        short({"task": RESTORE["target"], "data": {"name": "shapes"}, "model": {"name": "unet"}})


@pytest.mark.parametrize(
    ("task", "changes", "says"),
    [
        (RESTORE | {"scores": {"loss": "min"}}, {}, "recorded anyhow"),
        (RESTORE | {"scores": {"test_x": "min"}}, {}, "rename it"),
        (RESTORE | {"learns": "boxes"}, {}, "learns"),
        (COUNT, {"model": {"name": "unet"}}, "is not a model for"),
        (RESTORE, {"model": {"name": "resnet"}}, "is not a model for"),
        (RESTORE, {"select": {"metric": "val/ssim"}}, "unknown metric"),
        (EDGES, {"train": NO_LOSS | {"loss": "dyce"}}, "is not a loss of"),
    ],
)
def test_what_a_spec_cannot_say(task: dict[str, Any], changes: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        trial(task, **changes)


@pytest.mark.parametrize(
    ("task", "changes", "says"),
    [
        (RESTORE | {"target": f"{HERE}:Nameless"}, {}, "gives no 'psnr'.*it gives loss, mse"),
        (RESTORE | {"scores": {}}, {}, "gives 'psnr': write it under task.scores"),
        (RESTORE | {"outputs": 2}, {}, r"output \(3, 2, 32, 32\).*outputs say"),
        (RESTORE | {"target": f"{HERE}:Bare"}, {}, "has no loss_parts.*SimpleTask"),
        (RESTORE | {"fakter": 2}, {}, "cannot be built.*fakter"),
        (RESTORE, {"train": NO_LOSS | {"loss": "dice"}}, "takes no argument `loss`"),
        (EDGES | {"learns": "none"}, {}, "EdgeSegmentation"),
    ],
)
def test_errors_name_what_to_set(task: dict[str, Any], changes: Any, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_parts(trial(task, **changes))


def test_a_task_of_ours_takes_its_losses() -> None:
    chosen = trial(EDGES, train=NO_LOSS | {"loss": "dice"})
    check_parts(chosen)
    assert chosen.settings.train.loss == "dice"


def test_a_faulty_task_does_not_pass() -> None:
    test = task_conforms(RESTORE | {"target": f"{HERE}:Batchwise"})
    with pytest.raises(DutyError, match="whatever the batches"):
        test.all_cases()  # type: ignore[attr-defined]  # a test without pytest


def test_losses_do_not_compare_across_its_arguments() -> None:
    from dataclasses import replace

    from bench.plan.comparable import incomparable

    arms = [trial(RESTORE | {"factor": factor}) for factor in (2, 4)]
    arms = [replace(arm, axes={"task.factor": str(i)}) for i, arm in enumerate(arms)]
    assert incomparable(["loss", "psnr"], arms) == {"loss": ("task.factor",)}


def test_two_tasks_are_refused(tmp_path: Path) -> None:
    from bench.spec.load import load_spec

    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "experiment: x\ndata: {name: shapes}\nmodel: {name: unet}\n"
        f"grid:\n  task.target: ['{HERE}:SuperResolution', '{HERE}:Nameless']\n"
        "task: {target: 'a:B', learns: none}\n"
    )
    from bench.plan.axes import read_groups

    loaded = load_spec(spec)
    with pytest.raises(SpecError, match="one task"):
        refuse_multiple_tasks(loaded, [axis for group in read_groups(loaded) for axis in group])


def test_weights_and_counts_of_classes_are_refused() -> None:
    from bench.train.trial_parts import build_task

    task = build_task(trial(RESTORE).settings)
    with pytest.raises(SpecError, match="weights no classes: use none"):
        task.weight_classes(torch.ones(2))
    with pytest.raises(SpecError, match="counts no classes: use shuffle"):
        task.count_classes(torch.ones(2))
