"""Images in a folder per class, of one root or of one root per split; or a table of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import share_out
from bench.data.assemble import Labelling, Names, assemble
from bench.data.base import Progress, Splits
from bench.data.channels import count_of, indices_of, names_of
from bench.data.decode import load_images
from bench.data.fitting import Fit, as_size
from bench.data.folder_settings import HuggingFaceLabels, LabelTable, SplitFiles
from bench.data.found_files import FoundFiles, labelled_files
from bench.data.hugging_face import exported_files
from bench.data.names import images_by_stem, normal, what_is_there
from bench.data.pages import Opening, one_line
from bench.data.placeholders import SPELLINGS
from bench.data.sample_files import Reading
from bench.data.setting_types import Exif, GroupColumn, Normalize, OnError, WindowSetting
from bench.data.tables import files_with_labels
from bench.errors import DataError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class ClassFolder:
    """Images that are labelled by their folder, or by a table; see `ClassFolderSettings`.

    An image's name is `class/name`, or `split/class/name` where `root` has folders of splits
    (`SPELLINGS`). One of validation and test that has none is taken from the training images.
    Without any and without split files, images are shared out class by class, by their index among
    the sorted names (see `share_out.by_class`).
    """

    root: str
    classes: Names
    images: str | None
    table: LabelTable | None
    huggingface: HuggingFaceLabels | None
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
        """Find the images, share them out, decode them once.

        Raises:
            DataError: a folder, file or name is missing, or a class has no image.
        """
        found, root = self._found(Path(self.root).expanduser())
        found = found.in_slices()
        groups = found.groups
        if groups is None:
            groups = share_out.groups_of(found.images, self.groups, root)

        several = self.table is not None and self.table.several_labels

        def label_of(name: str) -> str:
            return found.labels[name][0]

        by_class = None if several else label_of
        sharing = share_out.Sharing(
            root, self.splits, found.splits, groups, self.follow_links, by_class
        )
        names, notes = sharing.names(found.images)
        everyone = [name for members in names.values() for name in members]
        opening = Opening(self.exif, self.page, indices_of(self.channels))
        skip = self.on_error == "skip"
        reading = Reading(
            root, as_size(self.image_size), skip, progress, opening, self.window,
            follow_links=self.follow_links, channel_count=count_of(self.channels), fit=self.fit,
        )  # fmt: skip
        arrays = load_images([found.single(name) for name in everyone], reading)
        labelling = Labelling.of_names(
            self.classes,
            {name: found.labels[name] for name in everyone},
            several=several,
            unknown=found.unknown,
        )
        notes = found.notes + notes + share_out.notes(names, groups, by_class)
        return assemble(arrays, names, (), notes, labelling, self.window, opening, groups)

    def _found(self, root: Path) -> tuple[FoundFiles, Path]:
        """The images with their labels, and the folder that they are in."""
        if self.huggingface is not None:
            found, folder = exported_files(self.huggingface)
            return self._known_labels(found, folder), folder
        if self.table is not None:
            follow = self.follow_links
            return files_with_labels(self.table, root, self.classes, follow_links=follow), root
        if self.images is not None:
            found = labelled_files(
                root, self.images, names_of(self.channels), follow_links=self.follow_links
            )
            return self._known_labels(found, root), root
        folders = {} if self.splits is not None else self._split_folders(root)
        found = self._in_splits(root, folders) if folders else self._in_classes(root)
        notes = found.notes + self._other_folders(root, [*folders.values()])
        return FoundFiles(found.images, splits=found.splits, labels=found.labels, notes=notes), root

    def _known_labels(self, found: FoundFiles, source: Path) -> FoundFiles:
        """Without the images whose label is no class; a note says so.

        Raises:
            DataError: a class has no image.
        """
        classes = {normal(name): name for name in self.classes}
        known = {n: normal(own[0]) for n, own in found.labels.items() if normal(own[0]) in classes}
        labels: dict[str, Names] = {name: (classes[label],) for name, label in known.items()}
        there = sorted({own[0] for own in found.labels.values()})
        for name in self.classes:
            if (name,) not in labels.values():
                hint = did_you_mean(name, there)
                raise DataError(f"{source}: no image of the class {name!r}{hint}: mend `classes:`")
        notes = found.notes
        if others := [name for name in there if normal(name) not in classes]:
            notes += (f"images of no class of the spec are left out: {_some(others)}",)
        splits = {s: tuple(n for n in names if n in labels) for s, names in found.splits.items()}
        images = {name: file for name, file in found.images.items() if name in labels}
        return FoundFiles(images, splits=splits, labels=labels, notes=notes, bands=found.bands)

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

    def _in_splits(self, root: Path, folders: Mapping[str, Path]) -> FoundFiles:
        """The images of every split that has a folder; one without class folders is unlabelled."""
        if "train" not in folders:
            there = ", ".join(f"{folder.name}/" for folder in folders.values())
            raise DataError(
                f"{root / 'train'}: there is no such folder, but {there}: put training images into "
                "train/CLASS/, or list the images in `splits:`"
            )
        found = FoundFiles({})
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
            found.images.update(part.images)
            found.labels.update(part.labels)
            found.splits[split] = tuple(sorted(part.images))
        return FoundFiles(found.images, splits=found.splits, labels=found.labels, notes=notes)

    def _in_classes(self, folder: Path, prefix: str = "", *, optional: bool = False) -> FoundFiles:
        """The images of every class; one without any is an error, unless it is optional."""
        found = FoundFiles({})
        for label in self.classes:
            of_class = _of_class(folder, label)
            if optional and not of_class.is_dir():
                continue
            remedy = "put its images there, or set data.root and data.classes to what is there"
            if not of_class.is_dir() and folder.is_dir():
                there = [p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."]
                remedy += did_you_mean(label, there) if there else " (there are no folders)"
            images = images_by_stem(of_class, remedy, nested=True, follow_links=self.follow_links)
            if not images and not optional:
                raise DataError(f"{of_class}: no image there{what_is_there(of_class)}: {remedy}")
            for stem, file in images.items():
                name = f"{prefix}{label}/{stem}"
                found.images[name], found.labels[name] = file, (label,)
        return found

    def _other_folders(self, root: Path, splits: list[Path]) -> Names:
        """Notes of folders that are left out: of no class, or of a class outside of splits."""
        classes = set(map(normal, self.classes))
        used = {normal(folder.name) for folder in splits}
        siblings = _visible_folders(root) - used if splits else set()
        there = set().union(*map(_visible_folders, splits or [root])) | siblings
        notes: Names = ()
        if others := sorted(there - classes):
            notes += (f"folders that are no class of the spec are left out: {_some(others)}",)
        if outside := sorted(siblings & classes):
            known = ", ".join(f"{folder.name}/" for folder in splits)
            notes += (f"folders of classes next to {known} are left out: {_some(outside)}",)
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
