"""Self-attention against torch's own, and the step's way into the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.models.ddpm_unet import DDPMUNet, SelfAttention


def test_self_attention_is_torchs_multihead_attention_between_norms() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(8)
    reference = nn.MultiheadAttention(8, num_heads=4, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": layer.qkv.weight,
            "in_proj_bias": layer.qkv.bias,
            "out_proj.weight": layer.mixed.weight,
            "out_proj.bias": layer.mixed.bias,
        }
    )
    x = torch.randn(2, 8, 3, 5)
    pixels = x.flatten(2).transpose(1, 2)
    normed = layer.norm(pixels)
    expected = pixels + reference(normed, normed, normed)[0]
    expected = expected + layer.after(expected)
    torch.testing.assert_close(layer(x).flatten(2).transpose(1, 2), expected)


@pytest.mark.parametrize("width", [0.01, 0.1, 0.33, 1.5])
def test_heads_divide_the_channels_at_every_width(width: float) -> None:
    model = DDPMUNet(width=width)
    layers = [part for part in model.modules() if isinstance(part, SelfAttention)]
    assert len(layers) == 6
    assert all(layer.mixed.in_features % 4 == 0 for layer in layers)


def test_without_attention() -> None:
    model = DDPMUNet(width=0.1, attention=False)
    assert not any(isinstance(part, SelfAttention) for part in model.modules())
    assert model(torch.zeros(1, 3, 9, 12), torch.tensor([5])).shape == (1, 3, 9, 12)


def test_the_step_reaches_the_output() -> None:
    torch.manual_seed(0)
    model, image = DDPMUNet(width=0.1).eval(), torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        early, late = (model(image, torch.tensor([time])) for time in (0, 900))
    assert not torch.allclose(early, late)


def test_attention_starts_as_multihead_attention_does() -> None:
    torch.manual_seed(0)
    ours, theirs = SelfAttention(64), nn.MultiheadAttention(64, 4)
    for own, published in (
        (ours.qkv.weight, theirs.in_proj_weight),
        (ours.mixed.weight, theirs.out_proj.weight),
    ):
        assert own.shape == published.shape
        # both uniform: the largest of thousands comes close to the bound
        assert own.abs().max().item() == pytest.approx(published.abs().max().item(), rel=0.01)
        assert own.std().item() == pytest.approx(published.std().item(), rel=0.05)
    assert ours.qkv.weight.abs().max() < (6 / (4 * 64)) ** 0.5
    for bias in (ours.qkv.bias, ours.mixed.bias, theirs.in_proj_bias, theirs.out_proj.bias):
        assert bias is not None
        assert (bias == 0).all()
