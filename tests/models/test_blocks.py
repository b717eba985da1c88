from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bench.models.blocks import BatchNorm, ReflectConv, Upsample, scaled
from bench.models.resampling import mirrored


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(64, 1.0, 64), (64, 0.5, 32), (64, 0.1, 6), (64, 0.001, 1), (32, 8.0, 256)],
)
def test_scaled(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected


def test_bilinear_upsampling_to_the_double_is_that_by_a_factor_of_two() -> None:
    x = torch.randn(2, 3, 5, 8)
    doubled = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    up = Upsample("bilinear", 3, transposed_channels=1)
    assert torch.equal(up(x, torch.Size([10, 16])), doubled)
    assert up.out_channels == 3
    assert not list(up.parameters())


def test_transposed_upsampling_to_the_double_is_left_as_it_is() -> None:
    x = torch.randn(2, 4, 5, 8)
    up = Upsample("transposed", 4, transposed_channels=2)
    assert up.transposed is not None
    assert torch.equal(up(x, torch.Size([10, 16])), up.transposed(x))
    assert up.out_channels == 2
    assert Upsample("transposed", 4).out_channels == 4


@pytest.mark.parametrize("kind", ["bilinear", "transposed"])
@pytest.mark.parametrize("size", [(11, 17), (9, 15), (10, 17)])
def test_upsampling_reaches_odd_sizes(kind: str, size: tuple[int, int]) -> None:
    up = Upsample(kind, 4)  # type: ignore[arg-type]
    assert up(torch.randn(1, 4, 5, 8), torch.Size(size)).shape == (1, 4, *size)


def test_batch_norm_uses_its_statistics_for_one_value_per_channel() -> None:
    norm = BatchNorm(2).train()
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 9.0]))
    found = norm(torch.tensor([5.0, 5.0]).reshape(1, 2, 1, 1))
    torch.testing.assert_close(found.flatten(), torch.tensor([2.0, 1.0]))  # (5-1)/2, (5-2)/3
    assert norm.running_mean.tolist() == [1.0, 2.0]
    assert norm.num_batches_tracked == 0


def test_batch_norm_is_pytorchs_otherwise() -> None:
    ours, theirs = BatchNorm(3).train(), torch.nn.BatchNorm2d(3).train()
    x = torch.randn(2, 3, 1, 1)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_mean, theirs.running_mean)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (7, 2)])
def test_reflect_convolution_is_pytorchs(kernel: int, stride: int) -> None:
    ours = ReflectConv(2, 3, kernel, stride)
    theirs = torch.nn.Conv2d(2, 3, kernel, stride, padding=kernel // 2, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 2, 9, 10)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("margin", [1, 3])
def test_padding_from_slices_is_reflect_padding(margin: int) -> None:
    x = torch.randn(1, 2, 4, 5, requires_grad=True)
    ours = mirrored(mirrored(x, margin, -1), margin, -2)
    theirs = F.pad(x, [margin] * 4, mode="reflect")
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients)
