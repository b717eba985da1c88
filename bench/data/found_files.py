"""Which files are whose image and mask, where folders or patterns of paths say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench.data.assemble import Names
from bench.data.mask_sources import MaskSource, MergedMasks
from bench.data.names import images_by_stem, masks_of, what_is_there
from bench.data.pages import one_line
from bench.data.patterns import Match, Pattern
from bench.data.placeholders import SPLIT
from bench.data.sample_files import Single
from bench.data.volumes import count_slices, is_volume
from bench.errors import DataError, did_you_mean

_CHANNEL = "channel"
_FOLDER_REMEDY = "put the files there, or mend data.images and data.masks"


@dataclass(frozen=True)
class FoundFiles:
    """The samples of a data set, not yet shared out.

    Attributes:
        images: by name.
        masks: by their images' names; some may be missing.
        splits: what folders or a column say of splits; empty: nothing.
        groups: each image's group; None: nothing is said of them.
        labels: each image's labels by name; empty: nothing is said of them.
        unknown: the labels by name that an image may have or not; empty: none.
        expected: where the mask of an image that has none would be.
        notes: what a reader should know.
        planes: of samples that are slices of a volume: which, from 0.
        bands: where each channel is a file of its own: those of the other channels, in order.
    """

    images: dict[str, Path]
    masks: dict[str, MaskSource] = field(default_factory=dict)
    splits: dict[str, Names] = field(default_factory=dict)
    groups: dict[str, str] | None = None
    labels: dict[str, Names] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    notes: Names = ()
    bands: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    planes: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, Names] = field(default_factory=dict)

    def single(self, name: str) -> Single:
        """A sample without its mask."""
        return Single(name, self.images[name], self.bands.get(name, ()), self.planes.get(name))

    def in_slices(self) -> FoundFiles:
        """With a sample for each slice of volumes, `name/003`; the slices of one are a group.

        Raises:
            UnreadableError: a volume cannot be read.
        """
        if not any(is_volume(file) for file in self.images.values()):
            return self
        slices = {name: self._slices(name, file) for name, file in self.images.items()}

        def of_each(values: Mapping[str, Any]) -> dict[str, Any]:
            return {new: v for name, v in values.items() for new in slices.get(name, (name,))}

        splits = {s: tuple(n for m in names for n in slices[m]) for s, names in self.splits.items()}
        groups = self.groups or {name: name for name in self.images}
        planes = {n: k for names in slices.values() for k, n in enumerate(names) if len(names) > 1}
        return replace(
            self, images=of_each(self.images), masks=of_each(self.masks), splits=splits,
            groups=of_each(groups), labels=of_each(self.labels), planes=planes,
            unknown=of_each(self.unknown),
        )  # fmt: skip

    def _slices(self, name: str, file: Path) -> Names:
        count = count_slices(file) if is_volume(file) else 1
        return tuple(f"{name}/{k:03}" for k in range(count)) if count > 1 else (name,)


def described_files(
    root: Path,
    images: Sequence[str],
    masks: Sequence[str],
    channels: Names = (),
    *,
    follow_links: bool = False,
    merge_masks: bool = False,
) -> FoundFiles:
    """The files that folders and patterns describe, image and mask of one pair after the other.

    An image's name is what stands for its placeholders, the split first. Of several pairs it has
    the fixed beginning of its pattern before it. Images of validation and test that have no mask
    at all are left out.

    Args:
        root: what folders and patterns start from.
        images, masks: one of each for a pair; no masks: there are none.
        channels: the names of channels with a file of their own, `{channel}` in `images`.
        follow_links: whether links to folders are followed.
        merge_masks: whether an image may have several masks, which are merged.

    Raises:
        DataError: there are no images; two have one name; an image has several masks, or a mask no
            image.
    """
    found = FoundFiles({})
    splits: dict[str, list[str]] = {}
    for image, mask in zip_longest(images, masks, fillvalue=None):
        assert image is not None, "planning checks that there are as many masks as images"
        pair = _Described(root, image, mask, channels, follow_links, merge_masks)
        pair.add_to(found, splits, f"{Pattern(image).fixed}/" if len(images) > 1 else "")
    left_out = _without_masks(splits, found) if masks else ()
    for split in left_out:
        for name in splits.pop(split):
            del found.images[name]
    notes = tuple(f"the {split} images have no masks, so they are left out" for split in left_out)
    given = {split: tuple(sorted(names)) for split, names in splits.items()}
    return FoundFiles(
        found.images, found.masks, given, expected=found.expected, notes=notes, bands=found.bands
    )


def check_new(name: str, file: Path, found: Mapping[str, Path]) -> None:
    """Raise a DataError where another image has the name."""
    if name in found:
        raise DataError(
            f"{one_line(file)}: {one_line(found[name])} has the same name {one_line(name)!r}: keep "
            "one of them, or tell them apart by a placeholder in `images:`"
        )


def _without_masks(splits: Mapping[str, Sequence[str]], found: FoundFiles) -> list[str]:
    return [
        split
        for split, names in splits.items()
        if split != "train" and not any(name in found.masks for name in names)
    ]


def labelled_files(
    root: Path, images: str, channels: Names = (), *, follow_links: bool = False
) -> FoundFiles:
    """The images that a pattern with `{class}` describes, and their labels.

    Raises:
        DataError: there are none, or two have one name.
    """
    found = described_files(root, [images], [], channels, follow_links=follow_links)
    pattern = Pattern(images) if Pattern(images).of_files else _of_files(Pattern(images))
    matches = pattern.matches(root, follow_links=follow_links)
    label = {match.path: match.values["class"] for match in matches}
    labels: dict[str, Names] = {name: (label[file],) for name, file in found.images.items()}
    return FoundFiles(found.images, splits=found.splits, labels=labels, bands=found.bands)


class _Described:
    """One pair of folders or patterns."""

    def __init__(
        self, root: Path, image: str, mask: str | None, channels: Names, follow_links: bool,
        merges: bool,
    ) -> None:  # fmt: skip
        self._root, self._follow, self._merges = root, follow_links, merges
        image_pattern, mask_pattern = Pattern(image), None if mask is None else Pattern(mask)
        # one says files: so does the other
        if mask_pattern is not None and image_pattern.of_files != mask_pattern.of_files:
            image_pattern, mask_pattern = map(_of_files, (image_pattern, mask_pattern))
        self._image, self._mask = image_pattern, mask_pattern
        self._images: dict[str, Match] | None = None
        self._channels = channels
        self._bands: dict[str, dict[str, Path]] = {}

    def add_to(self, found: FoundFiles, splits: dict[str, list[str]], prefix: str) -> None:
        """Add this pair's files, `prefix` before their names, and these to their splits."""
        for name, match in self.images().items():
            whole = prefix + name
            check_new(whole, match.path, found.images)
            found.images[whole] = match.path
            if self._channels:
                found.bands[whole] = self.bands(name)
            if SPLIT in match.values:
                splits.setdefault(match.values[SPLIT], []).append(whole)
        if self._mask is None:
            return
        masks = self.masks()
        found.masks.update({prefix + name: file for name, file in masks.items()})
        missing = self.images().keys() - masks.keys()
        found.expected.update({prefix + name: self.expected(name) for name in missing})

    def images(self) -> dict[str, Match]:
        """By name."""
        if self._images is None:
            self._images = dict(self._named())
            if not self._images:
                start = self._root / self._image.fixed
                raise DataError(
                    f"{one_line(start)}: no image there fits the pattern {self._image.text!r}"
                    f"{what_is_there(start)}: mend it, or data.root"
                )
        return self._images

    def _named(self) -> Iterator[tuple[str, Match]]:
        seen: dict[str, Path] = {}
        matches = self._image.matches(self._root, follow_links=self._follow)
        masks = self._mask_paths()
        for match in matches:
            if match.path in masks:
                continue
            own = [name for name in _split_first(self._image.names) if name != _CHANNEL]
            parts = [match.values[name] for name in own]
            for part, path in self._files(match):
                name = "/".join([*parts, *part])
                if self._channels:
                    channel = match.values[_CHANNEL]
                    self._bands.setdefault(name, {})[channel] = path
                    if channel != self._channels[0]:
                        continue
                check_new(name, path, seen)
                seen[name] = path
                yield name, Match(match.values, path)

    def _mask_paths(self) -> set[Path]:
        """Masks that may lie among the images, `a_mask.png` with `a.png`."""
        mask = self._mask
        if mask is None or not mask.of_files or mask.text == self._image.text:
            return set()
        return {match.path for match in mask.matches(self._root, follow_links=self._follow)}

    def bands(self, name: str) -> tuple[Path, ...]:
        """The files of an image's channels but the first.

        Raises:
            DataError: one is missing.
        """
        there = self._bands[name]
        for channel in self._channels:
            if channel not in there:
                raise DataError(
                    f"{one_line(self.images()[name].path)}: there is no file of the channel "
                    f"{channel!r}{did_you_mean(channel, there)}: add it, or mend `channels:`"
                )
        return tuple(there[channel] for channel in self._channels[1:])

    def _files(self, match: Match) -> list[tuple[list[str], Path]]:
        """The match itself, or the images in the folder that it is."""
        if self._image.of_files:
            return [([], match.path)]
        return [([stem], file) for stem, file in images_by_stem(match.path, "").items()]

    def masks(self) -> dict[str, MaskSource]:
        """By the names of their images."""
        assert self._mask is not None
        if not self._mask.of_files:
            return dict(self._by_folder(self._mask))
        found = self._by_pattern(self._mask)
        return {n: f[0] if len(f) == 1 else MergedMasks(tuple(f)) for n, f in found.items()}

    def _by_pattern(self, pattern: Pattern) -> dict[str, list[Path]]:
        names = pattern.names
        there: dict[tuple[str, ...], list[Path]] = {}
        for match in pattern.matches(self._root, follow_links=self._follow):
            there.setdefault(match.key(names), []).append(match.path)
        for first, *others in there.values():
            if others and not self._merges:
                raise DataError(
                    f"{one_line(others[0])}: {one_line(first)} is a mask of the same image: keep "
                    "one of them, mend the pattern in `masks:`, or set `merge_masks: true` where "
                    "each object has a mask of its own"
                )
        alike = _unique({tuple(part.casefold() for part in key): key for key in there}, there)
        found: dict[str, list[Path]] = {}
        used = set()
        for name, match in self.images().items():
            key: tuple[str, ...] | None = match.key(names)
            if key not in there:  # a name in other letters, like IMG_1.JPG with img_1.png
                key = alike.get(tuple(part.casefold() for part in match.key(names)))
            if key is not None:
                found[name] = there[key]
                used.add(key)
        if alone := sorted(there.keys() - used):
            raise _no_image(there[alone[0]][0], self._image.text)
        return found

    def _by_folder(self, pattern: Pattern) -> dict[str, Path]:
        folders = {
            match.key(pattern.names): match.path
            for match in pattern.matches(self._root, follow_links=self._follow)
        }
        found: dict[str, Path] = {}
        by_key: dict[tuple[str, ...], dict[str, str]] = {}
        for name, match in self.images().items():
            stem = name.rpartition("/")[2]
            by_key.setdefault(match.key(pattern.names), {})[stem] = name
        for key, stems in by_key.items():
            if key not in folders:
                continue
            masks, _ = masks_of(sorted(stems), images_by_stem(folders[key], _FOLDER_REMEDY))
            for stem, file in masks.items():
                if stem not in stems:
                    raise _no_image(file, self._image.text)
                found[stems[stem]] = file
        return found

    def expected(self, name: str) -> str:
        """Where the mask of an image would be."""
        assert self._mask is not None
        text = self._mask.text if self._mask.of_files else f"{self._mask.text}/{{stem}}.png"
        values = {"stem": name.rpartition("/")[2], **self.images()[name].values}
        for placeholder, value in values.items():
            text = text.replace(f"{{{placeholder}}}", value)
        return str(self._root / text)


def _of_files(pattern: Pattern) -> Pattern:
    return pattern if pattern.of_files else Pattern(f"{pattern.text.rstrip('/')}/{{stem}}.*")


def _split_first(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: name != SPLIT))


def _unique(
    folded: Mapping[tuple[str, ...], tuple[str, ...]], keys: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Of keys in small letters those that stand for one key only."""
    counts: dict[tuple[str, ...], int] = {}
    for key in keys:
        small = tuple(part.casefold() for part in key)
        counts[small] = counts.get(small, 0) + 1
    return {small: key for small, key in folded.items() if counts[small] == 1}


def _no_image(mask: Path, pattern: str) -> DataError:
    return DataError(
        f"{one_line(mask)}: has no image (of the pattern {pattern!r}): add one, remove the mask, "
        "or mend `images:` and `masks:`"
    )
