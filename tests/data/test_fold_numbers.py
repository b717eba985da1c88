"""Which image is in which fold."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench.data.folds import check_whole, fold_numbers
from bench.errors import DataError


def _random_pool(random: np.random.Generator) -> tuple[list[str], list[int], list[str], int]:
    n = int(random.integers(10, 200))
    names = [f"i{number:03d}" for number in random.permutation(n)]
    labels = random.integers(0, random.integers(1, 6), n).tolist()
    groups = [f"g{number}" for number in random.integers(0, max(4, n // 3), n)]
    return names, labels, groups, int(random.integers(2, 4))


@pytest.mark.parametrize("number", range(40))
def test_folds_share_out_images_evenly(number: int) -> None:
    names, labels, _, k = _random_pool(np.random.default_rng(number))
    found = fold_numbers(names, k, labels=labels)
    assert set(found.tolist()) == set(range(k))
    sizes = np.bincount(found, minlength=k)
    assert sizes.sum() == len(names)
    assert np.ptp(sizes) <= 1
    for label in set(labels):
        of_label = np.bincount(found[np.array(labels) == label], minlength=k)
        assert np.ptp(of_label) <= 1


@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("stratified", [False, True])
def test_groups_stay_whole_and_no_fold_is_empty(number: int, stratified: bool) -> None:
    names, labels, groups, k = _random_pool(np.random.default_rng(100 + number))
    found = fold_numbers(names, k, labels=labels if stratified else None, groups=groups)
    check_whole(found.tolist(), groups)
    sizes = np.bincount(found, minlength=k)
    assert sizes.min() > 0
    if not stratified:
        assert np.ptp(sizes) <= max(Counter(groups).values())


@pytest.mark.parametrize("number", range(10))
def test_an_image_keeps_its_fold_whatever_the_order(number: int) -> None:
    random = np.random.default_rng(200 + number)
    names, labels, groups, k = _random_pool(random)
    found = fold_numbers(names, k, labels=labels, groups=groups)
    order = random.permutation(len(names))
    again = fold_numbers(
        [names[i] for i in order],
        k,
        labels=[labels[i] for i in order],
        groups=[groups[i] for i in order],
    )
    assert again.tolist() == found[order].tolist()


def test_folds_are_the_same_on_every_machine_and_in_every_version() -> None:
    names = [f"image_{i}" for i in range(12)]
    assert fold_numbers(names, 3).tolist() == [0, 1, 0, 0, 2, 0, 1, 2, 1, 2, 2, 1]
    labels = ["a", "b", "b"] * 4
    groups = [f"g{i // 2}" for i in range(12)]
    assert fold_numbers(names, 3, labels=labels, groups=groups).tolist() == [
        1,
        1,
        2,
        2,
        0,
        0,
        1,
        1,
        0,
        0,
        2,
        2,
    ]


def test_another_partition_is_another_one() -> None:
    names = [f"image_{i}" for i in range(60)]
    usual, other = fold_numbers(names, 5), fold_numbers(names, 5, partition=1)
    assert (usual != other).sum() > 20
    assert fold_numbers(names, 5, partition=1).tolist() == other.tolist()


def test_labels_of_groups_are_spread() -> None:
    """Twenty patients, half of them ill: every one of five folds has two of each."""
    groups = [f"p{i // 3:02d}" for i in range(60)]
    labels = [int(group[1:]) % 2 for group in groups]
    found = fold_numbers([f"i{i}" for i in range(60)], 5, labels=labels, groups=groups)
    for fold in range(5):
        assert Counter(np.array(labels)[found == fold].tolist()) == {0: 6, 1: 6}


def test_too_many_folds_are_none() -> None:
    with pytest.raises(ValueError, match="2 units for 3 folds"):
        fold_numbers(["a", "b", "c"], 3, groups=["x", "x", "y"])


def test_a_group_in_two_folds_is_an_error() -> None:
    check_whole([0, 0, 1], ["x", "x", "y"])
    with pytest.raises(DataError, match=r"the group 'x' is in the folds 0 and 1"):
        check_whole([0, 1, 1], ["x", "x", "y"])
