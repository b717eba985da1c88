"""Image files to uint8 arrays of one size, decoded in threads.

Pillow decodes. Images are stretched with torch's bilinear filter, which widens with the reduction
(antialiased); masks take the nearest pixel (of the centre). Both work in whole numbers, so the bits
are the same on every machine. EXIF orientation is not applied: masks are aligned with the pixels as
stored. Pillow's faster, coarser JPEG decoding (`draft`) is not used.
"""

from __future__ import annotations

import errno
import re
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import PIL
import torch
from PIL import Image
from torch.nn.functional import interpolate

from bench.data.base import Array, Progress
from bench.data.cache import Arrays, Recipe, Sample, Skipped, cached
from bench.data.threads import in_threads
from bench.errors import DataError, first_line

MAX_PIXELS = 100_000_000
SKIPPED_SHARE = 0.05
"""More unreadable samples than this are no accident. One always may be."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
"""What is read, whatever a file is called: others can have Pillow start programs (EPS)."""
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# Pillow spreads 2- and 4-bit grey over 0-255; a mask wants the stored values back.
_GREY_STEP = {"L;2": 85, "L;4": 17}

# What is wrong with the machine, not with the file.
_OF_THE_MACHINE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}
)

# Pillow's own check sees frames and tiles within a file, too; `_open` tells of it.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

T = TypeVar("T")


class UnreadableError(DataError):
    """One file that cannot be used; the rest of the data set may be.

    Attributes:
        told: what is wrong, with the file's name alone.
    """

    def __init__(self, file: Path, wrong: str, remedy: str) -> None:
        self.told = f"{file.name}: {wrong}"
        super().__init__(f"{file}: {wrong}: {remedy}")


_MISSING = "put it back, or drop its name"


@dataclass(frozen=True)
class Pair:
    """One sample's files."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Single:
    """One sample's only file."""

    name: str
    image: Path


@dataclass(frozen=True)
class Labels:
    """What a mask's pixel values mean.

    Attributes:
        classes: pixel value → class 0…K-1, or IGNORE_LABEL.
        remedy: what to do about another value.
    """

    classes: Mapping[int, int]
    remedy: str

    def check(self, mask: npt.NDArray[np.integer], file: Path) -> Array:
        """The mask as uint8; a value without a class is a DataError."""
        # Deleting the known bytes is the fastest test there is: 0.06 ms for a pet.
        if mask.dtype == np.uint8 and not mask.tobytes().translate(None, bytes(self.classes)):
            return mask.astype(np.uint8, copy=False)
        strange = sorted(set(np.unique(mask).tolist()) - set(self.classes))
        if strange:
            found = ", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else "")
            raise UnreadableError(file, f"unexpected mask value {found}", self.remedy)
        return mask.astype(np.uint8)

    def apply(self, mask: Array) -> Array:
        """Classes of the same shape, of a mask that was checked."""
        table = np.zeros(256, np.uint8)
        table[list(self.classes)] = list(self.classes.values())
        return np.take(table, mask)


@dataclass(frozen=True)
class Reading:
    """How the files of a data set are read.

    Attributes:
        root: the folder they are in; links lead nowhere else.
        size: height and width that every image gets, in pixels.
        skip: whether samples that cannot be read are left out, and named in `Arrays.skipped`.
        progress: told how far it is.
    """

    root: Path
    size: int
    skip: bool = False
    progress: Progress | None = None


def load_pairs(pairs: Sequence[Pair], labels: Labels, reading: Reading) -> Arrays:
    """All pairs, from the cache where they are unchanged since.

    A file counts as unchanged while its name, size and time of modification are.

    Raises:
        DataError: a file is missing, unreadable or has an unexpected value; or too many are. A
            link leads out of the root.
    """
    key = {
        **_decoder(),
        "files": [[_identity(file, reading) for file in (pair.image, pair.mask)] for pair in pairs],
        "classes": sorted(labels.classes.items()),
    }

    def decode(pair: Pair) -> Sample:
        return decode_pair(pair, size=reading.size, labels=labels)

    names = tuple(pair.name for pair in pairs)
    samples = partial(_samples, decode, pairs, reading)
    recipe = Recipe(key, names, reading.size, samples, skips=reading.skip)
    return cached(recipe, reading.progress)


def load_images(files: Sequence[Single], reading: Reading) -> Arrays:
    """Images without masks, else like `load_pairs`.

    Raises:
        DataError: a file is missing or unreadable; or too many are. A link leads out of the root.
    """
    key = {**_decoder(), "files": [_identity(file.image, reading) for file in files]}

    def decode(file: Single) -> Sample:
        return (resized(read_image(file.image), reading.size),)

    names = tuple(file.name for file in files)
    samples = partial(_samples, decode, files, reading)
    recipe = Recipe(key, names, reading.size, samples, masks=False, skips=reading.skip)
    return cached(recipe, reading.progress)


def _samples(
    decode: Callable[[T], Sample], files: Sequence[T], reading: Reading
) -> Iterator[Sample | Skipped]:
    """What `decode` makes of each; those it cannot read are an error, or skipped."""
    if not reading.skip:
        yield from in_threads(decode, files)
        return

    def attempt(file: T) -> Sample | Skipped:
        try:
            return decode(file)
        except UnreadableError as error:
            return Skipped(error.told)

    skipped, most = 0, max(1, int(SKIPPED_SHARE * len(files)))
    for sample in in_threads(attempt, files):
        if isinstance(sample, Skipped):
            skipped += 1
            if skipped > most:
                raise DataError(
                    f"{reading.root}: more than {most} of {len(files)} samples cannot be read, the "
                    f"last one {sample.reason}: data.on_error: skip is for single ones; mend them"
                )
        yield sample


