"""From one run of arrays to named splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from bench.data.base import Split, Splits
from bench.data.cache import Arrays
from bench.errors import DataError

Names = tuple[str, ...]


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
    arrays: Arrays, names: Mapping[str, Names], classes: Names, notes: Names = ()
) -> Splits:
    """Cut the arrays, which hold the splits one after the other, into `names`' splits."""
    splits, start = {}, 0
    for split, members in names.items():
        part = slice(start, start := start + len(members))
        splits[split] = Split(arrays.images[part], arrays.masks[part], members)
    described = json.dumps([arrays.content, dict(names), classes])
    fingerprint = hashlib.sha256(described.encode()).hexdigest()[:16]
    return Splits(splits, classes, fingerprint, notes)
