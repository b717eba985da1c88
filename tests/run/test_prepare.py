"""What no trial could be trained with is said before any is begun."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.errors import WorkerStartError
from bench.run.preparation import Preparation
from bench.run.prepare import PreparationError, prepare
from tests.builders.training import make_trial


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"train": {"compile": "default", "batch_size": 13}},
            r"train\.compile: only full batches are compiled, and 12 training images",
        ),
        (
            {"augment": [{"target": "tests.augment.test_check_custom:Grey"}]},
            "test_check_custom:Grey.*`adjust` must return",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        prepare([make_trial(**settings)], lambda *_: None)


def kill_it(times: int) -> Callable[..., None]:
    """A report that kills the process that prepares, so many times."""
    left = itertools.count(times - 1, -1)

    def report(*_: object) -> None:
        if next(left) >= 0:
            server = psutil.Process(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]
            for child in server.children():
                child.kill()

    return report


def test_a_preparation_that_is_killed_starts_again() -> None:
    trial = make_trial()
    assert prepare([trial], kill_it(2)).costs[trial.id]["params"]


def test_a_preparation_that_is_killed_again_and_again_is_given_up() -> None:
    with pytest.raises(WorkerStartError, match="ended from outside, 3 times"):
        prepare([make_trial()], kill_it(1000))


def test_a_cache_that_was_changed_is_made_again_before_training(tmp_path: Path) -> None:
    trial = make_trial()

    def fingerprint() -> str:  # in this process, whose warnings are seen
        return Preparation(1, lambda *_: None, survey=True).prepared([trial]).fingerprints[trial.id]

    before = fingerprint()
    (masks,) = (tmp_path / "cache").glob("*/masks.npy")
    array = np.load(masks, mmap_mode="r+")
    array[:] = 1 - array
    array.flush()
    inverted = array.copy()
    with pytest.warns(UserWarning, match="are not those that were written there"):
        assert fingerprint() == before
    assert not np.array_equal(np.load(masks), inverted)
