from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.base import FileFacts
from bench.data.survey import FOLDS, OTHER_FOLDS, Crossing, Survey, WindowSurvey
from bench.data.survey_files import files_survey
from bench.data.survey_kinds import ADVICE, Kind
from bench.data.survey_warnings import Target, data_warnings
from tests.builders.surveys import IGNORED, healthy, masks, noise, split, survey, with_files

SEEN = {1: 40, 2: 20}


def val(*truth: dict[int, int]) -> Survey:
    """A healthy data set but for the masks of validation, 30 in all."""
    return healthy(val=split("val", noise(len(truth), seed=1), masks=masks(*truth)))


def labelled(train: list[int], other: list[int]) -> Survey:
    """A data set with labels: so many images of each."""
    splits = {}
    for i, (name, counts) in enumerate({"train": train, "val": other, "test": other}.items()):
        labels = np.repeat(np.arange(len(counts)), counts)
        splits[name] = split(name, noise(len(labels), seed=i), labels=labels)
    return survey(splits, (), ("a", "b", "c")[: len(train)])


def crossing(what: str, first: str = "train", second: str = "val") -> Survey:
    found = Crossing(what, first, second, 4, 1, ("x is y", "z is w", "u is v", "r is s"))
    return replace(healthy(), crossings=(found,))


def scaled(train: float, other: float = 1) -> Survey:
    """Images that are `train` and `other` times as bright."""
    changes = {}
    for i, (name, factor) in enumerate({"train": train, "val": other, "test": other}.items()):
        images = (noise(30, seed=i) * factor).astype(np.uint8)
        changes[name] = split(name, images, masks=masks(*[SEEN] * 30))
    return healthy(**changes)


def grey(*names: str) -> Survey:
    changes = {}
    for i, name in enumerate(("train", "val", "test")):
        images = noise(30, seed=i)
        images = np.repeat(images[..., :1], 3, -1) if name in names else images
        changes[name] = split(name, images, masks=masks(*[SEEN] * 30))
    return healthy(**changes)


def files(*changes: dict[str, Any], found: Survey | None = None) -> Survey:
    """A healthy data set from files: one for each of `changes`."""
    usual = {"width": 20, "height": 16, "mode": "RGB", "bits": 8, "orientation": 1, "pages": 1}
    usual |= {"low": 0, "high": 255, "kind": "uint8"}
    facts = [FileFacts(**(usual | change)) for change in changes]
    return with_files(found or healthy(), train=files_survey(facts))


def windowed(low: float, high: float, origin: str, found: Survey | None = None) -> Survey:
    """Another range that becomes black to white."""
    return replace(found or healthy(), window=WindowSurvey(low, high, origin))


def blank() -> Survey:
    images = noise(30, seed=1)
    images[3] = 7
    return healthy(val=split("val", images, masks=masks(*[SEEN] * 30)))


