"""From one run of arrays to named splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.data.base import Split, Splits
from bench.data.cache import Arrays
from bench.errors import DataError

Names = tuple[str, ...]
_SHOWN = 20


@dataclass(frozen=True)
class Labelling:
    """Which label each sample has.

    Attributes:
        names: of the labels 0…K-1.
        of: a sample's name → its label.
    """

    names: Names
    of: Mapping[str, int]

    def array(self, samples: Names) -> npt.NDArray[np.int64]:
        """The labels (N,) of these samples."""
        return np.array([self.of[name] for name in samples], np.int64)


def check_names(names: Mapping[str, Names], *, source: str, remedy: str) -> None:
    """Raise a DataError for an empty split, or a name that stands twice in or across splits."""
    seen: dict[str, str] = {}
    for split, members in names.items():
        if not members:
            raise DataError(f"{source}: the {split} split is empty: {remedy}")
        for name in members:
            if name in seen:
                where = f"twice in {split}" if seen[name] == split else f"in {seen[name]}, {split}"
                raise DataError(f"{source}: {name!r} stands {where}: list it once")
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
) -> Splits:
    """Cut the arrays, which hold the splits one after the other, into `names`' splits.

    Samples that were skipped are in no split; a note tells which and why.

    Raises:
        DataError: nothing is left of a split.
    """
    if arrays.skipped:
        notes += (_skipped(arrays.skipped, names),)
        names = {split: _without(members, arrays.skipped) for split, members in names.items()}
        check_names(names, source="data.on_error: skip", remedy="none of it can be read: mend it")
    splits, start = {}, 0
    for split, members in names.items():
        part = slice(start, start := start + len(members))
        masks = None if arrays.masks is None else arrays.masks[part]
        labels = None if labelling is None else labelling.array(members)
        splits[split] = Split(arrays.images[part], masks, members, labels)
    described = [arrays.content, dict(names), classes]
    if labelling is not None:
        described += [labelling.names, dict(labelling.of)]
    fingerprint = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    return Splits(splits, classes, fingerprint, notes, labelling.names if labelling else ())
