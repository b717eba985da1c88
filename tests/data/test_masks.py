"""Masks as people store them: read rightly, or refused with a remedy that makes them right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from ruamel.yaml import YAML

from bench.errors import DataError
from tests.builders.deep_images import png16
from tests.builders.image_folders import Pixels, Save, is_right, made, plain, prepared


def remedies(message: str) -> list[dict[str, Any]]:
    """The settings that an error proposes in backticks."""
    yaml = YAML(typ="safe", pure=True)
    found = []
    for text in re.findall(r"`([^`]*)`", message):
        text = text.removeprefix("data.")
        if re.match(r"\w+: \S", text):
            found.append(yaml.load("{" + text + "}"))
    return found


def refusal(root: Path, **fields: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepared(root, **fields)
    message = str(caught.value)
    assert "\n" not in message
    assert "values for 1, 2, 3" not in message
    return message


def times(factor: int, dtype: str = "uint8") -> Save:
    return lambda mask, path: plain((mask.astype(dtype) * np.array(factor, dtype)), path)


def tiff(dtype: str, factor: float = 1, shift: float = 0) -> Save:
    return lambda mask, path: tifffile.imwrite(
        path, (mask.astype(float) * factor + shift).astype(dtype)
    )


def with_palette(*colours: tuple[int, int, int], order: tuple[int, ...] = (0, 1, 2)) -> Save:
    def save(mask: Pixels, path: Path) -> None:
        image = Image.fromarray(np.array(order, np.uint8)[mask])
        image.putpalette([part for colour in colours for part in colour])
        image.save(path)

    return save


def coloured(*colours: tuple[int, int, int]) -> Save:
    return lambda mask, path: plain(np.array(colours, np.uint8)[mask], path)


def in_alpha(mask: Pixels, path: Path) -> None:
    plain(np.dstack([np.zeros((*mask.shape, 3), np.uint8), mask * 255]), path)


def in_alpha_of_grey(mask: Pixels, path: Path) -> None:
    plain(np.dstack([np.full(mask.shape, 255, np.uint8), mask * 255]), path)


def jpeg(mask: Pixels, path: Path) -> None:
    Image.fromarray(mask * 255).save(path, "JPEG", quality=70)


def colour_jpeg(mask: Pixels, path: Path) -> None:
    Image.fromarray(mask * 255).convert("RGB").save(path, "JPEG", quality=70)


def one_bit(mask: Pixels, path: Path) -> None:
    Image.fromarray(mask * 255).convert("1").save(path)


def gif(mask: Pixels, path: Path) -> None:
    Image.fromarray(mask * 255).save(path)


def turned_in_file(mask: Pixels, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.ascontiguousarray(mask[::-1, ::-1])).save(path, exif=exif)


def one_bit_white_first(mask: Pixels, path: Path) -> None:
    """White where the object is, as others write it: a 0 is stored there."""
    Image.fromarray(mask.astype(bool)).save(path, tiffinfo={262: 0})


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (200, 30, 10)
RIGHT_AS_THEY_ARE: dict[str, tuple[Save, str, dict[str, Any]]] = {
    "0 and 1": (plain, "png", {}),
    "bmp": (plain, "bmp", {}),
    "gif of 0 and 1": (plain, "gif", {}),
    "one bit": (one_bit, "png", {}),
    "one bit, TIFF": (one_bit, "tif", {}),
    "one bit, TIFF, 0 is white": (one_bit_white_first, "tif", {}),
    "one bit, TIFF, 0 is white and background": (
        lambda m, p: one_bit_white_first(1 - m, p), "tif", {"palette": "index"},
    ),
    "pbm": (one_bit, "pbm", {}),
    "palette, black first": (with_palette(BLACK, WHITE), "png", {}),
    "palette, white first": (with_palette(WHITE, BLACK, order=(1, 0)), "png", {}),
    "palette, white first, of objects": (
        with_palette(WHITE, BLACK, order=(0, 1)), "png", {"palette": "index"},
    ),
    "palette, colours": (with_palette((9, 9, 9), RED), "png", {}),
    "palette by colour": (
        with_palette(BLACK, WHITE), "png", {"palette": "colour", "values": [0, 255]},
    ),
    "inverted palette": (
        with_palette(*[(255 - i,) * 3 for i in range(256)], order=(255, 0)),
        "png",
        {"values": [0, 255]},
    ),
    "0 and 255": (times(255), "png", {"values": [0, 255]}),
    "16 bits": (times(1, "uint16"), "png", {}),
    "0 and 65535": (times(65535, "uint16"), "png", {"values": [0, 65535]}),
    "0 and 300": (times(300, "uint16"), "png", {"values": [0, 300]}),
    "16-bit colours": (
        lambda m, p: png16(p, np.dstack([m.astype(np.uint16) * 300] * 3)),
        "png",
        {"values": [0, 300]},
    ),
    "32 bits": (tiff("int32", 70_000), "tif", {"values": [0, 70_000]}),
    "unsigned 32 bits": (tiff("uint32", 4_000_000_000), "tif", {"values": [0, 4_000_000_000]}),
    "-1 for background": (tiff("int32", 2, -1), "tif", {"values": [-1, 1]}),
    "-1 in 16 bits": (tiff("int16", 2, -1), "tif", {"values": [-1, 1]}),
    "-1 in 8 bits": (tiff("int8", 2, -1), "tif", {"values": [-1, 1]}),
    "whole floats": (tiff("float32"), "tif", {}),
    "probabilities": (tiff("float32", 0.9, 0.05), "tif", {"threshold": 0.5}),
    "jpeg": (jpeg, "jpg", {"threshold": 128}),
    "colour jpeg": (colour_jpeg, "jpg", {"threshold": 128}),
    "grey as RGB": (lambda m, p: plain(np.dstack([m] * 3), p), "png", {}),
    "grey as RGBA": (
        lambda m, p: plain(np.dstack([m, m, m, np.full_like(m, 255)]), p), "png", {},
    ),
    "alpha": (in_alpha, "png", {"alpha": "mask", "values": [0, 255]}),
    "alpha of grey": (in_alpha_of_grey, "png", {"alpha": "mask", "threshold": 128}),
    "colours": (
        coloured(BLACK, RED),
        "png",
        {"values": {"#000000": "background", "#C81E0A": "foreground"}},
    ),
    "mapping": (times(7), "png", {"values": {0: "background", 7: "foreground"}}),
    "mapping from JSON": (times(7), "png", {"values": {"0": "background", "7": "foreground"}}),
    "EXIF in the mask": (turned_in_file, "png", {}),
    "white is 0": (
        lambda m, p: tifffile.imwrite(p, m, photometric="miniswhite"), "tif", {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", RIGHT_AS_THEY_ARE)
def test_masks_that_are_read_rightly(kind: str, tmp_path: Path):
    save, ending, fields = RIGHT_AS_THEY_ARE[kind]
    root = made(tmp_path, mask=save, mask_name="p{:02d}." + ending)
    found = prepared(root, **fields)
    if "jpeg" in kind:  # a few pixels at edges of blocks
        train = found.splits["train"]
        assert (train.masks == prepared(made(tmp_path / "b")).splits["train"].masks).mean() > 0.98
    else:
        assert is_right(found)


REFUSED: dict[str, tuple[Save, str, dict[str, Any], str]] = {
    "jpeg": (jpeg, "jpg", {"values": [0, 255]}, "JPEG compression has made"),
    "jpeg named png": (jpeg, "png", {}, "JPEG compression has made"),
    "0 and 255": (times(255), "png", {}, r"unexpected mask value 255 \(expected 0, 1\)"),
    "0 and 65535": (times(65535, "uint16"), "png", {}, "unexpected mask value 65535"),
    "0 and 300": (times(300, "uint16"), "png", {}, r"`values: \[0, 300\]`"),
    "0 and 70000": (tiff("int32", 70_000), "tif", {}, r"`values: \[0, 70000\]`"),
    "1 and 2": (lambda m, p: plain(m + 1, p), "png", {}, r"`values: \[1, 2\]`"),
    "gif": (gif, "gif", {"values": [0, 255]}, r"`values: \[0, 1\]`"),
    "probabilities": (tiff("float32", 0.9, 0.05), "tif", {}, r"not whole: `threshold: 0\.5`"),
    "alpha": (in_alpha, "png", {}, "its colour is the same everywhere, its alpha channel is not"),
    "alpha of grey": (in_alpha_of_grey, "png", {}, "its alpha channel is not"),
    "colours": (coloured(BLACK, RED), "png", {}, "this is a colour picture"),
    "palette as grey": (with_palette(BLACK, WHITE), "png", {"values": [0, 255]}, "values: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_masks_that_are_refused_have_a_remedy_that_works(kind: str, tmp_path: Path):
    save, ending, fields, expected = REFUSED[kind]
    root = made(tmp_path, mask=save, mask_name="p{:02d}." + ending)
    message = refusal(root, **fields)
    assert re.search(expected, message), message
    assert re.search(r"masks/p\d\d\.", message)
    first, *_ = remedies(message)
    rest = {key: value for key, value in fields.items() if not {"threshold", "values"} & {key}}
    found = prepared(root, **rest, **first)
    assert is_right(found) or "jpeg" in kind
    shares = [(found.splits[s].masks == 1).mean() for s in ("train", "val", "test")]
    assert all(0.03 < share < 0.09 for share in shares)  # 6 % as drawn


def soft(mask: Pixels, path: Path) -> None:
    large = Image.fromarray(mask * 255).resize((128, 96), Image.Resampling.BILINEAR)
    large.save(path)


def two_values(mask: Pixels, path: Path) -> None:
    """0, 300 and 1000: foreground is of two kinds."""
    values = mask.astype(np.uint16) * 300
    values[:, :6] *= 10
    values[values == 3000] = 1000
    plain(values, path)


def numbered(mask: Pixels, path: Path) -> None:
    values = np.arange(mask.size).reshape(mask.shape) % 20 + 1
    plain(np.where(mask > 0, values, 0).astype(np.uint8), path)


def with_border(value: int, dtype: str = "uint8") -> Save:
    def save(mask: Pixels, path: Path) -> None:
        values = mask.astype(dtype)
        values[0] = value
        plain(values, path) if path.suffix == ".png" else tifffile.imwrite(path, values)

    return save


VAGUE: dict[str, tuple[Save, str, dict[str, Any], str]] = {
    "soft edges": (soft, "png", {"values": [0, 255]}, "soft .antialiased. edges"),
    "soft edges, no values": (soft, "png", {}, "soft .antialiased. edges"),
    "three values": (two_values, "png", {}, "say which class each value is"),
    "object numbers": (numbered, "png", {}, "if they number objects"),
    "a border of 255": (with_border(255), "png", {}, "`ignore: 255`"),
    "a border of -1": (with_border(-1, "int32"), "tif", {}, "`ignore: -1`"),
    "a border of -1, floats": (with_border(-1, "float32"), "tif", {}, "`ignore: -1`"),
}


@pytest.mark.parametrize("kind", VAGUE)
def test_every_remedy_that_is_proposed_can_be_used(kind: str, tmp_path: Path):
    save, ending, fields, expected = VAGUE[kind]
    root = made(tmp_path, mask=save, mask_name="p{:02d}." + ending)
    message = refusal(root, **fields)
    assert re.search(expected, message), message
    proposed = remedies(message)
    assert proposed
    for remedy in proposed:
        found = prepared(root, **remedy)
        assert (found.splits["train"].masks == 1).any()


def test_ignored_values_of_any_kind(tmp_path: Path):
    root = made(tmp_path, mask=with_border(-1, "int32"), mask_name="p{:02d}.tif")
    masks = prepared(root, ignore=-1).splits["train"].masks
    assert (masks[:, 0] == 255).all()
    assert set(np.unique(masks)) == {0, 1, 255}
    both = prepared(root, ignore=[-1, 1], values=[0, 7]).splits["train"].masks
    assert set(np.unique(both)) == {0, 255}


def test_ignored_values_are_exempt_from_the_threshold(tmp_path: Path):
    root = made(tmp_path, mask=with_border(255))
    masks = prepared(root, threshold=1, ignore=255).splits["train"].masks
    assert (masks[:, 0] == 255).all()
    assert (masks == 1).any()


def test_several_values_to_one_class(tmp_path: Path):
    root = made(tmp_path, classes=4)
    values = {0: "rest", 1: "pet", 2: "rest", 3: "pet"}
    masks = prepared(root, classes=["rest", "pet"], values=values).splits["train"].masks
    drawn = prepared(root, classes=["a", "b", "c", "d"]).splits["train"].masks
    assert np.array_equal(masks, np.isin(drawn, (1, 3)))


def test_a_mapping_equals_the_list_that_says_the_same(tmp_path: Path):
    root = made(tmp_path, mask=times(255))
    listed = prepared(root, values=[0, 255])
    mapped = prepared(root, values={255: "foreground", 0: "background"})
    assert listed.fingerprint == mapped.fingerprint


def test_more_classes_than_values_are_named(tmp_path: Path):
    root = made(tmp_path, classes=4)
    message = refusal(root, classes=["a", "b", "c"])
    assert "name 4 classes" in message or "ignore: 3" in message
    for remedy in remedies(message):
        prepared(root, classes=["a", "b", "c"], **remedy)


def test_colours_of_many_classes_are_listed(tmp_path: Path):
    colours = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
    root = made(tmp_path, mask=coloured(*colours), classes=4)
    names = ["a", "b", "c", "d"]
    (remedy,) = remedies(refusal(root, classes=names))
    assert list(remedy["values"]) == ["#000000", "#0000ff", "#00ff00", "#ff0000"]
    values = dict(zip(["#000000", "#ff0000", "#00ff00", "#0000ff"], names, strict=True))
    assert is_right(prepared(root, classes=names, values=values), 4)
    known = {colour: name for colour, name in values.items() if name != "c"}
    unknown = refusal(root, classes=names, values=known)
    assert "unexpected mask value #00ff00 (expected #000000, #0000ff, #ff0000)" in unknown
    assert unknown.endswith("; `ignore: '#00ff00'` if it is not to be scored")
    for ignored in (0x00FF00, "#00ff00", ["#00FF00"]):
        scored = prepared(root, classes=names, values=known, ignore=ignored).splits["train"].masks
        assert scored is not None
        assert np.unique(scored).tolist() == [0, 1, 3, 255]


def test_photos_instead_of_masks_are_told(tmp_path: Path):
    def photo(mask: Pixels, path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (*mask.shape, 3), np.uint8)
        plain(noise, path)

    assert "are these the images?" in refusal(made(tmp_path, mask=photo))


def test_an_empty_transparent_mask_is_no_fault(tmp_path: Path):
    def clear(mask: Pixels, path: Path) -> None:
        plain(np.zeros((*mask.shape, 4), np.uint8), path)

    assert (prepared(made(tmp_path, mask=clear)).splits["train"].masks == 0).all()


def test_alpha_of_a_file_without_it(tmp_path: Path):
    assert "has no alpha channel: drop `alpha: mask`" in refusal(made(tmp_path), alpha="mask")


def test_undefined_values_are_refused(tmp_path: Path):
    root = made(tmp_path, mask=tiff("float32", 1, np.nan), mask_name="p{:02d}.tif")
    assert "infinite or undefined" in refusal(root, threshold=0.5)


def test_one_strange_mask_is_skipped_many_are_an_error(tmp_path: Path):
    root = made(tmp_path)
    plain(np.full((24, 32), 9, np.uint8), root / "masks/p01.png")
    found = prepared(root, on_error="skip")
    assert "p01.png: unexpected mask value 9" in found.notes[0]
    root = made(tmp_path, mask=times(255))
    assert remedies(refusal(root, on_error="skip"))[0] == {"values": [0, 255]}


def test_what_the_masks_are_like_is_known(tmp_path: Path):
    found = prepared(made(tmp_path, mask=times(65535, "uint16")), values=[0, 65535])
    facts = found.splits["train"].mask_facts
    assert len(facts) == 9
    assert (facts[0].bits, facts[0].high, facts[0].width, facts[0].height) == (16, 65535, 32, 24)
    assert all(fact.mode == "RGB" for fact in found.splits["val"].facts)
