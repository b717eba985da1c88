"""Layouts that a spec describes: patterns, tables, annotations, palettes, links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.base import Splits
from bench.data.settings import DATASETS, ClassFolderSettings, FolderSettings
from bench.errors import DataError

SIZE = 16


def read(root: Path, **settings: Any) -> Splits:
    built: Splits = DATASETS.build(
        FolderSettings(root=str(root), **{"image_size": SIZE, **settings})
    ).prepare()
    return built


def read_labels(root: Path, classes: tuple[str, ...], **settings: Any) -> Splits:
    built: Splits = DATASETS.build(
        ClassFolderSettings(root=str(root), image_size=SIZE, classes=classes, **settings)
    ).prepare()
    return built


def image(file: Path, level: int = 100) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIZE, SIZE), (level, level, level)).save(file)


def mask(file: Path, column: int, value: int = 1) -> None:
    """Ones in `column`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((SIZE, SIZE), np.uint8)
    values[:, column] = value
    Image.fromarray(values).save(file)


def pairs(splits: Splits) -> dict[str, tuple[int, int]]:
    """By name: the image's grey and the column of its mask, which tell whether they belong."""
    found = {}
    for split in splits.splits.values():
        assert split.masks is not None
        for name, pixels, own in zip(split.names, split.images, split.masks, strict=True):
            found[name] = (int(pixels[0, 0, 0]), int(own[0].argmax()))
    return found


def sizes(splits: Splits) -> tuple[int, int, int]:
    train, val, test = (len(splits.splits[name]) for name in ("train", "val", "test"))
    return train, val, test


def in_folder(root: Path, images: str, masks: str, count: int = 10, first: int = 0) -> None:
    """`images` and `masks` with {i}: image i has the grey 10 i, its mask the column i."""
    for i in range(first, first + count):
        image(root / images.format(i=i), 10 * i)
        mask(root / masks.format(i=i), i)


NAMES = {
    "suffix and another ending": ("{i}.jpg", "{i}_mask.gif", "masks/{stem}_mask.gif"),
    "any ending": ("{i}.png", "m{i}.seg.bmp", "masks/m{stem}.seg.*"),
    "no ending": ("{i}.png", "{i}.tif", "masks/{stem}"),
    "double ending": ("{i}.png", "{i}.png.mask.png", "masks/{stem}.png.mask.png"),
    "case": ("IMG_{i}.JPG", "img_{i}_Label.PNG", "Masks/{stem}_label.png"),
}


@pytest.mark.parametrize("case", NAMES)
def test_masks_by_a_pattern(case: str, tmp_path: Path) -> None:
    images, masks, pattern = NAMES[case]
    folder = pattern.partition("/")[0]
    in_folder(tmp_path, f"images/{images}", f"{folder}/{masks}")
    found = pairs(read(tmp_path, masks=pattern))
    assert len(found) == 10
    for name, (grey, column) in found.items():
        assert round(grey / 10) == column == int(name.removeprefix("IMG_"))


def test_arrays_of_numpy(tmp_path: Path) -> None:
    for i in range(10):
        image(tmp_path / f"images/{i}.png", 10 * i)
        (tmp_path / "masks").mkdir(exist_ok=True)
        values = np.zeros((SIZE, SIZE), [bool, np.int64, np.float32, np.uint8][i % 4])
        values[:, i] = 1
        np.save(tmp_path / f"masks/{i}.npy", values)
    found = pairs(read(tmp_path, masks="masks/{stem}.npy"))
    assert found == {str(i): (10 * i, i) for i in range(10)}
    assert found == pairs(read(tmp_path)), "a folder of arrays alone needs no pattern"


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("{split}/images", ("train", "val", "test")),
        ("images/{split}", ("train", "valid", "test")),
        ("images/{split}", ("Training", "Validation", "Testing")),
    ],
)
def test_folders_of_splits(order: str, names: tuple[str, ...], tmp_path: Path) -> None:
    masks = order.replace("images", "masks")
    for k, split in enumerate(names):
        images = f"{order.replace('{split}', split)}/{{i}}.jpg"
        labels = f"{masks.replace('{split}', split)}/{{i}}_m.png"
        in_folder(tmp_path, images, labels, count=3, first=3 * k)
    found = read(tmp_path, images=order, masks=masks)
    assert sizes(found) == (3, 3, 3)
    assert found.splits["val"].names == ("val/3", "val/4", "val/5")
    assert all(column == int(name[-1]) for name, (_, column) in pairs(found).items())
    assert found.notes == ()


