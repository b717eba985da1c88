"""Each of torchvision's encoders under the decoder.

All of them are built without values (on the meta device); a few of each kind do real sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from bench.errors import BenchError, SpecError
from bench.models.encoder_unet import EncoderUNet
from bench.models.encoders import TokenEncoder, build_encoder, builder, tap_channels
from bench.models.taps import ENCODERS, FAMILIES, stages_of

SMALL = (
    "resnet18",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "convnext_tiny",
    "inception_v3",
    "swin_t",
    "vit_b_16",
)
MODELS: dict[str, EncoderUNet] = {}


def model_of(encoder: str) -> EncoderUNet:
    """A model in evaluation mode, built once; tests leave its values as they are."""
    if encoder not in MODELS:
        torch.manual_seed(0)
        MODELS[encoder] = EncoderUNet(encoder=encoder, width=0.25)
    MODELS[encoder].zero_grad(set_to_none=True)
    return MODELS[encoder].requires_grad_(True).eval()


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    MODELS.clear()


def images(count: int, height: int, width: int | None = None, channels: int = 3) -> Tensor:
    noise = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, height, width or height, generator=noise)


def whole_network(encoder: str, **options: Any) -> nn.Module:
    slow = {"init_weights": False} if encoder == "inception_v3" else {}
    return builder(encoder)(weights=None, **slow, **options)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_is_part_of_torchvisions_network(encoder: str) -> None:
    with torch.device("meta"):
        own, known = build_encoder(encoder), whole_network(encoder).state_dict()
    assert all(known[name].shape == value.shape for name, value in own.state_dict().items())
    in_parts = [id(p) for part in own.parts().values() for m in part for p in m.parameters()]
    assert sorted(in_parts) == sorted(map(id, own.parameters()))  # each of them once
    assert tuple(own.parts()) == stages_of(encoder)


@pytest.mark.parametrize("encoder", [*SMALL, "mobilenet_v3_large", "efficientnet_v2_s", "vit_l_16"])
def test_taps_are_at_their_strides(encoder: str) -> None:
    with torch.device("meta"):
        taps = build_encoder(encoder).eval()(torch.empty(2, 3, 64, 96))
    strides = {"vit": [16], "con": [4, 8, 16, 32], "swi": [4, 8, 16, 32]}
    assert list(taps) == strides.get(encoder[:3], [2, 4, 8, 16, 32])
    for stride, tap in taps.items():
        assert (len(tap), *tap.shape[2:]) == (2, 64 // stride, 96 // stride)


@pytest.mark.parametrize("encoder", SMALL)
def test_taps_are_what_torchvisions_network_computes(encoder: str) -> None:
    torch.manual_seed(0)
    takes = {"inception_v3": {"transform_input": True}, "vit_b_16": {"image_size": 96}}
    network = whole_network(encoder, **takes.get(encoder, {})).eval()
    own = build_encoder(encoder).eval()
    own._adopt(network)
    own.family = replace(own.family, unpadded=frozenset())  # where ours differs on purpose
    found: dict[int, Tensor] = {}
    for stage in own.family.stages.values():
        last = network.get_submodule(stage.modules[-1])
        last.register_forward_hook(
            lambda _module, _inputs, output, stride=stage.stride: found.update({stride: output})
        )
    batch = images(1, 96)
    with torch.inference_mode():
        network(batch)
        expected = dict(found)
        taps = own(batch)
    assert taps.keys() == expected.keys()
    for stride, tap in taps.items():
        known = expected[stride]
        if encoder == "vit_b_16":
            known = known[:, 1:].transpose(1, 2).unflatten(2, (6, 6))
        elif encoder.startswith("swin"):
            known = known.permute(0, 3, 1, 2)
        torch.testing.assert_close(tap, known, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", SMALL)
def test_scores_have_the_images_size_and_stay_the_same(encoder: str) -> None:
    model = model_of(encoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        for height, width in [(17, 17), (33, 47), (50, 17)]:
            assert model(images(2, height, width)).shape == (2, 2, height, width)
        batch = images(2, 50, 33)
        assert torch.equal(model(batch), model(batch))
        torch.testing.assert_close(model(batch[1:])[0], model(batch)[1], rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("encoder", SMALL)
def test_a_gradient_reaches_every_parameter(encoder: str) -> None:
    model = EncoderUNet(encoder=encoder, width=0.25).train()
    for module in model.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0  # no block is left out
    model(images(2, 64)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.ndim == 1 or parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("encoder", SMALL)
def test_frozen_parts_leave_the_decoder_alone_trainable(encoder: str) -> None:
    model = model_of(encoder)
    for modules in model.encoder_parts().values():
        for module in modules:
            module.requires_grad_(False)
    model(images(1, 33)).mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("encoder."), name


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_b0", "inception_v3", "swin_t"])
def test_trains_on_one_smallest_image(encoder: str) -> None:
    model = EncoderUNet(encoder=encoder, width=0.25).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = model(images(1, 17))
    assert scores.dtype == torch.bfloat16
    scores.float().mean().backward()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_smaller_images_are_refused_in_one_line() -> None:
    for height, width in [(16, 64), (64, 16)]:
        with pytest.raises(BenchError, match=r"^data\.image_size: encoder_unet needs .* 17×17"):
            model_of("resnet18")(images(1, height, width))


@pytest.mark.parametrize("encoder", SMALL)
def test_other_channels_than_three(encoder: str) -> None:
    with torch.device("meta"):
        model = EncoderUNet(in_channels=4, out_channels=7, encoder=encoder)
        assert model(torch.empty(1, 4, 40, 40)).shape == (1, 7, 40, 40)
        known = whole_network(encoder).state_dict()
    own = model.encoder.state_dict()
    assert sum(known[name].shape != value.shape for name, value in own.items()) == 1


def double_convolution(before: int, after: int) -> int:
    """Parameters of twice [3×3 convolution with bias, BatchNorm]."""
    return (9 * before + 3) * after + (9 * after + 3) * after


def test_parameters_of_the_decoder() -> None:
    encoder = 11_176_512  # torchvision's ResNet18 without its classifier
    levels = [(512, 256, 256), (256, 128, 128), (128, 64, 64), (64, 64, 32), (32, 0, 16)]
    head = 16 * 2 + 2
    concatenated = sum(double_convolution(x + skip, after) for x, skip, after in levels)
    projections = sum((skip + 1) * x for x, skip, _ in levels if skip)
    added = sum(double_convolution(x, after) for x, _, after in levels) + projections
    with torch.device("meta"):
        for skip, decoder in [("concatenate", concatenated), ("add", added)]:
            model = EncoderUNet(encoder="resnet18", skip=skip)
            assert sum(p.numel() for p in model.parameters()) == encoder + decoder + head


@pytest.mark.parametrize(("encoder", "taps"), [("resnet18", 4), ("swin_t", 3)])
def test_skips_by_addition_reach_every_projection(encoder: str, taps: int) -> None:
    model = EncoderUNet(encoder=encoder, width=0.25, skip="add").train()
    model(images(2, 40)).square().mean().backward()
    projections = [level.project for level in model.decoder if level.project is not None]
    assert len(projections) == taps
    assert all(project.weight.grad.abs().sum() > 0 for project in projections)


def test_width_is_the_decoders() -> None:
    with torch.device("meta"):
        thin, wide = (EncoderUNet(encoder="vit_b_16", width=width) for width in (1e-3, 2.0))
    assert thin.head.in_channels == 1
    assert wide.head.in_channels == 32
    assert thin.pyramid is not None
    assert thin.pyramid.channels == {4: 1, 8: 1, 16: 768, 32: 768}
    assert thin.encoder.state_dict().keys() == wide.encoder.state_dict().keys()


def test_images_of_odd_sizes_are_padded_with_their_edge() -> None:
    model, batch = model_of("convnext_tiny"), images(1, 33, 64)
    edge = batch[:, :, -1:].expand(-1, -1, 31, -1)
    with torch.inference_mode():
        expected = model(torch.cat([batch, edge], dim=2))[:, :, :33]
        assert torch.equal(model(batch), expected)


def test_position_embeddings_are_interpolated() -> None:
    encoder = model_of("vit_b_16").encoder
    assert isinstance(encoder, TokenEncoder)
    known = encoder.encoder.pos_embedding
    assert encoder._positions(torch.Size((14, 14))) is known
    kept = known.detach().clone()
    with torch.no_grad():
        known[:, 1:] = torch.arange(14.0).repeat(14)[None, :, None]  # each patch's column
        found = encoder._positions(torch.Size((3, 28)))
        known.copy_(kept)
    assert torch.equal(found[:, 0], kept[:, 0])
    # Pixel i of 28 lies at (i + 1/2) / 2 − 1/2 of 14, and at an end where that is outside.
    columns = ((torch.arange(28) + 0.5) / 2 - 0.5).clamp(0, 13)
    torch.testing.assert_close(found[0, 1:, 5], columns.repeat(3))


def test_channels_are_found_without_touching_the_encoder() -> None:
    encoder = build_encoder("mobilenet_v3_small")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    assert tap_channels(encoder, 3) == {2: 16, 4: 16, 8: 24, 16: 48, 32: 96}
    assert torch.equal(torch.get_rng_state(), state)
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_an_unknown_encoder_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match=r"unknown encoder 'resnet_18' \(did you mean 'resnet18'"):
        stages_of("resnet_18")
    with pytest.raises(SpecError, match="unknown encoder"):
        EncoderUNet(encoder="alexnet")


def test_stages_grow_coarser() -> None:
    for family in FAMILIES.values():
        assert list(family.stages) == ["stem", "stage1", "stage2", "stage3", "stage4"]
        strides = [stage.stride for stage in family.stages.values()]
        assert strides == sorted(strides)


def test_the_encoders_batch_norm_moves_as_the_settings_say():
    model = EncoderUNet(encoder="mobilenet_v3_small", width=0.25)
    own = {m.momentum for m in model.encoder.modules() if isinstance(m, nn.BatchNorm2d)}
    faster = EncoderUNet(encoder="mobilenet_v3_small", width=0.25, norm_momentum=0.1)
    found = {m.momentum for m in faster.encoder.modules() if isinstance(m, nn.BatchNorm2d)}
    assert (own, found) == ({0.01}, {0.1})
