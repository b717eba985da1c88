"""Cross-validation: which fold each image is in, and a data set's splits for one of the folds.

An image's fold follows from its name, label and group and from those of the others, and from
nothing else: neither from where files lie nor from a library's random numbers, so that it is the
same on every machine and in years to come. A fold is a part of a trial's identity.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from bench.data.assemble import window_of
from bench.data.base import FileFacts, Images, Split, Splits
from bench.data.fold_settings import FoldSettings
from bench.data.rows import Rows, in_one_piece
from bench.data.settings import DataSettings, FilesSettings
from bench.data.share_out import check_apart, groups_of
from bench.errors import DataError

_POOLS: Mapping[str, tuple[str, ...]] = {
    "trainval": ("train", "val"),
    "train": ("train",),
    "all": ("train", "val", "test"),
}
_POOL_WORDS: Mapping[str, str] = {
    "trainval": "training and validation images",
    "train": "training images",
    "all": "images",
}
_SHOWN = 5


def fold_numbers(
    names: Sequence[str],
    k: int,
    *,
    labels: Sequence[str | int] | None = None,
    groups: Sequence[str] | None = None,
    partition: int | None = None,
) -> npt.NDArray[np.int64]:
    """The fold of each image, (N,), from 0 to k − 1; no fold is empty.

    Without groups, folds differ by one image at most, and by one of each label; groups stay whole,
    and fill the folds as evenly as they can.

    Args:
        names: of the images, distinct. Their order does not matter.
        k: number of folds, at most that of the images or groups.
        labels: of the images: each fold gets about as many of each.
        groups: of the images.
        partition: another number is another partition, as likely as any; None: the usual one.

    Raises:
        ValueError: there are fewer images or groups than folds.
    """
    kinds = [""] * len(names) if labels is None else [str(label) for label in labels]
    units = list(names) if groups is None else list(groups)
    if len(set(units)) < k:
        raise ValueError(f"{len(set(units))} units for {k} folds")
    order = {unit: _draw(unit, partition) for unit in set(units)}
    if len(order) == len(names):
        of_unit = _dealt(dict(zip(units, kinds, strict=True)), order, k)
    else:
        members: dict[str, Counter[str]] = {}
        for unit, kind in zip(units, kinds, strict=True):
            members.setdefault(unit, Counter())[kind] += 1
        of_unit = _filled(members, order, k)
    return np.array([of_unit[unit] for unit in units], dtype=np.int64)


def _draw(unit: str, partition: int | None) -> str:
    """Sorts units at random, the same way everywhere."""
    stream = "folds" if partition is None else f"folds {partition}"
    return hashlib.sha256(f"{stream}/{unit}".encode(errors="surrogateescape")).hexdigest()


def _dealt(kinds: Mapping[str, str], order: Mapping[str, str], k: int) -> dict[str, int]:
    """Units of one image: dealt out like cards, label by label without starting again."""
    ordered = sorted(kinds, key=lambda unit: (kinds[unit], order[unit]))
    return {unit: place % k for place, unit in enumerate(ordered)}


def _filled(
    members: Mapping[str, Counter[str]], order: Mapping[str, str], k: int
) -> dict[str, int]:
    """Units of several images: the largest first, each where it makes folds most alike.

    Most alike is the least sum of squares of the folds' sizes and, label by label, of their numbers
    of images, each relative to all that there are. An empty fold is never worse than another.
    """
    total = sum((counts for counts in members.values()), Counter[str]())
    n = total.total()
    folds = [Counter[str]() for _ in range(k)]
    found: dict[str, int] = {}
    for unit in sorted(members, key=lambda unit: (-members[unit].total(), order[unit])):
        counts = members[unit]

        def cost(fold: Counter[str], counts: Counter[str] = counts) -> float:
            by_label = sum(fold[kind] * number / total[kind] for kind, number in counts.items())
            return by_label + fold.total() * counts.total() / n

        chosen = min(range(k), key=lambda f: (cost(folds[f]), f))
        found[unit] = chosen
        folds[chosen].update(counts)
    return found


def in_folds(splits: Splits, data: DataSettings, fold: int | None, seed: int) -> Splits:
    """The splits of one fold: `val` is the fold, `train` the other folds' images.

    Nothing is copied: images of a fold are rows of the arrays that all folds share.

    Args:
        splits: of the data set, as its settings share them out.
        data: these settings; without `folds` the splits are what they are.
        fold: from 0.
        seed: the trial's, which is another partition with `folds.repartition`.

    Raises:
        DataError: there are too few images or groups, a group crosses the test split, …
    """
    if data.folds is None:
        return splits
    if fold is None or not 0 <= fold < data.folds.k:
        raise ValueError(f"fold {fold} of {data.folds.k}")
    pool, numbers = _partition(splits, data, seed)
    train, val = (
        _rows_of(pool, np.flatnonzero(chosen)) for chosen in (numbers != fold, numbers == fold)
    )
    found = {"train": train, "val": val}
    if data.folds.of != "all":
        found["test"] = _with_groups(splits.splits["test"], data)
    return replace(
        splits,
        splits=found,
        fingerprint=_fingerprint(splits, data.folds, pool),
        notes=splits.notes + _notes(splits, data.folds, pool, numbers),
        window=_window(splits, data, train),
    )


def first_fold(splits: Splits, data: DataSettings, seed: int) -> Splits:
    """What a survey looks at: of cross-validation the first fold, which its notes say.

    Every fold's images are in `folds`, for what any two of them share.

    Raises:
        DataError: as `in_folds`.
    """
    if data.folds is None:
        return splits
    found = in_folds(splits, data, 0, seed)
    pool, numbers = _partition(splits, data, seed)
    folds = tuple(_rows_of(pool, np.flatnonzero(numbers == k)) for k in range(data.folds.k))
    note = "what is counted here is the first fold; duplicates are looked for between all folds"
    return replace(found, notes=(*found.notes, note), folds=folds)


def check_whole(numbers: Sequence[int], groups: Sequence[str]) -> None:
    """Raise a DataError where a group is in more than one fold."""
    first: dict[str, int] = {}
    for number, group in zip(numbers, groups, strict=True):
        if first.setdefault(group, int(number)) != number:
            raise DataError(
                f"data.folds: the group {group!r} is in the folds {first[group]} and {number}: a "
                "group must be in one"
            )


def _partition(
    splits: Splits, data: DataSettings, seed: int
) -> tuple[Split, npt.NDArray[np.int64]]:
    """The images that are shared out, and the fold of each."""
    settings = data.folds
    assert settings is not None
    pool = _with_groups(_pooled(splits, settings), data)
    groups = pool.groups or None
    if groups is not None and settings.of != "all":
        test = _with_groups(splits.splits["test"], data)
        named = {name: group for part in (pool, test) for name, group in _of_images(part).items()}
        members = {"the folds": pool.names, "test": test.names}
        check_apart(members, named, Path("data.folds"))
    labels = None
    if settings.stratify != "none":
        labels = (
            None if pool.labels is None else [", ".join(each) for each in _labels_of(pool, splits)]
        )
        if labels is None and settings.stratify == "label":
            raise DataError(
                "data.folds.stratify: the images have no labels: leave it out, or say none"
            )
    count = len(set(groups)) if groups is not None else len(pool)
    if settings.k > count:
        what = "groups" if groups is not None else "images"
        raise DataError(
            f"data.folds.k: {settings.k} folds of {count} {what} ({_POOL_WORDS[settings.of]}): "
            f"take {count} folds at most"
        )
    numbers = fold_numbers(
        pool.names,
        settings.k,
        labels=labels,
        groups=groups,
        partition=seed if settings.repartition else None,
    )
    if groups is not None:
        check_whole(numbers.tolist(), groups)
    return pool, numbers


def _pooled(splits: Splits, settings: FoldSettings) -> Split:
    """The splits that are shared out, as one; its arrays are those of the data set."""
    parts = [splits.splits[name] for name in _POOLS[settings.of]]
    masks = [part.masks for part in parts if part.masks is not None]
    labels = [part.labels for part in parts if part.labels is not None]
    every = len(parts)
    return Split(
        cast("Images", in_one_piece([part.images for part in parts])),
        in_one_piece(masks) if len(masks) == every else None,
        tuple(name for part in parts for name in part.names),
        np.concatenate(labels) if len(labels) == every else None,
        _joined([part.facts for part in parts]),
        _joined([part.mask_facts for part in parts]),
        tuple(group for part in parts for group in _groups_or_names(part))
        if any(part.groups for part in parts)
        else (),
    )


def _joined(parts: Sequence[tuple[FileFacts, ...]]) -> tuple[FileFacts, ...]:
    return tuple(fact for part in parts for fact in part) if all(parts) else ()


def _groups_or_names(split: Split) -> tuple[str, ...]:
    """An image of a split without groups is its own."""
    return split.groups or split.names


def _of_images(split: Split) -> dict[str, str]:
    """Each image's group."""
    return dict(zip(split.names, _groups_or_names(split), strict=True))


