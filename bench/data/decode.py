"""Image files to arrays of one size, decoded in threads.

Images are stretched as `bench.data.resizing` says; masks take the nearest pixel (of the centre).
Pillow's faster, coarser JPEG decoding (`draft`) is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import PIL
import torch

from bench.data.base import Array, FileFacts, Images
from bench.data.cache import Arrays, Decoded, Recipe, Skipped, cached, existing
from bench.data.coco import AnnotatedMask
from bench.data.mask_remedies import with_remedy
from bench.data.mask_sources import files_of
from bench.data.masks import Labels, Mask, MaskError, read_mask, shrink_mask
from bench.data.pages import Opening, UnreadableError, one_line, one_sample
from bench.data.pixels import Pixels, read_pixels
from bench.data.resizing import resized
from bench.data.sample_files import Pair, Reading, Single, image_identity, mask_identity
from bench.data.threads import in_threads
from bench.data.window import FULL, coding, encode
from bench.errors import DataError
from bench.labels import IGNORE_LABEL

SKIPPED_SHARE = 0.05
"""More unreadable samples than this are no accident. One always may be."""
_SAME_SHAPE = 0.02
"""A mask may be stored smaller than its image; its shape may differ by this much."""

T = TypeVar("T")


class KindsError(DataError):
    """Images that store their values in different ways."""


def load_pairs(pairs: Sequence[Pair], labels: Labels, reading: Reading) -> Arrays:
    """All pairs, from the cache where they are unchanged since.

    A file counts as unchanged while its name, size and time of modification are.

    Raises:
        DataError: a file is missing, unreadable or has an unexpected value; or too many are; or
            images of different depth are mixed. A link leads out of the root.
    """
    files = [[*image_identity(pair, reading), mask_identity(pair, reading)] for pair in pairs]
    meaning = (
        sorted(labels.classes.items()), labels.threshold, labels.reading.alpha,
        labels.reading.palette, labels.reading.colours,
    )  # fmt: skip
    key = {"files": files, "classes": meaning}

    def decode(reading: Reading, pair: Pair) -> Decoded:
        return decode_pair(pair, reading, labels)

    try:
        arrays = _load(key, pairs, decode, reading, masks=True)
    except MaskError as error:
        files_of_masks = [file for pair in pairs for file in files_of(pair.mask)]
        raise with_remedy(error, files_of_masks, labels) from error
    mixed = len({fact.kind for fact in arrays.facts}) > 1
    by_name = {pair.name: pair for pair in pairs}
    return replace(arrays, originals=FilesAtOwnSize(by_name, labels, replace(reading, mixed=mixed)))


@dataclass(frozen=True)
class FilesAtOwnSize:
    """Images and masks that are read from their files once more, neither stretched nor cut off.

    Attributes:
        pairs: by the sample's name.
        labels: what the masks' values mean.
        reading: how the files are read.
    """

    pairs: Mapping[str, Pair]
    labels: Labels
    reading: Reading

    def mask(self, name: str) -> Array:
        """Classes (H, W) of all pixels of a mask.

        Raises:
            UnreadableError: the file has changed since it was read first.
        """
        pair = self.pairs[name]
        with one_sample():
            has_size = not isinstance(pair.mask, AnnotatedMask) or pair.mask.height is not None
            size = (0, 0) if has_size else _pixels(pair, self.reading).values.shape[:2]
            mask = _mask(pair, self.labels, size)
            return self.labels.apply(self.labels.check(mask.values, pair.mask_file))

    def image(self, name: str) -> Images:
        """(1, h, w, C) as in the data set's arrays, without bars and with nothing cut off."""
        pair = self.pairs[name]
        with one_sample():
            inner, _ = _inner_image(_pixels(pair, self.reading), pair.image, self.reading)
        return cast("Images", np.ascontiguousarray(inner)[None])


def load_images(files: Sequence[Single], reading: Reading) -> Arrays:
    """Images without masks, else like `load_pairs`.

    Raises:
        DataError: a file is missing or unreadable; or too many are; or images of different depth
            are mixed. A link leads out of the root.
    """
    key = {"files": [part for file in files for part in image_identity(file, reading)]}

    def decode(reading: Reading, file: Single) -> Decoded:
        with one_sample():
            pixels = _pixels(file, reading)
            array, facts = stored_image(pixels, file.image, reading)
        return Decoded((array,), (facts,))

    return _load(key, files, decode, reading, masks=False)


