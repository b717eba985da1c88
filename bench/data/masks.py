"""Mask files to classes: what a mask's pixel values are, and which class each of them means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.data.array_files import is_array, one_channel, read_array
from bench.data.base import Array, FileFacts
from bench.data.pages import AS_SEEN, Opening, Page, UnreadableError, Values, opened
from bench.data.pixels import array_facts, array_of, deep_grey, facts, is_signed_byte, wide_colours

# Pillow spreads 2- and 4-bit grey over 0-255; a mask wants the stored values back.
_GREY_STEP = {"L;2": 85, "L;4": 17}
_WHITE, _BLACK = 250, 5  # grey levels from which on a palette's entry counts as such
_SHOWN = 8

Class = int


class MaskError(UnreadableError):
    """A mask that is sound as a file, but does not say which class each pixel is."""


class ValuesError(MaskError):
    """Values that mean nothing yet; a look at the other masks finds a better remedy."""


class ColoursError(MaskError):
    """Colours where one value per pixel is expected; likewise."""


@dataclass(frozen=True)
class MaskReading:
    """What of a mask file are its values.

    Attributes:
        opening: how the file is opened.
        alpha: `drop` the alpha channel, or take it for the `mask`.
        palette: a palette image's values are its `index` numbers, or the grey of its `colour`;
            `auto`: the numbers, but where the palette goes from white to black, white is 1 (as in
            images of one bit), or 255 where there are greys in between.
        colours: values are colours: 65536·red + 256·green + blue.
    """

    opening: Opening = AS_SEEN
    alpha: Literal["drop", "mask"] = "drop"
    palette: Literal["auto", "index", "colour"] = "auto"
    colours: bool = False


AS_STORED = MaskReading()
WHITE_FIRST = "white first"
_ONE_BIT_WHITE_FIRST = "1;I"  # Pillow's name for what TIFF calls WhiteIsZero


class Mask(NamedTuple):
    """One mask file.

    Attributes:
        values: (H, W), whole numbers of any size, or floating-point ones that are not whole.
        facts: what the file is like.
        lossy: whether its format changes values (JPEG).
    """

    values: Values
    facts: FileFacts
    lossy: bool


@dataclass(frozen=True)
class Labels:
    """What a mask's pixel values mean.

    Attributes:
        classes: pixel value → class 0…K-1, or IGNORE_LABEL.
        remedy: what to do about another value.
        threshold: instead of `classes`: values from here on are class 1, those below class 0;
            values in `classes` (those to be ignored) are exempt.
        reading: what of a file are its values.
        names: of the classes, for remedies; empty: `remedy` is all there is to say.
    """

    classes: Mapping[int, Class]
    remedy: str
    threshold: float | None = None
    reading: MaskReading = AS_STORED
    names: tuple[str, ...] = field(default=())

    def check(self, mask: npt.NDArray[Any], file: Path) -> Array:
        """The mask as uint8 that `apply` understands; a value without a class is a ValuesError."""
        if self.threshold is not None:
            return self._thresholded(mask)
        if mask.dtype != np.uint8 or self._is_wide:
            return self._looked_up(mask, file)
        # Deleting the known bytes is the fastest test there is: 0.06 ms for a pet.
        if mask.tobytes().translate(None, bytes(self.classes)):
            self._refuse(mask, file)
        return mask

    def apply(self, mask: Array) -> Array:
        """Classes of the same shape, of a mask that was checked."""
        if self.threshold is not None or self._is_wide:
            return mask  # these are classes already
        table = np.zeros(256, np.uint8)
        table[list(self.classes)] = list(self.classes.values())
        return np.take(table, mask)

    @property
    def _is_wide(self) -> bool:
        return any(not 0 <= value <= 255 for value in self.classes)

    def _thresholded(self, mask: npt.NDArray[Any]) -> Array:
        found: Array = (mask >= self.threshold).astype(np.uint8)
        for value, label in self.classes.items():
            found[mask == value] = label
        return found

    def _looked_up(self, mask: npt.NDArray[Any], file: Path) -> Array:
        """Classes, or (where every known value fits a byte) the values as bytes."""
        known = np.array(sorted(self.classes), np.int64)
        if not np.issubdtype(mask.dtype, np.integer):
            self._refuse(mask, file)
        values = mask.astype(np.int64)
        places = np.searchsorted(known, values).clip(max=len(known) - 1)
        if not np.array_equal(known[places], values):
            self._refuse(mask, file)
        if not self._is_wide:
            return values.astype(np.uint8)
        found: Array = np.array([self.classes[v] for v in known.tolist()], np.uint8)[places]
        return found

    def _refuse(self, mask: npt.NDArray[Any], file: Path) -> None:
        strange = sorted(set(np.unique(mask).tolist()) - set(self.classes))
        shown = ", ".join(self._shown(value) for value in strange[:5])
        found = shown + (", …" if len(strange) > 5 else "")
        known = f" (expected {self._expected()})" if self.names else ""
        raise ValuesError(file, f"unexpected mask value {found}{known}", self.remedy)

    def _expected(self) -> str:
        known = sorted(self.classes)
        if len(known) > _SHOWN and known == list(range(known[0], known[-1] + 1)):
            return f"{known[0]} to {known[-1]}"
        return ", ".join(map(self._shown, known[:_SHOWN])) + (", …" if known[_SHOWN:] else "")

    def _shown(self, value: float) -> str:
        return colour_name(int(value)) if self.reading.colours else f"{value:g}"


def colour_name(value: int) -> str:
    """`#ff8000` of 65536·red + 256·green + blue."""
    return f"#{value:06x}"


def packed(colours: Values) -> Values:
    """(…, 3) uint8 → (…) 65536·red + 256·green + blue."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    found: Values = red * 65_536 + green * 256 + blue
    return found


