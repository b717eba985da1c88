"""Images in a folder per class, of one root or of one root per split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import share_out
from bench.data.assemble import Labelling, Names, assemble, check_names
from bench.data.base import Progress, Splits
from bench.data.decode import Reading, Single, load_images
from bench.data.folder import listed_splits
from bench.data.folder_settings import SplitFiles
from bench.data.names import images_by_stem, normal, what_is_there
from bench.data.pages import Opening, one_line
from bench.data.setting_types import Exif, GroupColumn, Normalize, OnError, WindowSetting
from bench.errors import DataError, did_you_mean

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What the folder of a split may be called, in any case."""


@dataclass(frozen=True)
class Found:
    """Images as they lie in folders.

    Attributes:
        files: by name: `class/name`, or `split/class/name` where splits have folders.
        label: each name's class.
        names: of each split; empty: they are not in folders.
        notes: what was found that a reader should know.
    """

    files: dict[str, Path]
    label: dict[str, str]
    names: dict[str, Names]
    notes: Names = ()


@dataclass(frozen=True, kw_only=True)
class ClassFolder:
    """Images that are labelled by their folder; the settings: see `ClassFolderSettings`.

    An image's name is `class/name`, or `split/class/name` where `root` has folders of splits
    (`SPELLINGS`). One of validation and test that has none is taken from the training images.
    Without any and without split files, images are shared out class by class, by their place among
    the sorted names (see `share_out.by_class`).
    """

    root: str
    classes: Names
    splits: SplitFiles | None
    groups: str | GroupColumn | None
    image_size: int
    normalize: Normalize
    on_error: OnError
    exif: Exif
    page: int | None
    window: WindowSetting

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Find the images, share them out, decode them once.

        Raises:
            DataError: a folder, file or name is missing, or a class has no image.
        """
        root = Path(self.root).expanduser()
        folders = {} if self.splits is not None else self._split_folders(root)
        found = self._in_splits(root, folders) if folders else self._in_classes(root)
        groups = share_out.groups_of(found.files, self.groups, root)
        names, notes = self._shared(root, found, groups)
        everyone = [name for members in names.values() for name in members]
        opening = Opening(self.exif, self.page)
        skip = self.on_error == "skip"
        reading = Reading(root, self.image_size, skip, progress, opening, self.window)
        arrays = load_images([Single(name, found.files[name]) for name in everyone], reading)
        place = {name: label for label, name in enumerate(self.classes)}
        labelling = Labelling(self.classes, {n: place[found.label[n]] for n in everyone})
        notes += share_out.notes(names, groups, found.label.__getitem__)
        notes += self._other_folders(root, [*folders.values()])
        return assemble(arrays, names, (), notes, labelling, self.window, opening, groups)

    def _split_folders(self, root: Path) -> dict[str, Path]:
        """The folders of splits that have images; one that is a class's name is a class's."""
        if not root.is_dir():
            return {}
        found: dict[str, Path] = {}
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            split = next(
                (s for s, names in SPELLINGS.items() if folder.name.lower() in names), None
            )
            if split is None or folder.name in self.classes:
                continue
            if split in found:
                raise DataError(
                    f"{folder}: {found[split].name}/ is the {split} split, too: keep one of them"
                )
            found[split] = folder
        return found

    def _in_splits(self, root: Path, folders: Mapping[str, Path]) -> Found:
        """The images of every split that has a folder; one without class folders is unlabelled."""
        if "train" not in folders:
            there = ", ".join(f"{folder.name}/" for folder in folders.values())
            raise DataError(
                f"{root / 'train'}: there is no such folder, but {there}: put training images into "
                "train/CLASS/, or list the images in `splits:`"
            )
        found = Found({}, {}, {})
        notes: Names = ()
        for split in (split for split in share_out.SPLITS if split in folders):
            folder = folders[split]
            has_classes = any(_of_class(folder, label).is_dir() for label in self.classes)
            if split != "train" and not has_classes:
                notes += (
                    f"{folder.name}/ has no folders of classes, so its images are unlabelled and "
                    "left out",
                )
                continue
            part = self._in_classes(folder, f"{split}/", optional=split != "train")
            found.files.update(part.files)
            found.label.update(part.label)
            found.names[split] = tuple(sorted(part.files))
        return Found(found.files, found.label, found.names, notes)

    def _in_classes(self, folder: Path, prefix: str = "", *, optional: bool = False) -> Found:
        """The images of every class; one without any is an error, unless it is optional."""
        found = Found({}, {}, {})
        for label in self.classes:
            place = _of_class(folder, label)
            if optional and not place.is_dir():
                continue
            remedy = "put its images there, or set data.root and data.classes to what is there"
            if not place.is_dir() and folder.is_dir():
                there = [p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."]
                remedy += did_you_mean(label, there) if there else " (there are no folders)"
            images = images_by_stem(place, remedy, nested=True)
            if not images and not optional:
                raise DataError(f"{place}: no image there{what_is_there(place)}: {remedy}")
            for stem, file in images.items():
                name = f"{prefix}{label}/{stem}"
                found.files[name], found.label[name] = file, label
        return found

    def _shared(
        self, root: Path, found: Found, groups: Mapping[str, str] | None
    ) -> tuple[dict[str, Names], Names]:
        """Names by split, and what is to be said of them."""
        format_label: Callable[[str], str] = found.label.__getitem__
        if self.splits is not None:
            names = listed_splits(root, self.splits, found.files)
            share_out.check_apart(names, groups, root)
            return names, ()
        if not found.names:
            everyone = tuple(sorted(found.files))
            return share_out.by_class(everyone, format_label, groups, root), ()
        names, notes = dict(found.names), found.notes
        share_out.check_apart(names, groups, root)
        missing = [split for split in ("val", "test") if split not in names]
        training = names["train"]
        for split in missing:
            names["train"], names[split] = share_out.held_out(
                names["train"], training, format_label, groups, split
            )
            notes += (
                f"there is no folder of {split} images: {len(names[split]):,} of {len(training):,} "
                "training images are used for it, class by class",
            )
        names = {split: names[split] for split in share_out.SPLITS}
        check_names(names, source=str(root), remedy="put images there")
        return names, notes

    def _other_folders(self, root: Path, splits: list[Path]) -> Names:
        """Notes of folders that are left out: of no class, or of a class beside those of splits."""
        classes = set(map(normal, self.classes))
        used = {normal(folder.name) for folder in splits}
        beside = _visible_folders(root) - used if splits else set()
        there = set().union(*map(_visible_folders, splits or [root])) | beside
        notes: Names = ()
        if others := sorted(there - classes):
            notes += (f"folders that are no class of the spec are left out: {_some(others)}",)
        if outside := sorted(beside & classes):
            known = ", ".join(f"{folder.name}/" for folder in splits)
            notes += (f"folders of classes beside {known} are left out: {_some(outside)}",)
        return notes


def _visible_folders(folder: Path) -> set[str]:
    return {normal(path.name) for path in folder.iterdir() if path.is_dir() and path.name[0] != "."}


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names[:5])) + (", …" if len(names) > 5 else "")


def _of_class(folder: Path, label: str) -> Path:
    """The class's folder in `folder`, also where its name is in another Unicode form."""
    if (folder / label).is_dir() or not folder.is_dir():
        return folder / label
    alike = (path for path in folder.iterdir() if normal(path.name) == normal(label))
    return next((path for path in alike if path.is_dir()), folder / label)
