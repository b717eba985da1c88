from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data import masks, pages, pixels
from bench.data.decode import decode_pair, load_images, load_pairs
from bench.data.masks import Labels
from bench.data.resizing import resized
from bench.data.sample_files import Pair, Single
from bench.errors import DataError
from tests.builders.image_files import LABELS, png, reading, saved


def read_image(file: Path) -> np.ndarray[Any, Any]:
    return pixels.read_pixels(file).values


def read_mask(file: Path) -> np.ndarray[Any, Any]:
    return masks.read_mask(file).values


def red() -> np.ndarray[Any, Any]:
    return np.tile(np.array([200, 40, 10], np.uint8), (6, 6, 1))


# Reading images


def test_png_with_alpha_named_jpg_keeps_its_stored_colours(tmp_path: Path):
    pixels = np.dstack([red(), np.zeros((6, 6), np.uint8)])
    file = saved(tmp_path / "a.jpg", pixels, format="PNG")
    assert np.array_equal(np.asarray(read_image(file)), red())


@pytest.mark.parametrize(
    ("name", "mode", "colour"),
    [
        ("grey.png", "L", (84, 84, 84)),  # 0.299 × 200 + 0.587 × 40 + 0.114 × 10 = 84.4
        ("palette.png", "P", (200, 40, 10)),
        ("cmyk.tif", "CMYK", (200, 40, 10)),
        ("still.gif", "P", (200, 40, 10)),
        ("alpha.tif", "RGBA", (200, 40, 10)),
        ("plain.bmp", "RGB", (200, 40, 10)),
    ],
)
def test_every_colour_mode_becomes_rgb(tmp_path: Path, name: str, mode: str, colour: Any):
    image = Image.fromarray(red())
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    image.save(tmp_path / name)
    assert np.asarray(read_image(tmp_path / name)).tolist() == [[list(colour)] * 6] * 6


def test_a_transparent_palette_image_is_read_without_a_warning(tmp_path: Path):
    image = Image.fromarray(red()).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(tmp_path / "a.png", transparency=b"\x00\x80")
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), red())


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n12345678"])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image.*replace"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_truncated_image_is_named(tmp_path: Path, ending: str):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    file = saved(tmp_path / f"a.{ending}", noise)
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(DataError, match=rf"a\.{ending}: cannot be read"):
        read_image(file)