def _with_groups(split: Split, data: DataSettings) -> Split:
    """With the groups that `folds.group` says."""
    assert data.folds is not None
    if data.folds.group is None:
        return split
    if split.groups:
        raise DataError(
            "data.folds.group: the data have groups already (`data.groups`), which folds keep "
            "whole: remove it"
        )
    root = Path(str(getattr(data, "root", "."))).expanduser()
    files = {name: root / name for name in split.names}
    found = groups_of(files, data.folds.group, root, "data.folds.group")
    assert found is not None
    return replace(split, groups=tuple(found[name] for name in split.names))


def _labels_of(pool: Split, splits: Splits) -> list[list[str]]:
    """Each image's label; its labels, where it can have several, or none."""
    assert pool.labels is not None
    if pool.labels.ndim == 1:
        return [[splits.labels[label]] for label in pool.labels]
    return [[splits.labels[label] for label in np.flatnonzero(row == 1)] for row in pool.labels]


def _rows_of(pool: Split, rows: npt.NDArray[np.int64]) -> Split:
    """Some of the pool's images, whose arrays are not copied."""

    def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[row] for row in rows) if values else ()

    masks: Any = None if pool.masks is None else Rows(pool.masks, rows)
    return Split(
        cast("Any", Rows(pool.images, rows)),
        masks,
        some(pool.names),
        None if pool.labels is None else pool.labels[rows],
        some(pool.facts),
        some(pool.mask_facts),
        some(pool.groups),
    )


