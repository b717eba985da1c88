"""`bench.testing`: parts of one's own are tested by two lines, and faulty ones do not pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import testing
from bench.tasks.metric_settings import METRICS
from bench.testing import (
    loss_conforms,
    metric_conforms,
    model_conforms,
    optimizer_conforms,
    sampler_conforms,
    schedule_conforms,
)
from bench.testing.cases import DutyError

OWN, HERE = "tests.builders.own_parts", "tests.test_testing"

test_tversky = loss_conforms("monai.losses:TverskyLoss", to_onehot_y=True, softmax=True)
test_soft_iou = loss_conforms(f"{OWN}:soft_iou")
test_stateful_loss = loss_conforms(f"{OWN}:ScaledCrossEntropy")
test_binary_loss = loss_conforms(f"{OWN}:BinaryLogits", classes=2, predictions="logit")
test_margin_loss = loss_conforms("torch.nn:MultiMarginLoss", masks=False)
test_lion = optimizer_conforms(f"{OWN}:Lion", lr=1e-3)
test_nadam = optimizer_conforms("torch.optim:NAdam")
test_sawtooth = schedule_conforms(f"{OWN}:sawtooth")
test_cosine = schedule_conforms("torch.optim.lr_scheduler:CosineAnnealingLR", T_max=8)
test_cyclic = schedule_conforms(
    "torch.optim.lr_scheduler:CyclicLR", per="step", base_lr=1e-3, max_lr=0.1, cycle_momentum=False
)
test_even_first = sampler_conforms(f"{OWN}:EvenFirst")
test_weighted = sampler_conforms("torch.utils.data:WeightedRandomSampler", num_samples=30)
test_kappa = metric_conforms(
    {
        "target": "torchmetrics.classification:MulticlassCohenKappa",
        "mode": "max",
        "bounds": [-1, 1],
    },
    masks=False,
)
test_monais_dice = metric_conforms(
    {"target": "monai.metrics:DiceMetric", "mode": "max", "bounds": [0, 1]}
)
test_small_model = model_conforms(f"{HERE}:Small")


@pytest.mark.parametrize("name", METRICS.names())
def test_every_named_metric_conforms(name: str) -> None:
    masks = "segmentation" in METRICS.entry(name).settings.tasks
    all_cases(metric_conforms(name, masks=masks))


class Small(nn.Module):
    def __init__(self, out_channels: int = 2) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, out_channels, 3, padding=1)

    def forward(self, images: Tensor) -> Any:
        return {"out": self.layer(images), "aux": self.layer(images)}


class Unused(Small):
    def __init__(self, out_channels: int = 2) -> None:
        super().__init__(out_channels)
        self.unused = nn.Linear(1, 1)


class Counting(nn.Module):
    """Keeps a number where no state_dict has it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, scores: Tensor, masks: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.cross_entropy(scores, masks.clamp(max=2)) / self.calls


def waiting(scores: Tensor, masks: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores, masks.clamp(max=2)) * float(masks.float().mean())


class Deaf(torch.optim.SGD):
    """Learns at a rate of its own."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.sub_(0.01 * weight.grad)


class Remembering:
    epochs = 0

    def __init__(self, num_samples: int) -> None:
        type(self).epochs += 1
        self.size = num_samples

    def __iter__(self) -> Any:
        return iter(torch.arange(self.size).roll(type(self).epochs).tolist())


def all_cases(test: Any) -> None:
    test.all_cases()


def last_error(predicted: Tensor, truth: Tensor) -> Tensor:
    return (predicted != truth).flatten(1).double().mean(1)


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (loss_conforms(f"{HERE}:Counting"), "same loss in evaluation"),
        (loss_conforms(f"{HERE}:waiting"), "read back"),
        (optimizer_conforms(f"{HERE}:Deaf"), "`lr` is 0"),
        (sampler_conforms(f"{HERE}:Remembering"), "seed and epoch alone"),
        (metric_conforms({"target": f"{HERE}:last_error", "mode": "max"}), "right is better"),
        (model_conforms(f"{HERE}:Unused"), "not unused.weight"),
        (model_conforms(f"{HERE}:Small", classes=3, masks=False), "main output"),
    ],
)
def test_faulty_parts_do_not_pass(test: Any, says: str) -> None:
    with pytest.raises(DutyError, match=says):
        all_cases(test)


def test_what_is_public() -> None:
    assert all(callable(getattr(testing, name)) for name in testing.__all__)
