"""Some samples of arrays that are not copied: a fold's images, of a memory map that all share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


class Rows:
    """The rows of an array at some places, with so much of an array's interface as data sets need.

    Attributes:
        array: (N, …), whose rows they are.
        rows: (n,) int64, their places in it.
    """

    def __init__(self, array: Array, rows: Indices) -> None:
        self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, …)."""
        return (len(self.rows), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """As the array's."""
        return self.array.ndim

    @property
    def size(self) -> int:
        """How many values these rows have."""
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """As the array's."""
        return self.array.dtype

    @property
    def nbytes(self) -> int:
        """Of these rows."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, index: Any) -> Any:
        """Rows by place, slice or array of places, copied unless it is one place."""
        if isinstance(index, tuple):
            return self.array[self.rows[index[0]]][(slice(None), *index[1:])]
        return self.array[self.rows[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """A copy of the rows."""
        found = self.array[self.rows]
        return found if dtype is None else found.astype(dtype, copy=False)

    def view(self, dtype: npt.DTypeLike) -> Rows:
        """The same bits as another type of the same size."""
        return Rows(self.array.view(dtype), self.rows)


def is_mapped(array: object) -> bool:
    """Whether an array, or that of which these are rows, is a map of a file."""
    found = array.array if isinstance(array, Rows) else array
    while found is not None:
        if isinstance(found, np.memmap):
            return True
        found = getattr(found, "base", None)
    return False


def in_one_piece(parts: Sequence[Array]) -> Array:
    """Arrays one after the other: a view where they already lie so, else a copy."""
    first = parts[0]
    end = _address(first)
    for part in parts:
        alike = part.dtype == first.dtype and part.shape[1:] == first.shape[1:]
        if not (alike and part.flags.c_contiguous and (not len(part) or _address(part) == end)):
            return np.concatenate(parts)
        end += part.nbytes
    count = sum(map(len, parts))
    if count == len(first):
        return first
    # only what several parts have in common owns the memory behind the end of the first
    owner = _owner(first)
    if owner is None or any(_owner(part) is not owner for part in parts if len(part)):
        return np.concatenate(parts)
    return np.lib.stride_tricks.as_strided(first, (count, *first.shape[1:]))


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _owner(array: Array) -> Any:
    """What holds the memory of a view; None: it is no view."""
    found: Any = array.base
    while isinstance(found, np.ndarray) and found.base is not None:
        found = found.base
    return found
