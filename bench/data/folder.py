"""Any pair of folders: `images/cat.jpg` goes with `masks/cat.png`, or `masks/cat_mask.png`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data import share_out
from bench.data.assemble import Names, assemble, check_names
from bench.data.base import Progress, Splits
from bench.data.decode import Pair, Reading, check_link, load_pairs
from bench.data.folder_settings import SplitFiles
from bench.data.masks import Labels, MaskReading
from bench.data.names import ENDINGS, images_by_stem, listed, masks_of, what_is_there
from bench.data.pages import Opening, one_line
from bench.data.setting_types import (
    Alpha,
    Exif,
    GroupColumn,
    Normalize,
    OnError,
    Palette,
    WindowSetting,
    number_of,
)
from bench.errors import DataError
from bench.labels import IGNORE_LABEL


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Images and masks of the same names; the settings are described in `FolderSettings`.

    Without split files, of the names in sorted order every index i with i % 10 == 0 is validation,
    i % 10 == 5 test, and the rest training; with `groups`, of the groups' names.
    """

    root: str
    images: str
    masks: str
    classes: Names
    values: tuple[int, ...] | dict[int | str, str] | None
    ignore: int | str | tuple[int | str, ...] | None
    threshold: float | None
    alpha: Alpha
    palette: Palette
    splits: SplitFiles | None
    groups: str | GroupColumn | None
    image_size: int
    normalize: Normalize
    on_error: OnError
    exif: Exif
    page: int | None
    window: WindowSetting

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Pair the files, read the split files if there are any, decode once.

        Raises:
            DataError: a folder, file, pair or name is missing, or a mask has an unexpected value.
        """
        root = Path(self.root).expanduser()
        remedy = "put the files there, or set data.root, data.images and data.masks to their place"
        images = images_by_stem(root / self.images, remedy)
        if not images:
            raise _empty(root / self.images)
        masks = images_by_stem(root / self.masks, remedy)
        groups = share_out.groups_of(images, self.groups, root)
        if self.splits is None:
            names = self._default_splits(images, groups, root)
        else:
            names = listed_splits(root, self.splits, images)
            share_out.check_apart(names, groups, root)
        everyone = [name for members in names.values() for name in members]
        masks, way = masks_of(everyone, masks)
        pairs = [
            Pair(name, images[name], _mask_of(images[name], name, root / self.masks, masks))
            for name in everyone
        ]
        if self.splits is None:
            self._refuse_others(root, images, masks)
        opening = Opening(self.exif, self.page)
        skip = self.on_error == "skip"
        reading = Reading(root, self.image_size, skip, progress, opening, self.window)
        arrays = load_pairs(pairs, self._labels(opening), reading)
        notes = ((way,) if way else ()) + share_out.notes(names, groups, None)
        return assemble(arrays, names, self.classes, notes, None, self.window, opening, groups)

    def _default_splits(
        self, images: dict[str, Path], groups: dict[str, str] | None, root: Path
    ) -> dict[str, Names]:
        names, source = tuple(sorted(images)), root / self.images
        if groups is None:
            return share_out.by_index(names, source)
        return share_out.by_group(names, groups, source)

    def _refuse_others(self, root: Path, images: dict[str, Path], masks: dict[str, Path]) -> None:
        for name in sorted(masks.keys() - images.keys()):
            raise DataError(
                f"{one_line(masks[name])}: has no image of that name in {root / self.images}: add "
                "one, remove the mask, or list the names to use in `splits:`"
            )

    def _labels(self, opening: Opening) -> Labels:
        """What the masks' values mean."""
        ignored = (self.ignore,) if isinstance(self.ignore, int | str) else self.ignore or ()
        classes = dict.fromkeys(map(number_of, ignored), IGNORE_LABEL)
        colours = False
        if self.threshold is None:
            values = self.values if self.values is not None else range(len(self.classes))
            if isinstance(values, dict):
                place = {name: label for label, name in enumerate(self.classes)}
                colours = any(isinstance(value, str) for value in values)
                classes |= {number_of(value): place[name] for value, name in values.items()}
            else:
                classes |= {value: label for label, value in enumerate(values)}
        reading = MaskReading(opening, self.alpha, self.palette, colours)
        expected = ", ".join(map(str, classes))
        remedy = f"expected {expected}: say what values mean in `values:`"
        return Labels(classes, remedy, self.threshold, reading, self.classes)


def _empty(folder: Path) -> DataError:
    return DataError(
        f"{folder}: has no images{what_is_there(folder)}: put files of the kinds "
        f"{' '.join(ENDINGS)} there, or set data.images to the folder that holds them"
    )


def _mask_of(image: Path, name: str, folder: Path, masks: dict[str, Path]) -> Path:
    if name in masks:
        return masks[name]
    near = next((file.name for mask, file in masks.items() if name in mask), None)
    there = f" (there is {one_line(near)}, but not every image has one named so)" if near else ""
    raise DataError(
        f"{one_line(image)}: has no mask{there}: put one at {one_line(folder / name)}.png (or "
        f"another of {' '.join(ENDINGS)}), remove the image, or list the names to use in `splits:`"
    )


def listed_splits(root: Path, files: SplitFiles, images: dict[str, Path]) -> dict[str, Names]:
    """The splits that files under `root` list, whose every name must be among `images`."""
    names: dict[str, Names] = {}
    for split, file in (("train", files.train), ("val", files.val), ("test", files.test)):
        check_link(root / file, root)
        names[split] = listed(root / file, images, root)
    check_names(names, source=str(root), remedy="its split file lists no names: add some")
    return names
