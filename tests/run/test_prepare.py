"""What no trial could be trained with is said before any is begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.run.prepare import PreparationError, _find, prepare
from tests.builders.training import make_trial


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"train": {"compile": "default", "batch_size": 13}},
            r"train\.compile: only full batches are compiled, and 12 training images",
        ),
        (
            {"augment": [{"target": "tests.augment.test_foreign:Grey"}]},
            "test_foreign:Grey.*`adjust` must return",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        prepare([make_trial(**settings)], lambda *_: None)


def test_a_cache_that_was_changed_is_made_again_before_training(tmp_path: Path) -> None:
    trial = make_trial()

    def fingerprint() -> str:
        # here, as the preparing process has the environment of the first one that was started
        return _find([trial], 1, lambda *_: None).fingerprints[trial.id]

    before = fingerprint()
    (masks,) = (tmp_path / "cache").glob("*/masks.npy")
    array = np.load(masks, mmap_mode="r+")
    array[:] = 1 - array
    array.flush()
    inverted = array.copy()
    with pytest.warns(UserWarning, match="are not those that were written there"):
        assert fingerprint() == before
    assert not np.array_equal(np.load(masks), inverted)
