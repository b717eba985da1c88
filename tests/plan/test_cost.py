from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import SpecError
from bench.plan.cost import model_costs
from bench.plan.trial import Trial
from bench.spec.schema import TrialSettings

CUSTOM = """
from torch import nn

BUILT = []

class Head(nn.Conv2d):
    def __init__(self, *, in_channels, out_channels, extra=0, **refused):
        BUILT.append(out_channels)
        super().__init__(in_channels, out_channels + extra, 1, **refused)

class Pair(Head):
    def forward(self, input):
        return input, input

def text():
    return "no model"
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of the user's own with models in it."""
    (tmp_path / "own_models.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(tmp_path)
    import own_models  # type: ignore[import-not-found]

    yield own_models
    del sys.modules["own_models"]


def trial(
    model: dict[str, Any], *, size: int = 32, kinds: int = 1, seed: int = 0, lr: float = 1e-3
) -> Trial:
    settings = TrialSettings.model_validate(
        {
            "task": {"name": "segmentation"},
            "data": {"name": "shapes", "image_size": size, "kinds": kinds},
            "model": model,
            "train": {"lr": lr},
        }
    )
    return Trial("e", seed, {"model": "m"}, settings)


def test_each_distinct_model_is_built_once(own: Any) -> None:
    model = {"target": "own_models:Head"}
    trials = [
        trial(model),
        trial(model, seed=1),
        trial(model, lr=0.1),
        trial(model, size=64),
        trial(model, kinds=2),
    ]
    told: list[str] = []
    costs = model_costs(iter(trials), told.append)
    assert list(costs) == [trial.id for trial in trials]
    assert own.BUILT == [2, 2, 3]
    assert told == [f"own_models:Head, 3×{size}×{size}" for size in (32, 64, 32)]
    found = [(costs[t.id].params, costs[t.id].macs) for t in trials]
    # A 1×1 convolution of 3 channels: 3 multiply-adds and a bias for every channel that comes out.
    assert found == [(8, 6 * 32**2)] * 3 + [(8, 6 * 64**2), (12, 9 * 32**2)]


def test_a_registered_model() -> None:
    arm = trial({"name": "unet", "width": 0.1})
    costs = model_costs([arm])
    assert costs[arm.id].params == costs[arm.id].trainable_params > 100_000
    assert (costs[arm.id].macs or 0) > 1_000_000


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"target": "own_models:Head", "extra": 1}, "(1, 3, 32, 32), not (1, 2, 32, 32)"),
        ({"target": "own_models:Pair"}, "is tuple, not (1, 2, 32, 32)"),
        ({"target": "own_models:Head", "wrong": 1}, "TypeError: "),
        ({"target": "own_models:text"}, "a str, not a torch.nn.Module"),
        ({"target": "own_models:missing"}, "cannot be imported"),
        ({"target": "no_such_models:Head"}, "cannot be imported"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(own: Any, model: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        model_costs([trial(model)])
    assert caught.value.key == "model"
    assert repr(model["target"]) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_too_small_for_the_model() -> None:
    with pytest.raises(SpecError, match=r"'unet' cannot be used.* at least 32×32 pixels, got 16"):
        model_costs([trial({"name": "unet", "width": 0.1}, size=16)])


def test_imports_no_torch() -> None:
    code = "import sys, bench.plan.cost; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
