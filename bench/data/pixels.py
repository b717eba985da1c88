"""An image file's pixels as they are stored, at their own depth, the way a viewer turns them.

Pillow decodes. It reads colours of 16 bits as 8; `wide_colours` has it read both bytes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bench.data.array_files import is_array, of_known_type, read_array
from bench.data.base import FileFacts
from bench.data.channels import chosen_channels, is_tiff, read_tiff
from bench.data.pages import (
    AS_SEEN,
    LARGE_PIXELS,
    STRIP_PIXELS,
    Opening,
    Page,
    UnreadableError,
    Values,
    open_image,
    opened,
)
from bench.data.window import Kind

_PLANAR, _BITS, _FORMAT, _PHOTOMETRIC = 284, 258, 339, 262


class Pixels(NamedTuple):
    """An image's pixels, the way they are used.

    Attributes:
        values: (H, W, 3), or (H, W, 1) where they are grey and deeper than 8 bits; uint8, uint16,
            int16, float32, or int64 for 32 bits.
        facts: what the file is like.
    """

    values: Values
    facts: FileFacts


def read_pixels(file: Path, opening: Opening = AS_SEEN) -> Pixels:
    """An image's pixels.

    Transparency is dropped (the stored colours stay).

    Raises:
        UnreadableError: whatever is wrong with the file.
        DataError: the machine is at fault.
    """
    if is_array(file):
        values = read_array(file, opening.page)
    elif opening.channels is not None and is_tiff(file):
        values = of_known_type(read_tiff(file, opening))
    else:
        return opened(file, opening, lambda page: _pixels(page, opening))
    facts_of_all = array_facts(values)
    if opening.channels is None:
        return Pixels(_colours(values, file), facts_of_all)
    return Pixels(chosen_channels(values, opening, file), facts_of_all)


def _colours(values: Values, file: Path) -> Values:
    """Red, green and blue of an array; 8-bit grey as three equal channels."""
    count = values.shape[2]
    if count not in (1, 3):
        raise UnreadableError(
            file,
            f"has {count} channels",
            f"say which are read: `data.channels: {list(range(count))}`, counted from 0",
        )
    return np.repeat(values, 3, 2) if count == 1 and values.dtype == np.uint8 else values


def array_facts(values: Values) -> FileFacts:
    """What the file of an array (H, W, …) is like."""
    height, width = values.shape[:2]
    bits = 32 if values.dtype == np.int64 else values.dtype.itemsize * 8
    low, high = values.min().item(), values.max().item()
    mode = "array" if values.ndim == 2 else f"array of {values.shape[2]}"
    return FileFacts(width, height, mode, bits, 1, 1, low, high, kind_of(values))


_WIDE_COLOURS = re.compile(r"(RGB|RGBA|RGBX|RGBa);16[BLN]|LA;16B")


def wide_colours(page: Page) -> Values | None:
    """(H, W, C) uint16 of colours, or grey with alpha, of 16 bits; None: pixels are others."""
    if _tag(page.image, _PLANAR) == 2 and _tag(page.image, _BITS, 8) > 8:
        raise ValueError(
            "16-bit colours plane by plane; store them pixel by pixel (tifffile: "
            "planarconfig='contig') or as PNG"
        )
    if not _WIDE_COLOURS.fullmatch(page.raw):
        return None
    if page.raw == "LA;16B":  # as four bytes: grey's two, alpha's two
        pairs = _read_as(page, "RGBA").astype(np.uint16)
        return (pairs[..., 0::2] << 8) | pairs[..., 1::2]
    kind, _, order = page.raw.partition(";16")
    kind = "RGBA" if kind == "RGBa" else kind
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    # Pillow keeps the higher byte of each value; with the byte order exchanged, the lower one.
    high, low = (
        _read_as(page, f"{kind};16{end}").astype(np.uint16) for end in ("LB" if little else "BL")
    )
    found: Values = (high << 8) | low
    return found


def _tag(image: Image.Image, number: int, default: int = 1) -> int:
    """A TIFF's tag, of several values the first; of other files the default."""
    if image.format != "TIFF":
        return default
    found = image.tag_v2.get(number, default)  # type: ignore[attr-defined]  # a TIFF's
    return int(found[0] if isinstance(found, tuple) else found)


def is_signed_byte(page: Page) -> bool:
    """Whether a TIFF has 8-bit values with a sign, which Pillow takes for ones without."""
    return _tag(page.image, _FORMAT) == 2 and _tag(page.image, _BITS, 8) == 8


def _read_as(page: Page, raw: str) -> Values:
    """Decode the page anew, its pixels taken to be stored like `raw`."""
    with open_image(page.file) as image:
        if (position := page.image.tell()) != image.tell():
            image.seek(position)
        image.tile = [
            tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
            for tile in image.tile
        ]
        return array_of(image)


