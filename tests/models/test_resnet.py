from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import nn
from torchvision import models

from bench.models.resnet import Depth, ResNet, ResNetEncoder

BLOCKS = {18: 8, 34: 16, 50: 16, 101: 33, 152: 50}


def seeded(**options: Any) -> ResNet:
    torch.manual_seed(3)
    return ResNet(**({"width": 0.1, "out_channels": 5} | options))


def blocks(model: ResNet) -> list[nn.Module]:
    return [block for number in range(1, 5) for block in getattr(model, f"layer{number}")]


@pytest.mark.parametrize("depth", get_args(Depth))
def test_the_state_dict_is_torchvisions(depth: Depth) -> None:
    with torch.device("meta"):
        ours, theirs = ResNet(depth=depth), models.get_model(f"resnet{depth}")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)  # refuses other shapes
    assert len(blocks(ours)) == BLOCKS[depth]


@pytest.mark.parametrize("depth", [18, 50])
def test_outputs_are_torchvisions(depth: Depth) -> None:
    theirs = models.get_model(f"resnet{depth}")
    with torch.device("meta"):
        ours = ResNet(depth=depth)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    images = torch.randn(2, 3, 64, 50)
    for training in (False, True):
        ours.train(training)
        theirs.train(training)
        with torch.no_grad():
            assert torch.equal(ours(images), theirs(images))


def test_the_encoder_gives_what_torchvisions_stages_give() -> None:
    theirs = models.resnet18().eval()
    encoder = ResNetEncoder(depth=18).eval()
    state = {key: value for key, value in theirs.state_dict().items() if "fc." not in key}
    encoder.load_state_dict(state, strict=True)
    x, expected = torch.randn(1, 3, 33, 50), []
    with torch.inference_mode():
        found = encoder(x)
        for name, module in theirs.named_children():
            x = module(x) if name not in {"avgpool", "fc"} else x
            if name == "relu" or name.startswith("layer"):
                expected.append(x)
    assert encoder.channels == [output.shape[1] for output in found] == [64, 64, 128, 256, 512]
    assert [output.shape[2:] for output in found] == [(17, 25), (9, 13), (5, 7), (3, 4), (2, 2)]
    for ours, other in zip(found, expected, strict=True):
        assert torch.equal(ours, other)


def test_width_scales_every_stage() -> None:
    with torch.device("meta"):
        assert ResNet(depth=50, width=0.5).channels == [32, 128, 256, 512, 1024]
        assert ResNet(depth=18, width=2).channels == [128, 128, 256, 512, 1024]


@pytest.mark.parametrize("depth", [18, 50])
def test_a_plain_net_has_no_shortcut(depth: Depth) -> None:
    """A block whose last BatchNorm gives nothing lets nothing through."""
    model, plain = seeded(depth=depth).eval(), seeded(depth=depth, residual=False).eval()
    assert not any("downsample" in key for key in plain.state_dict())
    for net, passes in ((model, True), (plain, False)):
        block = net.layer1[1]
        last = [module for module in block.children() if isinstance(module, nn.BatchNorm2d)][-1]
        nn.init.zeros_(last.weight)
        x = torch.rand(1, net.channels[1], 8, 8)
        assert torch.equal(block(x), x if passes else torch.zeros_like(x))


@pytest.mark.parametrize("depth", [18, 50])
def test_a_plain_block_is_a_residual_one_without_its_shortcut(depth: Depth) -> None:
    block, plain = (seeded(depth=depth, residual=on).eval().layer1[1] for on in (True, False))
    x = torch.rand(1, seeded(depth=depth).channels[1], 8, 8)
    seen: list[torch.Tensor] = []
    last = [module for module in block.children() if isinstance(module, nn.BatchNorm2d)][-1]
    last.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    block(x)
    assert torch.equal(plain(x), seen[0].relu())


def test_v1_strides_on_the_first_convolution() -> None:
    for stride_in, first, second in (("v1", (2, 2), (1, 1)), ("v1.5", (1, 1), (2, 2))):
        model = seeded(depth=50, stride_in=stride_in)
        for layer in (model.layer2, model.layer3, model.layer4):
            assert [(block.conv1.stride, block.conv2.stride) for block in layer] == [
                (first, second),
                *[((1, 1), (1, 1))] * (len(layer) - 1),
            ]
        assert all(block.conv1.stride == block.conv2.stride == (1, 1) for block in model.layer1)


def test_without_normalisation_convolutions_have_biases() -> None:
    model = seeded(norm="none")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 1 + 8 * 2 + 3  # stem, blocks, projections
    assert all(conv.bias is not None and not conv.bias.any() for conv in convolutions)
    assert all(conv.bias is None for conv in seeded().modules() if isinstance(conv, nn.Conv2d))


@pytest.mark.parametrize("depth", [18, 50])
def test_zero_init_starts_with_the_shortcuts_alone(depth: Depth) -> None:
    block = seeded(depth=depth, zero_init=True).train().layer1[1]
    x = torch.rand(2, seeded(depth=depth).channels[1], 8, 8)
    assert torch.equal(block(x), x)
    assert not torch.equal(seeded(depth=depth).train().layer1[1](x), x)


@pytest.mark.parametrize(
    "options",
    [
        {"residual": False},
        {"norm": "none"},
        {"stride_in": "v1"},
        {"residual": False, "stride_in": "v1"},
    ],
    ids=str,
)
def test_arms_of_one_seed_start_with_the_same_weights(options: dict[str, Any]) -> None:
    whole, arm = (seeded(depth=50, **chosen).state_dict() for chosen in ({}, options))
    shared = [key for key in arm if key in whole and key.endswith("weight")]
    assert len(shared) >= 50
    assert all(torch.equal(arm[key], whole[key]) for key in shared)