def _load(
    key: Mapping[str, Any],
    files: Sequence[T],
    decode: Callable[[Reading, T], Decoded],
    reading: Reading,
    *,
    masks: bool,
) -> Arrays:
    """The samples; of mixed depths where `data.window: full` says what that means."""

    def recipe(reading: Reading) -> Recipe:
        samples = partial(_samples, partial(decode, reading), files, reading)
        names = tuple(file.name for file in files)  # type: ignore[attr-defined]  # Pair and Single
        whole = {**_decoder(reading), **key}
        return Recipe(
            whole, names, reading.size, samples, masks, reading.skip, reading.channel_count
        )

    if reading.window != "full":
        return cached(recipe(reading), reading.progress)
    mixed = recipe(replace(reading, mixed=True))
    if (found := existing(mixed)) is not None:
        return found
    try:
        return cached(recipe(reading), reading.progress)
    except KindsError:
        return cached(mixed, reading.progress)


def _samples(
    decode: Callable[[T], Decoded], files: Sequence[T], reading: Reading
) -> Iterator[Decoded | Skipped]:
    """What `decode` makes of each; those it cannot read are an error, or skipped."""
    alike = _Alike(reading)
    if not reading.skip:
        for sample in in_threads(decode, files):
            alike.check(sample, files)
            yield sample
        return

    def attempt(file: T) -> Decoded | UnreadableError:
        try:
            return decode(file)
        except UnreadableError as error:
            return error

    skipped, most = 0, max(1, int(SKIPPED_SHARE * len(files)))
    for found in in_threads(attempt, files):
        if isinstance(found, Decoded):
            alike.check(found, files)
            yield found
            continue
        skipped += 1
        if skipped > most:
            if isinstance(found, MaskError):  # a spec that does not fit the masks is no accident
                raise found
            raise DataError(
                f"{reading.root}: more than {most} of {len(files)} samples cannot be read, the "
                f"last one {found.in_short}: data.on_error: skip is for single ones; mend them"
            )
        yield Skipped(found.in_short)


class _Alike:
    """Refuses images that store their values otherwise than the first one does."""

    def __init__(self, reading: Reading) -> None:
        self._mixed = reading.mixed
        self._root = reading.root
        self._first: FileFacts | None = None

    def check(self, sample: Decoded, files: Sequence[object]) -> None:
        """Raise a KindsError."""
        facts = sample.facts[0]
        self._first = self._first or facts
        if self._mixed or facts.kind == self._first.kind:
            return
        remedy = "convert them to one depth"
        if {facts.kind, self._first.kind} <= FULL.keys():
            remedy += ", or set `data.window: full`: each type's whole range then becomes 0 to 1"
        raise KindsError(
            f"{self._root}: of {len(files)} images some store {self._first.kind} values, others "
            f"{facts.kind} (one of them from {facts.low:g} to {facts.high:g}): {remedy}"
        )


def decode_pair(pair: Pair, reading: Reading, labels: Labels) -> Decoded:
    """An image (H, W, C) and the classes of its mask (H, W), at the reading's size."""
    with one_sample():
        image = _pixels(pair, reading)
        mask = _mask(pair, labels, image.values.shape[:2])
        _check_shapes(pair, image, mask)
        # all of the mask is checked, also what the resize leaves out
        checked = labels.check(mask.values, pair.mask_file)
        array, facts = stored_image(image, pair.image, reading)
        height, width = image.values.shape[:2]
        small = labels.apply(shrink_mask(checked, reading.fitting.inner(height, width)))
        classes = reading.fitting.pad_or_cut(small, IGNORE_LABEL)
    return Decoded((array, classes), (facts, mask.facts))


def _pixels(sample: Pair | Single, reading: Reading) -> Pixels:
    """A sample's pixels, of one file or of one for each channel."""
    first = read_pixels(sample.image, _at_plane(reading.opening, sample))
    if not sample.bands:
        return first
    parts = [first, *(read_pixels(file, reading.opening) for file in sample.bands)]
    for file, part in zip(sample.bands, parts[1:], strict=True):
        if (shape := part.values.shape[:2]) != (wanted := first.values.shape[:2]):
            raise UnreadableError(
                file,
                f"is {shape[1]}×{shape[0]}, {one_line(sample.image.name)} {wanted[1]}×{wanted[0]}",
                "store all channels of an image at one size",
            )
        if part.facts.kind != first.facts.kind:
            raise UnreadableError(
                file,
                f"stores {part.facts.kind} values, {one_line(sample.image.name)} "
                f"{first.facts.kind}",
                "store all channels of an image at one depth",
            )
    low, high = min(p.facts.low for p in parts), max(p.facts.high for p in parts)
    values = np.concatenate([part.values for part in parts], 2)
    return Pixels(values, first.facts._replace(low=low, high=high))


