from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from pydantic import ValidationError

from bench.data.base import Split, Splits
from bench.data.settings import (
    DATASETS,
    ClassFolderSettings,
    CustomData,
    FolderSettings,
    OxfordPetSettings,
)
from bench.data.settings import ShapesSettings as Shapes
from bench.errors import DataError


def test_known_data_sets():
    assert DATASETS.names() == ["class_folder", "folder", "oxford_pet", "shapes"]


def test_a_path_is_no_part_of_the_identity():
    here, there = (OxfordPetSettings(root=root, download=False) for root in ("a", "b"))
    assert here.identity() == there.identity()
    assert here.identity() != OxfordPetSettings(border="ignore").identity()


@pytest.mark.parametrize(("kinds", "classes"), [(1, 2), (2, 3), (8, 9)])
def test_shapes_has_a_class_per_kind(kinds: int, classes: int):
    assert len(Shapes(kinds=kinds).class_names()) == classes
    assert len(Shapes(kinds=kinds).label_names()) == (kinds if kinds > 1 else 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ["a"]}, "at least 2"),
        ({"classes": ["a", "a"]}, "same name"),
        ({"classes": ["a", "b "]}, "pattern"),
        ({"values": [0, 128, 255]}, "3 values for 2 classes"),
        ({"values": [7, 7]}, "same pixel value"),
        ({"values": [0, 2**32]}, "less than 4294967296"),
        ({"ignore": 1}, "1 is also the pixel value of a class"),
    ],
)
def test_folder_settings_that_contradict_themselves(fields: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        FolderSettings(root="x", **fields)  # type: ignore[arg-type]


class Mine:
    """A data set as a user would write it."""

    def __init__(
        self,
        *,
        image_size: int,
        normalize: str,
        classes: tuple[str, ...],
        labels: tuple[str, ...],
        count: int,
    ):
        self.size, self.classes, self.labels, self.count = image_size, classes, labels, count

    def prepare(self, progress: object = None) -> Splits:
        images = np.zeros((self.count, self.size, self.size, 3), np.uint8)
        labels = np.zeros(self.count, np.int64) if self.labels else None
        split = Split(images, images[..., 0], tuple(map(str, range(self.count))), labels)
        return Splits({"train": split}, self.classes, "mine", labels=self.labels)


def test_a_data_set_of_ones_own_gets_its_arguments(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("users_own")
    module.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "users_own", module)
    settings = CustomData.model_validate(
        {"target": "users_own:Mine", "image_size": 16, "classes": ["sky", "cloud"], "count": 3,
         "labels": ["Hot day", "c-old"]}
    )  # fmt: skip
    assert settings.label_names() == ("Hot day", "c-old")
    splits = DATASETS.build(settings).prepare()
    assert splits.splits["train"].images.shape == (3, 16, 16, 3)
    assert splits.classes == ("sky", "cloud")
    assert splits.labels == ("Hot day", "c-old")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a", "a"], "same name"), (["a/b", "c"], "pattern"), ([".a", "c"], "pattern")],
)
def test_labels_that_cannot_be(labels: list[str], message: str):
    with pytest.raises(ValidationError, match=message):
        CustomData.model_validate({"target": "users_own:Mine", "labels": labels})
    with pytest.raises(ValidationError, match=message):
        ClassFolderSettings.model_validate({"root": "x", "classes": labels})


def test_which_data_has_which_classes():
    folders = ClassFolderSettings.model_validate({"root": "x", "classes": ["b", "a"]})
    assert (folders.class_names(), folders.label_names()) == ((), ("b", "a"))
    with pytest.raises(ValidationError, match="at least 2"):
        ClassFolderSettings.model_validate({"root": "x", "classes": ["a"]})
    assert FolderSettings(root="x").label_names() == ()
    assert CustomData.model_validate({"target": "users_own:Mine"}).label_names() == ()


@pytest.mark.parametrize(
    ("images", "masks", "names"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), np.zeros((2, 4, 4), np.uint8), ("a", "b")),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8), ("a", "b")),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 1), np.uint8), ("a", "b")),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), ("a",)),
    ],
)
def test_a_split_of_wrong_arrays_is_refused(images, masks, names):  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="a split's"):
        Split(images, masks, names)
