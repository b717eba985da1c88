"""Which sample is for training, validation or test where nobody has said so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.assemble import Names, check_names
from bench.data.folder_settings import SplitFiles
from bench.data.names import column, listed
from bench.data.pages import one_line
from bench.data.sample_files import check_link
from bench.data.setting_types import GroupColumn
from bench.data.survey_words import listed as listed_in_words
from bench.errors import DataError

SPLITS = ("train", "val", "test")
LabelOf = Callable[[str], str]
"""An image's name → its label."""
_EVERY = 10
_FEW = 6  # units: from here on every tenth gives each split one


@dataclass(frozen=True)
class Sharing:
    """Which images are training, validation and test.

    Attributes:
        root: the data set's, where split files are.
        files: split files; None: there are none.
        given: what folders or a column say of splits; empty: nothing.
        groups: a name's group, or None; images of one group stay in one split.
        follow_links: whether split files may be links to somewhere else.
        label_of: for classes: each is shared out by itself. None: there are none.
        source: what errors name where nobody has said which image is which.
    """

    root: Path
    files: SplitFiles | None = None
    given: Mapping[str, Names] = field(default_factory=dict)
    groups: Mapping[str, str] | None = None
    follow_links: bool = False
    label_of: LabelOf | None = None
    source: Path | None = None

    def names(self, images: Mapping[str, Path]) -> tuple[dict[str, Names], Names]:
        """The names of each split, and what a reader should know of it.

        Raises:
            DataError: a split is empty, a name is listed twice or is no image's, or a group is in
                two of the given splits.
        """
        if self.files is not None:
            found = listed_splits(self.root, self.files, images, follow_links=self.follow_links)
            return self._completed(found)
        if self.given:
            return self._completed(dict(self.given))
        everyone, source = tuple(sorted(images)), self.source or self.root
        if self.label_of is not None:
            return by_class(everyone, self.label_of, self.groups, self.root), ()
        if self.groups is None:
            return by_index(everyone, source), ()
        return by_group(everyone, self.groups, source), ()

    def _completed(self, names: dict[str, Names]) -> tuple[dict[str, Names], Names]:
        """With splits that are not given taken from the training images."""
        if "train" not in names:
            there = listed_in_words(tuple(names))
            raise DataError(
                f"{self.root}: there are {there} images, but none for training: add them, or "
                "name the split that they are in `train`"
            )
        check_apart(names, self.groups, self.root)
        notes: Names = ()
        training = names["train"]
        for split in SPLITS[1:]:
            if split in names:
                continue
            names["train"], names[split] = held_out(
                names["train"], training, self.label_of, self.groups, split
            )
            notes += (
                f"no {split} images are given: {len(names[split]):,} of {len(training):,} "
                "training images are used for it"
                + (", class by class" if self.label_of is not None else ""),
            )
        names = {split: names[split] for split in SPLITS}
        check_names(names, source=str(self.root), remedy="add some")
        return names, notes


def listed_splits(
    root: Path, files: SplitFiles, images: Mapping[str, Path], *, follow_links: bool = False
) -> dict[str, Names]:
    """The splits that files under `root` list, whose every name must be among `images`."""
    names: dict[str, Names] = {}
    for split, file in (("train", files.train), ("val", files.val), ("test", files.test)):
        if file is not None:
            check_link(root / file, root, follow_links=follow_links)
            names[split] = listed(root / file, images, root)
    check_names(names, source=str(root), remedy="its split file lists no names: add some")
    return names


def by_index(names: Names, source: Path) -> dict[str, Names]:
    """Sorted names → splits: i % 10 == 0 is validation, i % 10 == 5 test, the rest training."""
    found = _shared(names, [_split_at(i) for i in range(len(names))])
    remedy = f"{len(names)} images are too few to share out ({_FEW} at least): add some"
    check_names(found, source=str(source), remedy=remedy)
    return found


def by_group(names: Names, groups: Mapping[str, str], source: Path) -> dict[str, Names]:
    """The same of whole groups, in sorted order; with few of them the first and last."""
    split_of = _split_of_units(sorted({groups[name] for name in names}))
    found = _shared(names, [split_of[groups[name]] for name in names])
    remedy = (
        f"{len(split_of)} groups are too few to share out (3 at least): mend `groups:`, or say "
        "which images are which in `splits:`"
    )
    check_names(found, source=str(source), remedy=remedy)
    return found


