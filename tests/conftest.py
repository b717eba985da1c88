"""Fixtures that several parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# tests run side by side: one thread each, set before anything imports torch
os.environ.setdefault("OMP_NUM_THREADS", "1")

PETS = Path(os.environ.get("BENCH_PETS", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def pets_root() -> Path:
    """The folder that contains `oxford-iiit-pet/`, real pets."""
    if not (PETS / "oxford-iiit-pet" / "annotations" / "trainval.txt").is_file():
        pytest.skip(f"no Oxford-IIIT Pet at {PETS}: set BENCH_PETS to the folder that contains it")
    return PETS
