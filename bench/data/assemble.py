"""From one run of arrays to named splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from bench.data.base import FileFacts, Split, Splits
from bench.data.cache import Arrays
from bench.data.masks import WHITE_FIRST
from bench.data.pages import AS_SEEN, Opening
from bench.data.window import EIGHT_BITS, FULL, Setting, Window, coding, derive
from bench.data.window import notes as window_notes
from bench.errors import DataError
from bench.labels import MISSING_LABEL

Names = tuple[str, ...]
_SHOWN = 20


@dataclass(frozen=True)
class Labelling:
    """Which label each sample has.

    Attributes:
        names: of the labels 0…K-1.
        of: a sample's name → its label; or its labels, where it can have several, or none.
        unknown: a sample's name → labels of which it is not known whether it has them.
    """

    names: Names
    of: Mapping[str, int] | Mapping[str, tuple[int, ...]]
    unknown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of_names(
        cls,
        names: Names,
        of: Mapping[str, Names],
        *,
        several: bool,
        unknown: Mapping[str, Names] | None = None,
    ) -> Labelling:
        """From the samples' labels by name; `several`: they can have more than one, or none."""
        number = {name: label for label, name in enumerate(names)}

        def numbered(labels: Mapping[str, Names]) -> dict[str, tuple[int, ...]]:
            return {name: tuple(sorted(number[n] for n in own)) for name, own in labels.items()}

        numbers = numbered(of)
        if several:
            return cls(names, numbers, numbered(unknown or {}))
        return cls(names, {name: own[0] for name, own in numbers.items()})

    def array(self, samples: Names) -> npt.NDArray[np.int64]:
        """The labels of these samples: (N,), or (N, K) where one can have several; see `Split`."""
        labels = [self.of[name] for name in samples]
        if all(isinstance(label, int) for label in labels):
            return np.array(labels, np.int64)
        found = np.zeros((len(samples), len(self.names)), np.int64)
        for row, label in zip(found, labels, strict=True):
            row[list(label if isinstance(label, tuple) else (label,))] = 1
        for row, name in zip(found, samples, strict=True):
            row[list(self.unknown.get(name, ()))] = MISSING_LABEL
        return found


def check_names(names: Mapping[str, Names], *, source: str, remedy: str) -> None:
    """Raise a DataError for an empty split, or a name that appears twice in or across splits."""
    seen: dict[str, str] = {}
    for split, members in names.items():
        if not members:
            raise DataError(f"{source}: the {split} split is empty: {remedy}")
        for name in members:
            if name in seen:
                where = f"twice in {split}" if seen[name] == split else f"in {seen[name]}, {split}"
                raise DataError(f"{source}: {name!r} appears {where}: list it once")
            seen[name] = split


def _without(members: Names, skipped: Mapping[str, str]) -> Names:
    return tuple(name for name in members if name not in skipped)


def _skipped(skipped: Mapping[str, str], names: Mapping[str, Names]) -> str:
    """How many samples are left out of what, and what is wrong with the first of them."""
    total = sum(map(len, names.values()))
    lost = {split: len(set(members) & skipped.keys()) for split, members in names.items()}
    counts = ", ".join(f"{count} of {split}" for split, count in lost.items() if count)
    reasons = list(skipped.values())
    more = f"; and {len(reasons) - _SHOWN} more, listed in the cache" if reasons[_SHOWN:] else ""
    return (
        f"{len(skipped)} of {total:,} samples could not be read and are left out ({counts}): "
        f"{'; '.join(reasons[:_SHOWN])}{more}"
    )


