"""Rows of an array that are not copied."""

from __future__ import annotations

import numpy as np

from bench.data.rows import Rows, in_one_piece, is_mapped


def test_arrays_in_one_piece_are_not_copied() -> None:
    whole = np.arange(24).reshape(12, 2)
    joined = in_one_piece([whole[:5], whole[5:9]])
    assert (joined == whole[:9]).all()
    assert np.shares_memory(joined, whole)
    for parts in ([whole[5:9], whole[:5]], [whole[:5], whole[6:]], [whole[:4].copy(), whole[4:]]):
        apart = in_one_piece(parts)
        assert (apart == np.concatenate(parts)).all()
        assert not np.shares_memory(apart, whole)


def test_rows_are_like_an_array() -> None:
    array = np.arange(40, dtype=np.uint16).reshape(10, 2, 2)
    rows = Rows(array, np.array([7, 1, 3]))
    assert (rows.shape, rows.ndim, rows.nbytes, len(rows)) == ((3, 2, 2), 3, 24, 3)
    assert (np.asarray(rows) == array[[7, 1, 3]]).all()
    assert (rows[1] == array[1]).all()
    assert (rows[1:] == array[[1, 3]]).all()
    assert (rows[np.array([2, 0])] == array[[3, 7]]).all()
    assert (rows[:, 0] == array[[7, 1, 3], 0]).all()
    assert (np.asarray(rows.view(np.int16)) == array[[7, 1, 3]].view(np.int16)).all()
    assert not is_mapped(rows)
