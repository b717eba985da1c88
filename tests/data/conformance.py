"""What every data set must do. A new one is tested by two lines:

def test_mine_conforms():
    conforms(lambda: Mine(...), changed=lambda: Mine(...))   # or a function that edits a file
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import combinations

import numpy as np

from bench.data.base import DataSet, Splits
from bench.data.cache import cache_root
from bench.labels import IGNORE_LABEL


def conforms(make: Callable[[], DataSet], *, changed: Callable[[], DataSet]) -> Splits:
    """Check all that `bench.data.base` promises; `changed` gives the set with other content."""
    calls: list[tuple[int, int]] = []
    first = make().prepare(lambda done, total: calls.append((done, total)))
    total = sum(len(split) for split in first.splits.values())
    assert calls == [(done, total) for done in range(total + 1)]
    _check_contents(first)

    calls.clear()
    again = make().prepare(lambda done, total: calls.append((done, total)))
    assert calls == [], "the second time was not served from the cache"
    _check_same(first, again)

    shutil.rmtree(cache_root())
    _check_same(first, make().prepare())

    assert changed().prepare().fingerprint != first.fingerprint
    return first


def _check_contents(splits: Splits) -> None:
    assert list(splits.splits) == ["train", "val", "test"]
    classes = {*range(len(splits.classes)), IGNORE_LABEL}
    for split in splits.splits.values():
        n, height, width, channels = split.images.shape
        assert (n, channels) == (len(split.names), 3)
        assert n > 0
        assert height == width
        assert split.images.dtype == np.uint8
        assert split.images.std() > 0
        assert (split.masks is None) == (not splits.classes)
        if split.masks is not None:
            assert (split.masks.shape, split.masks.dtype) == ((n, height, width), np.uint8)
            assert set(np.unique(split.masks).tolist()) <= classes
        assert (split.labels is None) == (not splits.labels)
        if split.labels is not None:
            assert (split.labels.shape, split.labels.dtype) == ((n,), np.int64)
            assert set(split.labels.tolist()) <= set(range(len(splits.labels)))
        assert len(set(split.names)) == n
    for a, b in combinations(splits.splits.values(), 2):
        assert not set(a.names) & set(b.names)


def _check_same(a: Splits, b: Splits) -> None:
    assert (a.fingerprint, a.classes, a.notes) == (b.fingerprint, b.classes, b.notes)
    assert a.labels == b.labels
    for name, split in a.splits.items():
        other = b.splits[name]
        assert split.names == other.names
        assert np.array_equal(split.images, other.images)
        assert np.array_equal(split.masks, other.masks)
        assert np.array_equal(split.labels, other.labels)
