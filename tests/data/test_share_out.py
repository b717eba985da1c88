"""Splits that nobody has given: class by class, groups kept apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.base import Splits
from bench.data.settings import DATASETS, ClassFolderSettings, FolderSettings
from bench.errors import DataError
from tests.builders.image_folders import made, prepared


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where data go: beside the cache."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def classes(root: Path, counts: dict[str, int], under: str = "", name: str = "i{:03d}") -> Path:
    """So many images of every class."""
    for place, (label, count) in enumerate(counts.items()):
        (root / under / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.full((8, 8, 3), (place * 40 + i) % 256, np.uint8)
            Image.fromarray(pixels).save(root / under / label / f"{name.format(i)}.png")
    return root


def read(root: Path, labels: Any, **fields: Any) -> Splits:
    settings = ClassFolderSettings.model_validate(
        {"root": str(root), "image_size": 8, "classes": list(labels), **fields}
    )
    found: Splits = DATASETS.build(settings).prepare()
    return found


def counts(found: Splits) -> dict[str, dict[int, int]]:
    return {n: dict(sorted(Counter(s.labels.tolist()).items())) for n, s in found.splits.items()}


@pytest.mark.parametrize(
    ("count", "train", "val", "test"),
    [(3, 1, 1, 1), (5, 3, 1, 1), (6, 4, 1, 1), (10, 8, 1, 1), (11, 8, 2, 1), (40, 32, 4, 4)],
)
def test_every_split_has_every_class(count: int, train: int, val: int, test: int, root: Path):
    found = read(classes(root, {f"c{k}": count for k in range(7)}), [f"c{k}" for k in range(7)])
    assert counts(found) == {
        "train": dict.fromkeys(range(7), train),
        "val": dict.fromkeys(range(7), val),
        "test": dict.fromkeys(range(7), test),
    }
    assert found.notes == ()


def test_a_rare_class_is_told(root: Path):
    found = read(classes(root, {"cat": 20, "lynx": 2}), ["cat", "lynx"])
    assert counts(found)["train"][1] == 2
    assert found.notes == (
        "val has no image of 1 of the classes: lynx",
        "test has no image of 1 of the classes: lynx",
    )


def test_too_few_of_everything_is_refused(root: Path):
    with pytest.raises(DataError, match="val split is empty: a class needs 3 images"):
        read(classes(root, {"cat": 2, "dog": 2}), ["cat", "dog"])


LAYOUTS = {
    "train and test": (["train", "test"], ["no val images are given: 2 of 20"]),
    "train and val": (["train", "val"], ["no test images are given: 2 of 20"]),
    "train alone": (["train"], ["no val images are given", "no test images are given"]),
    "valid": (["train", "valid", "test"], []),
    "validation": (["training", "validation", "testing"], []),
    "capitals": (["Train", "Val", "TEST"], []),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_splits(layout: str, root: Path):
    folders, notes = LAYOUTS[layout]
    for folder in folders:
        classes(root, {"cat": 10, "dog": 10}, folder)
    (root / ".ipynb_checkpoints").mkdir()
    (root / folders[0] / ".ipynb_checkpoints").mkdir()
    found = read(root, ["cat", "dog"])
    assert len(found.notes) == len(notes)
    assert all(any(part in note for note in found.notes) for part in notes)
    names = [name for split in found.splits.values() for name in split.names]
    assert len(names) == len(set(names)) == 20 * len(folders)
    assert all(set(part) == {0, 1} for part in counts(found).values())
    assert {name.split("/")[0] for name in names} <= {"train", "val", "test"}


def test_held_out_images_are_the_same_whatever_else_is_missing(root: Path):
    classes(root, {"cat": 10, "dog": 10}, "train")
    alone = read(root, ["cat", "dog"]).splits["val"].names
    classes(root, {"cat": 10, "dog": 10}, "test")
    assert read(root, ["cat", "dog"]).splits["val"].names == alone


def test_unlabelled_test_images_are_left_out(root: Path):
    classes(root, {"cat": 10, "dog": 10}, "train")
    (root / "test").mkdir()
    Image.new("RGB", (8, 8)).save(root / "test/1.png")
    found = read(root, ["cat", "dog"])
    assert "test/ has no folders of classes" in found.notes[0]
    assert set(counts(found)["test"]) == {0, 1}


def test_a_class_that_test_lacks_is_told(root: Path):
    classes(root, {"cat": 10, "dog": 10}, "train")
    classes(root, {"cat": 3}, "test")
    found = read(root, ["cat", "dog"])
    assert "test has no image of 1 of the classes: dog" in found.notes


def test_two_folders_of_one_split_are_refused(root: Path):
    for folder in ("train", "val", "valid"):
        classes(root, {"cat": 3, "dog": 3}, folder)
    with pytest.raises(DataError, match="valid: val/ is the val split, too: keep one"):
        read(root, ["cat", "dog"])


def test_misspelt_classes_are_told(root: Path):
    classes(root, {"Cat": 10, "dog": 10})
    with pytest.raises(DataError, match=r"cat: there is no such folder: .*did you mean 'Cat'"):
        read(root, ["cat", "dog"])


def test_images_in_folders_of_classes_folders(root: Path):
    classes(root, {"cat": 6, "dog": 6})
    classes(root, {"cat/night": 6})
    (root / "cat/.hidden").mkdir()
    Image.new("RGB", (8, 8)).save(root / "cat/.hidden/x.png")
    found = read(root, ["cat", "dog"])
    names = [name for split in found.splits.values() for name in split.names]
    assert len(names) == 18
    assert "cat/night/i000" in names


# Groups


def grouped(root: Path, groups: int, size: int = 3) -> Path:
    """Masks and images p00_0 … of so many groups."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for g in range(groups):
        for i in range(size):
            values = np.full((8, 8), g * size + i, np.uint8)
            Image.fromarray(values).save(root / f"images/p{g:02d}_{i}.png")
            Image.fromarray(np.eye(8, dtype=np.uint8)).save(root / f"masks/p{g:02d}_{i}.png")
    return root


