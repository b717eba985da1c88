"""What to write into a spec's `data:` for a folder never seen before: from a look at its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.mask_remedies import Seen, is_soft, look
from bench.data.masks import Labels, colour_name
from bench.data.names import images_by_stem, normal, what_is_there
from bench.data.oxford_pet import FOLDER as PETS
from bench.data.placeholders import SPELLINGS
from bench.errors import DataError

_TWO = ("background", "foreground")
_IGNORED = 255  # what most annotation tools write for "no class"
_MOST_VALUES = 50  # more are shades of grey or numbers of objects, not classes


@dataclass(frozen=True)
class Proposal:
    """A data set that a spec can name.

    Attributes:
        settings: the keys of `data:` that are needed, in order.
        task: what can be learnt of it.
        notes: what was seen and what has to be checked, a line each.
    """

    settings: Mapping[str, Any]
    task: str
    notes: tuple[str, ...] = ()


def propose(root: Path) -> Proposal:
    """How to read the images in a folder: pets, `images/` with `masks/`, or a folder per class.

    Raises:
        DataError: it is none of these; says what is there and how it would have to lie.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    if (root / PETS).is_dir():
        settings = {"name": "oxford_pet", "root": root.as_posix(), "download": False}
        return Proposal(settings, "segmentation")
    if (root / "images").is_dir() and (root / "masks").is_dir():
        return _with_masks(root)
    if classes := _classes(root):
        settings = {"name": "class_folder", "root": root.as_posix(), "classes": classes}
        return Proposal(settings, "classification", (f"{len(classes)} folders with images",))
    raise DataError(
        f"{root}: has no images/ and masks/, and no folders of classes with images"
        f"{what_is_there(root)}: lay the files out so, or write `data:` by hand (docs/data.md)"
    )


def _with_masks(root: Path) -> Proposal:
    files = list(images_by_stem(root / "masks", "put the masks there").values())
    settings = {"name": "folder", "root": root.as_posix()}
    seen = Seen()
    for coloured in (False, True):  # colours cannot be read as numbers
        if files and not seen.pixels:
            seen = look(files, _labels(), coloured=coloured)
    if not seen.pixels:
        raise DataError(
            f"{root / 'masks'}: no mask there can be read{what_is_there(root / 'masks')}: put one "
            "for each image there, as PNG"
        )
    meaning, note = _meaning(seen)
    return Proposal({**settings, **meaning}, "segmentation", (note,))


def _labels() -> Labels:
    return Labels(dict(enumerate(range(len(_TWO)))), "", names=_TWO)


def _meaning(seen: Seen) -> tuple[dict[str, Any], str]:
    """The keys that say what the masks' values mean, and what to check about them."""
    values = seen.values
    if len(values) < 2:
        raise DataError(f"all masks have the one value {values[0]:g}: there is nothing to learn")
    if seen.coloured:
        return _of_colours(seen)
    span = f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
    if seen.lossy or is_soft(seen) or len(values) > _MOST_VALUES or isinstance(sum(values), float):
        middle = (values[0] + values[-1]) / 2
        threshold = middle if values[-1] - values[0] < 2 else int(middle + 0.5)
        note = f"the masks have {span}: from `threshold` on they are foreground; check that"
        return {"classes": list(_TWO), "threshold": threshold}, note
    ignored = len(values) > 2 and values[-1] == _IGNORED
    kept = values[:-1] if ignored else values
    meaning: dict[str, Any] = {"classes": _names(len(kept))}
    if kept != list(range(len(kept))):
        meaning["values"] = kept
    if ignored:
        meaning["ignore"] = _IGNORED
    listed = ", ".join(f"{value:g}" for value in values)
    left_out = f"; {_IGNORED} is not scored" if ignored else ""
    return meaning, f"the masks have the values {listed}: give the classes their names{left_out}"


def _of_colours(seen: Seen) -> tuple[dict[str, Any], str]:
    colours = [int(value) for value in seen.values]
    if seen.lossy or len(colours) > _MOST_VALUES:
        raise DataError(
            f"the masks have {len(colours)} colours, more than classes: are these the images? "
            "Export them without compression and smoothing, as PNG"
        )
    names = _names(len(colours))
    pairs = {colour_name(colour): name for colour, name in zip(colours, names, strict=True)}
    note = f"the masks have {len(colours)} colours: give the classes their names"
    return {"classes": names, "values": pairs}, note


def _names(count: int) -> list[str]:
    return list(_TWO) if count == 2 else [_TWO[0], *(f"class_{i}" for i in range(1, count))]


def _classes(root: Path) -> list[str]:
    """The names of folders with images: in `root`, or in its folder of training images."""
    folders = _folders(root)
    training = [folder for folder in folders if folder.name.lower() in SPELLINGS["train"]]
    found = _with_images(_folders(training[0]) if training else folders)
    return found if len(found) >= 2 else []


def _folders(root: Path) -> list[Path]:
    inside = (path for path in sorted(root.iterdir()) if not path.name.startswith("."))
    return [path for path in inside if path.is_dir()]


def _with_images(folders: Sequence[Path]) -> list[str]:
    return [normal(f.name) for f in folders if images_by_stem(f, "", nested=True)]