def test_an_image_bomb_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = saved(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    monkeypatch.setattr(pages, "MAX_PIXELS", 599)
    with pytest.raises(DataError, match=r"a\.png: 600 pixels are more than the 599 allowed: store"):
        read_image(file)


@pytest.mark.parametrize("side", [10_001, 20_000])  # Pillow warns of the one, refuses the other
def test_a_real_bomb_is_one_line_that_names_the_file(
    tmp_path: Path, side: int, recwarn: pytest.WarningsRecorder
):
    file = png(tmp_path / "a.png", side, side)
    with pytest.raises(DataError) as caught:
        read_image(file)
    told = f"{side**2:,} pixels are more than the 100,000,000 allowed: store it smaller"
    assert str(caught.value) == f"{file}: {told}"


def test_what_would_start_a_program_is_not_read(tmp_path: Path):
    script = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    (tmp_path / "a.jpg").write_text(script)
    assert Image.open(tmp_path / "a.jpg").format == "EPS"
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read .*its content is none of JPEG"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("fault", [MemoryError(), OSError(24, "Too many open files")])
def test_what_is_wrong_with_the_machine_is_not_the_files_fault(
    tmp_path: Path, fault: Exception, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise fault

    one = Single("a", saved(tmp_path / "a.png", red()))
    monkeypatch.setattr(Image, "open", broken)
    kind = MemoryError if isinstance(fault, MemoryError) else DataError
    message = None if kind is MemoryError else r"a\.png: cannot be read now"
    with pytest.raises(kind, match=message):
        load_images([one], reading(tmp_path, skip=True))


# Reading masks


def test_a_palette_mask_gives_its_indices_not_its_colours(tmp_path: Path):
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    assert image.mode == "P"
    image.save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == indices.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_narrow_palettes_too(tmp_path: Path, bits: int):
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "m.png", bits=bits)
    assert read_mask(tmp_path / "m.png").tolist() == [[0, 1]]


@pytest.mark.parametrize(("bits", "step"), [(2, 85), (4, 17)])
def test_narrow_grey_gives_the_stored_values(tmp_path: Path, bits: int, step: int):
    # Pillow cannot write narrow grey: one row of four pixels 0, 1, 2, 3.
    row = bytes([0, 0b00011011]) if bits == 2 else bytes([0, 0x01, 0x23])
    file = png(tmp_path / "m.png", 4, 1, row, bits)
    assert np.asarray(Image.open(file)).tolist() == [[0, step, 2 * step, 3 * step]]
    assert read_mask(file).tolist() == [[0, 1, 2, 3]]


def test_black_and_white_gives_0_and_1(tmp_path: Path):
    file = saved(tmp_path / "m.png", np.array([[0, 255]], np.uint8), "1")
    assert read_mask(file).tolist() == [[0, 1]]


def test_a_grey_mask_stored_as_rgb_is_read(tmp_path: Path):
    file = saved(tmp_path / "m.png", np.full((2, 2, 3), 7, np.uint8))
    assert read_mask(file).tolist() == [[7, 7], [7, 7]]


def test_a_mask_with_alpha_is_read(tmp_path: Path):
    file = saved(tmp_path / "m.png", np.full((2, 2), 7, np.uint8), "LA")
    assert read_mask(file).tolist() == [[7, 7], [7, 7]]


def test_a_coloured_mask_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"m\.png.*colour picture.*store it as"):
        read_mask(saved(tmp_path / "m.png", red()))


def test_a_sixteen_bit_mask_of_small_values_is_read(tmp_path: Path):
    file = saved(tmp_path / "m.png", np.array([[0, 1]], np.uint16))
    assert LABELS.check(read_mask(file), file).tolist() == [[0, 1]]


def test_unexpected_values_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"m\.png: unexpected mask value 3, 300: expected 0 or 1"):
        LABELS.check(np.array([[0, 3], [300, 1]]), tmp_path / "m.png")


def test_labels_map_values_to_classes():
    labels = Labels({1: 1, 2: 0, 3: 255}, "")
    assert labels.apply(np.array([[1, 2, 3]], np.uint8)).tolist() == [[1, 0, 255]]


# Pairs


def pair(folder: Path, image: Any, mask: Any) -> Pair:
    return Pair("a", saved(folder / "a.png", image), saved(folder / "m.png", mask))


def test_images_are_averaged_and_masks_take_the_nearest(tmp_path: Path):
    # Columns 0 0 80 80 0 0 80 80 halved: the triangle filter weighs 1 3 3 1, at the edge 3 3 1:
    # 80/7, (3·80 + 3·80)/8, (80 + 80)/8, (3·80 + 3·80)/7.
    image = np.repeat(np.tile(np.array([0, 0, 80, 80], np.uint8), 2)[None], 8, axis=0)
    mask = (image > 0).astype(np.uint8)
    one = pair(tmp_path, np.dstack([image] * 3), mask)
    found, classes = decode_pair(one, reading(tmp_path, size=(4, 4)), LABELS).arrays
    assert found[1, :, 0].tolist() == [11, 60, 20, 69]
    assert classes[1].tolist() == [0, 1, 0, 1]


def test_all_of_a_mask_is_checked_also_what_the_resize_leaves_out(tmp_path: Path):
    mask = np.zeros((40, 40), np.uint8)
    mask[0, 0] = 9
    with pytest.raises(DataError, match="unexpected mask value 9"):
        decode_pair(
            pair(tmp_path, np.zeros((40, 40, 3), np.uint8), mask),
            reading(tmp_path, size=(8, 8)),
            LABELS,
        )


