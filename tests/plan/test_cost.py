from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
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

class Timed(Head):
    def forward(self, input, time):
        assert time.shape == input.shape[:1]
        return super().forward(input)

class Pooled(Head):
    def forward(self, input):
        return super().forward(input).mean((2, 3))

class Staged(Head):
    def __init__(self, **given):
        super().__init__(**given)
        self.stem, self.middle = nn.Linear(2, 3), nn.BatchNorm2d(5)

    def encoder_parts(self):
        return {"stem": [self.stem], "middle": [self.middle]}

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
    model: dict[str, Any],
    *,
    task: str = "segmentation",
    size: int = 32,
    kinds: int = 1,
    seed: int = 0,
    **train: Any,
) -> Trial:
    normalize = {"normalize": "symmetric"} if task == "diffusion" else {}
    settings = TrialSettings.model_validate(
        {
            "task": {"name": task},
            "data": {"name": "shapes", "image_size": size, "kinds": kinds, **normalize},
            "model": model,
            "train": train,
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
    reported: list[str] = []
    costs = model_costs(iter(trials), reported.append)
    assert list(costs) == [trial.id for trial in trials]
    assert own.BUILT == [2, 2, 3]
    assert reported == [f"own_models:Head, 3×{size}×{size}" for size in (32, 64, 32)]
    found = [(costs[t.id].params, costs[t.id].macs) for t in trials]
    # A 1×1 convolution of 3 channels: 3 multiply-adds and a bias for every channel that comes out.
    assert found == [(8, 6 * 32**2)] * 3 + [(8, 6 * 64**2), (12, 9 * 32**2)]


def test_settings_of_the_task_build_no_model_again(own: Any) -> None:
    linear = trial({"target": "own_models:Timed"}, task="diffusion")
    task = linear.settings.task.model_copy(update={"noise": "cosine", "steps": 50})
    cosine = replace(linear, settings=linear.settings.model_copy(update={"task": task}))
    assert len(model_costs([linear, cosine])) == 2
    assert own.BUILT == [3]


def test_a_registered_model() -> None:
    arm = trial({"name": "unet", "width": 0.1})
    costs = model_costs([arm])
    assert costs[arm.id].params == costs[arm.id].trainable_params > 100_000
    assert (costs[arm.id].macs or 0) > 1_000_000


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"target": "own_models:Head", "extra": 1}, "(1, 3, 32, 32), not (1, 2, 32, 32)"),
        ({"target": "own_models:Pair"}, "is (1, 3, 32, 32), not (1, 2, 32, 32)"),
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


@pytest.mark.parametrize(
    ("task", "fitting", "other", "says"),
    [
        ("segmentation", "Head", "Pooled", "is (1, 4), not (1, 4, 32, 32)"),
        ("classification", "Pooled", "Head", "is (1, 3, 32, 32), not (1, 3)"),
        ("diffusion", "Timed", "Head", "takes 2 positional arguments but 3 were given"),
    ],
)
def test_models_are_called_and_checked_as_the_task_wants(
    own: Any, task: str, fitting: str, other: str, says: str
) -> None:
    arm = trial({"target": f"own_models:{fitting}"}, task=task, kinds=3)
    cost = model_costs([arm])[arm.id]
    outputs = own.BUILT[-1]
    assert outputs == {"segmentation": 4, "classification": 3, "diffusion": 3}[task]
    assert (cost.params, cost.macs) == (4 * outputs, 3 * outputs * 32**2)
    with pytest.raises(SpecError) as caught:
        model_costs([trial({"target": f"own_models:{other}"}, task=task, kinds=3)])
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("freeze", "trainable"),
    [("none", 8 + 9 + 10), ({"up_to": "stem"}, 8 + 10), ("encoder", 8)],
)
def test_frozen_parameters_are_not_trainable(own: Any, freeze: Any, trainable: int) -> None:
    arms = [trial({"target": "own_models:Staged"}, freeze=freeze, seed=seed) for seed in (0, 1)]
    costs = model_costs(arms)
    assert own.BUILT == [2]
    assert [(costs[arm.id].params, costs[arm.id].trainable_params) for arm in arms] == [
        (27, trainable)
    ] * 2


@pytest.mark.parametrize(
    ("model", "freeze", "says"),
    [
        ("Head", "encoder", "no `encoder_parts()`"),
        ("Staged", {"up_to": "midle"}, "no stage 'midle' (did you mean 'middle'?)"),
    ],
)
def test_freezing_what_is_not_there(own: Any, model: str, freeze: Any, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        model_costs([trial({"target": f"own_models:{model}"}, freeze=freeze)])
    assert says in str(caught.value)


def test_arms_that_differ_in_what_is_frozen_are_counted_apart(own: Any) -> None:
    model = {"target": "own_models:Staged"}
    arms = [trial(model, freeze=freeze) for freeze in ("none", "encoder")]
    costs = model_costs(arms)
    assert [costs[arm.id].trainable_params for arm in arms] == [27, 8]


def test_weights_to_start_with_change_no_cost() -> None:
    model = {"name": "resnet18_unet", "width": 0.05}
    reported: list[str] = []
    model_costs([trial(model), trial({**model, "weights": "w.pt"})], reported.append)
    assert reported == ["resnet18_unet, 3×32×32"]


def test_images_too_small_for_the_model() -> None:
    with pytest.raises(SpecError, match=r"'unet' cannot be used.* at least 32×32 pixels, got 16"):
        model_costs([trial({"name": "unet", "width": 0.1}, size=16)])


def test_imports_no_torch() -> None:
    code = "import sys, bench.plan.cost; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
