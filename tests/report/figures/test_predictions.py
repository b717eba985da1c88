from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.report.figures import predictions
from bench.tasks.pictures import side_by_side
from tests.builders.records import MadeTrial
from tests.builders.studies import study_of

IMAGE = np.full((2, 3, 3), 100, np.uint8)
TRUTH = np.array([[1, 1, 0], [0, 2, 255]], np.uint8)
MADE = np.array([[1, 0, 2], [0, 2, 1]], np.uint8)


def save(folder, name, truth=TRUTH, made=MADE):
    (folder / "samples").mkdir(exist_ok=True)
    path = folder / "samples" / f"{name}.png"
    Image.fromarray(side_by_side(IMAGE, truth, made)).save(path)
    return path


def test_a_strip_is_read_as_it_was_written(tmp_path):
    found = predictions.read_strip(save(tmp_path, "a"))
    assert (found.image == IMAGE).all()
    assert found.truth.tolist() == [[1, 1, 0], [0, 2, -1]]
    assert found.prediction.tolist() == MADE.tolist()


def test_dice_by_hand(tmp_path):
    found = predictions.read_strip(save(tmp_path, "a"))
    # class 1: 1 pixel of 1 and 2, without the one that does not count; class 2: 1 of 2 and 1
    assert found.dice(2) == pytest.approx((2 / 3 + 2 / 3) / 2, abs=1e-6)
    empty = np.zeros_like(TRUTH)
    assert predictions.read_strip(save(tmp_path, "b", empty, empty)).dice(1) == 1


def test_other_pictures_are_no_strips(tmp_path):
    Image.new("RGB", (4 * 5 + 6, 5), "red").save(tmp_path / "red.png")
    Image.new("RGB", (17, 5)).save(tmp_path / "odd.png")
    (tmp_path / "broken.png").write_text("no picture")
    for name in ("red", "odd", "broken", "missing"):
        assert predictions.read_strip(tmp_path / f"{name}.png") is None


def test_worst_median_and_best():
    scores = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.4, "e": 0.6}
    chosen = [("worst", "b"), ("median", "c"), ("best", "a")]
    assert predictions.chosen_images(scores) == chosen
    assert predictions.chosen_images({"a": 0.9, "b": 0.1}) == [("worst", "b"), ("best", "a")]
    assert predictions.chosen_images({"a": 0.9}) == [("only", "a")]


def test_the_image_of_most_dispute():
    dice = {0: {"a": 0.5, "b": 0.9}, 1: {"a": 0.6, "b": 0.2}}
    assert predictions.disputed_image(dice, {"a", "b"}) == "b"
    assert predictions.disputed_image({0: {"a": 0.5}}, {"a"}) is None


def test_the_kinds_of_pixels(tmp_path):
    shown = predictions.compared(predictions.read_strip(save(tmp_path, "a")))
    grey = [60] * 3
    assert shown[1, 0].tolist() == grey
    assert shown[1, 2].tolist() == grey  # does not count
    right, missed, extra = shown[0]
    assert right[1] == max(right)  # green
    assert missed[0] == max(missed)  # orange
    assert extra[2] == max(extra)  # blue


def test_the_same_images_for_every_arm(tmp_path):
    """a has image 0 to 3, b 1 to 4; c has no pictures."""
    trials = [MadeTrial(0, {"model": m}, summary={"best_val_dice": 0.5}) for m in ("a", "b", "c")]
    study = study_of(tmp_path, trials)
    rest = np.zeros_like(TRUTH)
    for trial, names in zip(trials, ((0, 1, 2, 3), (1, 2, 3, 4)), strict=False):
        for name in names:
            made = TRUTH.clip(max=1) if name == 3 else (rest if name == 2 else MADE)
            save(tmp_path / "exp" / trial.id, f"i{name}", TRUTH.clip(max=1), made.clip(max=1))
    drawing = predictions.predictions(study)
    assert "among the 3 validation images" in drawing.caption
    assert "i2 (worst), i1 (median), i3 (best)" in drawing.caption
    assert "1 more arm is not shown" in drawing.caption


def test_without_pictures_or_for_another_task_there_is_no_grid(tmp_path):
    trials = [MadeTrial(0, {"model": "a"}, summary={"best_val_dice": 0.5})]
    assert predictions.predictions(study_of(tmp_path / "a", trials)) is None
    other = study_of(tmp_path / "b", trials, task="classification")
    save(tmp_path / "b" / "exp" / trials[0].id, "predictions")
    assert predictions.predictions(other) is None
    many = {"loss": "min", "dice": "max"} | {f"dice_{i}": "max" for i in range(9)}
    assert predictions.foreground_classes(many) == 9
    nine = study_of(tmp_path / "c", trials, metrics=many)
    save(tmp_path / "c" / "exp" / trials[0].id, "image")
    assert predictions.predictions(nine) is None