def decode_pair(pair: Pair, *, size: int, labels: Labels) -> Sample:
    """An image (size, size, 3) and the classes of its mask (size, size)."""
    image, mask = read_image(pair.image), read_mask(pair.mask)
    height, width = mask.shape
    # A mask may be stored smaller than its image, but not in another shape.
    if abs(image.width * height - image.height * width) > 0.02 * image.width * height:
        raise UnreadableError(
            pair.mask,
            f"the mask is {width}×{height}, its image {pair.image.name} "
            f"{image.width}×{image.height}",
            "store both in the same orientation and shape",
        )
    # All of the mask is checked, also what the resize leaves out.
    stored = Image.fromarray(labels.check(mask, pair.mask))
    return (
        resized(image, size),
        labels.apply(np.asarray(stored.resize((size, size), Image.Resampling.NEAREST))),
    )


def resized(image: Image.Image, size: int) -> Array:
    """An 8-bit RGB image stretched to (size, size, 3)."""
    # a batch of one, channels last in memory: so is what comes back
    pixels = torch.from_numpy(np.array(image)).view(1, image.height, image.width, 3)
    small = interpolate(pixels.permute(0, 3, 1, 2), (size, size), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def read_image(file: Path) -> Image.Image:
    """The image as 8-bit RGB at its own size, whatever it is stored as and named.

    Transparency is dropped (the stored colours stay), 16 bits are scaled to 8.
    """
    return _open(file, _to_rgb)


def read_mask(file: Path) -> npt.NDArray[np.integer]:
    """The mask's values as stored, (H, W): a palette image's indices, not its colours."""
    return _open(file, _to_values)


def _open(file: Path, convert: Callable[[Image.Image], T]) -> T:
    """Decode a file with `convert`.

    Raises:
        UnreadableError: whatever is wrong with the file.
        DataError: the machine is at fault; the message names the file, too.
        MemoryError: there is none left.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width * image.height} pixels")
            return convert(image)
    except MemoryError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        # Pillow tells of its own limit, too, which is another one
        found = re.search(r"\d+", str(error))
        size = f"{int(found[0]):,} pixels" if found else "its pixels"
        wrong = f"{size} are more than the {MAX_PIXELS:,} allowed"
        raise UnreadableError(file, wrong, "store it smaller") from error
    except FileNotFoundError as error:
        raise UnreadableError(file, "there is no such file", _MISSING) from error
    # Pillow's decoders raise nearly anything on a broken file.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise DataError(f"{file}: cannot be read now ({error.strerror})") from error
        wrong = f"cannot be read as an image ({_reason(error)})"
        remedy = "replace the file, or take it out of the data set"
        raise UnreadableError(file, wrong, remedy) from error


def _reason(error: Exception) -> str:
    """What is wrong, without the path that Pillow says, too."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return f"its content is none of {', '.join(FORMATS)}"
    return getattr(error, "strerror", None) or first_line(error)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode in _SIXTEEN_BITS:
        return _sixteen_bits_to_rgb(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range; store 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _sixteen_bits_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels have no fixed range; store 8 or 16 bits")
    grey = (values >> 8).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _to_values(image: Image.Image) -> npt.NDArray[np.integer]:
    # Before load(), which forgets how the file stores its pixels.
    tiles = getattr(image, "tile", [])
    stored = str(tiles[0][3]) if tiles else ""
    values = np.asarray(image)
    if values.ndim == 3:
        colours, alpha = values[..., :3], image.mode in ("LA", "PA")
        if not alpha and (image.mode not in ("RGB", "RGBA") or np.ptp(colours, axis=2).any()):
            raise ValueError(
                "a mask has one value per pixel, this is a colour picture; store it as "
                "8-bit greyscale or palette PNG"
            )
        values = values[..., 0]
    if values.dtype == bool:
        return values.astype(np.uint8)
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError("a mask has whole numbers, this has floating-point pixels")
    step = _GREY_STEP.get(stored)
    return values if step is None else values // step


def _decoder() -> dict[str, str]:
    """What made the pixels, for the cache's key."""
    return {
        "decoder": f"Pillow {PIL.__version__}",
        "resize": f"torch {torch.__version__}",
    }


def _identity(file: Path, reading: Reading) -> list[str | int | None]:
    """What tells whether a file has changed."""
    try:
        found = file.lstat()
        if stat.S_ISLNK(found.st_mode):
            found = file.stat()
            check_link(file, reading.root)
    except OSError as error:
        if reading.skip and error.errno not in _OF_THE_MACHINE:
            return [file.name, None, None]
        raise UnreadableError(file, f"cannot be read ({error.strerror})", _MISSING) from error
    return [file.name, found.st_size, found.st_mtime_ns]


def check_link(file: Path, root: Path) -> None:
    """Raise a DataError where a link leads neither into the data's root nor into its own folder."""
    target = file.resolve()
    if not any(target.is_relative_to(folder.resolve()) for folder in (root, file.parent)):
        raise DataError(
            f"{file}: is a link to {target}, which is not in {root}: copy the file there, or set "
            "data.root to a folder that holds both"
        )