def spread(found: Splits) -> dict[str, set[str]]:
    return {name: set(split.groups) for name, split in found.splits.items()}


@pytest.mark.parametrize(("groups", "val", "test"), [(3, 1, 1), (5, 1, 1), (6, 1, 1), (30, 3, 3)])
def test_groups_are_kept_apart(groups: int, val: int, test: int, root: Path):
    found = prepared(grouped(root, groups), groups=r"^(p\d+)_")
    parts = spread(found)
    assert (len(parts["val"]), len(parts["test"])) == (val, test)
    assert sum(map(len, parts.values())) == groups == len(set().union(*parts.values()))
    for split in found.splits.values():
        assert [name.split("_")[0] for name in split.names] == list(split.groups)
    assert "groups are kept apart" in found.notes[0]


def test_without_groups_the_split_is_by_index(root: Path):
    found = prepared(grouped(root, 4))
    assert found.splits["val"].names == ("p00_0", "p03_1")
    assert found.splits["val"].groups == ()


def test_too_few_groups_are_refused(root: Path):
    with pytest.raises(DataError, match="2 groups are too few to share out"):
        prepared(grouped(root, 2), groups=r"^p\d+")


def test_a_name_in_no_group_is_told(root: Path):
    with pytest.raises(DataError, match=r"data\.groups: .* does not match the name 'p00_0'"):
        prepared(grouped(root, 4), groups=r"^(q\d+)_")


@pytest.mark.parametrize(
    "head", ["name,group\n", "\ufeffname,group\n", "name;group\n", "name\tgroup\n"]
)
@pytest.mark.parametrize("ending", ["", ".png"])
def test_groups_of_a_csv_file(head: str, ending: str, root: Path):
    between = next(c for c in head if c in ",;\t")
    rows = [
        f"p{g:02d}_{i}{ending}{between}patient {g // 2}\r\n" for g in range(8) for i in range(3)
    ]
    grouped(root, 8)
    (root / "who.csv").write_text(head + "".join(rows), encoding="utf-8")
    found = prepared(root, groups={"file": "who.csv"})
    parts = spread(found)
    assert set().union(*parts.values()) == {f"patient {k}" for k in range(4)}
    assert all(
        not a & b for a, b in [(parts["train"], parts["val"]), (parts["val"], parts["test"])]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,patient\np00_0,a\n", r"who\.csv: has no column 'name' \(it has image, patient\)"),
        ("name,group\np00_0,a\n", r"who\.csv: has no group of the image 'p00_1'"),
        ("name,group\np00_0,a\np00_0,b\n", r"who\.csv:3: 'p00_0' is of 'b' here, of 'a' before"),
    ],
)
def test_wrong_csv_files(text: str, message: str, root: Path):
    grouped(root, 4)
    (root / "who.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        prepared(root, groups={"file": "who.csv"})


def test_groups_that_cross_given_splits_are_refused_and_the_remedies_work(root: Path):
    grouped(root, 4)
    files = {split: f"{split}.txt" for split in ("train", "val", "test")}
    for split, names in (("train", "p00_0 p01_0"), ("val", "p01_1"), ("test", "p02_0")):
        (root / f"{split}.txt").write_text(names.replace(" ", "\n"))
    message = (
        r"1 of 4 groups are in more than one split \(of 'p01', p01_0 is in train, p01_1 in val"
    )
    with pytest.raises(DataError, match=message):
        prepared(root, splits=files, groups=r"^p\d+")
    prepared(root, splits=files)
    (root / "val.txt").write_text("p03_1")
    prepared(root, splits=files, groups=r"^p\d+")


def test_groups_of_classes(root: Path):
    for label in ("cat", "dog"):
        for g in range(5):
            classes(root, {label: 3}, name=f"{label[0]}{g}_{{}}")
    found = read(root, ["cat", "dog"], groups=r"/([cd]\d)_")
    parts = spread(found)
    assert parts["val"] == {"c0", "d0"}
    assert parts["test"] == {"c4", "d4"}
    assert counts(found)["val"] == {0: 3, 1: 3}


@pytest.mark.parametrize("groups", ["(", "", 3, {"column": "x"}])
def test_impossible_groups_are_refused_by_the_spec(groups: Any):
    with pytest.raises(ValueError, match="groups"):
        FolderSettings.model_validate({"root": ".", "groups": groups})


def test_default_splits_of_folders_are_as_ever(root: Path):
    found = prepared(made(root))
    assert found.splits["val"].names == ("p00", "p10")
    assert found.splits["test"].names == ("p05",)
