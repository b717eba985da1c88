"""Files, masks and lists that are named as people name them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.names import masks_of
from bench.data.settings import FolderSettings
from bench.errors import DataError
from tests.builders.image_folders import is_right, made, plain, prepared

FILES = {split: f"{split}.txt" for split in ("train", "val", "test")}
PARTS = {"train": range(8), "val": range(8, 10), "test": range(10, 12)}


def lists(root: Path, line: str = "p{:02d}", encode: Any = None, ending: str = "\n") -> None:
    for split, part in PARTS.items():
        text = ending.join(line.format(i) for i in part) + ending
        (root / f"{split}.txt").write_bytes(encode(text) if encode else text.encode())


def names(root: Path, **fields: Any) -> dict[str, tuple[str, ...]]:
    found = prepared(root, splits=FILES, **fields).splits
    return {name: split.names for name, split in found.items()}


PLAIN = {name: tuple(f"p{i:02d}" for i in part) for name, part in PARTS.items()}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "BOM": {"encode": lambda text: text.encode("utf-8-sig")},
    "BOM and CRLF": {"encode": lambda text: text.encode("utf-8-sig"), "ending": "\r\n"},
    "CRLF": {"ending": "\r\n"},
    "old Mac": {"ending": "\r"},
    "UTF-16": {"encode": lambda text: text.encode("utf-16")},
    "UTF-16, big-endian": {"encode": lambda text: b"\xfe\xff" + text.encode("utf-16-be")},
    "endings": {"line": "p{:02d}.png"},
    "endings in capitals": {"line": "p{:02d}.PNG"},
    "the mask's ending": {"line": "p{:02d}.tif"},
    "paths": {"line": "images/p{:02d}.png"},
    "paths of this folder": {"line": "./images/p{:02d}.png"},
    "longer paths": {"line": "data/images/p{:02d}.png"},
    "Windows paths": {"line": "images\\p{:02d}.png"},
    "blanks": {"line": "  p{:02d}  \t"},
    "empty lines": {"line": "\np{:02d}\n\n"},
    "comments": {"line": "# the next one\np{:02d}"},
}


@pytest.mark.parametrize("way", WAYS)
def test_split_files_are_read(way: str, tmp_path: Path):
    lists(made(tmp_path), **WAYS[way])
    assert names(tmp_path) == PLAIN


def test_absolute_paths_in_split_files(tmp_path: Path):
    lists(made(tmp_path), line=f"{tmp_path}/images/p{{:02d}}.png")
    assert names(tmp_path) == PLAIN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("bär".encode("latin-1"), r"train\.txt: cannot be read as UTF-8"),
        ("p01".encode("utf-16-le"), r"train\.txt: cannot be read as UTF-8 \(it has zero bytes\)"),
        (b"p99\n", r"train\.txt:1: there is no image 'p99' \(did you mean"),
        (b"images/p01.png\n\nimages/p1.png\n", r"train\.txt:3: there is no image 'images/p1\.png'"),
        (b"p01\np01.png\n", "'p01' appears twice in train"),
        (b"p01\np08\n", "'p08' appears in train, val"),
        (b"", "the train split is empty"),
    ],
)
def test_wrong_split_files(content: bytes, message: str, tmp_path: Path):
    lists(made(tmp_path))
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        names(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_name_that_begins_like_a_comment(tmp_path: Path):
    made(tmp_path, image_name="#{:02d}.png", mask_name="#{:02d}.png")
    lists(tmp_path, line="#{:02d}")
    assert names(tmp_path)["val"] == ("#08", "#09")


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "bär{:02d}") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("images", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("masks", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("line", [COMPOSED, DECOMPOSED])
def test_one_unicode_form(images: str, masks: str, line: str, tmp_path: Path):
    made(tmp_path, image_name=images + ".png", mask_name=masks + ".png")
    lists(tmp_path, line)
    assert names(tmp_path)["val"] == (COMPOSED.format(8), COMPOSED.format(9))


def test_the_form_on_disk_does_not_change_the_fingerprint(tmp_path: Path):
    prints = {
        prepared(made(tmp_path / str(i), image_name=n + ".png", mask_name=n + ".png")).fingerprint
        for i, n in enumerate((COMPOSED, DECOMPOSED))
    }
    assert len(prints) == 1


# Masks


@pytest.mark.parametrize(
    ("image_name", "mask_name", "way"),
    [
        ("p{:02d}.png", "p{:02d}_mask.png", "masks named {name}_mask"),
        ("p{:02d}.jpg", "p{:02d}_mask.gif", "masks named {name}_mask"),
        ("p{:02d}.JPG", "p{:02d}_gt.PNG", "masks named {name}_gt"),
        ("p{:02d}.png", "p{:02d}-seg.png", "masks named {name}-seg"),
        ("p{:02d}.png", "p{:02d}_L.png", "masks named {name}_L"),
        ("p{:02d}.png", "mask_p{:02d}.png", "masks named mask_{name}"),
        ("p{:02d}.png", "gt_p{:02d}_1.png", "masks named gt_{name}_1"),
        ("{:d}.png", "{:d}_mask.png", "masks named {name}_mask"),
        ("p{:02d}_sat.png", "p{:02d}_mask.png", "masks named {name}_mask for images {name}_sat"),
        ("p{:02d}_sat.png", "p{:02d}.png", "masks named {name} for images {name}_sat"),
        ("p{:02d}_leftImg8bit.png", "p{:02d}_gtFine_labelIds.png",
         "masks named {name}_gtFine_labelIds for images {name}_leftImg8bit"),
        ("my photo {:02d} 🐈.png", "my photo {:02d} 🐈_mask.png", "masks named {name}_mask"),
    ],
)  # fmt: skip
def test_suffixes_of_masks_are_found(image_name: str, mask_name: str, way: str, tmp_path: Path):
    found = prepared(made(tmp_path, image_name=image_name, mask_name=mask_name),
                     **({"values": [0, 1]} if mask_name.endswith("gif") else {}))  # fmt: skip
    assert way in found.notes
    train = found.splits["train"]
    assert train.masks is not None
    bright = train.images.mean(3) > 70
    assert (bright == (train.masks == 1)).mean() > 0.97


def test_masks_of_the_same_names_need_no_note(tmp_path: Path):
    assert prepared(made(tmp_path)).notes == ()


def test_two_kinds_of_masks_are_refused_and_the_remedy_works(tmp_path: Path):
    made(tmp_path, mask_name="p{:02d}_mask.png")
    made(tmp_path, mask_name="p{:02d}_color.png")
    with pytest.raises(DataError, match=r"every image has several masks, masks named .*_color and"):
        prepared(tmp_path)
    (tmp_path / "colours").mkdir()
    for file in (tmp_path / "masks").glob("*_color.png"):
        file.rename(tmp_path / "colours" / file.name)
    assert is_right(prepared(tmp_path))


def test_a_suffix_that_one_image_lacks_is_told(tmp_path: Path):
    made(tmp_path, mask_name="p{:02d}_mask.png")
    (tmp_path / "masks/p03_mask.png").rename(tmp_path / "masks/p03_msk.png")
    with pytest.raises(DataError, match=r"has no mask \(there is p\d\d_mask\.png, but not every"):
        prepared(tmp_path)


def test_a_mask_too_many_is_told(tmp_path: Path):
    made(tmp_path, mask_name="p{:02d}_mask.png")
    (tmp_path / "images/p03.png").unlink()
    with pytest.raises(DataError, match=r"p03_mask\.png: has no image of that name"):
        prepared(tmp_path)


def test_many_numbers_are_paired_soon():
    images = [str(i) for i in range(3000)]
    masks = {f"{i}_mask": Path(f"{i}_mask.png") for i in range(3000)}
    found, way = masks_of(images, masks)
    assert way == "masks named {name}_mask"
    assert found["7"] == Path("7_mask.png")


# What else lies in folders


def test_hidden_and_other_files_are_left_alone(tmp_path: Path):
    before = prepared(made(tmp_path)).fingerprint
    for name in ("._p01.png", ".DS_Store", "Thumbs.db", "notes.txt", "p01.xml"):
        (tmp_path / "images" / name).write_bytes(b"something")
    (tmp_path / "images/.ipynb_checkpoints").mkdir()
    (tmp_path / "images/old.png").mkdir()
    assert prepared(tmp_path).fingerprint == before


@pytest.mark.parametrize("ending", [".JPG", ".Jpeg", ".PNG", ".GIF", ".TIFF", ".WebP", ".BMP"])
def test_endings_in_any_case(ending: str, tmp_path: Path):
    form = {".JPG": "JPEG", ".TIFF": "TIFF", ".WebP": "WEBP"}.get(ending, ending[1:].upper())

    def save(pixels: np.ndarray, path: Path) -> None:
        Image.fromarray(pixels).save(path, form)

    found = prepared(made(tmp_path, image=save, image_name="p{:02d}" + ending))
    assert len(found.splits["train"]) == 9


def test_a_folder_without_images_says_what_is_there(tmp_path: Path):
    made(tmp_path)
    for file in (tmp_path / "images").iterdir():
        file.rename(file.with_suffix(".heic"))
    (tmp_path / "images/more").mkdir()
    message = r"images: has no images, but folders \(more\) and 12 \.heic files: put files"
    with pytest.raises(DataError, match=message):
        prepared(tmp_path)


def test_one_stem_with_two_endings_is_refused(tmp_path: Path):
    made(tmp_path)
    plain(np.zeros((4, 4), np.uint8), tmp_path / "images/p01.bmp")
    with pytest.raises(DataError, match=r"p01\.png: p01\.bmp has the same name: keep one"):
        prepared(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"p01\.png: cannot be read as an image \(it is empty\)"),
        (b"<html>", r"p01\.png: cannot be read as an image \(its content is none of JPEG"),
    ],
)
def test_files_that_are_no_images(content: bytes, message: str, tmp_path: Path):
    made(tmp_path)
    (tmp_path / "images/p01.png").write_bytes(content)
    with pytest.raises(DataError, match=message):
        prepared(tmp_path)
    assert "p01" not in prepared(tmp_path, on_error="skip").splits["train"].names


def test_line_breaks_in_names_stay_out_of_errors(tmp_path: Path):
    made(tmp_path)
    (tmp_path / "images/a\nb.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        prepared(tmp_path)
    assert "\n" not in str(caught.value)


def test_class_names_may_have_any_characters():
    names = ("wall", "thing 12, sort", "Fußgänger (Kind)", "a/b")
    assert FolderSettings(root=".", classes=names).class_names() == names
    with pytest.raises(ValueError, match="pattern"):
        FolderSettings(root=".", classes=("wall", " door"))