EMPTY: dict[int, int] = {}
CASES: dict[Kind, tuple[Callable[[], Survey], str, Callable[[], Survey], Target]] = {
    Kind.NO_FOREGROUND: (
        lambda: val(*[EMPTY] * 30),
        "no foreground in val: every mask is empty",
        lambda: val(*[EMPTY] * 29, SEEN),
        "mask",
    ),
    Kind.MOSTLY_EMPTY: (
        lambda: val(*[EMPTY] * 16, *[SEEN] * 14),
        "16 of 30 val masks are empty",
        lambda: val(*[EMPTY] * 15, *[SEEN] * 15),
        "mask",
    ),
    Kind.NOTHING_SCORED: (
        lambda: val({IGNORED: 256}, *[SEEN] * 29),
        "every pixel is ignored in 1 of 30 val masks",
        lambda: val({IGNORED: 255, 1: 1}, *[SEEN] * 29),
        "mask",
    ),
    Kind.MOSTLY_IGNORED: (
        lambda: val(*[{IGNORED: 192, **SEEN}] * 30),
        "75.0% of val pixels are ignored",
        lambda: val(*[{IGNORED: 128, **SEEN}] * 30),
        "mask",
    ),
    Kind.UNKNOWN_VALUES: (
        lambda: val({9: 5}, *[SEEN] * 29),
        "5 val pixels of masks have a value that is no class",
        healthy,
        "mask",
    ),
    Kind.MISSING_CLASS: (
        lambda: val(*[{1: 40}] * 30),
        "val has no image of class 'dog'",
        lambda: val(*[{1: 40}] * 29, {2: 1}),
        "mask",
    ),
    Kind.INVERTED: (
        lambda: val(*[{1: 236, 2: 10}] * 30),
        "'cat' fills 92.2% of val pixels",
        lambda: val(*[{1: 220, 2: 10}] * 30),
        "mask",
    ),
    Kind.RARE_CLASS: (
        lambda: healthy(
            train=split("train", noise(30), masks=masks(*[{1: 40}] * 29, {1: 40, 2: 7}))
        ),
        "less than 0.1% of all scored train pixels are of class 'dog'",
        lambda: healthy(
            train=split("train", noise(30), masks=masks(*[{1: 40}] * 29, {1: 40, 2: 8}))
        ),
        "mask",
    ),
    Kind.IMBALANCED: (
        lambda: labelled([40, 4], [15, 15]),
        "train has 40 images of 'a' and 4 of 'b'",
        lambda: labelled([39, 4], [15, 15]),
        "label",
    ),
    Kind.SHARED_IMAGES: (
        lambda: crossing("images"),
        "4 of 30 val images are in train, too, identical or nearly identical "
        "(x is y, z is w, u is v, …)",
        healthy,
        "none",
    ),
    Kind.SHARED_BY_FOLDS: (
        lambda: crossing("images", OTHER_FOLDS, FOLDS),
        "4 of 60 images are in another fold, too, identical or nearly identical (x is y, z is w, "
        "u is v, …)",
        healthy,
        "none",
    ),
    Kind.SHARED_GROUPS: (
        lambda: crossing("groups"),
        "4 groups are in both train and val (x is y, z is w, u is v, …)",
        healthy,
        "none",
    ),
    Kind.SHARED_NAMES: (
        lambda: crossing("names"),
        "4 names are in both train and val (x is y, z is w, u is v, …)",
        healthy,
        "none",
    ),
    Kind.FEW_IMAGES: (
        lambda: val(*[SEEN] * 19),
        "only 19 images in val",
        lambda: val(*[SEEN] * 20),
        "mask",
    ),
    Kind.BLANK_IMAGES: (blank, "1 of 30 val images are of one value", healthy, "none"),
    Kind.NARROW_RANGE: (
        lambda: scaled(0.2, 0.2),
        "train images use the values 0–51 where 0–255 are black to white: 20.0%",
        lambda: scaled(0.3, 0.3),
        "none",
    ),
    Kind.SPLITS_DIFFER_IN_RANGE: (
        lambda: scaled(1, 0.4),
        "the brightest pixels have 102 in val and 102 in test, and 255 in train",
        lambda: scaled(1, 0.6),
        "none",
    ),
    Kind.MIXED_DEPTH: (
        lambda: files({"bits": 8}, {"bits": 16}, {"bits": 16}),
        "images of 8 and 16 bits are mixed",
        lambda: files({"bits": 16}, {"bits": 16}),
        "none",
    ),
    Kind.GREY_AS_COLOUR: (
        lambda: files({"mode": "RGB"}, found=grey("train", "val", "test")),
        "all images are grey and stored in colour",
        lambda: files({"mode": "L"}, found=grey("train", "val", "test")),
        "none",
    ),
    Kind.SPLITS_DIFFER_IN_COLOUR: (
        lambda: grey("test"),
        "grey images are 0% of train, 0% of val, 100% of test",
        lambda: grey("train", "val", "test"),
        "none",
    ),
    Kind.CLIPPED: (
        lambda: windowed(20, 250, "given"),
        "more than 0.1% of the values in train, val and test are outside data.window",
        lambda: windowed(20, 250, "percentiles"),
        "none",
    ),
    Kind.ORIENTATION_IGNORED: (
        lambda: replace(files({"orientation": 6}, {}), upright=False),
        "1 of 2 train images have an EXIF orientation",
        lambda: files({"orientation": 6}, {}),
        "none",
    ),
    Kind.ORIENTATION: (
        lambda: files({"orientation": 6}, {"orientation": 3}, {}),
        "2 of 3 train images have an EXIF orientation",
        lambda: replace(files({"orientation": 6}, {}), upright=False),
        "none",
    ),
    Kind.SEVERAL_PAGES: (
        lambda: files({"pages": 4}, {}),
        "1 of 2 train images have several pages",
        lambda: files({}, {}),
        "none",
    ),
    Kind.ENLARGED: (
        lambda: files({"width": 15, "height": 8}),
        "train images of 15×8 (median) are enlarged to 16×16",
        lambda: files({"width": 16, "height": 8}),
        "none",
    ),
    Kind.STRETCHED: (
        lambda: files({"width": 41, "height": 20}),
        "train images of 41×20 (median) become squares",
        lambda: files({"width": 40, "height": 20}),
        "none",
    ),
}


def found(survey: Survey, target: Target, kind: Kind) -> list[str]:
    return [w.text for w in data_warnings(survey, target) if w.kind is kind]


@pytest.mark.parametrize("kind", Kind)
def test_appears_where_it_is_so(kind: Kind) -> None:
    bad, text, _, target = CASES[kind]
    assert text in found(bad(), target, kind)


@pytest.mark.parametrize("kind", Kind)
def test_does_not_appear_where_it_is_not_so(kind: Kind) -> None:
    _, _, good, target = CASES[kind]
    assert found(good(), target, kind) == []


def test_of_a_healthy_data_set_there_is_nothing_to_say() -> None:
    assert data_warnings(healthy(), "mask") == []
    assert data_warnings(files({}, {}), "mask") == []
    assert data_warnings(labelled([20, 20], [15, 15]), "label") == []


