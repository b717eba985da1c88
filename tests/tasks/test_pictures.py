"""Pictures of predictions."""

from __future__ import annotations

import numpy as np
import pytest

from bench.tasks.pictures import overlay


def test_an_overlay_of_many_rows_is_made_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    image = draws.integers(0, 256, (37, 20, 3), np.uint8)
    mask = draws.integers(0, 3, (37, 20)).astype(np.uint8)
    whole = overlay(image, mask)
    monkeypatch.setattr("bench.tasks.pictures._AT_ONCE", 60)
    assert (overlay(image, mask) == whole).all()
