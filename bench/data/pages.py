"""Opening an image file at the page that is read, not yet decoded; what is wrong with a file."""

from __future__ import annotations

import errno
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import PIL
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from bench.data.plain import open_plain
from bench.errors import DataError, first_line

MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
"""What is read, whatever a file is called: others can have Pillow start programs (EPS)."""
_SUBFILE = 254  # TIFF's NewSubfileType
_NO_PAGE = 1 | 4  # a smaller version of another page; a transparency mask
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What is wrong with the machine, not with the file.
OF_THE_MACHINE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}
)

# Pillow's own check sees frames and tiles within a file, too; `opened` reports it.
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
        in_short: what is wrong, with the file's name alone.
    """

    def __init__(self, file: Path, wrong: str, remedy: str) -> None:
        self.file, self.wrong, self.remedy = file, wrong, remedy
        self.in_short = f"{one_line(file.name)}: {wrong}"
        super().__init__(f"{one_line(file)}: {wrong}: {remedy}")


def one_line(name: object) -> str:
    """A file's name without the line breaks that some file systems allow in it."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", "�", str(name))


MISSING = "put it back, or drop its name"
LARGE_PIXELS = 25_000_000
"""Images with more are read one at a time, however many threads there are: of 100 megapixels,
Pillow's own copy takes 400 MB and the pixels 300 MB."""
STRIP_PIXELS = 2**22
"""Of a large image so many are copied or converted at once."""
_large = threading.RLock()
_thread = threading.local()


@dataclass(frozen=True)
class Opening:
    """How files are opened.

    Attributes:
        exif: whether the orientation in a file is applied or ignored.
        page: which page is read of files with several, counted from 1; None: those are an error.
        channels: which channels of the files are read, counted from 0; None: red, green and blue.
    """

    exif: Literal["apply", "ignore"] = "apply"
    page: int | None = None
    channels: tuple[int, ...] | None = None


AS_SEEN = Opening()


@contextmanager
def one_sample() -> Iterator[None]:
    """Read one sample's files in the block: where one of them is large, no other large one is read
    before the block ends, by when this one was made smaller."""
    with ExitStack() as held:
        _thread.held = held
        try:
            yield
        finally:
            _thread.held = None


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until no other thread reads a large image; see `one_sample`."""
    held: ExitStack | None = getattr(_thread, "held", None)
    if held is not None:
        held.enter_context(_large)
        yield
        return
    with _large:
        yield


def turn_for_large(pixels: int) -> AbstractContextManager[None]:
    """Wait for a turn where an image has so many pixels that one such is read at a time."""
    return _turn() if pixels > LARGE_PIXELS else nullcontext()


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


def opened(file: Path, opening: Opening, read: Callable[[Page], T]) -> T:
    """What `read` makes of the file.

    Raises:
        UnreadableError: whatever is wrong with the file.
        DataError: the machine is at fault; the message names the file, too.
        MemoryError: there is none left.
    """
    try:
        with open_image(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width * image.height} pixels")
            with turn_for_large(image.width * image.height):
                return read(_page(image, file, opening))
    except (MemoryError, DataError):
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        # Pillow reports its own limit, too, which is another one
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
def open_image(file: Path) -> Iterator[ImageFile]:
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
                    "a TIFF of a kind that is not read so, like colours or 16 or 64 bits in "
                    "floating-point, or two or five channels; store 8 or 16 bits, or 32-bit grey, "
                    "or say in `data.channels` which channels are read: [0, 1, 2]"
                )
        return f"its content is none of {', '.join(FORMATS)}"
    return getattr(error, "strerror", None) or first_line(error)


def _page(image: Image.Image, file: Path, opening: Opening) -> Page:
    """The page that is to be read; the file's only one, or the one chosen."""
    positions = _pages(image)
    count, number = len(positions), opening.page
    if count > 1 and number is None:
        raise UnreadableError(
            file,
            f"has {count} pages (frames)",
            f"choose one with `data.page: 1` (to {count}), or store one image a file",
        )
    if count > 1 and number is not None and number > count:
        wrong = f"has {count} pages, data.page is {number}"
        raise UnreadableError(file, wrong, f"choose 1 to {count}")
    position = positions[number - 1 if number and count > 1 else 0]
    if position != image.tell():
        image.seek(position)
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
    for position in range(count):
        image.seek(position)
        if not int(image.tag_v2.get(_SUBFILE, 0)) & _NO_PAGE:  # type: ignore[attr-defined]  # a TIFF's
            found.append(position)
    image.seek(0)
    return found or [0]


def _orientation(image: Image.Image) -> int:
    """EXIF's (or XMP's) orientation; 1 where there is none, or none that can be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF: viewers show the photo as stored
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
