"""What to write into a spec whose masks have other values than it says, from a look at them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench.data.masks import (
    ColoursError,
    Labels,
    MaskError,
    ValuesError,
    colour_name,
    read_mask,
)
from bench.data.threads import in_threads
from bench.errors import DataError

_LOOKED_AT = 200  # masks, evenly spaced
_FEW, _MANY = 4, 12  # values: edges are soft from more than these on; more of those are not listed
_MOST_CLASSES = 255
_SOFT = 0.5
"""Soft edges: of the pixels that are not of the least value, so many have the greatest."""


@dataclass
class Seen:
    """What values masks have.

    Attributes:
        pixels: how many have a value (colours: 65536·red + 256·green + blue).
        lossy: a JPEG was among them.
        coloured: so values are colours.
    """

    pixels: Counter[float] = field(default_factory=Counter)
    lossy: bool = False
    coloured: bool = False

    @property
    def values(self) -> list[float]:
        """All values, in order; whole numbers as such."""
        return [int(v) if float(v).is_integer() else v for v in sorted(self.pixels)]


def with_remedy(error: MaskError, files: Sequence[Path], labels: Labels) -> DataError:
    """The error with a remedy that fits all masks, where a look at them tells one."""
    if not labels.names or not isinstance(error, ValuesError | ColoursError):
        return error
    seen = look(files, labels, coloured=isinstance(error, ColoursError))
    return type(error)(error.file, error.wrong, remedy(seen, labels))


def look(files: Sequence[Path], labels: Labels, *, coloured: bool, most: int = _LOOKED_AT) -> Seen:
    """The values of masks, a selection where there are many; those that cannot be read apart."""
    reading = replace(labels.reading, colours=True) if coloured else labels.reading
    chosen = np.unique(np.linspace(0, len(files) - 1, most).astype(int))

    def one(index: int) -> tuple[Counter[float], bool]:
        try:
            mask = read_mask(files[index], reading)
        except DataError:
            return Counter(), False
        values, counts = np.unique(mask.values, return_counts=True)
        return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True))), mask.lossy

    seen = Seen(coloured=coloured or labels.reading.colours)
    for pixels, lossy in in_threads(one, chosen.tolist()):
        seen.pixels.update(pixels)
        seen.lossy |= lossy
    return seen


def remedy(seen: Seen, labels: Labels) -> str:
    """What to write into `data:`, tried in this order from the surest sign to the vaguest."""
    names, values = labels.names, seen.values
    if seen.coloured:
        first = "" if labels.threshold is None else "remove `threshold:`, and "
        return first + _of_colours(seen, names) + _unscored_colour(seen, labels)
    strange = [value for value in values if value not in labels.classes]
    threshold = _threshold(seen, names)
    if seen.lossy:
        cause = f"JPEG compression has made {len(values)} values from {_span(values)}"
        return f"{cause}: {threshold or 'export the masks again as PNG'}"
    if not all(isinstance(value, int) for value in values):
        return f"values are not whole: {threshold or 'store the class numbers'}"
    if len(strange) == 1 and (strange[0] < 0 or len(values) > len(names)):
        mapping = _mapping(values, names)
        return f"`ignore: {strange[0]}` if it is not to be scored, or `values: {mapping}`"
    if len(values) <= len(names):
        return _as_many(values, strange, names)
    if threshold and is_soft(seen):
        return f"soft (antialiased) edges have made {len(values)} values: {threshold}"
    if len(values) <= _MANY:
        return _more(values, names) + (f", or {threshold}" if threshold else "")
    if threshold and values == list(range(len(values))):
        return (
            f"{len(values)} values from {_span(values)}: if they number objects, `threshold: 1` "
            f"makes all of them {names[1]}; if classes, name them all in `classes:`"
        )
    if threshold:
        return (
            f"{len(values)} values from {_span(values)}: if they are shades of grey, {threshold}; "
            f"if they number objects, `threshold: {max(values[0], 0) + 1}` makes all {names[1]}"
        )
    return (
        f"the masks have {len(values)} values from {_span(values)}, the spec {len(names)} classes: "
        "name as many in `classes:`, or map several values to one class in `values:`, like "
        f"`values: {_mapping(values[:3], names)}`"
    )


def _threshold(seen: Seen, names: Sequence[str]) -> str:
    """How to make two classes of grey values; empty where there are more."""
    if len(names) != 2 or not seen.pixels:
        return ""
    low, high = min(seen.pixels), max(seen.pixels)
    middle = (low + high) / 2
    shown = f"{middle:g}" if high - low < 2 else f"{int(middle + 0.5)}"
    return f"`threshold: {shown}` makes values from there on {names[1]}, those below {names[0]}"


def is_soft(seen: Seen) -> bool:
    """Whether the values between the least and the greatest come from smoothed edges."""
    low, high = min(seen.pixels), max(seen.pixels)
    above = sum(count for value, count in seen.pixels.items() if value > low)
    several = len(seen.pixels) > _FEW and high - low >= 16
    return several and seen.pixels[high] >= _SOFT * above


def _as_many(values: list[float], strange: list[float], names: Sequence[str]) -> str:
    if len(values) == len(names):
        listed = ", ".join(map(str, values))
        text = f"`values: [{listed}]` if these are {', '.join(names)}"
    else:
        text = f"`values: {_mapping(values, names)}` if that is what they mean"
    return text + (
        f"; `ignore: {strange[0]}` if it is not to be scored" if len(strange) == 1 else ""
    )


def _more(values: list[float], names: Sequence[str]) -> str:
    """For a few more values than classes."""
    text = f"say which class each value is, for example `values: {_mapping(values, names)}`"
    if values == list(range(len(values))):
        text += f", or name {len(values)} classes in `classes:`"
    return text


def _of_colours(seen: Seen, names: Sequence[str]) -> str:
    colours = [int(value) for value in seen.values]
    if seen.lossy:
        return "JPEG compression has changed the colours: export the masks again as PNG"
    if len(colours) > _MOST_CLASSES:
        return (
            f"{len(colours)} colours are more than classes: are these the images? Soft edges are "
            "no classes either: export the masks without smoothing, or as palette PNG"
        )
    shown = {f"'{colour_name(value)}'": value for value in colours}
    pairs = [f"{name}: {_class(i, names)}" for i, name in enumerate(shown)]
    return f"give each colour's class in `values:`, for example `values: {{{', '.join(pairs)}}}`"


def _unscored_colour(seen: Seen, labels: Labels) -> str:
    """How to leave a colour out, where all others have a class."""
    strange = [int(value) for value in seen.values if value not in labels.classes]
    if not labels.reading.colours or len(strange) != 1 or seen.lossy:
        return ""
    return f"; `ignore: '{colour_name(strange[0])}'` if it is not to be scored"


def _mapping(values: Sequence[float], names: Sequence[str]) -> str:
    """`{0: background, 300: foreground, 1000: foreground}`: to be put right by whoever knows."""
    return "{" + ", ".join(f"{value}: {_class(i, names)}" for i, value in enumerate(values)) + "}"


def _class(index: int, names: Sequence[str]) -> str:
    return names[min(index, len(names) - 1)]


def _span(values: Sequence[float]) -> str:
    return f"{values[0]:g} to {values[-1]:g}"
