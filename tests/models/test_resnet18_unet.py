from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from bench.models.resnet18_unet import ResNet18UNet


def test_torchvisions_weights_load_into_the_encoder() -> None:
    with torch.device("meta"):
        model, theirs = ResNet18UNet(), models.resnet18()
    found = model.encoder.load_state_dict(theirs.state_dict(), strict=False, assign=True)
    assert found.missing_keys == []
    assert found.unexpected_keys == ["fc.weight", "fc.bias"]


def test_layers_take_and_give_the_published_channels() -> None:
    with torch.device("meta"):
        model = ResNet18UNet()
    layers = [[conv(module) for module in part] for part in (model.lateral, model.decoder)]
    assert layers[0] == [(c, c, 1) for c in (64, 64, 128, 256, 512)]
    assert layers[1] == [
        (512 + 256, 512, 3),
        (512 + 128, 256, 3),
        (256 + 64, 256, 3),
        (256 + 64, 128, 3),
        (128 + 64, 64, 3),
    ]
    assert [conv(module) for module in model.full] == [(3, 64, 3), (64, 64, 3)]
    assert (model.head.in_channels, model.head.out_channels) == (64, 2)


def conv(module: nn.Module) -> tuple[int, int, int]:
    assert isinstance(module, nn.Sequential)
    found = module[0]
    assert isinstance(found, nn.Conv2d)
    assert found.bias is not None
    assert isinstance(module[1], nn.ReLU)
    return found.in_channels, found.out_channels, found.kernel_size[0]


@pytest.mark.parametrize("size", [(64, 96), (70, 50)])
def test_each_level_joins_the_map_of_its_size_after_the_upsampled(size: tuple[int, int]) -> None:
    model = ResNet18UNet(width=0.1).eval()
    inputs: list[Tensor] = []
    for block in model.decoder:
        block.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    maps: list[Tensor] = []
    for module in (*list(model.lateral)[:-1][::-1], model.full):
        module.register_forward_hook(lambda _module, _given, output: maps.append(output))
    with torch.inference_mode():
        model(torch.randn(1, 3, *size))
    skips = [maps[3], maps[2], maps[1], maps[0], maps[4]]  # hooks fire from the stem on
    for joined, skip in zip(inputs, skips, strict=True):
        assert torch.equal(joined[:, -skip.shape[1] :], skip)


def test_the_decoder_has_no_normalisation() -> None:
    model = ResNet18UNet(width=0.1)
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert norms
    assert all(name.startswith("encoder.") for name in norms)


def test_pretrained_and_frozen_stages_leave_the_input_branch_to_the_decoder() -> None:
    model = ResNet18UNet(width=0.1)
    frozen = {
        id(parameter)
        for modules in model.encoder_parts().values()
        for module in modules
        for parameter in module.parameters()
    }
    left = {name.partition(".")[0] for name, p in model.named_parameters() if id(p) not in frozen}
    assert left == {"lateral", "full", "decoder", "head"}
