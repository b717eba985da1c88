"""Sizes of the published systems, as SYSTEMS.md has them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bench.measure.cost import model_cost
from bench.models.settings import MODELS

PETS, SMALL, IMAGENET = (1, 3, 256, 256), (1, 3, 64, 64), (1, 3, 224, 224)

# Name, options, shape of the input, parameters and MACs; None: not published.
COUNTS = [
    ("unet", {"upsample": "bilinear"}, PETS, 13_395_394, 31_012_159_488),
    ("unet", {"upsample": "transposed"}, PETS, 31_043_586, 48_235_544_576),
    ("resnet34_unet", {"upsample": "bilinear"}, PETS, 26_055_554, 8_125_415_424),
    ("resnet34_unet", {"upsample": "transposed"}, PETS, 28_891_330, 8_665_038_848),
    ("resnet18_unet", {}, PETS, 17_799_874, 23_827_513_344),
    ("ddpm_unet", {}, SMALL, 14_553_731, 5_156_454_400),
    ("resnet50_linknet", {}, SMALL, 9_244_995, 1_694_523_392),
    ("resnet", {"depth": 18}, IMAGENET, 11_689_512, None),
    ("resnet", {"depth": 34}, IMAGENET, 21_797_672, None),
    ("resnet", {"depth": 50}, IMAGENET, 25_557_032, None),
    ("resnet", {"depth": 101}, IMAGENET, 44_549_160, None),
    ("resnet", {"depth": 152}, IMAGENET, 60_192_808, None),
]
UNPUBLISHED = {"encoder_unet"}


def build(name: str, *, device: str = "meta", **options: Any) -> nn.Module:
    """The model at full size, without the time that initial values take; zeros on a CPU."""
    with torch.device("meta"):
        model: nn.Module = MODELS.build(MODELS.entry(name).settings(**options))
    if device == "meta":
        return model
    model = model.to_empty(device=device)
    for value in model.state_dict().values():
        value.zero_()
    return model


@pytest.mark.parametrize(("name", "options", "shape", "params", "macs"), COUNTS)
def test_published_counts(
    name: str, options: dict[str, Any], shape: tuple[int, ...], params: int, macs: int | None
) -> None:
    model = build(name, device="meta" if macs is None else "cpu", **options)
    takes_time = "diffusion" in MODELS.entry(name).settings.supported_tasks
    cost = model_cost(model, shape, takes_time=takes_time)
    assert (cost.params, cost.trainable_params, cost.macs) == (params, params, macs)


def test_the_published_attention_products() -> None:
    """Two products in each of six layers: (side, channels) on the way down and up."""
    with_attention, without = (
        model_cost(build("ddpm_unet", device="cpu", attention=on), SMALL, takes_time=True).macs
        for on in (True, False)
    )
    layers = [(32, 128), (16, 256), (8, 256), (16, 128), (32, 64), (64, 64)]
    products = sum(2 * side**4 * channels for side, channels in layers)
    assert products == 2_602_565_632
    # For each pixel: linear maps of C to 3·C, C, C and C channels, and two norms, which fvcore
    # counts as 5 for each value.
    others = sum(side**2 * (6 * c**2 + 2 * 5 * c) for side, c in layers)
    assert with_attention is not None
    assert without is not None
    assert with_attention - without - products == others


def test_the_published_frozen_encoder() -> None:
    model: Any = build("resnet50_linknet")
    for modules in model.encoder_parts().values():
        for module in modules:
            module.requires_grad_(False)
    assert model_cost(model, SMALL, takes_time=True).trainable_params == 7_800_067


def test_every_model_has_published_counts() -> None:
    assert {name for name, *_ in COUNTS} | UNPUBLISHED == set(MODELS.names())
