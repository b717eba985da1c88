"""What no trial could be trained with is said before any is begun."""

from __future__ import annotations

from typing import Any

import pytest

from bench.run.prepare import PreparationError, prepare
from tests.making import make_trial


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