def test_every_kind_has_advice() -> None:
    assert set(ADVICE) == set(Kind)


def test_masks_are_of_no_concern_to_a_task_that_learns_none() -> None:
    bad = val(*[EMPTY] * 30)
    assert data_warnings(bad, "none") == []
    assert data_warnings(bad, "label") == []


def test_splits_without_foreground_are_told_together_and_nothing_else_of_them() -> None:
    bare = {
        name: split(name, noise(30, seed=i), masks=masks(*[EMPTY] * 30))
        for i, name in enumerate(("train", "val", "test"))
    }
    told = [w.text for w in data_warnings(survey(bare), "mask")]
    assert told == ["no foreground in train, val and test: every mask is empty"]


def test_where_class_0_is_no_background_it_can_be_missing_and_masks_are_never_empty() -> None:
    truth = masks(*[{1: 156, 2: 100}] * 30)
    splits = {
        name: split(name, noise(30, seed=i), masks=truth)
        for i, name in enumerate(("train", "val", "test"))
    }
    told = [w.text for w in data_warnings(survey(splits, background="none"), "mask")]
    assert told == ["train, val and test have no image of class 'background'"]


def test_many_missing_classes_are_counted() -> None:
    classes = tuple(f"c{i}" for i in range(10))
    splits = {
        name: split(name, noise(30, seed=i), masks=masks(*[{1: 40}] * 30))
        for i, name in enumerate(("train", "val", "test"))
    }
    told = [w.text for w in data_warnings(survey(splits, classes), "mask")]
    assert told[0] == (
        "train, val and test have no image of 8 of 10 classes "
        "('c2', 'c3', 'c4', 'c5', 'c6', 'c7', …)"
    )


def test_a_label_without_images_is_missing_and_no_imbalance() -> None:
    told = [w.text for w in data_warnings(labelled([20, 20, 0], [15, 15, 3]), "label")]
    assert told == ["train has no image of class 'c'"]


def test_labels_that_are_no_class() -> None:
    splits = {
        name: split(name, noise(30, seed=i), labels=np.array([0] * 14 + [1] * 14 + [-1, 2]))
        for i, name in enumerate(("train", "val", "test"))
    }
    told = [w.text for w in data_warnings(survey(splits, (), ("a", "b")), "label")]
    assert told == [
        "2 of 30 train, 2 of 30 val and 2 of 30 test images have a label that is no class"
    ]


def test_splits_that_lack_different_classes_are_told_one_by_one() -> None:
    told = [w.text for w in data_warnings(labelled([20, 0, 20], [15, 15, 0]), "label")]
    assert told == ["train has no image of class 'b'", "val and test have no image of class 'c'"]


def test_what_is_serious_comes_first() -> None:
    found = files({"orientation": 6}, found=val(*[SEEN] * 3))
    assert [w.serious for w in data_warnings(found, "mask")] == [True, False]


def test_a_line_says_what_it_means_and_what_to_do() -> None:
    (warning,) = data_warnings(val(*[SEEN] * 3), "mask")
    advice = ADVICE[Kind.FEW_IMAGES]
    assert warning.line() == f"only 3 images in val: {advice.meaning}; {advice.remedy}"
    assert warning.advice.startswith("Single images decide")


def test_the_documentation_lists_every_kind_as_serious_or_not() -> None:
    page = Path(__file__).parents[2] / "docs" / "data-survey.md"
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): row[3].strip() for row in rows}
    assert listed == {k: "serious" if a.serious else "remark" for k, a in ADVICE.items()}


def test_12_bits_in_16_fill_a_window_of_their_own_and_little_of_the_full_one() -> None:
    images = [noise(30, seed=i).astype(np.uint16) * 16 for i in range(3)]
    named = zip(("train", "val", "test"), images, strict=True)
    splits = {name: split(name, image, masks=masks(*[SEEN] * 30)) for name, image in named}
    full = survey(splits)
    assert [w.text for w in data_warnings(full, "mask")] == [
        "train images use the values 0–4,080 where 0–65,535 are black to white: 6.2%"
    ]
    assert data_warnings(windowed(0, 4095, "auto", full), "mask") == []


def test_up_to_8_bits_are_one_depth() -> None:
    assert found(files({"bits": 1}, {"bits": 4}, {"bits": 8}), "none", Kind.MIXED_DEPTH) == []


def test_groups_in_two_splits() -> None:
    parts = {
        name: split(name, noise(30, seed=i), groups=tuple(f"{i + j // 15}" for j in range(30)))
        for i, name in enumerate(("train", "val", "test"))
    }
    told = survey(parts, ())
    assert [s.groups for s in told.splits.values()] == [2, 2, 2]
    assert [w.text for w in data_warnings(told, "none")] == [
        "1 group is in both train and val (1)",
        "1 group is in both val and test (2)",
    ]
