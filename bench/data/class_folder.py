"""Images in a folder per class, of one root or of one root per split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.assemble import Labelling, Names, assemble, check_names
from bench.data.base import Progress, Splits
from bench.data.decode import Reading, Single, load_images
from bench.data.folder import images_by_stem, listed_splits, split_by_index
from bench.data.settings import Normalize, OnError, SplitFiles
from bench.errors import DataError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ClassFolder:
    """Images that are labelled by their folder; the settings: see `ClassFolderSettings`.

    An image's name is `class/name`, or `split/class/name` where `root` has the folders `train`,
    `val` and `test`. Without these and without split files, images are shared out by their place
    among the sorted names, as `Folder` does it.
    """

    root: str
    classes: Names
    splits: SplitFiles | None
    image_size: int
    normalize: Normalize
    on_error: OnError

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Find the images, share them out, decode them once.

        Raises:
            DataError: a folder, file or name is missing, or a class has no image.
        """
        root = Path(self.root).expanduser()
        if self.splits is None and any((root / split).is_dir() for split in self._own_folders()):
            names, files = self._split_folders(root)
        else:
            files = self._files(root, "")
            names = (
                split_by_index(tuple(sorted(files)), root)
                if self.splits is None
                else listed_splits(root, self.splits, files)
            )
        everyone = [name for members in names.values() for name in members]
        reading = Reading(root, self.image_size, self.on_error == "skip", progress)
        arrays = load_images([Single(name, files[name]) for name in everyone], reading)
        label = {name: place for place, name in enumerate(self.classes)}
        labelling = Labelling(self.classes, {n: label[n.split("/")[-2]] for n in everyone})
        return assemble(arrays, names, (), self._notes(root, names), labelling)

    def _notes(self, root: Path, names: dict[str, Names]) -> Names:
        """What else lies beside the classes' folders."""
        parents = {root / name.rpartition("/")[0] for name in names["train"]}
        beside = {path for parent in parents for path in parent.parent.iterdir() if path.is_dir()}
        others = sorted(path.name for path in beside - parents if not path.name.startswith("."))
        if not others:
            return ()
        shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
        return (f"folders that are no class of the spec are left out: {shown}",)

    def _own_folders(self) -> list[str]:
        """The splits' folders; one that is a class's name is a class's."""
        return [split for split in SPLITS if split not in self.classes]

    def _split_folders(self, root: Path) -> tuple[dict[str, Names], dict[str, Path]]:
        for split in SPLITS:
            if not (root / split).is_dir():
                raise DataError(
                    f"{root / split}: there is no such folder, but others of train/, val/ and "
                    "test/ are there: make all three, or list the images in `splits:`"
                )
        found = {split: self._files(root / split, f"{split}/") for split in SPLITS}
        names = {split: tuple(sorted(files)) for split, files in found.items()}
        check_names(names, source=str(root), remedy="put images there")
        return names, {name: file for files in found.values() for name, file in files.items()}

    def _files(self, folder: Path, prefix: str) -> dict[str, Path]:
        """The images of every class by name; a class without any is an error."""
        found: dict[str, Path] = {}
        for label in self.classes:
            remedy = "put its images there, or set data.root and data.classes to what is there"
            images = images_by_stem(folder / label, remedy)
            if not images:
                raise DataError(f"{folder / label}: no image there: {remedy}")
            found |= {f"{prefix}{label}/{stem}": file for stem, file in images.items()}
        return found
