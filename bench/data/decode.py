"""Image files to uint8 arrays of one size, decoded in threads.

Pillow decodes. Images are stretched with torch's bilinear filter, which widens with the reduction
(antialiased); masks take the nearest pixel (of the centre). Both work in whole numbers, so the bits
are the same on every machine. EXIF orientation is not applied: masks are aligned with the pixels as
stored. Pillow's faster, coarser JPEG decoding (`draft`) is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import PIL
import torch
from PIL import Image
from torch.nn.functional import interpolate

from bench.data.base import Array, Progress
from bench.data.cache import Arrays, Recipe, Sample, cached
from bench.data.threads import in_threads
from bench.errors import DataError

MAX_PIXELS = 100_000_000
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# Pillow spreads 2- and 4-bit grey over 0-255; a mask wants the stored values back.
_GREY_STEP = {"L;2": 85, "L;4": 17}

T = TypeVar("T")


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
            raise DataError(f"{file}: unexpected mask value {found}: {self.remedy}")
        return mask.astype(np.uint8)

    def apply(self, mask: Array) -> Array:
        """Classes of the same shape, of a mask that was checked."""
        table = np.zeros(256, np.uint8)
        table[list(self.classes)] = list(self.classes.values())
        return np.take(table, mask)


def load_pairs(
    pairs: Sequence[Pair], *, size: int, labels: Labels, progress: Progress | None = None
) -> Arrays:
    """All pairs at `size`×`size`, from the cache where they are unchanged since.

    A file counts as unchanged while its name, size and time of modification are.

    Raises:
        DataError: a file is missing, unreadable or has an unexpected value.
    """
    key = {
        **_decoder(),
        "files": [[_identity(pair.image), _identity(pair.mask)] for pair in pairs],
        "classes": sorted(labels.classes.items()),
    }

    def samples() -> Iterator[Sample]:
        return in_threads(lambda pair: decode_pair(pair, size=size, labels=labels), pairs)

    return cached(Recipe(key, tuple(pair.name for pair in pairs), size, samples), progress)


def load_images(files: Sequence[Single], *, size: int, progress: Progress | None = None) -> Arrays:
    """Images without masks, else like `load_pairs`.

    Raises:
        DataError: a file is missing or unreadable.
    """
    key = {**_decoder(), "files": [_identity(file.image) for file in files]}

    def samples() -> Iterator[Sample]:
        return in_threads(lambda file: (resized(read_image(file.image), size),), files)

    names = tuple(file.name for file in files)
    return cached(Recipe(key, names, size, samples, masks=False), progress)


def decode_pair(pair: Pair, *, size: int, labels: Labels) -> Sample:
    """An image (size, size, 3) and the classes of its mask (size, size)."""
    image, mask = read_image(pair.image), read_mask(pair.mask)
    height, width = mask.shape
    # A mask may be stored smaller than its image, but not in another shape.
    if abs(image.width * height - image.height * width) > 0.02 * image.width * height:
        raise DataError(
            f"{pair.mask}: the mask is {width}×{height}, its image {pair.image.name} "
            f"{image.width}×{image.height}: store both in the same orientation and shape"
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
    """Decode a file with `convert`; whatever is wrong with it is a DataError that names it."""
    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{file}: {image.width}×{image.height} pixels are more than the "
                    f"{MAX_PIXELS // 10**6} million allowed: store it smaller"
                )
            return convert(image)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{file}: there is no such file: put it back, or drop its name") from error
    # Pillow's decoders raise nearly anything on a broken file.
    except Exception as error:
        raise DataError(
            f"{file}: cannot be read as an image ({error}): replace the file, or take it out "
            "of the data set"
        ) from error


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


def _identity(file: Path) -> list[str | int]:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}): put it back, or drop its name"
        ) from error
    return [file.name, found.st_size, found.st_mtime_ns]
