from __future__ import annotations

import json

import numpy as np
import pytest

from bench.data.base import Split
from bench.data.survey import ClassSurvey, Crossing, read_survey
from bench.data.survey_counts import PixelValues, pixel_values, pixels_by_class
from bench.errors import StoreError
from tests.builders.surveys import CLASSES, IGNORED, healthy, masks, noise, split, survey


def test_pixels_by_class_of_a_mask_counted_by_hand() -> None:
    mask = np.array([[[0, 0, 1], [2, 2, 2], [255, 7, 7]]], np.uint8)
    assert pixels_by_class(mask, 3).tolist() == [[2, 1, 3, 1, 2]]
    assert pixels_by_class(mask[:0], 3).shape == (0, 5)


def test_255_classes_leave_room_for_what_is_ignored() -> None:
    mask = np.array([[[254, 255, 0]]], np.uint8)
    found = pixels_by_class(mask, 255)
    assert (found[0, 0], found[0, 254], found[0, 255], found[0, 256]) == (1, 1, 1, 0)


@pytest.mark.parametrize("classes", [2, 12, 13, 40])
def test_both_ways_of_counting_agree_with_numpy(classes: int) -> None:
    found = np.random.default_rng(0).integers(0, 256, (3, 50, 50), np.uint8)
    counts = pixels_by_class(found, classes)
    for row, mask in zip(counts, found, strict=True):
        expected = [(mask == value).sum() for value in (*range(classes), 255)]
        assert row.tolist() == [*expected, ((mask >= classes) & (mask < 255)).sum()]


def test_pixel_values_by_hand() -> None:
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 9, np.uint8)
    grey[0, 0] = 200
    colour = np.array([[[1, 2, 3]] * 2] * 2, np.uint8)
    found = pixel_values(np.stack([black, grey, colour]))
    assert found == PixelValues(bits=8, low=0, high=200, dark=0, bright=200, blank=1, grey=2)


def test_values_of_16_bits_and_one_channel() -> None:
    images = np.arange(1000, dtype=np.uint16).reshape(1, 10, 100, 1)
    found = pixel_values(images)
    assert found == PixelValues(bits=16, low=0, high=999, dark=0, bright=998, blank=0, grey=1)


def test_single_odd_pixels_move_the_range_and_not_the_percentiles() -> None:
    images = np.full((2, 100, 100, 3), 50, np.uint8)
    images[0, 0, 0] = 0
    images[1, 5, 5] = 255
    found = pixel_values(images)
    assert found
    assert (found.low, found.high, found.dark, found.bright) == (0, 255, 50, 50)


def test_percentiles_of_many_images_come_from_a_part_of_their_pixels() -> None:
    images = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (100, 256, 256, 3))
    found = pixel_values(images)
    assert found
    assert (found.dark, found.bright) == (0, 255) or found.bright - found.dark > 245


def test_no_images_have_no_values() -> None:
    assert pixel_values(np.zeros((0, 8, 8, 3), np.uint8)) is None


def test_masks_of_a_split_by_hand() -> None:
    truth = masks({}, {1: 64}, {2: 128, IGNORED: 128}, {IGNORED: 256})
    found = survey({"train": split("t", noise(4), masks=truth)}).splits["train"].masks
    assert found
    assert found.classes == {
        "background": ClassSurvey(pixels=256 + 192, share=448 / 1024, images=2),
        "cat": ClassSurvey(pixels=64, share=64 / 1024, images=1),
        "dog": ClassSurvey(pixels=128, share=128 / 1024, images=1),
    }
    assert (found.ignored, found.unknown, found.pixels) == (384, 0, 1024)
    assert (found.empty, found.unscored) == (1, 1)


def test_where_class_0_is_no_background_no_mask_is_empty() -> None:
    found = survey({"train": split("t", noise(1), masks=masks({}))}, background="none")
    assert found.splits["train"].masks is not None
    assert found.splits["train"].masks.empty is None


def test_images_by_label_and_labels_without_any() -> None:
    labels = np.array([0, 2, 2, 2])
    found = survey({"train": split("t", noise(4), labels=labels)}, (), ("a", "b", "c"))
    assert found.splits["train"].labels == {"a": 1, "b": 0, "c": 3}
    assert found.splits["train"].masks is None


def test_an_empty_split_has_no_shares() -> None:
    empty = split("t", noise(0), masks=masks())
    found = survey({"train": empty}).splits["train"]
    assert (found.images, found.values) == (0, None)
    assert found.masks is not None
    assert {c.share for c in found.masks.classes.values()} == {None}


def test_images_and_names_that_two_splits_share() -> None:
    images = np.repeat(np.repeat(noise(5, 8), 6, 1), 6, 2)
    train, val = split("a", images), split("b", images[3:])
    same = split("a", np.repeat(np.repeat(noise(1, 8, 9), 6, 1), 6, 2))
    found = survey({"train": train, "val": val, "test": same}, ())
    assert found.crossings == (
        Crossing("images", "train", "val", 2, 2, ("b0 is a3", "b1 is a4")),
        Crossing("names", "train", "test", 1, 0, ("a0",)),
    )


def test_names_that_are_no_text_can_be_printed() -> None:
    images = np.repeat(np.repeat(noise(1, 8), 6, 1), 6, 2)
    parts = {name: Split(images, None, ("a\udcff",)) for name in ("train", "val")}
    shared, names = survey(parts, ()).crossings
    assert shared.examples == (r"a\udcff is a\udcff",)
    assert names.examples == (r"a\udcff",)


def test_a_survey_survives_json() -> None:
    found = healthy()
    assert found.name == "made.up:Data"
    assert read_survey(json.loads(json.dumps(found.record()))) == found


def test_what_is_no_survey_is_refused() -> None:
    record = healthy().record()
    record["splits"]["train"]["images"] = "many"
    with pytest.raises(StoreError, match=r"splits\.train\.images"):
        read_survey(record)


def test_classes_keep_their_order() -> None:
    found = healthy().splits["val"].masks
    assert found
    assert tuple(found.classes) == CLASSES