def array_of(image: Image.Image, mode: str | None = None) -> Values:
    """(H, W) or (H, W, C): `np.array` of the image, in another of Pillow's modes with `mode`.

    A large one is copied strip by strip: `np.array` itself makes three copies of the whole, and
    converting one more.
    """
    mode = mode or image.mode
    if image.width * image.height <= LARGE_PIXELS:
        return np.array(image if mode == image.mode else image.convert(mode))
    image.load()
    rows = max(1, STRIP_PIXELS // image.width)
    found: Values | None = None
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        values = np.asarray(strip if mode == image.mode else strip.convert(mode))
        if found is None:
            found = np.empty((image.height, *values.shape[1:]), values.dtype)
        found[top : top + len(values)] = values
    assert found is not None
    return found


def _pixels(page: Page, opening: Opening) -> Pixels:
    values, bits = _values(page) if opening.channels is None else _all_channels(page)
    values = chosen_channels(values, opening, page.file)
    values = page.upright(values, opening)
    return Pixels(values, facts(page, values, bits))


def facts(page: Page, values: Values, bits: int) -> FileFacts:
    """What the file is like, of which `values` were read."""
    low, high = values.min().item(), values.max().item()
    width, height = page.image.size
    if page.turned and page.orientation >= 5:  # Pillow gives a TIFF's size as it is shown
        width, height = height, width
    mode, orientation, pages, kind = page.image.mode, page.orientation, page.pages, kind_of(values)
    return FileFacts(width, height, mode, bits, orientation, pages, low, high, kind)


def kind_of(values: Values) -> Kind:
    """How these values are stored."""
    kind: Any = "int32" if values.dtype == np.int64 else values.dtype.name
    found: Kind = kind
    return found


def _values(page: Page) -> tuple[Values, int]:
    """The values as Pillow turns them, and how many bits each of them has in the file."""
    image = page.image
    if (wide := wide_colours(page)) is not None:
        return (wide[..., :3] if wide.shape[2] > 2 else wide[..., :1]), 16
    if is_signed_byte(page):
        raise ValueError("8 bits with a sign; store them without, or as 16 bits")
    if ";16" in page.raw and image.mode == "CMYK":
        raise ValueError("CMYK of 16 bits; store it as RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return deep_grey(page, inverts=True)[..., None], 32 if _is_32_bits(
            page
        ) else 12 if page.raw == "I;12" else 16
    if image.mode == "RGB" and image.format == "PPM" and _is_wide_ppm(image):
        raise ValueError("PPM with more than 8 bits a colour; store it as 16-bit PNG or TIFF")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    found = array_of(image, "RGB")
    narrow = re.fullmatch(r"L;(\d).*", page.raw)
    return found, int(narrow[1]) if narrow else 1 if page.image.mode == "1" else 8


def _all_channels(page: Page) -> tuple[Values, int]:
    """The values of every channel (H, W, C), alpha too, and how many bits each of them has."""
    if (wide := wide_colours(page)) is not None:
        return wide, 16
    if page.image.mode.startswith("I") or page.image.mode == "F":
        return deep_grey(page, inverts=True)[..., None], 32 if _is_32_bits(page) else 16
    values = array_of(page.image, "RGB" if page.image.mode == "P" else None)
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    return (values if values.ndim == 3 else values[..., None]), 8


def _is_wide_ppm(image: Image.Image) -> bool:
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    return isinstance(arguments, tuple) and any(isinstance(a, int) and a > 255 for a in arguments)


def _is_32_bits(page: Page) -> bool:
    return page.image.mode == "F" or ";32" in page.raw


def deep_grey(page: Page, *, inverts: bool) -> Values:
    """(H, W) grey values of more than 8 bits: uint16, int16, float32, or int64 for 32 bits.

    With `inverts`, 16 bits of which 0 is white are turned over.
    """
    values = array_of(page.image)
    if page.image.mode == "F":
        return values.astype(np.float32, copy=False)
    if page.image.mode != "I":
        found = values.astype(np.uint16, copy=False)  # of any byte order
        # white is 0: Pillow exchanges it for 8 bits only
        return 65_535 - found if inverts and _tag(page.image, _PHOTOMETRIC) == 0 else found
    if page.raw in ("I;16S", "I;16BS"):
        return values.astype(np.int16)
    if not _is_32_bits(page):  # PNG before Pillow 11, PPM
        return values.astype(np.uint16)
    # Pillow has no unsigned 32 bits
    signed = page.raw.endswith("S")
    return values.astype(np.int64) if signed else values.astype(np.uint32).astype(np.int64)