def by_class(
    names: Names, label_of: LabelOf, groups: Mapping[str, str] | None, source: Path
) -> dict[str, Names]:
    """The same class by class, so that every split has every class that has three images.

    With groups, whole groups of a class are shared out; one of several classes goes by its first.
    """
    unit = {name: name if groups is None else groups[name] for name in names}
    by_label: dict[str, dict[str, None]] = {}
    seen: set[str] = set()
    for name in names:
        if unit[name] not in seen:
            seen.add(unit[name])
            by_label.setdefault(label_of(name), {})[unit[name]] = None
    split_of: dict[str, str] = {}
    for units in by_label.values():
        split_of |= _split_of_units(sorted(units))
    found = _shared(names, [split_of[unit[name]] for name in names])
    what = "images" if groups is None else "groups"
    remedy = f"a class needs 3 {what} to be in every split: add some, or list them in `splits:`"
    check_names(found, source=str(source), remedy=remedy)
    return found


def held_out(
    names: Names,
    everyone: Names,
    label_of: LabelOf | None,
    groups: Mapping[str, str] | None,
    split: str,
) -> tuple[Names, Names]:
    """Training images without those that become `split`'s, and these: a tenth of each class.

    Args:
        names: what is left of the training images.
        everyone: all of them, whose order counts.
        label_of: a name's class; None: there are none.
        groups: a name's group, or None.
        split: `val` or `test`.
    """
    source = Path("the training images")
    taken = set(by_class(everyone, label_of or (lambda _: ""), groups, source)[split])
    left = tuple(name for name in names if name not in taken)
    return left, tuple(name for name in names if name in taken)


def _split_at(index: int) -> str:
    return {0: "val", 5: "test"}.get(index % _EVERY, "train")


def _split_of_units(units: Sequence[str]) -> dict[str, str]:
    """Every tenth; of three to five the first and the last; fewer are all for training."""
    if len(units) >= _FEW:
        return {unit: _split_at(i) for i, unit in enumerate(units)}
    found = dict.fromkeys(units, "train")
    if len(units) >= 3:
        found |= {units[0]: "val", units[-1]: "test"}
    return found


def _shared(names: Names, splits: Iterable[str]) -> dict[str, Names]:
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, split in zip(names, splits, strict=True):
        found[split].append(name)
    return {split: tuple(members) for split, members in found.items()}


def groups_of(
    images: Mapping[str, Path],
    setting: str | GroupColumn | None,
    root: Path,
    key: str = "data.groups",
) -> dict[str, str] | None:
    """Each image's group by its name, as `key` of the spec says; None: there are none.

    Raises:
        DataError: an image is in no group.
    """
    if setting is None:
        return None
    if isinstance(setting, GroupColumn):
        file = root / setting.file
        found = column(file, setting.name, setting.group, images, root)
        for name in images:
            if not found.get(name):
                raise DataError(
                    f"{file}: has no group of the image {one_line(name)!r}: add a line for it, or "
                    f"mend `{key.rpartition('.')[2]}:`"
                )
        return found
    pattern = re.compile(setting)
    groups = {}
    for name in images:
        if (match := pattern.search(name)) is None:
            raise DataError(
                f"{key}: {setting!r} does not match the name {one_line(name)!r}: mend it, or "
                "name the groups in a CSV file"
            )
        groups[name] = "/".join(filter(None, match.groups())) if match.groups() else match[0]
    return groups


def check_apart(names: Mapping[str, Names], groups: Mapping[str, str] | None, source: Path) -> None:
    """Raise a DataError where given splits share a group."""
    if groups is None:
        return
    first: dict[str, tuple[str, str]] = {}
    crossing: dict[str, str] = {}
    for split, members in names.items():
        for name in members:
            other, other_name = first.setdefault(groups[name], (split, name))
            if other != split:
                crossing.setdefault(groups[name], f"{other_name} is in {other}, {name} in {split}")
    if crossing:
        group, example = next(iter(crossing.items()))
        raise DataError(
            f"{source}: {len(crossing)} of {len(set(groups.values()))} groups are in more than one "
            f"split (of {one_line(group)!r}, {one_line(example)}): move each to one split, or "
            "remove `groups:` to use the splits as they are"
        )


def notes(
    names: Mapping[str, Names],
    groups: Mapping[str, str] | None,
    label_of: LabelOf | None,
) -> Names:
    """How samples were shared out, where it is not by plain index, and which classes are short."""
    found: Names = ()
    sizes = "/".join(f"{len(names[split]):,}" for split in SPLITS)
    if groups is not None:
        counts = "/".join(str(len({groups[name] for name in names[split]})) for split in SPLITS)
        found += (f"groups are kept apart: {counts} groups with {sizes} images in train/val/test",)
    if label_of is not None:
        train = {label_of(name) for name in names["train"]}
        for split in ("val", "test"):
            short = sorted(train - {label_of(name) for name in names[split]})
            if short:
                shown = ", ".join(short[:5]) + (", …" if len(short) > 5 else "")
                found += (f"{split} has no image of {len(short)} of the classes: {shown}",)
    return found