def test_without_validation_some_training_images_are_split_off(tmp_path: Path) -> None:
    in_folder(tmp_path, "train/{i}.png", "train_labels/{i}_L.png", count=10)
    in_folder(tmp_path, "test/{i}.png", "test_labels/{i}_L.png", count=4)
    found = read(tmp_path, images="{split}", masks="{split}_labels")
    assert sizes(found) == (9, 1, 4)
    assert found.notes == ("no val images are given: 1 of 10 training images are used for it",)


def test_test_images_without_masks_are_left_out(tmp_path: Path) -> None:
    in_folder(tmp_path, "train/{i}.png", "train_masks/{i}.png", count=10)
    for i in range(3):
        image(tmp_path / f"test/{i}.png")
    found = read(tmp_path, images="{split}", masks="{split}_masks/{stem}.png")
    assert sizes(found) == (8, 1, 1)
    assert "the test images have no masks, so they are left out" in found.notes


def test_folders_in_folders(tmp_path: Path) -> None:
    """Cityscapes: cities below splits, two trees with suffixes of their own."""
    for k, split in enumerate(("train", "val", "test")):
        in_folder(
            tmp_path,
            f"leftImg8bit/{split}/city{k}/city{k}_0_{{i}}_leftImg8bit.png",
            f"gtFine/{split}/city{k}/city{k}_0_{{i}}_gtFine_labelTrainIds.png",
            count=3, first=3 * k,
        )  # fmt: skip
    found = read(
        tmp_path,
        images="leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png",
        masks="gtFine/{split}/{city}/{stem}_gtFine_labelTrainIds.png",
    )
    assert found.splits["test"].names[0] == "test/city2/city2_0_6"
    assert all(column == int(name[-1]) for name, (_, column) in pairs(found).items())
    anywhere = read(
        tmp_path,
        images="leftImg8bit/{split}/{path}_leftImg8bit.png",
        masks="gtFine/{split}/{path}_gtFine_labelTrainIds.png",
    )
    assert anywhere.fingerprint == found.fingerprint


def test_several_pairs_of_folders(tmp_path: Path) -> None:
    in_folder(tmp_path, "a/images/{i}.png", "a/masks/{i}.png", count=5)
    in_folder(tmp_path, "b/rgb/{i}.png", "b/seg/{i}_s.png", count=5, first=5)
    found = read(tmp_path, images=["a/images", "b/rgb"], masks=["a/masks", "b/seg"])
    assert sizes(found) == (8, 1, 1)
    assert {"a/images/4", "b/rgb/5"} <= pairs(found).keys()
    assert all(column == int(name[-1]) for name, (_, column) in pairs(found).items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "m/3_m.png").unlink(), r"3\.png: has no mask: put one at .*3_m\.png"),
        (lambda root: mask(root / "m/99_m.png", 1), r"99_m\.png: has no image \(of the pattern"),
        (lambda root: mask(root / "m/3_M.PNG", 1), r"is a mask of the same image"),
        (lambda root: image(root / "images/3.jpg"), "has the same name '3'"),
    ],
)  # fmt: skip
def test_pairs_that_do_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    in_folder(tmp_path, "images/{i}.png", "m/{i}_m.png")
    change(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, masks="m/{stem}_m.png")
    assert "\n" not in str(caught.value)


