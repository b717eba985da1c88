"""What a data set of the user's own must keep to."""

from __future__ import annotations

from bench.data.base import Splits
from bench.errors import DataError

SPLITS = ("train", "val", "test")


def check_splits(splits: Splits, size: tuple[int, int], channels: int) -> None:
    """What a data set of the user's own must keep to; MACs are counted at `size`.

    Raises:
        DataError: a split is missing, or the images are of another size.
    """
    missing = [name for name in SPLITS if name not in splits.splits]
    if missing:
        known = ", ".join(splits.splits) or "none"
        raise DataError(f"data: there is no split {missing[0]!r} (it has {known})")
    *found, there = splits.splits["train"].images.shape[1:]
    if tuple(found) != size:
        wanted = f"{size[0]}×{size[1]}"
        raise DataError(f"data: images are {found[0]}×{found[1]}, but data.image_size is {wanted}")
    if there != channels:
        raise DataError(f"data: images have {there} channels, not {channels}")
