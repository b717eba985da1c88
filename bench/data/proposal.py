"""What to write into a spec's `data:` for a folder never seen before: from a look at its files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.annotation_proposal import Proposal, annotated, outlined, unread
from bench.data.file_tree import Tree, look_into
from bench.data.image_facts import facts_of_images
from bench.data.mask_proposal import meaning_of
from bench.data.names import KnownNames, images_by_stem, normal, text_of
from bench.data.oxford_pet import FOLDER as PETS
from bench.data.pages import one_line
from bench.data.pairing import Pairing, object_masks, pairings
from bench.data.placeholders import SPELLINGS, split_of
from bench.data.table_proposal import table_readings
from bench.errors import DataError

_GROUP = re.compile(
    r"(?i)(patient|subject|case|video|clip|seq|sequence|volume|scan|lesion)([-_ ]?)\d+([-_ ])"
)
"""How names begin that say what an image belongs to."""


def propose(root: Path) -> Proposal:
    """How to read the images in a folder.

    Raises:
        DataError: it cannot be decided; says what is there, or between which readings it cannot be
            decided.
    """
    found = proposals(root)
    if len(found) > 1:
        ways = "; or ".join(", ".join(proposal.notes[:1]) for proposal in found)
        raise DataError(
            f"{root}: can be read in {len(found)} ways: {ways}: `bench data {root}` shows the "
            "`data:` of each; write the one that is meant"
        )
    return found[0]


def proposals(root: Path) -> list[Proposal]:
    """All ways to read the images in a folder, the likeliest kind of layout only.

    Raises:
        DataError: there is none; says what is there and how it would have to lie.
    """
    if (root / PETS).is_dir():
        settings = {"name": "oxford_pet", "root": root.as_posix(), "download": False}
        return [Proposal(settings, "segmentation", ("Oxford-IIIT Pet",))]
    tree = look_into(root)
    if not tree.entries:
        endings = Counter(Path(path).suffix.lower() or "other" for path in tree.others)
        there = ", ".join(f"{count} {ending} files" for ending, count in endings.most_common(3))
        raise DataError(
            f"{root}: has no images{f', but {there}' if there else ''}: put images there, with "
            "masks of the same names in another folder, or one folder for each class"
        )
    found = annotated(tree) or _of_objects(tree) or _with_masks(tree) or outlined(tree)
    tables = [
        Proposal(
            {**_named(reading.settings, tree),
             **(meaning_of(reading.masks, tree).settings if reading.masks else {}),
             **facts_of_images(reading.images).settings},
            reading.task,
            (*reading.notes, *facts_of_images(reading.images).notes),
        )
        for reading in table_readings(tree)
    ]  # fmt: skip
    with_masks = [table for table in tables if table.task == "segmentation"]
    found = with_masks or [*found, *tables]
    return found or _classes(tree) or [_images_alone(tree)]


def _named(settings: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    """With the root after the name."""
    return {"name": settings["name"], "root": tree.root.as_posix(), **settings}


def _of_objects(tree: Tree) -> list[Proposal]:
    """A folder for each image, with a mask for each object in it."""
    found = object_masks(tree)
    if found is None:
        return []
    meaning = meaning_of([tree.root / mask for mask in found.mask_files], tree)
    facts = facts_of_images([tree.root / image for image in found.files])
    settings = {
        "name": "folder", "root": tree.root.as_posix(), "images": found.images,
        "masks": found.masks, "merge_masks": True, **meaning.settings, **facts.settings,
    }  # fmt: skip
    note = f"{len(found.files):,} images with {len(found.mask_files):,} masks, one for each object"
    return [Proposal(settings, "segmentation", (note, *meaning.notes, *facts.notes))]


def _with_masks(tree: Tree) -> list[Proposal]:
    found, errors = [], []
    for pairing in pairings(tree):
        try:
            found.append(_of_pairing(pairing, tree))
        except DataError as error:
            if pairing.is_named_so:  # others are images of the same names
                errors.append(error)
    if errors and not found:
        raise errors[0]
    numbers = [proposal for proposal in found if not _has_colours(proposal)]
    return numbers if numbers and len(numbers) < len(found) else found


def _has_colours(proposal: Proposal) -> bool:
    values = proposal.settings.get("values")
    return "palette" in proposal.settings or (
        isinstance(values, dict) and any(isinstance(value, str) for value in values)
    )


def _of_pairing(pairing: Pairing, tree: Tree) -> Proposal:
    meaning = meaning_of([tree.root / mask for _, _, mask in pairing.pairs], tree)
    settings: dict[str, Any] = {"name": "folder", "root": tree.root.as_posix()}
    if pairing.images != "images":
        settings["images"] = pairing.images
    if pairing.masks != "masks":
        settings["masks"] = pairing.masks
    notes = [f"{len(pairing.pairs):,} images have masks: {pairing.images} with {pairing.masks}"]
    has_splits = "{split}" in pairing.images
    lists = {} if has_splits else _lists(tree, [image for _, image, _ in pairing.pairs])
    if lists:
        settings["splits"] = lists
    elif pairing.unpaired:
        count, first = len(pairing.unpaired), one_line(pairing.unpaired[0])
        notes.append(
            f"1 has none ({first}): remove it, or list the others in `splits:`"
            if count == 1
            else f"{count:,} have none ({first}, …): remove them, or list the others in `splits:`"
        )
    facts = facts_of_images([tree.root / image for _, image, _ in pairing.pairs])
    settings |= {**meaning.settings, **facts.settings}
    names = [image for _, image, _ in pairing.pairs]
    groups = _groups(names)
    if "{case}" in pairing.images and 3 <= pairing.cases <= len(names) / 2:
        groups = "^([^/]+)/"
    if not lists and not has_splits and groups is not None:
        settings["groups"] = groups
        notes.append("names begin with what they belong to, which stays in one split")
    return Proposal(settings, "segmentation", (*notes, *meaning.notes, *facts.notes))


def _lists(tree: Tree, images: Sequence[str]) -> dict[str, str]:
    """Text files that list the images of splits: those nearest to segmentation, if several."""
    known = KnownNames({_stem(path): tree.root / path for path in images}, tree.root)
    folders: dict[str, dict[str, str]] = {}
    for path in tree.others:
        folder, _, name = path.rpartition("/")
        split = split_of(name.removesuffix(".txt")) if name.endswith(".txt") else None
        if split is None:
            continue
        lines = text_of(tree.root / path, "").split("\n")
        listed = [line.strip() for line in lines if line.strip()]
        if listed and all(known.find(line) is not None for line in listed):
            folders.setdefault(folder, {})[split] = path
    fitting = [lists for lists in folders.values() if "train" in lists]
    fitting.sort(key=lambda lists: "seg" not in lists["train"].lower())
    return (
        {split: fitting[0][split] for split in SPELLINGS if split in fitting[0]} if fitting else {}
    )


def _stem(path: str) -> str:
    return Path(path).stem


def _groups(names: Sequence[str]) -> str | None:
    """A pattern of groups where names begin with patients, videos and the like."""
    matches = [_GROUP.match(name.rpartition("/")[2]) for name in names]
    found = {(match[1], match[2], match[3]) for match in matches if match is not None}
    groups = {match[0] for match in matches if match is not None}
    if not all(matches) or len(found) != 1 or not 3 <= len(groups) <= len(names) / 2:
        return None
    word, separator, end = found.pop()
    return f"({word}{separator}\\d+){end}"


def _classes(tree: Tree) -> list[Proposal]:
    """A folder for each class: in `root`, or in its folder of training images."""
    root = tree.root
    folders = _folders(root)
    training = [folder for folder in folders if folder.name.lower() in SPELLINGS["train"]]
    found = _with_images(_folders(training[0]) if training else folders)
    if len(found) < 2:
        return []
    facts = facts_of_images([root / entry.path for entry in tree.entries])
    settings = {"name": "class_folder", "root": root.as_posix(), "classes": found}
    notes = (f"{len(found)} folders with images", *unread(tree), *facts.notes)
    return [Proposal({**settings, **facts.settings}, "classification", notes)]


def _images_alone(tree: Tree) -> Proposal:
    """Images without anything to learn but themselves."""
    facts = facts_of_images([tree.root / entry.path for entry in tree.entries])
    splits = {entry.split for entry in tree.entries}
    images = "{path}.*"
    families = tree.families()
    if len(families) == 1 and (folder := next(iter(families))) and "{split}" not in folder:
        images = folder
    elif "train" in splits and len(families) == 1:
        images = next(iter(families))
    elif len(families) == 1:
        images = "."
    settings = {"name": "folder", "root": tree.root.as_posix(), "images": images, "masks": None}
    note = f"{len(tree.entries):,} images, no masks and no labels"
    notes = (note, *unread(tree), *facts.notes)
    kept = {**facts.settings, "normalize": "symmetric"}
    return Proposal({**settings, **kept}, "diffusion", notes)


def _folders(root: Path) -> list[Path]:
    inside = (path for path in sorted(root.iterdir()) if not path.name.startswith("."))
    return [path for path in inside if path.is_dir()]


def _with_images(folders: Sequence[Path]) -> list[str]:
    return [normal(f.name) for f in folders if images_by_stem(f, "", nested=True)]