def test_a_pattern_without_images_says_what_is_there(tmp_path: Path) -> None:
    in_folder(tmp_path, "images/{i}.png", "masks/{i}.png")
    with pytest.raises(DataError, match=r"no image there fits the pattern .*10 \.png files"):
        read(tmp_path, images="images/{stem}.jpg", masks="masks/{stem}.png")
    with pytest.raises(DataError, match="there is no such folder"):
        read(tmp_path, images="scans/{stem}.jpg", masks="masks/{stem}.png")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"masks": "{city}/a.png"}, r"masks: \{city\} is not in images"),
        ({"images": "{a b}/x"}, "is no placeholder"),
        ({"images": "{stem.jpg"}, "brace"),
        ({"images": ["a", "b"]}, "1 for 2 `images:`"),
        ({"palette": {"a": [1, 2], "b": [0, 0, 0]}}, "colour of 'a' must be"),
        ({"palette": "voc", "values": {"#000000": "background"}}, "so does `values:`"),
        ({"palette": "voc", "classes": ["background", "unicorn"]}, "'unicorn' has no colour"),
        ({"table": {"file": "a.csv"}, "annotations": "b.json"}, "both say where"),
        ({"table": {"file": "a.csv"}, "splits": {"train": "a"}}, "cannot be used with `table:`"),
    ],
)
def test_descriptions_that_cannot_be(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FolderSettings(root="x", **settings)


def test_images_alone(tmp_path: Path) -> None:
    for i in range(10):
        image(tmp_path / f"{i}.png")
    found = read(tmp_path, images=".", masks=None)
    assert (sizes(found), found.classes) == ((8, 1, 1), ())
    assert all(split.masks is None for split in found.splits.values())


def test_a_list_of_splits_may_lack_test(tmp_path: Path) -> None:
    """VOC has no public test split."""
    in_folder(tmp_path, "images/{i}.jpg", "masks/{i}.png", count=16)
    (tmp_path / "train.txt").write_text("\n".join(map(str, range(12))))
    (tmp_path / "val.txt").write_text("12\n13\n")
    found = read(tmp_path, splits={"train": "train.txt", "val": "val.txt"})
    assert sizes(found) == (11, 2, 1)
    assert found.notes == ("no test images are given: 1 of 12 training images are used for it",)


# tables


def table(root: Path, text: str, name: str = "list.csv") -> None:
    (root / name).write_text(text)


def test_a_table_of_images_and_masks(tmp_path: Path) -> None:
    in_folder(tmp_path, "scans/{i}.png", "seg/m{i}.png")
    splits = ["train"] * 6 + ["Valid"] * 2 + ["test"] * 2
    lines = [f"scans/{i}.png,seg/m{i}.png,{split},p{i // 2}" for i, split in enumerate(splits)]
    table(tmp_path, "\n".join(["path,seg,fold,patient", *lines]))
    columns = {"file": "list.csv", "image": "path", "mask": "seg"}
    found = read(tmp_path, table={**columns, "split": "fold", "group": "patient"})
    assert sizes(found) == (6, 2, 2)
    assert found.splits["val"].groups == ("p3", "p3")
    assert pairs(found) == {f"scans/{i}": (10 * i, i) for i in range(10)}
    assert sizes(read(tmp_path, table=columns)) == (8, 1, 1)


@pytest.mark.parametrize(
    "prefix", ["", "scans/", "./scans/", "/home/me/set/scans/", "C:\\x\\scans\\"]
)
@pytest.mark.parametrize("ending", [".png", ""])
def test_paths_in_tables(prefix: str, ending: str, tmp_path: Path) -> None:
    in_folder(tmp_path, "scans/{i}.png", "seg/{i}.png")
    lines = [
        json.dumps({"image": f"{prefix}{i}{ending}", "mask": f"{i}{ending}"}) for i in range(10)
    ]
    table(tmp_path, "\n".join(lines), "list.jsonl")
    found = read(tmp_path, images="scans", masks="seg", table={"file": "list.jsonl"})
    assert pairs(found) == {f"scans/{i}": (10 * i, i) for i in range(10)}


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("img,mask\n1.png,1.png", {}, r"no column 'image'.*it has img, mask"),
        ("image,mask\n1.png,1.png\n99.png,1.png", {}, r"list\.csv:3: there is no file '99\.png'"),
        ("image,mask\n1.png,\n", {}, r"list\.csv:2: the column 'mask' is empty"),
        ("image,mask\n1.png,1.png\n1,2.png", {}, "is in line 2, too"),
        ("image,mask,s\n1.png,1.png,holdout", {"split": "s"}, "says 'holdout': write train, val"),
        ("image,mask\n", {}, "no column|lists no image"),
        ("image,mask\n../secret.png,1.png", {}, "there is no file"),
    ],
)
def test_tables_that_do_not_fit(text: str, settings: Any, message: str, tmp_path: Path) -> None:
    root = tmp_path / "d"
    in_folder(root, "images/{i}.png", "masks/{i}.png")
    image(tmp_path / "secret.png")
    table(root, text)
    with pytest.raises(DataError, match=message) as caught:
        read(root, table={"file": "list.csv", **settings})
    assert "\n" not in str(caught.value)


