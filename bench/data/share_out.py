"""Which sample is for training, validation or test where nobody has said so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.data.assemble import Names, check_names
from bench.data.names import column
from bench.data.pages import one_line
from bench.data.setting_types import GroupColumn
from bench.errors import DataError

SPLITS = ("train", "val", "test")
_EVERY = 10
_FEW = 6  # units: from here on every tenth gives each split one


def by_index(names: Names, source: Path) -> dict[str, Names]:
    """Sorted names → splits: i % 10 == 0 is validation, i % 10 == 5 test, the rest training."""
    found = _shared(names, [_place(i) for i in range(len(names))])
    remedy = f"{len(names)} images are too few to share out ({_FEW} at least): add some"
    check_names(found, source=str(source), remedy=remedy)
    return found


def by_group(names: Names, groups: Mapping[str, str], source: Path) -> dict[str, Names]:
    """The same of whole groups, in sorted order; with few of them the first and last."""
    place = _places(sorted({groups[name] for name in names}))
    found = _shared(names, [place[groups[name]] for name in names])
    remedy = (
        f"{len(place)} groups are too few to share out (3 at least): mend `groups:`, or say which "
        "images are which in `splits:`"
    )
    check_names(found, source=str(source), remedy=remedy)
    return found


def by_class(
    names: Names, format_label: Callable[[str], str], groups: Mapping[str, str] | None, source: Path
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
            by_label.setdefault(format_label(name), {})[unit[name]] = None
    place = {u: p for units in by_label.values() for u, p in _places(sorted(units)).items()}
    found = _shared(names, [place[unit[name]] for name in names])
    what = "images" if groups is None else "groups"
    remedy = f"a class needs 3 {what} to be in every split: add some, or list them in `splits:`"
    check_names(found, source=str(source), remedy=remedy)
    return found


def held_out(
    names: Names,
    everyone: Names,
    format_label: Callable[[str], str],
    groups: Mapping[str, str] | None,
    split: str,
) -> tuple[Names, Names]:
    """Training images without those that become `split`'s, and these: a tenth of each class.

    Args:
        names: what is left of the training images.
        everyone: all of them, whose places count.
        label_of: a name's class.
        groups: a name's group, or None.
        split: `val` or `test`.
    """
    taken = set(by_class(everyone, format_label, groups, Path("the training images"))[split])
    left = tuple(name for name in names if name not in taken)
    return left, tuple(name for name in names if name in taken)


def _place(index: int) -> str:
    return {0: "val", 5: "test"}.get(index % _EVERY, "train")


def _places(units: Sequence[str]) -> dict[str, str]:
    """Every tenth; of three to five the first and the last; fewer are all for training."""
    if len(units) >= _FEW:
        return {unit: _place(i) for i, unit in enumerate(units)}
    found = dict.fromkeys(units, "train")
    if len(units) >= 3:
        found |= {units[0]: "val", units[-1]: "test"}
    return found


def _shared(names: Names, places: Iterable[str]) -> dict[str, Names]:
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, place in zip(names, places, strict=True):
        found[place].append(name)
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
    format_label: Callable[[str], str] | None,
) -> Names:
    """How samples were shared out, where it is not by plain index, and which classes are short."""
    found: Names = ()
    sizes = "/".join(f"{len(names[split]):,}" for split in SPLITS)
    if groups is not None:
        counts = "/".join(str(len({groups[name] for name in names[split]})) for split in SPLITS)
        found += (f"groups are kept apart: {counts} groups with {sizes} images in train/val/test",)
    if format_label is not None:
        train = {format_label(name) for name in names["train"]}
        for split in ("val", "test"):
            short = sorted(train - {format_label(name) for name in names[split]})
            if short:
                shown = ", ".join(short[:5]) + (", …" if len(short) > 5 else "")
                found += (f"{split} has no image of {len(short)} of the classes: {shown}",)
    return found
