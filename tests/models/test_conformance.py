"""Every registered model, with every option, does what a model must do.

A new model needs its smallest image side here, and its published counts in `COUNTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from bench.measure.cost import model_cost
from bench.models.settings import MODELS

from .conformance import CHECKS, Conformance, registered

SMALLEST = {"unet": 32, "resnet34_unet": 17}

# Name, options, shape of the input, parameters and MACs as SYSTEMS.md has them.
COUNTS = [
    ("unet", {"upsample": "bilinear"}, (1, 3, 256, 256), 13_395_394, 31_012_159_488),
    ("unet", {"upsample": "transposed"}, (1, 3, 256, 256), 31_043_586, 48_235_544_576),
    ("resnet34_unet", {"upsample": "bilinear"}, (1, 3, 256, 256), 26_055_554, 8_125_415_424),
    ("resnet34_unet", {"upsample": "transposed"}, (1, 3, 256, 256), 28_891_330, 8_665_038_848),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", registered(SMALLEST), ids=str)
def test_conformance(case: Conformance, check: Callable[[Conformance], None]) -> None:
    check(case)


@pytest.mark.parametrize(("name", "options", "shape", "params", "macs"), COUNTS)
def test_published_counts(
    name: str, options: dict[str, Any], shape: tuple[int, ...], params: int, macs: int
) -> None:
    with torch.device("meta"):  # no time lost on initial values
        model: nn.Module = MODELS.build(MODELS.entry(name).settings(**options))
    model = model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.zero_()
    cost = model_cost(model, shape)
    assert (cost.params, cost.trainable_params, cost.macs) == (params, params, macs)


def test_every_model_has_published_counts() -> None:
    assert {name for name, *_ in COUNTS} == set(MODELS.names())
