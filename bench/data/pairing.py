"""Which images and masks of a folder never seen before belong together, by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from bench.data.file_tree import Entry, Tree, by_case, endings_of, merged

_MASK_WORDS = re.compile(
    r"(?i)mask|label|annot|truth|segm|manual|(?:^|[^a-z])(?:gt|seg|lbl|target)s?(?:[^a-z]|$)|gtfine"
)
_INSTANCE_WORDS = re.compile(r"(?i)instance|segmentationobject|polygon")
_SAMPLES, _MOST_AFFIXES = 8, 20
_MOST_FOLDERS = 40
_COVERED = 0.9
"""Of the images that must have a mask where masks are found at all."""


@dataclass(frozen=True)
class Pairing:
    """Images and their masks.

    Attributes:
        images, masks: patterns, or folders where that is enough.
        pairs: the paths of an image and its mask, from the root, by split.
        unpaired: paths of images without a mask in splits that have some.
        cases: how many folders `{case}` stands for.
    """

    images: str
    masks: str
    pairs: tuple[tuple[str | None, str, str], ...]
    unpaired: tuple[str, ...]
    cases: int = 0

    @property
    def is_named_so(self) -> bool:
        """Whether the masks' pattern says that they are masks, and the images' does not."""
        return bool(_MASK_WORDS.search(self.masks)) and not _MASK_WORDS.search(self.images)


def pairings(tree: Tree) -> list[Pairing]:
    """All ways in which images have masks; numbered objects only where there are no others.

    Of two folders that could both be the masks of the other, the one that is called so.
    """
    found: list[Pairing] = []
    families = _groups(tree)
    for images, masks in permutations(families, 2):
        found += _of_two(images, masks)
    for family in families:
        found += _within(family)
    named = [pairing for pairing in found if pairing.is_named_so]
    classes = [pairing for pairing in named if not _INSTANCE_WORDS.search(pairing.masks)]
    return _distinct(classes or named or found)


def _groups(tree: Tree) -> list[tuple[str, list[Entry]]]:
    """The images by folders; folders without a role of their own are taken together."""
    if cases := by_case(tree):
        return list(cases.items())
    families = tree.families()
    flat = list(families.items())
    depths = {len(folder.split("/")) for folder in families if folder}
    if len(families) <= 6 or len(depths) != 1:
        return flat
    # many folders: cities, cases or videos below one for images and one for masks
    splits = [i for f in families for i, part in enumerate(f.split("/")) if "{split}" in part]
    for depth in range(max(splits, default=0) + 1, max(depths)):
        together = merged(tree.entries, depth)
        if 2 <= len(together) <= 6:
            return list(together.items())
    return flat if len(flat) <= _MOST_FOLDERS else list(merged(tree.entries, 0).items())


def _of_two(images: tuple[str, list[Entry]], masks: tuple[str, list[Entry]]) -> Iterator[Pairing]:
    (image_folder, image_entries), (mask_folder, mask_entries) = images, masks
    of_images, of_masks = ({e.where for e in own} for own in (image_entries, mask_entries))
    if not of_masks <= of_images:
        return
    yield from _by_affixes(image_folder, image_entries, mask_folder, mask_entries)


def _within(family: tuple[str, list[Entry]]) -> Iterator[Pairing]:
    """Images and masks in one folder, distinguished by what masks have before or after the name."""
    folder, entries = family
    by_key = {(entry.where, entry.stem): entry for entry in entries}
    suffixes: Counter[str] = Counter()
    for entry in entries:
        for match in re.finditer(r"[-_. ]", entry.stem):
            if (entry.where, entry.stem[: match.start()]) in by_key:
                suffixes[entry.stem[match.start() :]] += 1
    for suffix, count in suffixes.items():
        masks = [e for e in entries if e.stem.endswith(suffix)]
        names = {(e.where, e.stem.removesuffix(suffix)) for e in masks}
        images = [e for e in entries if (e.where, e.stem) in names]
        if count == len(masks) == len(images) and len(images) + len(masks) >= _COVERED * len(
            entries
        ):
            yield from _by_affixes(folder, images, folder, masks)


def _by_affixes(
    image_folder: str, images: Sequence[Entry], mask_folder: str, masks: Sequence[Entry]
) -> Iterator[Pairing]:
    """Pairings for every beginning and end that masks (and images) can have around the name."""
    there = {(entry.where, entry.stem): entry for entry in masks}
    having = {entry.where for entry in masks}
    wanted = [entry for entry in images if entry.where in having]
    for own, prefix, suffix in _likely_affixes(wanted, masks):
        pairs = []
        for entry in wanted:
            stem = _changed(entry.stem, own, prefix, suffix)
            if stem is not None and (mask := there.get((entry.where, stem))) is not None:
                pairs.append((entry, mask))
        if len(pairs) >= 2 and _is_enough(len(pairs), len(wanted), prefix, suffix, masks):
            yield _pairing(image_folder, mask_folder, own, prefix, suffix, wanted, pairs)


def _likely_affixes(images: Sequence[Entry], masks: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """What the names of several images' masks have in common: an image's own suffix that masks
    lack, and what they have before and after the name."""
    step = max(1, len(images) // _SAMPLES)
    counts: Counter[tuple[str, str, str]] = Counter()
    for image in images[::step]:
        counts.update(set(_affixes(image, images, masks)))
    return [affixes for affixes, count in counts.most_common(_MOST_AFFIXES) if count >= 2]


def _changed(stem: str, own: str, prefix: str, suffix: str) -> str | None:
    if not stem.endswith(own):
        return None
    folder, slash, name = stem.removesuffix(own).rpartition("/")
    return f"{folder}{slash}{prefix}{name}{suffix}"


def _is_enough(found: int, wanted: int, prefix: str, suffix: str, masks: Sequence[Entry]) -> bool:
    """Whether nearly all images have a mask; or all masks an image, as where a list names some."""
    named_so = sum(
        e.stem.rpartition("/")[2].startswith(prefix) and e.stem.endswith(suffix) for e in masks
    )
    return found >= _COVERED * wanted or (found == named_so == len(masks) and found >= 3)


def _affixes(
    first: Entry, images: Sequence[Entry], masks: Sequence[Entry]
) -> Iterator[tuple[str, str, str]]:
    name = first.stem.rpartition("/")[2]
    owns = [""] + [
        name[m.start() :]
        for m in re.finditer(r"[-_. ]", name)
        if m.start() and all(e.stem.endswith(name[m.start() :]) for e in images)
    ]
    for own in owns:
        core = name.removesuffix(own)
        for mask in masks:
            if mask.where != first.where:
                continue
            other = mask.stem.rpartition("/")[2]
            at = other.find(core)
            if at >= 0:
                yield own, other[:at], other[at + len(core) :]


def _pairing(
    image_folder: str,
    mask_folder: str,
    own: str,
    prefix: str,
    suffix: str,
    wanted: Sequence[Entry],
    pairs: Sequence[tuple[Entry, Entry]],
) -> Pairing:
    images, masks = [image for image, _ in pairs], [mask for _, mask in pairs]
    nested = any("/" in entry.stem for entry in images)
    name = "{path}" if nested and not prefix else "{folder}/{stem}" if nested else "{stem}"
    mask_name = (
        f"{{folder}}/{prefix}{{stem}}{suffix}" if nested and prefix else f"{prefix}{name}{suffix}"
    )
    plain = not (own or prefix or suffix or nested) and image_folder != mask_folder
    if plain and image_folder and mask_folder:
        patterns = (image_folder, mask_folder)
    else:
        patterns = (
            _joined(image_folder, f"{name}{own}{endings_of(images)}"),
            _joined(mask_folder, f"{mask_name}{endings_of(masks)}"),
        )
    found = tuple((image.split, image.path, mask.path) for image, mask in pairs)
    having = {image.path for image in images}
    unpaired = tuple(entry.path for entry in wanted if entry.path not in having)
    cases = len({image.case for image in images if image.case})
    return Pairing(*patterns, found, unpaired, cases)


@dataclass(frozen=True)
class ObjectMasks:
    """Images in folders of their own, with a mask for each object.

    Attributes:
        images, masks: patterns.
        files: of the images, from the root.
        mask_files: of all objects.
    """

    images: str
    masks: str
    files: tuple[str, ...]
    mask_files: tuple[str, ...]


def object_masks(tree: Tree) -> ObjectMasks | None:
    """`{case}/images/x.png` with `{case}/masks/*.png`, several of them; None: it is not so."""
    roles = by_case(tree)
    for (folder, images), (mask_folder, masks) in permutations(roles.items(), 2):
        if _MASK_WORDS.search(folder) or not _MASK_WORDS.search(mask_folder):
            continue
        having = {entry.where for entry in masks}
        wanted = [entry for entry in images if entry.where in having]
        is_one_each = len(wanted) == len({entry.where for entry in wanted}) == len(having)
        if is_one_each and len(masks) > len(wanted):
            return ObjectMasks(
                f"{folder}/*{endings_of(images)}",
                f"{mask_folder}/*{endings_of(masks)}",
                tuple(entry.path for entry in wanted),
                tuple(entry.path for entry in masks),
            )
    return None


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _distinct(found: Sequence[Pairing]) -> list[Pairing]:
    """Without those that say the same of the same files."""
    best: dict[frozenset[str], Pairing] = {}
    for pairing in found:
        key = frozenset(mask for _, _, mask in pairing.pairs)
        known = best.get(key)
        if known is None or len(pairing.masks) < len(known.masks):
            best[key] = pairing
    return list(best.values())
