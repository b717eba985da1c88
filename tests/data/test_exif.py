"""Photos are turned as viewers turn them, and files of several pages are never read in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from bench.data.masks import MaskReading, read_mask
from bench.data.pages import Opening, oriented
from bench.data.pixels import read_pixels
from bench.errors import DataError
from tests.builders.deep_images import png16
from tests.builders.image_folders import Pixels, Save, is_right, made, plain, prepared

ORIENTATION = 0x0112
INVERSE = {6: 8, 8: 6}
STORED = Opening("ignore")


def tagged(orientation: int, **options: Any) -> Save:
    """Saves pixels so that a viewer shows them as given: stored turned the other way."""

    def save(pixels: Pixels, path: Path) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stored = oriented(pixels, INVERSE.get(orientation, orientation))
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)

    return save


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_every_orientation_in_every_format(orientation: int, ending: str, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    file = tmp_path / f"a.{ending}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}
    tagged(orientation, **options.get(ending, {}))(pixels, file)
    found, facts = read_pixels(file)
    with Image.open(file) as image:
        seen = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(found, seen)
    assert facts.orientation == orientation
    assert (facts.width, facts.height) == ((8, 16) if orientation >= 5 else (16, 8))
    if ending != "jpg":
        assert np.array_equal(found, pixels)
        stored = oriented(pixels, INVERSE.get(orientation, orientation))
        assert np.array_equal(read_pixels(file, STORED).values, stored)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_masks_are_turned_too(orientation: int, ending: str, tmp_path: Path):
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3)
    tagged(orientation)(mask, tmp_path / f"m.{ending}")
    assert np.array_equal(read_mask(tmp_path / f"m.{ending}").values, mask)
    stored = oriented(mask, INVERSE.get(orientation, orientation))
    found = read_mask(tmp_path / f"m.{ending}", MaskReading(STORED)).values
    assert np.array_equal(found, stored)


def test_sixteen_bits_are_turned_too(tmp_path: Path):
    values = np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000
    tagged(6)(values, tmp_path / "a.png")
    assert np.array_equal(read_pixels(tmp_path / "a.png").values[..., 0], values)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_impossible_orientations_turn_nothing(value: int, tmp_path: Path):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg", exif=exif)
    found, facts = read_pixels(tmp_path / "a.jpg")
    assert (found.shape, facts.orientation) == ((2, 4, 3), 1)


def test_damaged_exif_turns_nothing(tmp_path: Path):
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_pixels(tmp_path / "a.jpg").facts.orientation == 1


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_photos_and_masks_lie_on_each_other(orientation: int, tmp_path: Path):
    root = made(tmp_path, image=tagged(orientation, quality=95), image_name="p{:02d}.jpg")
    found = prepared(root)
    assert is_right(found)
    assert found.notes == ("12 of 12 images have an EXIF orientation, which is applied "
                           "(`data.exif`)",)  # fmt: skip
    if orientation < 5:  # the others have another shape
        assert not is_right(prepared(root, exif="ignore"))


def test_without_orientation_nothing_changes(tmp_path: Path):
    root = made(tmp_path)
    applied, ignored = prepared(root), prepared(root, exif="ignore")
    assert applied.fingerprint == ignored.fingerprint
    assert applied.notes == ()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_of_the_unturned_photo_is_refused_and_the_remedy_works(
    orientation: int, tmp_path: Path
):
    def unturned(mask: Pixels, path: Path) -> None:
        plain(np.ascontiguousarray(oriented(mask, INVERSE.get(orientation, orientation))), path)

    root = made(tmp_path, image=tagged(orientation, quality=95), mask=unturned,
                image_name="p{:02d}.jpg")  # fmt: skip
    message = rf"masks/p\d\d\.png: .*after its EXIF orientation {orientation}.*`data\.exif: ignore`"
    with pytest.raises(DataError, match=message):
        prepared(root)
    found = prepared(root, exif="ignore")
    assert found.splits["train"].masks.mean() == pytest.approx(0.0625, abs=0.02)
    train = found.splits["train"]
    assert ((train.images.mean(3) > 70) == (train.masks > 0)).mean() > 0.97


def test_a_mask_of_the_turned_photo_where_exif_is_ignored(tmp_path: Path):
    root = made(tmp_path, image=tagged(6), image_name="p{:02d}.jpg")
    with pytest.raises(DataError, match=r"before its EXIF orientation 6.*`data\.exif: apply`"):
        prepared(root, exif="ignore")


# Pages


def stack(pixels: Pixels, path: Path) -> None:
    """The page that is right is the second."""
    other = np.zeros_like(pixels)
    pages = [Image.fromarray(page) for page in (other, pixels, other)]
    options = {"save_all": True, "append_images": pages[1:]}
    if path.suffix in (".webp", ".png", ".gif"):
        options |= (
            {"duration": 50, "lossless": True} if path.suffix == ".webp" else {"duration": 50}
        )
    pages[0].save(path, **options)


@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_several_pages_are_refused_and_the_remedy_works(ending: str, tmp_path: Path):
    root = made(tmp_path, image=stack, image_name="p{:02d}." + ending)
    message = rf"p\d\d\.{ending}: has 3 pages \(frames\): .*`data\.page: 1` \(to 3\)"
    with pytest.raises(DataError, match=message):
        prepared(root)
    found = prepared(root, page=2)
    assert is_right(found)
    assert "page 2 is read of 12 files with several (`data.page`)" in found.notes
    assert prepared(root, page=1).splits["train"].images.max() == 0
    with pytest.raises(DataError, match=r"has 3 pages, data\.page is 4: choose 1 to 3"):
        prepared(root, page=4)


def test_pages_of_masks(tmp_path: Path):
    root = made(tmp_path, mask=stack, mask_name="p{:02d}.tif")
    with pytest.raises(DataError, match=r"masks/p\d\d\.tif: has 3 pages"):
        prepared(root)
    assert is_right(prepared(root, page=2))


def test_pages_of_sixteen_bit_colours(tmp_path: Path):
    pages = np.random.default_rng(0).integers(0, 65536, (3, 5, 6, 3), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    found = read_pixels(tmp_path / "a.tif", Opening(page=3))
    assert np.array_equal(found.values, pages[2])
    assert found.facts.pages == 3


def test_smaller_versions_are_no_pages(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels, photometric="rgb")
        file.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)
    found, facts = read_pixels(tmp_path / "a.tif")
    assert np.array_equal(found, pixels)
    assert facts.pages == 1


def test_a_phones_previews_are_no_pages(tmp_path: Path):
    photo, preview = Image.new("RGB", (32, 16), "red"), Image.new("RGB", (8, 4), "blue")
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
    found, facts = read_pixels(tmp_path / "a.jpg")
    assert (found.shape, facts.pages) == ((16, 32, 3), 1)
    assert found[0, 0, 0] > 200


def test_a_single_page_is_read_whatever_page_says(tmp_path: Path):
    assert is_right(prepared(made(tmp_path), page=2))


def test_a_png_without_frames_is_plain(tmp_path: Path):
    values = np.zeros((4, 4, 3), np.uint16)
    assert read_pixels(png16(tmp_path / "a.png", values)).facts.pages == 1