def _at_plane(opening: Opening, sample: Pair | Single) -> Opening:
    return opening if sample.plane is None else replace(opening, page=sample.plane + 1)


def _mask(pair: Pair, labels: Labels, image_size: tuple[int, int]) -> Mask:
    if isinstance(pair.mask, AnnotatedMask):
        return Mask(*pair.mask.draw(image_size), lossy=False)
    how = replace(labels.reading, opening=_at_plane(labels.reading.opening, pair))
    files = files_of(pair.mask)
    first, *others = (read_mask(file, how) for file in files)
    if not others:
        return first
    for file, other in zip(files[1:], others, strict=True):
        if other.values.shape != first.values.shape:
            wrong = f"has another size than {one_line(files[0].name)}, a mask of the same image"
            raise UnreadableError(file, wrong, "store all masks of an image at one size")
    values = np.maximum.reduce([first.values, *(other.values for other in others)])
    return first._replace(values=values, lossy=any(m.lossy for m in (first, *others)))


def _check_shapes(pair: Pair, image: Pixels, mask: Mask) -> None:
    """Refuse a mask of another shape than its image; where EXIF is the reason, say so."""
    (height, width), (mask_height, mask_width) = image.values.shape[:2], mask.values.shape
    if _fits(width, height, mask_width, mask_height):
        return
    orientation = image.facts.orientation
    if orientation >= 5 and _fits(height, width, mask_width, mask_height):
        applied = (width, height) != (image.facts.width, image.facts.height)
        other = "ignore" if applied else "apply"
        raise UnreadableError(
            pair.mask_file,
            f"the mask is {mask_width}×{mask_height}, its image {one_line(pair.image.name)} "
            f"{width}×{height}{' after' if applied else ' before'} its EXIF orientation "
            f"{orientation} is applied: the mask was drawn on the photo as "
            f"{'stored' if applied else 'shown'}",
            f"set `data.exif: {other}` if that is so of all masks, else turn this one",
        )
    raise UnreadableError(
        pair.mask_file,
        f"the mask is {mask_width}×{mask_height}, its image {one_line(pair.image.name)} "
        f"{width}×{height}",
        "store both in the same orientation and shape",
    )


def _fits(width: int, height: int, mask_width: int, mask_height: int) -> bool:
    rounded = abs(mask_height - height * mask_width / width) < 1  # 16 rows of 33, halved
    if rounded and 2 * mask_height <= height and 2 * mask_width <= width:
        return True
    return abs(width * mask_height - height * mask_width) <= _SAME_SHAPE * width * mask_height


def stored_image(pixels: Pixels, file: Path, reading: Reading) -> tuple[Images, FileFacts]:
    """(H, W, C) as the data set stores it, and what the file is like.

    Raises:
        UnreadableError: values of 32 bits without a window.
    """
    inner, facts = _inner_image(pixels, file, reading)
    return reading.fitting.pad_or_cut(inner, 0), facts


def _inner_image(pixels: Pixels, file: Path, reading: Reading) -> tuple[Images, FileFacts]:
    """The same before bars are added or ends are cut off."""
    values, facts = pixels
    size = reading.fitting.inner(*values.shape[:2])
    if facts.kind == "uint8" and not reading.mixed:
        return resized(values, size), facts
    given = isinstance(reading.window, tuple)
    if facts.kind == "int32" and not given and facts.low >= 0 and facts.high <= 65_535:
        facts = facts._replace(kind="uint16")
    if facts.kind == "float32" and not np.isfinite(values).all():
        raise UnreadableError(file, "has infinite or undefined pixels", "store finite ones")
    try:
        window = coding(facts.kind, reading.window, mixed=reading.mixed and facts.kind in FULL)
    except ValueError as error:
        raise UnreadableError(
            file,
            f"{error} (this file: {facts.low:g} to {facts.high:g})",
            "give the values that become black and white, `data.window: [low, high]`, or store 8 "
            "or 16 bits",
        ) from error
    small = encode(resized(values, size), "uint16", window)
    return np.broadcast_to(small, (*small.shape[:2], reading.channel_count)), facts


def _decoder(reading: Reading) -> dict[str, Any]:
    """What made the pixels, for the cache's key."""
    opening = reading.opening
    chosen: dict[str, Any] = {} if opening.channels is None else {"channels": opening.channels}
    if reading.fit != "stretch":
        chosen["fit"] = reading.fit
    return chosen | {
        "decoder": f"Pillow {PIL.__version__}",
        "resize": f"torch {torch.__version__}",
        "exif": reading.opening.exif,
        "page": reading.opening.page,
        "window": reading.window if isinstance(reading.window, tuple) else None,
        "mixed": reading.mixed,
    }
