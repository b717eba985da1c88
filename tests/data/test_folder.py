from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.base import Splits
from bench.data.folder import Folder
from bench.data.settings import DATASETS, FolderSettings
from bench.errors import DataError
from tests.data.conformance import conforms


def data(root: Path, **fields: Any) -> Folder:
    built = DATASETS.build(FolderSettings(root=str(root), image_size=16, **fields))
    assert isinstance(built, Folder)
    return built


def prepared(root: Path, **fields: Any) -> Splits:
    return data(root, **fields).prepare()


def fails(root: Path, message: str, **fields: Any) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepared(root, **fields)
    assert "\n" not in str(caught.value)


def repaint(root: Path) -> Folder:
    Image.new("RGB", (30, 20), "red").save(root / "images" / "p3.png")
    return data(root)


def test_folder_conforms(folder: Path):
    conforms(lambda: data(folder), changed=lambda: repaint(folder))


def test_default_splits_by_index(folder: Path):
    splits = prepared(folder).splits
    assert splits["val"].names == ("p0",)
    assert splits["test"].names == ("p5",)
    assert splits["train"].names == ("p1", "p2", "p3", "p4", "p6", "p7", "p8", "p9")


def test_masks_belong_to_their_images(folder: Path):
    split = prepared(folder).splits["train"]
    # Mask i is 1 in columns i…14 of 30, on all rows.
    shares = {name: split.masks[i].mean() * 30 for i, name in enumerate(split.names)}
    assert all(shares[f"p{i}"] == pytest.approx(15 - i, abs=1.2) for i in (1, 4, 9))


def test_split_files(folder: Path):
    for split, names in (("train", "p3\n\n p1 \n"), ("val", "p0"), ("test", "p9\np8")):
        (folder / f"{split}.txt").write_text(names)
    files = {split: f"{split}.txt" for split in ("train", "val", "test")}
    splits = prepared(folder, splits=files).splits
    assert {k: v.names for k, v in splits.items()} == {
        "train": ("p3", "p1"),
        "val": ("p0",),
        "test": ("p9", "p8"),
    }


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("p1\npp2\n", r"train\.txt:2: there is no image 'pp2' \(did you mean 'p2'\?\)"),
        ("p1\np0\n", "'p0' appears in train, val: list it once"),
        ("p1\np1\n", "'p1' appears twice in train"),
        ("\n", "the train split is empty"),
        (None, r"train\.txt: cannot be read.*mend `splits:`"),
    ],
)
def test_wrong_split_files(folder: Path, train: str | None, message: str):
    (folder / "val.txt").write_text("p0")
    (folder / "test.txt").write_text("p5")
    if train is not None:
        (folder / "train.txt").write_text(train)
    files = {split: f"{split}.txt" for split in ("train", "val", "test")}
    fails(folder, message, splits=files)


def test_a_split_file_shows_no_file_of_somewhere_else(folder: Path, tmp_path: Path):
    (tmp_path / "secret").write_text("hunter2")
    (folder / "train.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=r"train\.txt: is a link to .*which is not in") as caught:
        prepared(folder, splits=dict.fromkeys(("train", "val", "test"), "train.txt"))
    assert "hunter2" not in str(caught.value)


def test_values_and_ignore(folder: Path):
    for i in range(10):
        Image.fromarray(np.array([[0, 255, 128, 0]] * 4, np.uint8)).resize((30, 20)).save(
            folder / "masks" / f"p{i}.png"
        )
    fails(folder, r"p\d\.png: unexpected mask value .*22 values from 0 to 255.*`threshold: 128`")
    for i in range(10):
        square = np.zeros((20, 30), np.uint8)
        square[:, :10], square[:, 20:] = 255, 128
        Image.fromarray(square).save(folder / "masks" / f"p{i}.png")
    fails(folder, r"unexpected mask value 128 \(expected 0, 255\): `ignore: 128`", values=(0, 255))
    masks = prepared(folder, values=(0, 255), ignore=128).splits["train"].masks
    assert [masks[0, 8, x] for x in (2, 8, 14)] == [1, 0, 255]


def test_more_classes(folder: Path):
    found = prepared(folder, classes=("sky", "cat", "dog"))
    assert found.classes == ("sky", "cat", "dog")
    assert found.fingerprint != prepared(folder).fingerprint


def test_missing_folders(folder: Path):
    fails(folder, "nowhere: there is no such folder.*data.images", images="nowhere")
    fails(folder / "not", "there is no such folder.*data.root")


def test_an_image_without_a_mask(folder: Path):
    (folder / "masks" / "p4.png").unlink()
    fails(folder, r"p4\.jpg: has no mask: put one at .*p4\.png")


def test_a_mask_without_an_image(folder: Path):
    (folder / "images" / "p4.jpg").unlink()
    fails(folder, r"p4\.png: has no image of that name in .*images")


def test_two_images_of_one_name(folder: Path):
    shutil.copy(folder / "images" / "p4.jpg", folder / "images" / "p4.PNG")
    fails(folder, r"p4\.jpg: p4\.PNG has the same name: keep one")


def test_other_files_are_left_alone(folder: Path):
    before = prepared(folder).fingerprint
    (folder / "images" / "notes.txt").write_text("hello")
    (folder / "masks" / "._p1.png").write_text("of some operating system")
    assert prepared(folder).fingerprint == before


def test_too_few_images_for_three_splits(folder: Path):
    for i in range(4, 10):
        for file in folder.glob(f"*/p{i}.*"):
            file.unlink()
    fails(folder, "the test split is empty: 4 images are too few")


def test_an_unreadable_image_is_named(folder: Path):
    (folder / "images" / "p2.jpg").write_bytes(b"rubbish")
    fails(folder, r"p2\.jpg: cannot be read as an image")


def test_an_unreadable_image_is_skipped_where_asked(folder: Path):
    whole = prepared(folder)
    assert prepared(folder, on_error="skip").fingerprint == whole.fingerprint
    (folder / "images" / "p2.jpg").write_bytes(b"rubbish")
    found = prepared(folder, on_error="skip")
    assert found.splits["train"].names == ("p1", "p3", "p4", "p6", "p7", "p8", "p9")
    assert found.splits["val"].names == whole.splits["val"].names
    assert np.array_equal(found.splits["test"].images, whole.splits["test"].images)
    assert np.array_equal(found.splits["train"].masks[1:], whole.splits["train"].masks[2:])
    assert found.fingerprint != whole.fingerprint
    assert found.notes == (
        "1 of 10 samples could not be read and are left out (1 of train): p2.jpg: cannot be read "
        "as an image (its content is none of JPEG, PNG, GIF, BMP, PPM, TIFF, WEBP)",
    )


def test_a_split_of_which_nothing_is_left(folder: Path):
    (folder / "images" / "p0.jpg").write_bytes(b"rubbish")
    fails(folder, "data.on_error: skip: the val split is empty: none of it", on_error="skip")


def test_same_content_elsewhere_has_the_same_fingerprint(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "copy")
    for file in (tmp_path / "copy").rglob("*.*"):
        os.utime(file, ns=(5, 5))
    assert prepared(tmp_path / "copy").fingerprint == prepared(folder).fingerprint
