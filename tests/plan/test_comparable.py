from __future__ import annotations

from pathlib import Path

import pytest

from bench.plan.comparable import loss_warnings
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.spec.load import load_spec

DIFFUSION = """\
experiment: e
task: diffusion
data: {name: shapes, normalize: symmetric}
model: {name: ddpm_unet}
"""
SEGMENTATION = """\
experiment: e
task: segmentation
data: {name: shapes}
model: {name: unet}
"""
LOSSES = ["loss", "loss_t1", "loss_t2", "loss_t3", "loss_t4"]


def planned(folder: Path, text: str) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(text)
    return make_plan(load_spec(path))


@pytest.mark.parametrize(
    ("text", "metrics", "axes"),
    [
        (DIFFUSION + "grid: {task.noise: [linear, cosine]}\n", LOSSES, ("task.noise",)),
        (
            DIFFUSION + "grid: {task.noise: [linear, cosine], task.steps: [100, 500]}\n",
            LOSSES,
            ("task.noise", "task.steps"),
        ),
        (
            DIFFUSION
            + "grid:\n  task:\n    a: {name: diffusion}\n    b: {name: diffusion, noise: cosine}\n",
            LOSSES,
            ("task",),
        ),
        (DIFFUSION + "grid: {task.ddim_steps: [10, 50], train.lr: [1, 2]}\n", [], ()),
        (SEGMENTATION + "grid: {train.loss: [dice, focal]}\n", ["loss"], ("train.loss",)),
        (
            SEGMENTATION + "grid:\n  train: {a: {loss: dice}, b: {lr: 1}}\n",
            ["loss"],
            ("train",),
        ),
        (SEGMENTATION + "grid:\n  train: {a: {lr: 2}, b: {lr: 1}}\n", [], ()),
        # the narrower axis decides in every arm, so the wider one does not
        (
            SEGMENTATION
            + "grid:\n  train: {a: {loss: dice}, b: {lr: 1}}\n  train.loss: [dice, focal]\n",
            ["loss"],
            ("train.loss",),
        ),
        (SEGMENTATION, [], ()),
    ],
)
def test_incomparable(text: str, metrics: list[str], axes: tuple[str, ...], tmp_path: Path) -> None:
    found = planned(tmp_path, text)
    assert found.incomparable == dict.fromkeys(metrics, axes)
    assert found.record()["incomparable"] == {metric: list(axes) for metric in metrics}
    assert len(found.warnings) == bool(metrics)


def test_what_to_compare_by_instead() -> None:
    axes = {"loss": ("train.loss",)}
    (said,) = loss_warnings(axes, ["loss", "dice", "iou"], ["train.loss"])
    assert said == (
        "val/loss is not comparable across the levels of train.loss: compare them by "
        "val/dice, val/iou"
    )
    (said,) = loss_warnings({"loss": ("task.noise",)}, ["loss"], ["task.noise", "model"])
    assert said.endswith("compare them by pictures and a Fréchet distance (task.frechet)")


def test_one_level_needs_no_caution(tmp_path: Path) -> None:
    found = planned(tmp_path, DIFFUSION + "grid: {task.noise: [cosine]}\n")
    assert found.warnings == ()
    # an earlier plan may have had another level, and its trials are in the report
    assert found.incomparable["loss"] == ("task.noise",)
