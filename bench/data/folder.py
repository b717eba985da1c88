"""Any pair of folders: `images/cat.jpg` goes with `masks/cat.png`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from bench.data.assemble import Names, assemble, check_names
from bench.data.base import Progress, Splits
from bench.data.decode import Labels, Pair, Reading, check_link, load_pairs
from bench.data.settings import Normalize, OnError, SplitFiles
from bench.errors import DataError
from bench.labels import IGNORE_LABEL

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Images and masks of the same names; the settings are described in `FolderSettings`.

    Without split files, of the names in sorted order every index i with i % 10 == 0 is validation,
    i % 10 == 5 test, and the rest training.
    """

    root: str
    images: str
    masks: str
    classes: Names
    values: tuple[int, ...] | None
    ignore: int | None
    splits: SplitFiles | None
    image_size: int
    normalize: Normalize
    on_error: OnError

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Pair the files, read the split files if there are any, decode once.

        Raises:
            DataError: a folder, file, pair or name is missing, or a mask has an unexpected value.
        """
        root = Path(self.root).expanduser()
        remedy = "put the files there, or set data.root, data.images and data.masks to their place"
        images = images_by_stem(root / self.images, remedy)
        masks = images_by_stem(root / self.masks, remedy)
        if self.splits is None:
            names = self._default_splits(root, images, masks)
        else:
            names = listed_splits(root, self.splits, images)
        pairs = [
            Pair(name, images[name], _mask_of(images[name], root / self.masks, masks))
            for members in names.values()
            for name in members
        ]
        reading = Reading(root, self.image_size, self.on_error == "skip", progress)
        arrays = load_pairs(pairs, self._labels(), reading)
        return assemble(arrays, names, self.classes)

    def _default_splits(
        self, root: Path, images: dict[str, Path], masks: dict[str, Path]
    ) -> dict[str, Names]:
        for name in sorted(masks.keys() - images.keys()):
            raise DataError(
                f"{masks[name]}: has no image of that name in {root / self.images}: add one "
                f"({'|'.join(ENDINGS)}), remove the mask, or list the names to use in `splits:`"
            )
        return split_by_index(tuple(sorted(images)), root / self.images)

    def _labels(self) -> Labels:
        values = range(len(self.classes)) if self.values is None else self.values
        classes = {value: label for label, value in enumerate(values)}
        if self.ignore is not None:
            classes[self.ignore] = IGNORE_LABEL
        expected = ", ".join(map(str, classes))
        return Labels(
            classes,
            f"expected {expected}: give each class's pixel value in `values:` "
            "(a binary mask is often [0, 255]), or the value not to be scored in `ignore:`",
        )


def split_by_index(names: Names, source: Path) -> dict[str, Names]:
    """Sorted names → splits: i % 10 == 0 is validation, i % 10 == 5 test, the rest training."""
    train = tuple(name for i, name in enumerate(names) if i % 5)
    found = {"train": train, "val": names[::10], "test": names[5::10]}
    remedy = f"{len(names)} images are too few to share out (6 at least): add some"
    check_names(found, source=str(source), remedy=remedy)
    return found


def images_by_stem(folder: Path, remedy: str) -> dict[str, Path]:
    """The image files of a folder by name without ending."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder: {remedy}")
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in ENDINGS or file.name.startswith("."):
            continue
        if file.stem in found:
            raise DataError(f"{file}: {found[file.stem].name} has the same name: keep one of them")
        found[file.stem] = file
    return found


def _mask_of(image: Path, folder: Path, masks: dict[str, Path]) -> Path:
    if image.stem not in masks:
        raise DataError(
            f"{image}: has no mask: put one at {folder / image.stem}.png (or another of "
            f"{' '.join(ENDINGS)}), remove the image, or list the names to use in `splits:`"
        )
    return masks[image.stem]


def listed_splits(root: Path, files: SplitFiles, images: dict[str, Path]) -> dict[str, Names]:
    """The splits that files under `root` list, whose every name must be among `images`."""
    names: dict[str, Names] = {}
    for split, file in (("train", files.train), ("val", files.val), ("test", files.test)):
        check_link(root / file, root)
        names[split] = _listed(root / file, images)
    check_names(names, source=str(root), remedy="its split file lists no names: add some")
    return names


def _listed(file: Path, images: dict[str, Path]) -> Names:
    """The names in a split file, each of which must be an image's."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: cannot be read ({error}): write one image name a line, or mend `splits:`"
        ) from error
    names = {number: line.strip() for number, line in enumerate(lines, start=1) if line.strip()}
    for number, name in names.items():
        if name not in images:
            close = difflib.get_close_matches(name, images, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise DataError(f"{file}:{number}: there is no image {name!r}{hint}: mend the line")
    return tuple(names.values())
