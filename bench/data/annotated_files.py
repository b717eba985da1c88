"""Which images COCO annotations name, and where they are."""

from __future__ import annotations

from pathlib import Path

from bench.data.assemble import Names
from bench.data.coco import read_annotations
from bench.data.found_files import FoundFiles, check_new
from bench.data.names import normal
from bench.data.pages import one_line
from bench.data.patterns import Pattern
from bench.data.placeholders import SPLIT, is_pattern
from bench.errors import DataError


def annotated_files(
    root: Path, images: str, annotations: str, classes: Names, *, follow_links: bool = False
) -> FoundFiles:
    """The images that COCO annotations name, one file for all or one for each split.

    Args:
        root: what paths start from.
        images: the folder that the names in the annotations start from, or a pattern of it.
        annotations: the file, or a pattern with `{split}`.
        classes: the first is background, the others are categories.
        follow_links: whether links to folders are followed.

    Raises:
        DataError: a file or folder is missing, or is none of COCO's.
    """
    found = FoundFiles({})
    notes: dict[str, None] = {}
    for split, file, folder in _annotation_files(root, images, annotations, follow_links):
        masks, note = read_annotations(file, classes)
        notes |= dict.fromkeys((note,) if note else ())
        members = []
        for text, mask in masks.items():
            stem = normal(Path(text).with_suffix("").as_posix())
            name = stem if split is None else f"{split}/{stem}"
            check_new(name, file, found.images)
            found.images[name], found.masks[name] = _inside(folder, text, file), mask
            members.append(name)
        if split is not None:
            found.splits[split] = tuple(sorted(members))
    return FoundFiles(found.images, found.masks, found.splits, notes=tuple(notes))


def _annotation_files(
    root: Path, images: str, annotations: str, follow_links: bool
) -> list[tuple[str | None, Path, Path]]:
    """Of each split (None: there is one file for all) its annotations and folder of images."""
    if not is_pattern(annotations):
        return [(None, root / annotations, root / images)]
    matches = Pattern(annotations).matches(root, follow_links=follow_links)
    files = {match.values.get(SPLIT): match.path for match in matches}
    if not is_pattern(images):
        return [(split, file, root / images) for split, file in files.items()]
    in_folders = Pattern(images).matches(root, follow_links=follow_links)
    folders = {match.values.get(SPLIT): match.path for match in in_folders}
    missing = files.keys() - folders.keys()
    if missing or not files:
        what = f"{next(iter(missing))} images" if missing else "annotations"
        raise DataError(f"{root}: there are no {what} there: mend `images:` and `annotations:`")
    return [(split, file, folders[split]) for split, file in files.items()]


def _inside(folder: Path, name: str, file: Path) -> Path:
    """An image that annotations name, which must not lead out of its folder."""
    parts = Path(name.replace("\\", "/")).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise DataError(
            f"{file}: the image {one_line(name)!r} is not in {folder}: write paths from there"
        )
    return folder.joinpath(*parts)
