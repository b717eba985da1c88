"""An image file's pixels as they are stored, at their own depth, the way a viewer turns them.

Pillow decodes. It reads colours of 16 bits as 8; `_sixteen_bit_colours` has it read both bytes.
"""

from __future__ import annotations

import errno
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import PIL
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from bench.data.base import FileFacts
from bench.data.plain import open_plain
from bench.data.window import Kind
from bench.errors import DataError, first_line

MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
"""What is read, whatever a file is called: others can have Pillow start programs (EPS)."""
_SUBFILE = 254  # TIFF's NewSubfileType
_NO_PAGE = 1 | 4  # a smaller version of another page; a transparency mask
_PLANAR, _BITS, _FORMAT, _PHOTOMETRIC = 284, 258, 339, 262
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What is wrong with the machine, not with the file.
OF_THE_MACHINE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}
)

# Pillow's own check sees frames and tiles within a file, too; `opened` tells of it.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# `_orientation` copes
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning, r"PIL\..*")

T = TypeVar("T")
Values = npt.NDArray[Any]


class UnreadableError(DataError):
    """One file that cannot be used; the rest of the data set may be.

    Attributes:
        file, wrong, remedy: which file, what is wrong with it, and what to do about that.
        told: what is wrong, with the file's name alone.
    """

    def __init__(self, file: Path, wrong: str, remedy: str) -> None:
        self.file, self.wrong, self.remedy = file, wrong, remedy
        self.told = f"{one_line(file.name)}: {wrong}"
        super().__init__(f"{one_line(file)}: {wrong}: {remedy}")


def one_line(name: object) -> str:
    """A file's name without the line breaks that some file systems allow in it."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", "�", str(name))


MISSING = "put it back, or drop its name"
LARGE_PIXELS = 25_000_000
"""Images with more are decoded one at a time, however many threads there are: 100 megapixels take
300 MB, and as much again while they are made smaller."""
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Opening:
    """How files are opened.

    Attributes:
        exif: whether the orientation in a file is applied or ignored.
        page: which page is read of files with several, counted from 1; None: those are an error.
    """

    exif: Literal["apply", "ignore"] = "apply"
    page: int | None = None


AS_SEEN = Opening()


class Pixels(NamedTuple):
    """An image's pixels, the way they are used.

    Attributes:
        values: (H, W, 3), or (H, W, 1) where they are grey and deeper than 8 bits; uint8, uint16,
            int16, float32, or int64 for 32 bits.
        facts: what the file is like.
    """

    values: Values
    facts: FileFacts


class Page(NamedTuple):
    """An opened file at the page that is read.

    Attributes:
        image: not yet decoded.
        file: where it is.
        pages: how many there are.
        raw: Pillow's name for how pixels are stored.
        orientation: EXIF's, 1 to 8.
        turned: whether Pillow itself applies it, as it does with TIFF.
    """

    image: Image.Image
    file: Path
    pages: int
    raw: str
    orientation: int
    turned: bool

    def upright(self, values: Values, opening: Opening) -> Values:
        """Decoded values (H, W, …) as `opening` wants them turned."""
        if self.orientation == 1 or (opening.exif == "apply") == self.turned:
            return values
        if opening.exif == "apply":
            return np.ascontiguousarray(oriented(values, self.orientation))
        return np.ascontiguousarray(
            oriented(values, _INVERSE.get(self.orientation, self.orientation))
        )


_INVERSE = {6: 8, 8: 6}


def oriented(values: Values, orientation: int) -> Values:
    """Stored values (H, W, …) as a viewer shows them."""
    match orientation:
        case 2:
            return values[:, ::-1]
        case 3:
            return values[::-1, ::-1]
        case 4:
            return values[::-1]
        case 5:
            return values.swapaxes(0, 1)
        case 6:
            return values[::-1].swapaxes(0, 1)
        case 7:
            return values[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return values[:, ::-1].swapaxes(0, 1)
    return values


def read_pixels(file: Path, opening: Opening = AS_SEEN) -> Pixels:
    """An image's pixels.

    Transparency is dropped (the stored colours stay).

    Raises:
        UnreadableError: whatever is wrong with the file.
        DataError: the machine is at fault.
    """
    return opened(file, opening, lambda page: _pixels(page, opening))


def opened(file: Path, opening: Opening, read: Callable[[Page], T]) -> T:
    """What `read` makes of the file.

    Raises:
        UnreadableError: whatever is wrong with the file.
        DataError: the machine is at fault; the message names the file, too.
        MemoryError: there is none left.
    """
    try:
        with _image(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width * image.height} pixels")
            large = image.width * image.height > LARGE_PIXELS
            with _one_at_a_time if large else nullcontext():
                return read(_page(image, file, opening))
    except (MemoryError, DataError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        # Pillow tells of its own limit, too, which is another one
        found = re.search(r"\d+", str(error))
        size = f"{int(found[0]):,} pixels" if found else "its pixels"
        wrong = f"{size} are more than the {MAX_PIXELS:,} allowed"
        raise UnreadableError(file, wrong, "store it smaller") from error
    except FileNotFoundError as error:
        raise UnreadableError(file, "there is no such file", MISSING) from error
    # Pillow's decoders raise nearly anything on a broken file.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise DataError(f"{one_line(file)}: cannot be read now ({error.strerror})") from error
        wrong = f"cannot be read as an image ({_reason(error, file)})"
        remedy = "replace the file, or take it out of the data set"
        raise UnreadableError(file, wrong, remedy) from error


@contextmanager
def _image(file: Path) -> Iterator[ImageFile]:
    """The image, not yet decoded."""
    # By a path, Pillow maps plain TIFF into memory, and mixes up the sides of turned ones (13.0).
    with open_plain(file) as content, Image.open(content, formats=FORMATS) as image:
        yield image


def _reason(error: Exception, file: Path) -> str:
    """What is wrong, without the path that Pillow says, too."""
    if isinstance(error, PIL.UnidentifiedImageError):
        if file.stat().st_size == 0:
            return "it is empty"
        with open_plain(file) as content:
            if content.read(4) in _TIFF:
                return (
                    "a TIFF of a kind that is not read, like colours or 16 or 64 bits in "
                    "floating-point, or two or five channels; store 8 or 16 bits, or 32-bit grey"
                )
        return f"its content is none of {', '.join(FORMATS)}"
    return getattr(error, "strerror", None) or first_line(error)


def _page(image: Image.Image, file: Path, opening: Opening) -> Page:
    """The page that is to be read; the file's only one, or the one chosen."""
    places = _pages(image)
    count, number = len(places), opening.page
    if count > 1 and number is None:
        raise UnreadableError(
            file,
            f"has {count} pages (frames)",
            f"choose one with `data.page: 1` (to {count}), or store one image a file",
        )
    if count > 1 and number is not None and number > count:
        wrong = f"has {count} pages, data.page is {number}"
        raise UnreadableError(file, wrong, f"choose 1 to {count}")
    place = places[number - 1 if number and count > 1 else 0]
    if place != image.tell():
        image.seek(place)
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    raw = arguments if isinstance(arguments, str) else str(arguments[0] if arguments else "")
    return Page(image, file, count, raw, _orientation(image), image.format == "TIFF")