def assemble(
    arrays: Arrays,
    names: Mapping[str, Names],
    classes: Names,
    notes: Names = (),
    labelling: Labelling | None = None,
    window: Setting = "auto",
    opening: Opening = AS_SEEN,
    groups: Mapping[str, str] | None = None,
) -> Splits:
    """Cut the arrays, which hold the splits one after the other, into `names`' splits.

    Samples that were skipped are in no split; a note tells which and why.

    Args:
        arrays: of all samples.
        names: of each split's samples.
        classes: names of the mask's classes.
        notes: what is known already that a reader should know.
        labelling: the samples' labels.
        window: `data.window`.
        opening: how the files were opened.
        groups: a sample's name → its group.

    Raises:
        DataError: nothing is left of a split.
    """
    if arrays.skipped:
        notes += (_skipped(arrays.skipped, names),)
        names = {split: _without(members, arrays.skipped) for split, members in names.items()}
        check_names(names, source="data.on_error: skip", remedy="none of it can be read: mend it")
    splits = _cut(arrays, names, labelling, groups)
    found = window_of(window, arrays.facts, splits["train"])
    fingerprint = _fingerprint(arrays, names, classes, labelling, found)
    notes += window_notes(found, splits["train"].images) + _file_notes(arrays, opening)
    labels = labelling.names if labelling else ()
    return Splits(splits, classes, fingerprint, notes, labels, found, arrays.originals)


def _cut(
    arrays: Arrays,
    names: Mapping[str, Names],
    labelling: Labelling | None,
    groups: Mapping[str, str] | None,
) -> dict[str, Split]:
    """The splits, which lie one after the other in the arrays."""
    ends = accumulate(len(members) for members in names.values())
    splits = {}
    for (split, members), end in zip(names.items(), ends, strict=True):
        part = slice(end - len(members), end)
        splits[split] = Split(
            arrays.images[part],
            None if arrays.masks is None else arrays.masks[part],
            members,
            None if labelling is None else labelling.array(members),
            arrays.facts[part],
            arrays.mask_facts[part],
            () if groups is None else tuple(groups[name] for name in members),
        )
    return splits


def _fingerprint(
    arrays: Arrays,
    names: Mapping[str, Names],
    classes: Names,
    labelling: Labelling | None,
    window: Window,
) -> str:
    """Of all that a result depends on."""
    described: list[object] = [arrays.content, dict(names), classes]
    if labelling is not None:
        described += [labelling.names, dict(labelling.of)]
        described += [["unknown", dict(labelling.unknown)]] if labelling.unknown else []
    if not window.is_plain:
        described.append(["window", *window.limits])
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _file_notes(arrays: Arrays, opening: Opening) -> Names:
    """What in the files is not read plainly."""
    notes: Names = ()
    turned = sum(fact.orientation > 1 for fact in arrays.facts)
    if turned:
        notes += (
            f"{turned:,} of {len(arrays.facts):,} images have an EXIF orientation, which is "
            f"{'applied' if opening.exif == 'apply' else 'ignored'} (`data.exif`)",
        )
    paged = sum(fact.pages > 1 for fact in (*arrays.facts, *arrays.mask_facts))
    if paged:
        notes += (f"page {opening.page} is read of {paged:,} files with several (`data.page`)",)
    white = sum(fact.remark == WHITE_FIRST for fact in arrays.mask_facts)
    if white:
        notes += (
            f"{white:,} masks store white as 0 (a palette from white to black, or a TIFF of one "
            "bit): white is read as the greatest value, black as 0; `data.palette: index` takes "
            "the stored numbers",
        )
    return notes


def window_of(setting: Setting, facts: Sequence[FileFacts], train: Split) -> Window:
    """Which values become 0 and 1; images that are not from files have 8 bits."""
    if not facts:
        return EIGHT_BITS
    # all kinds alike, or mixed by `full`: then each is stored as the whole range of 16 bits
    kinds = {fact.kind for fact in facts}
    kind = kinds.pop() if len(kinds) == 1 else "uint16"
    if kind not in FULL and not isinstance(setting, tuple):
        raise ValueError(f"{kind} values were stored without a window")
    stored = coding(kind, setting)
    return derive(setting, stored, [(fact.low, fact.high) for fact in train.facts], train.images)
