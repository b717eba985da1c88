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


def assemble(
    arrays: Arrays,
    names: Mapping[str, Names],
    classes: Names,
    notes: Names = (),
    labelling: Labelling | None = None,
) -> Splits:
    """Cut the arrays, which hold the splits one after the other, into `names`' splits."""
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