def _pages(image: Image.Image) -> list[int]:
    """Where the images of a file are: previews and smaller versions of another are none."""
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # phones add previews and depths after the photo
        return [0]
    if image.format != "TIFF":
        return list(range(count))
    found = []
    for place in range(count):
        image.seek(place)
        if not int(image.tag_v2.get(_SUBFILE, 0)) & _NO_PAGE:  # type: ignore[attr-defined]  # a TIFF's
            found.append(place)
    image.seek(0)
    return found or [0]


def _orientation(image: Image.Image) -> int:
    """EXIF's (or XMP's) orientation; 1 where there is none, or none that can be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF: viewers show the photo as stored
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


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
    with _image(page.file) as image:
        if (place := page.image.tell()) != image.tell():
            image.seek(place)
        image.tile = [
            tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
            for tile in image.tile
        ]
        return np.array(image)


def _pixels(page: Page, opening: Opening) -> Pixels:
    values, bits = _values(page)
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
    found = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    narrow = re.fullmatch(r"L;(\d).*", page.raw)
    return found, int(narrow[1]) if narrow else 1 if page.image.mode == "1" else 8


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
    values = np.asarray(page.image)
    if page.image.mode == "F":
        return values.astype(np.float32)
    if page.image.mode != "I":
        found = values.astype(np.uint16)  # of any byte order
        # white is 0: Pillow exchanges it for 8 bits only
        return 65_535 - found if inverts and _tag(page.image, _PHOTOMETRIC) == 0 else found
    if page.raw in ("I;16S", "I;16BS"):
        return values.astype(np.int16)
    if not _is_32_bits(page):  # PNG before Pillow 11, PPM
        return values.astype(np.uint16)
    # Pillow has no unsigned 32 bits
    signed = page.raw.endswith("S")
    return values.astype(np.int64) if signed else values.astype(np.uint32).astype(np.int64)