def _window(splits: Splits, data: DataSettings, train: Split) -> Any:
    """That of the fold's own training images, where it follows from training images."""
    if not isinstance(data, FilesSettings) or not train.facts:
        return splits.window
    facts = [fact for split in splits.splits.values() for fact in split.facts]
    return window_of(data.window, facts, train)


def _fingerprint(splits: Splits, settings: FoldSettings, pool: Split) -> str:
    """Of the content, and of all that folds follow from: the same for every fold and seed."""
    groups = sorted(zip(pool.names, pool.groups, strict=True)) if pool.groups else []
    described = [splits.fingerprint, settings.identity(), groups]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _notes(
    splits: Splits, settings: FoldSettings, pool: Split, numbers: npt.NDArray[np.int64]
) -> tuple[str, ...]:
    """How images are shared out, and what no fold can have."""
    sizes = np.bincount(numbers, minlength=settings.k)
    low, high = int(sizes.min()), int(sizes.max())
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    whole = f" of {len(set(pool.groups)):,} whole groups" if pool.groups else ""
    again = ", anew with every seed" if settings.repartition else ""
    found: tuple[str, ...] = (
        f"cross-validation: {len(pool):,} {_POOL_WORDS[settings.of]}{whole} are shared out in "
        f"{settings.k} folds of {each} images{again}",
    )
    if settings.of == "train":
        left = len(splits.splits["val"])
        found += (f"the {left:,} images of the validation split are not used (`folds.of: train`)",)
    return found + _rare_labels(splits, settings, pool)


def _rare_labels(splits: Splits, settings: FoldSettings, pool: Split) -> tuple[str, ...]:
    """Labels of fewer images, or groups, than folds: some folds lack them."""
    if pool.labels is None:
        return ()
    units = list(_groups_or_names(pool))
    having: dict[str, set[str]] = {}
    for unit, labels in zip(units, _labels_of(pool, splits), strict=True):
        for label in labels:
            having.setdefault(label, set()).add(unit)
    rare = {label: len(v) for label, v in having.items() if len(v) < settings.k}
    if not rare:
        return ()
    what = "groups" if pool.groups else "images"
    shown = ", ".join(f"{name}: {count}" for name, count in sorted(rare.items())[:_SHOWN])
    more = ", …" if len(rare) > _SHOWN else ""
    return (
        f"{len(rare)} of {len(having)} classes have fewer {what} than there are folds, so that "
        f"some folds have none of them ({shown}{more})",
    )
