"""One way of scoring for all arms of an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.plan.scoring import scoring
from bench.spec.load import load_spec

HEAD = """\
experiment: e
model: {name: unet}
"""


def planned(folder: Path, text: str) -> Plan:
    path = folder / "spec.yaml"
    path.write_text(HEAD + text)
    return make_plan(load_spec(path))


def test_what_a_plan_says_of_the_scores(tmp_path: Path) -> None:
    text = "task: {name: segmentation, average: both}\ndata: {name: shapes, kinds: 2%s}\n"
    found = planned(tmp_path, text % "")
    assert scoring(found.trials[0].settings) == {
        "average": "both",
        "empty_mask": "missing",
        "background": "background",
        "classes": ["kind1", "kind2"],
    }
    assert list(found.metrics) == [
        "loss",
        *("dice", "iou", "dice_kind1", "dice_kind2", "iou_kind1", "iou_kind2"),
        *("split_dice", "split_iou", "split_dice_kind1", "split_dice_kind2"),
        *("split_iou_kind1", "split_iou_kind2"),
    ]
    found = planned(tmp_path, text % ", background: none")
    scores = scoring(found.trials[0].settings)
    assert scores is not None
    assert (scores["background"], scores["classes"]) == (None, ["background", "kind1", "kind2"])
    assert "dice_background" in found.metrics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "task: segmentation\ndata: {name: shapes}\ngrid: {task.average: [image, split]}\n",
            "5: grid.task.average.1: task.average decides what the scores measure",
        ),
        (
            "task: segmentation\ndata: {name: shapes}\ngrid: {data.background: [first, none]}\n",
            "5: grid.data.background.1: data.background decides what the scores measure",
        ),
        (
            "task: segmentation\ngrid:\n  data:\n    a: {name: shapes}\n"
            "    b: {name: shapes, seed: 1, background: none}\n",
            "7: grid.data.b: data.background decides what the scores measure",
        ),
        (
            "task: {name: segmentation, empty_mask: one}\ndata: {name: shapes, kinds: 3}\n",
            "3: task.empty_mask: has no effect with several scored classes",
        ),
        (
            "task: {name: segmentation, empty_mask: missing}\n"
            "data: {name: shapes, background: none}\n",
            "3: task.empty_mask: has no effect with several scored classes",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(tmp_path, text)
    assert message in str(caught.value)


def test_a_background_without_masks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "experiment: e\ntask: classification\nmodel: {name: resnet}\n"
        "data: {name: shapes, kinds: 2, background: none}\n"
    )
    with pytest.raises(SpecError, match=r"data.background: has no effect in classification"):
        make_plan(load_spec(path))


def test_axes_that_do_not_touch_the_scores_are_free(tmp_path: Path) -> None:
    text = "task: {name: segmentation, average: both}\ndata: {name: shapes}\n"
    assert len(planned(tmp_path, text + "grid: {data.seed: [0, 1]}\n").trials) == 2