def test_a_mask_may_be_smaller_but_not_turned(tmp_path: Path):
    image = np.zeros((20, 40, 3), np.uint8)
    decode_pair(
        pair(tmp_path, image, np.zeros((10, 20), np.uint8)), reading(tmp_path, size=(8, 8)), LABELS
    )
    with pytest.raises(DataError, match=r"the mask is 20×40, its image a\.png 40×20"):
        decode_pair(
            pair(tmp_path, image, np.zeros((40, 20), np.uint8)),
            reading(tmp_path, size=(8, 8)),
            LABELS,
        )


def test_a_changed_file_is_decoded_again_an_unchanged_one_is_not(tmp_path: Path):
    one = pair(tmp_path, np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))

    def load() -> tuple[str, int]:
        calls: list[int] = []
        found = load_pairs([one], LABELS, reading(tmp_path, progress=lambda i, _: calls.append(i)))
        return found.content, len(calls)

    (first, made), (again, served) = load(), load()
    assert (first, made, served) == (again, 2, 0)
    saved(one.image, np.full((8, 8, 3), 9, np.uint8))
    assert load()[0] != first
    os.utime(one.mask, ns=(1, 1))
    assert load()[1] == 2


def test_a_missing_file_is_named(tmp_path: Path):
    gone = Pair("a", tmp_path / "gone.jpg", tmp_path / "m.png")
    with pytest.raises(DataError, match=r"gone\.jpg: cannot be read.*put it back"):
        load_pairs([gone], LABELS, reading(tmp_path))


# Links


def test_links_stay_in_the_root(tmp_path: Path):
    root, kept = tmp_path / "data" / "images", tmp_path / "data" / "kept"
    for folder in (root, kept):
        folder.mkdir(parents=True)
    (root / "a.png").symlink_to(saved(kept / "x.png", red()))
    load_images([Single("a", root / "a.png")], reading(tmp_path / "data"))
    (root / "b.png").symlink_to(saved(tmp_path / "secret.png", red()))
    for skip in (False, True):
        with pytest.raises(DataError, match=r"b\.png: is a link to .*secret\.png, which is not in"):
            load_images([Single("b", root / "b.png")], reading(tmp_path / "data", skip=skip))


def test_a_folder_may_be_a_link_itself(tmp_path: Path):
    away = tmp_path / "away"
    away.mkdir()
    saved(away / "x.png", red())
    (away / "a.png").symlink_to("x.png")
    (tmp_path / "images").symlink_to(away)
    load_images([Single("a", tmp_path / "images" / "a.png")], reading(tmp_path))


def test_resizing_is_pillows_to_a_level(tmp_path: Path):
    # Pillow's own antialiased bilinear filter, in fixed point of more digits
    random = np.random.default_rng(0)
    for height, width in [(374, 500), (40, 1000), (20, 30), (64, 64), (1, 1)]:
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        found = resized(np.array(image), (64, 64))
        peer = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))
        assert found.shape == (64, 64, 3)
        assert found.flags.c_contiguous
        assert np.abs(found.astype(int) - peer).max() <= 1


RESIZED = """
import hashlib, numpy as np, torch
from bench.data.resizing import resized

pixels = np.random.default_rng(0).integers(0, 256, (374, 500, 3), np.uint8)
digest = hashlib.sha256(resized(pixels, (256, 256))).hexdigest()
print(torch.backends.cpu.get_cpu_capability(), digest)
"""


def test_bits_do_not_depend_on_the_processors_instructions():
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    command = [sys.executable, "-c", RESIZED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (374, 500, 3), np.uint8)
    digest = hashlib.sha256(resized(pixels, (256, 256))).hexdigest()
    assert done.stdout.split() == ["DEFAULT", digest]
