"""Images and masks of the user's own: in folders, by patterns, a table, or COCO annotations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data import share_out
from bench.data.annotated_files import annotated_files
from bench.data.assemble import Names, assemble
from bench.data.base import Progress, Splits
from bench.data.cache import Arrays
from bench.data.channels import count_of, indices_of, names_of
from bench.data.decode import load_images, load_pairs
from bench.data.endings import ENDINGS
from bench.data.fitting import Fit, as_size
from bench.data.folder_settings import HuggingFaceMasks, MaskTable, SplitFiles, as_tuple
from bench.data.found_files import FoundFiles, described_files
from bench.data.hugging_face import exported_files
from bench.data.mask_settings import colour_palette
from bench.data.mask_sources import MaskSource
from bench.data.masks import Labels, MaskReading
from bench.data.names import images_by_stem, masks_of, what_is_there
from bench.data.outlines import LABELME, drawn_masks
from bench.data.pages import Opening, one_line
from bench.data.placeholders import is_pattern
from bench.data.sample_files import Pair, Reading
from bench.data.setting_types import (
    Alpha,
    Exif,
    GroupColumn,
    Normalize,
    OnError,
    PaletteSetting,
    WindowSetting,
    number_of,
)
from bench.data.tables import files_with_masks
from bench.errors import DataError
from bench.labels import IGNORE_LABEL

_REMEDY = "put the files there, or set data.root, data.images and data.masks to their place"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Images with or without masks; the settings are described in `FolderSettings`.

    Without splits of any kind, of the names in sorted order every index i with i % 10 == 0 is
    validation, i % 10 == 5 test, and the rest training; with `groups`, of the groups' names.
    """

    root: str
    images: str | tuple[str, ...]
    masks: str | tuple[str, ...] | None
    merge_masks: bool
    table: MaskTable | None
    annotations: str | None
    huggingface: HuggingFaceMasks | None
    classes: Names
    values: tuple[int, ...] | dict[int | str, str] | None
    ignore: int | str | tuple[int | str, ...] | None
    threshold: float | None
    alpha: Alpha
    palette: PaletteSetting
    splits: SplitFiles | None
    groups: str | GroupColumn | None
    channels: tuple[int | str, ...] | None
    follow_links: bool
    image_size: int | tuple[int, int]
    fit: Fit
    normalize: Normalize
    on_error: OnError
    exif: Exif
    page: int | None
    window: WindowSetting

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Find the files, share them out, pair images with masks, decode once.

        Raises:
            DataError: a folder, file, pair or name is missing, or a mask has an unexpected value.
        """
        found, root = self._found(Path(self.root).expanduser())
        found = found.in_slices()
        groups = found.groups
        if groups is None:
            groups = share_out.groups_of(found.images, self.groups, root)
        sharing = share_out.Sharing(
            root, self.splits, found.splits, groups, self.follow_links,
            source=root / (as_tuple(self.images)[0]),
        )  # fmt: skip
        names, notes = sharing.names(found.images)
        everyone = [name for members in names.values() for name in members]
        opening = Opening(self.exif, self.page, indices_of(self.channels))
        reading = Reading(
            root, as_size(self.image_size), self.on_error == "skip", progress, opening, self.window,
            follow_links=self.follow_links, channel_count=count_of(self.channels), fit=self.fit,
        )  # fmt: skip
        if self._has_masks:
            arrays, classes, way = self._with_masks(found, everyone, root, reading)
            notes += way
        else:
            singles = [found.single(name) for name in everyone]
            arrays, classes = load_images(singles, reading), ()
        notes = found.notes + notes + share_out.notes(names, groups, None)
        return assemble(arrays, names, classes, notes, None, self.window, opening, groups)

    @property
    def _has_masks(self) -> bool:
        if self.huggingface is not None:
            return self.huggingface.mask is not None
        return self.masks is not None or self.annotations is not None

    def _found(self, root: Path) -> tuple[FoundFiles, Path]:
        """The files, and the folder that they are in."""
        images, masks = as_tuple(self.images), as_tuple(self.masks)
        if self.huggingface is not None:
            return exported_files(self.huggingface)
        if self.table is not None:
            mask_folder = masks[0] if masks else None
            follow = self.follow_links
            return files_with_masks(
                self.table, root, images[0], mask_folder, follow_links=follow
            ), root
        if self.annotations is not None:
            image = images[0]
            return annotated_files(
                root, image, self.annotations, self.classes, follow_links=self.follow_links
            ), root
        if len(images) > 1 or any(is_pattern(text) for text in (*images, *masks)):
            return described_files(
                root, images, masks, names_of(self.channels), follow_links=self.follow_links,
                merge_masks=self.merge_masks,
            ), root  # fmt: skip
        return self._in_folders(root, images[0], masks[0] if masks else None), root

    def _in_folders(self, root: Path, images: str, masks: str | None) -> FoundFiles:
        """One folder of images and one of masks; masks keep their own names."""
        found = images_by_stem(root / images, _REMEDY)
        if not found:
            raise _empty(root / images)
        of_masks = {} if masks is None else images_by_stem(root / masks, _REMEDY)
        return FoundFiles(found, dict(of_masks))

    def _with_masks(
        self, found: FoundFiles, everyone: list[str], root: Path, reading: Reading
    ) -> tuple[Arrays, Names, Names]:
        """The arrays, the classes, and how masks are named where that is not as their images."""
        labels = self._labels(reading.opening)
        values = None if self.threshold is not None else labels.classes
        masks, notes = drawn_masks(found.masks, found.images, self.classes, values)
        way = ""
        if not found.splits and all(isinstance(file, Path) for file in masks.values()):
            paths = {name: file for name, file in masks.items() if isinstance(file, Path)}
            by_image, way = masks_of(everyone, paths)
            masks = dict(by_image)
        folder = root / (as_tuple(self.masks) or ("masks",))[0]
        pairs = [
            Pair(
                name,
                found.images[name],
                _mask_of(name, found, folder, masks),
                found.bands.get(name, ()),
                found.planes.get(name),
            )
            for name in everyone
        ]
        if self.splits is None and not found.splits:
            self._refuse_others(root, found.images, masks)
        arrays = load_pairs(pairs, labels, reading)
        return arrays, self.classes, (*notes, way) if way else notes

    def _refuse_others(
        self, root: Path, images: dict[str, Path], masks: dict[str, MaskSource]
    ) -> None:
        for name in sorted(masks.keys() - images.keys()):
            raise DataError(
                f"{one_line(masks[name])}: has no image of that name in "
                f"{root / as_tuple(self.images)[0]}: add one, remove the mask, or list the names "
                "to use in `splits:`"
            )

    def _labels(self, opening: Opening) -> Labels:
        """What the masks' values mean."""
        masks = as_tuple(self.masks)
        if self.annotations is not None or any(m.lower().endswith(LABELME) for m in masks):
            return Labels({n: n for n in range(len(self.classes))}, "", names=self.classes)
        ignored = (self.ignore,) if isinstance(self.ignore, int | str) else self.ignore or ()
        classes = dict.fromkeys(map(number_of, ignored), IGNORE_LABEL)
        number = {name: label for label, name in enumerate(self.classes)}
        colours = False
        if (palette := colour_palette(self.palette)) is not None:
            colours = True
            unscored = [c for name, c in palette.classes.items() if name not in number]
            others = map(number_of, (*unscored, *palette.unscored))
            classes |= dict.fromkeys(others, IGNORE_LABEL)
            classes |= {number_of(palette.classes[name]): label for name, label in number.items()}
        elif self.threshold is None:
            values = self.values if self.values is not None else range(len(self.classes))
            if isinstance(values, dict):
                colours = any(isinstance(value, str) for value in values)
                classes |= {number_of(value): number[name] for value, name in values.items()}
            else:
                classes |= {value: label for label, value in enumerate(values)}
        how = self.palette if self.palette in ("auto", "index", "colour") else "auto"
        reading = MaskReading(opening, self.alpha, how, colours)
        expected = ", ".join(map(str, classes))
        remedy = f"expected {expected}: say what values mean in `values:`"
        return Labels(classes, remedy, self.threshold, reading, self.classes)


def _empty(folder: Path) -> DataError:
    return DataError(
        f"{folder}: has no images{what_is_there(folder)}: put files of the kinds "
        f"{' '.join(ENDINGS)} there, or set data.images to the folder that holds them"
    )


def _mask_of(
    name: str, found: FoundFiles, folder: Path, masks: dict[str, MaskSource]
) -> MaskSource:
    if name in masks:
        return masks[name]
    image = one_line(found.images[name])
    if name in found.expected:
        raise DataError(
            f"{image}: has no mask: put one at {one_line(found.expected[name])}, remove the image, "
            "or mend `images:` and `masks:`"
        )
    paths = (file for mask, file in masks.items() if name in mask and isinstance(file, Path))
    near = next((file.name for file in paths), None)
    there = f" (there is {one_line(near)}, but not every image has one named so)" if near else ""
    raise DataError(
        f"{image}: has no mask{there}: put one at {one_line(folder / name)}.png (or "
        f"another of {' '.join(ENDINGS)}), remove the image, or list the names to use in `splits:`"
    )