def test_a_table_of_labels(tmp_path: Path) -> None:
    for i in range(20):
        image(tmp_path / f"jpg/ISIC_{i}.jpg", 10 * i)
    lines = [f"ISIC_{i};{'nevus' if i % 2 else 'Basal cell'}" for i in range(20)]
    table(tmp_path, "\n".join(["image_id;dx", *lines]))
    columns = {"file": "list.csv", "image": "image_id", "label": "dx", "images": "jpg"}
    found = read_labels(tmp_path, ("Basal cell", "nevus"), table=columns)
    assert sizes(found) == (16, 2, 2)
    for split in found.splits.values():
        assert split.labels is not None
        assert [int(name.rpartition("_")[2]) % 2 for name in split.names] == split.labels.tolist()
    alone = read_labels(tmp_path, ("nevus", "melanoma"), table=columns)
    assert any("left out with their 10 images: Basal cell" in note for note in alone.notes)


@pytest.mark.parametrize("form", ["columns", "separator", "list"])
def test_images_of_several_labels(form: str, tmp_path: Path) -> None:
    classes = ("Mass", "Edema", "Pleural thickening")
    labels = [[c for k, c in enumerate(classes) if (i >> k) & 1] for i in range(12)]
    for i in range(12):
        image(tmp_path / f"{i}.png", 10 * i)
    settings: dict[str, Any] = {"file": "list.csv", "image": "id"}
    if form == "columns":
        rows = [
            f"{i}.png,{','.join(str(int(c in own)) for c in classes)}"
            for i, own in enumerate(labels)
        ]
        table(tmp_path, "\n".join([f"id,{','.join(classes)}", *rows]))
        settings |= {"label": classes}
    elif form == "separator":
        rows = [f"{i}.png,{'|'.join([*own, 'Nodule'])}" for i, own in enumerate(labels)]
        table(tmp_path, "\n".join(["id,finding", *rows]))
        settings |= {"label": "finding", "separator": "|"}
    else:
        rows = [json.dumps({"id": f"{i}.png", "finding": own}) for i, own in enumerate(labels)]
        table(tmp_path, "\n".join(rows), "list.jsonl")
        settings |= {"file": "list.jsonl", "label": "finding", "separator": "|"}
    found = read_labels(tmp_path, classes, table=settings)
    for split in found.splits.values():
        assert split.labels is not None
        for name, own in zip(split.names, split.labels, strict=True):
            assert [c for c, one in zip(classes, own, strict=True) if one] == labels[int(name)]
    assert found.splits["train"].labels.shape == (len(found.splits["train"]), 3)


def test_labels_that_are_not_known(tmp_path: Path) -> None:
    rows = ["id,a,b"]
    for i in range(12):
        image(tmp_path / f"{i}.png", 10 * i)
        rows.append(f"{i}.png,{i % 2},{('0', '1', '', '-1')[i % 4]}")
    table(tmp_path, "\n".join(rows))
    columns = {"file": "list.csv", "image": "id", "label": ("a", "b")}
    found = read_labels(tmp_path, ("a", "b"), table=columns)
    for split in found.splits.values():
        assert split.labels is not None
        for name, own in zip(split.names, split.labels, strict=True):
            assert own.tolist() == [int(name) % 2, (0, 1, -1, -1)[int(name) % 4]]
    assert "6 of 24 labels are not known: neither trained on nor scored" in found.notes
    other = read_labels(tmp_path, ("a", "b"), table=columns | {"empty": "zero"})
    assert other.fingerprint != found.fingerprint
    assert "3 of 24 labels are not known: neither trained on nor scored" in other.notes


def test_a_column_without_a_zero_says_what_empty_cells_may_mean(tmp_path: Path) -> None:
    for i in range(6):
        image(tmp_path / f"{i}.png", 10 * i)
    table(
        tmp_path,
        "\n".join(["id,a,b", *(f"{i}.png,{i % 2},{'1' if i % 3 else ''}" for i in range(6))]),
    )
    columns = {"file": "list.csv", "image": "id", "label": ("a", "b")}
    with pytest.raises(DataError, match="'b' has no 0: set `empty: zero`"):
        read_labels(tmp_path, ("a", "b"), table=columns)
    assert read_labels(tmp_path, ("a", "b"), table=columns | {"empty": "zero"}).splits
