"""What masks of a folder never seen before mean, from a look at their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data.file_tree import Tree
from bench.data.mask_remedies import Seen, is_soft, look
from bench.data.masks import Labels, colour_name, read_mask
from bench.data.palettes import CITYSCAPES, CITYSCAPES_IDS, PALETTES, hex_colour
from bench.data.setting_types import number_of
from bench.data.tables import read_rows
from bench.errors import DataError

TWO = ("background", "foreground")
_IGNORED = 255  # what most annotation tools write for "no class"
_MOST_VALUES = 50  # more are shades of grey or numbers of objects, not classes
_MOST_LOOKED_AT = 2000
_NO_CLASS = {"void", "unlabeled", "unlabelled", "unknown", "ignore", "ignored", "border"}
_CLASS_FILES = ("class_dict.csv", "label_colors.csv", "labels.csv", "classes.csv")
_BACKGROUND = {"background", "bg", "_background_", "none", "other", "others", "unlabeled"}


@dataclass(frozen=True)
class Meaning:
    """What masks mean.

    Attributes:
        settings: the keys of `data:` that say it.
        notes: what was seen and has to be checked.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def meaning_of(files: Sequence[Path], tree: Tree) -> Meaning:
    """What these masks mean.

    Raises:
        DataError: none can be read, or their values are none of classes.
    """
    seen = Seen()
    for coloured in (_has_palette(files[0]), True):  # colours cannot be read as numbers
        if not seen.pixels:
            seen = look(files, _labels(), coloured=coloured, most=_MOST_LOOKED_AT)
    if not seen.pixels:
        raise DataError(
            f"{files[0].parent}: no mask there can be read: store masks as PNG, one value per pixel"
        )
    if len(seen.pixels) < 2:
        raise DataError(
            f"{files[0].parent}: all masks have the one value {seen.values[0]:g}: there is nothing "
            "to learn"
        )
    if seen.coloured:
        if (known := _known_colours(seen, tree)) is not None:
            return known
        if _has_palette(files[0]):
            return _of_values(look(files, _labels(), coloured=False, most=_MOST_LOOKED_AT), files)
        return _of_colours(seen)
    return _of_values(seen, files)


def _has_palette(file: Path) -> bool:
    try:
        return read_mask(file).facts.mode == "P"
    except DataError:
        return False


def _labels() -> Labels:
    return Labels(dict(enumerate(range(len(TWO)))), "", names=TWO)


def _known_colours(seen: Seen, tree: Tree) -> Meaning | None:
    """The palette of a known data set, or of a `class_dict.csv`, that has all these colours."""
    colours = {colour_name(int(value)) for value in seen.values}
    listed = _class_file(tree, colours)
    for name, palette in PALETTES.items():
        # other lists of classes are worth more than a chance likeness
        same = listed is None or set(palette.classes) <= set(listed)
        if same and len(colours) >= 3 and colours <= {*palette.classes.values(), *palette.unscored}:
            settings: dict[str, Any] = {"palette": name}
            if next(iter(palette.classes)) not in _BACKGROUND:
                settings["background"] = "none"
            return Meaning(settings, (f"the masks have the colours of {name}",))
    return None if listed is None else _of_listed(listed)


def _class_file(tree: Tree, colours: set[str]) -> dict[str, str] | None:
    """The colours that a file of classes names, where these are all that there are."""
    for file in tree.others:
        if file.rpartition("/")[2].lower() not in _CLASS_FILES:
            continue
        try:
            names = {
                row.text("name"): hex_colour(*(int(row.text(channel)) for channel in "rgb"))
                for row in read_rows(tree.root / file, ())
            }
        except (DataError, ValueError):
            continue
        if len(names) >= 3 and colours <= set(names.values()):
            return names
    return None


def _of_listed(names: dict[str, str]) -> Meaning:
    scored = {name: colour for name, colour in names.items() if name.lower() not in _NO_CLASS}
    levels = {name: list(bytes.fromhex(colour[1:])) for name, colour in scored.items()}
    settings: dict[str, Any] = {"palette": levels}
    unscored = [colour for name, colour in names.items() if name not in scored]
    if unscored:
        settings["ignore"] = unscored
    if next(iter(scored)).lower() not in _BACKGROUND:
        settings["background"] = "none"
    return Meaning(settings, ("classes and their colours are those of a list in the folder",))


def _of_values(seen: Seen, files: Sequence[Path]) -> Meaning:
    """The keys that say what the masks' values mean, and what to check about them."""
    values = seen.values
    if (cityscapes := _of_cityscapes(values, files[0].name)) is not None:
        return cityscapes
    span = f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
    if seen.lossy or is_soft(seen) or len(values) > _MOST_VALUES or isinstance(sum(values), float):
        middle = (values[0] + values[-1]) / 2
        threshold = middle if values[-1] - values[0] < 2 else int(middle + 0.5)
        note = f"the masks have {span}: from `threshold` on they are foreground; check that"
        return Meaning({"classes": list(TWO), "threshold": threshold}, (note,))
    ignored = len(values) > 2 and values[-1] == _IGNORED
    kept = values[:-1] if ignored else values
    meaning: dict[str, Any] = {"classes": _names(len(kept))}
    if kept != list(range(len(kept))):
        meaning["values"] = kept
    if ignored:
        meaning["ignore"] = _IGNORED
    listed = ", ".join(f"{value:g}" for value in values)
    left_out = f"; {_IGNORED} is not scored" if ignored else ""
    return Meaning(
        meaning, (f"the masks have the values {listed}: give the classes their names{left_out}",)
    )


def _of_cityscapes(values: Sequence[float], name: str) -> Meaning | None:
    """The 19 classes of Cityscapes, whose files say in their names which numbers they have."""
    classes = list(CITYSCAPES.classes)
    if name.endswith("labelTrainIds.png") and set(values) <= {*range(len(classes)), 255}:
        settings: dict[str, Any] = {"classes": classes, "ignore": 255, "background": "none"}
        return Meaning(settings, ("the masks have the training numbers of Cityscapes",))
    if name.endswith("labelIds.png") and set(values) <= {*range(-1, 35), 255}:
        unscored = [number for number in (*range(-1, 35), 255) if number not in CITYSCAPES_IDS]
        settings = {
            "classes": classes,
            "values": dict(CITYSCAPES_IDS),
            "ignore": unscored,
            "background": "none",
        }
        return Meaning(settings, ("the masks have the numbers of Cityscapes",))
    return None


def _of_colours(seen: Seen) -> Meaning:
    colours = [int(value) for value in seen.values]
    if seen.lossy or len(colours) > _MOST_VALUES:
        raise DataError(
            f"the masks have {len(colours)} colours, more than classes: are these the images? "
            "Export them without compression and smoothing, as PNG"
        )
    names = _names(len(colours))
    pairs = {colour_name(colour): name for colour, name in zip(colours, names, strict=True)}
    assert all(number_of(colour) in colours for colour in pairs)
    note = f"the masks have {len(colours)} colours: give the classes their names"
    return Meaning({"classes": names, "values": pairs}, (note,))


def _names(count: int) -> list[str]:
    return list(TWO) if count == 2 else [TWO[0], *(f"class_{i}" for i in range(1, count))]
