"""Fixtures that several parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# tests run side by side: one thread each, set before anything imports torch
os.environ.setdefault("OMP_NUM_THREADS", "1")

PETS = Path(os.environ.get("BENCH_PETS", Path(__file__).parents[2] / "shared" / "data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take a minute, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a minute and more run where they are asked for, as the workflow does."""
    if not config.getoption("--long"):
        skipped = pytest.mark.skip(reason="takes a minute or more: pytest --long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skipped)


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