def read_mask(file: Path, reading: MaskReading = AS_STORED) -> Mask:
    """The mask's values as stored: a palette image's indices, not its colours.

    Raises:
        UnreadableError: whatever is wrong with the file.
        DataError: the machine is at fault.
    """

    if is_array(file):
        values = _whole(one_channel(read_array(file, reading.opening.page), file))
        return Mask(values, array_facts(values), lossy=False)

    def read(page: Page) -> Mask:
        bits = {"1": 1, "L;2": 2, "L;4": 4}.get(page.raw, 16 if ";16" in page.raw else 8)
        values = page.upright(_values(page, reading), reading.opening)
        found = facts(page, values, bits)
        if reading.alpha == "drop" and _is_white_first(page, reading):
            found = found._replace(remark=WHITE_FIRST)
        return Mask(values, found, page.image.format in ("JPEG", "MPO"))

    return opened(file, reading.opening, read)


_MAYBE_GREY = ("RGB", "RGBA", "LA", "PA")
"""Modes with several channels whose colours may all be grey."""


def _values(page: Page, reading: MaskReading) -> Values:
    image = page.image
    if reading.alpha == "mask":
        return _alpha(page)
    if reading.colours:
        return packed(array_of(image, "RGB"))
    if (wide := wide_colours(page)) is not None:
        return _one_of_equal(wide, page)
    if image.mode.startswith("I") or image.mode == "F":
        return _whole(deep_grey(page, inverts=False))
    # Before load(), which forgets how the file stores its pixels.
    step = _GREY_STEP.get(page.raw, 1)
    if image.mode == "P":
        return _of_palette(page, reading)
    if len(image.getbands()) > 1 and image.mode not in _MAYBE_GREY:
        _refuse_colours(page)  # by its header: a large one is not decoded first
    values = array_of(image)
    if is_signed_byte(page):
        return values.view(np.int8).astype(np.int64)
    if page.raw == "L;I":  # 0 is white: Pillow has exchanged it
        return 255 - values
    if values.ndim == 3:
        values = _one_of_equal(values, page)
    if values.dtype == bool:
        stored = page.raw == _ONE_BIT_WHITE_FIRST and reading.palette == "index"
        return (values ^ stored).astype(np.uint8)
    return values if step == 1 else values // step


def _whole(values: Values) -> Values:
    """Floating-point whole numbers as such; others stay what they are."""
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all():
            raise ValueError("a mask has whole numbers, this has infinite or undefined ones")
        whole = np.rint(values)
        return whole.astype(np.int64) if np.array_equal(whole, values) else values
    return values


def _one_of_equal(values: Values, page: Page) -> Values:
    """(H, W) of (H, W, 2 to 4) whose colours are equal, hence grey; alpha is dropped."""
    has_alpha = values.shape[2] in (2, 4)
    colours = values[..., :-1] if has_alpha else values
    if any(not np.array_equal(colours[..., 0], other) for other in np.moveaxis(colours, 2, 0)[1:]):
        _refuse_colours(page)
    grey: Values = colours[..., 0]
    if has_alpha and grey.min() == grey.max() and (alpha := values[..., -1]).min() < alpha.max():
        seen = sorted(np.unique(alpha).tolist())
        how = (
            f"values: {seen}" if len(seen) == 2 else f"threshold: {round((seen[0] + seen[-1]) / 2)}"
        )
        raise MaskError(
            page.file,
            "its colour is the same everywhere, its alpha channel is not",
            f"`alpha: mask, {how}` in `data:` reads the alpha channel as the mask",
        )
    return grey


def _refuse_colours(page: Page) -> None:
    raise ColoursError(
        page.file,
        "a mask has one value per pixel, this is a colour picture",
        "give each colour's class in `values:`, like {'#000000': background}, or store it as 8-bit "
        "greyscale or palette PNG",
    )


def _alpha(page: Page) -> Values:
    image = page.image
    if (wide := wide_colours(page)) is not None and wide.shape[2] in (2, 4):
        return wide[..., -1]
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        raise UnreadableError(page.file, "has no alpha channel", "drop `alpha: mask`, or add one")
    return array_of(image, "RGBA")[..., 3]


def _of_palette(page: Page, reading: MaskReading) -> Values:
    """A palette image's indices, unless its colours are wanted, or say the opposite."""
    indices, palette = array_of(page.image), _palette(page)
    # an index beyond the palette is black, as viewers show it
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    if reading.palette == "colour":
        return _one_of_equal(table[indices], page)
    if not _is_white_first(page, reading):
        return indices
    grey: Values = table[indices, 0]
    return grey if len(np.unique(palette)) > 2 else (grey > 127).astype(np.uint8)


def _palette(page: Page) -> Values:
    """(n, 3) uint8."""
    return np.array(page.image.getpalette() or [], np.uint8).reshape(-1, 3)


def _is_white_first(page: Page, reading: MaskReading) -> bool:
    """Whether a palette goes from white to black, so that indices and brightness are opposites.

    One bit of which 0 is white is such a palette of two.
    """
    if reading.palette != "auto" or reading.colours:
        return False
    if page.raw == _ONE_BIT_WHITE_FIRST:
        return True
    if page.image.mode != "P":
        return False
    palette = _palette(page)
    grey = palette[:, 0].astype(int)
    return bool(
        len(palette) > 1
        and not np.ptp(palette, axis=1).any()
        and grey[0] >= _WHITE
        and grey[-1] <= _BLACK
        and (np.diff(grey) <= 0).all()
    )


def shrink_mask(mask: Array, size: tuple[int, int]) -> Array:
    """(H, W) → `size`, height and width: the pixel at the centre."""
    height, width = size
    small = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(small)
