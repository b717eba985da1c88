"""One small experiment, trained once for all tests of the Python interface."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench

SPEC: dict[str, Any] = {
    "experiment": "made",
    "task": "segmentation",
    "data": {"name": "shapes", "image_size": 32, "train": 12, "val": 4, "test": 4},
    "train": {"epochs": 2, "batch_size": 6},
    "grid": {
        "model": {
            "<b>thin</b>": {"name": "unet", "width": 0.05},
            "other": {"name": "resnet34_unet", "width": 0.05},
        }
    },
    "seeds": 2,
    "hypotheses": [
        {
            "id": "h",
            "claim": "thin < other",
            "metric": "best_val_dice",
            "a": {"model": "<b>thin</b>"},
            "b": {"model": "other"},
            "expect": "lower",
        }
    ],
    "machine": {"threads": 1},
}


@pytest.fixture
def spec() -> dict[str, Any]:
    return copy.deepcopy(SPEC)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="session")
def made(workspace: Path) -> Iterator[bench.Experiment]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(workspace / "cache"))
        yield bench.run(
            copy.deepcopy(SPEC),
            results=workspace / "results",
            reports=workspace / "reports",
            jobs=2,
        )
