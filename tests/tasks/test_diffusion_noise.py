"""Schedules at known values, and noise that belongs to an image."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from bench.tasks.noise import (
    NoiseSchedule,
    cosine,
    fixed_noise,
    fixed_steps,
    linear,
    schedule,
)


def test_linear_schedule_of_ho_et_al() -> None:
    found = schedule("linear", 1000)
    assert found.steps == 1000
    assert found.alpha_bars[0] == pytest.approx(1 - 1e-4, abs=1e-12)
    # β_1 = 1e-4 + 0.0199/999
    assert found.alpha_bars[1] == pytest.approx((1 - 1e-4) * (1 - 1e-4 - 0.0199 / 999), abs=1e-12)
    assert found.alpha_bars[-1] == pytest.approx(4.0358e-5, rel=1e-4)


def test_linear_schedule_reaches_noise_in_fewer_steps_too() -> None:
    betas = linear(100)
    assert betas[0].item() == pytest.approx(1e-3)
    assert betas[-1].item() == pytest.approx(0.2)
    assert schedule("linear", 100).alpha_bars[-1] < 1e-4


def test_cosine_schedule_of_nichol_and_dhariwal() -> None:
    found = schedule("cosine", 1000).alpha_bars
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    middle = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2
    assert found[499] == pytest.approx(middle / start, rel=1e-9)
    assert cosine(1000)[-1].item() == 0.999  # 1 without the bound
    assert all(after < before for before, after in pairwise(found))


def test_noisy_images_have_the_mean_and_variance_of_their_step() -> None:
    one = NoiseSchedule(torch.tensor([0.19, 0.5]))  # ᾱ = 0.81, 0.405
    image = torch.full((2, 1, 200, 200), 0.5)
    noise = fixed_noise(torch.arange(2), (1, 200, 200))
    found = one.noisy(image, noise, torch.tensor([0, 1]))
    assert found[0].mean().item() == pytest.approx(0.9 * 0.5, abs=0.01)
    assert found[0].var().item() == pytest.approx(0.19, rel=0.03)
    assert found[1].mean().item() == pytest.approx(math.sqrt(0.405) * 0.5, abs=0.015)
    assert found[1].var().item() == pytest.approx(0.595, rel=0.03)
    torch.testing.assert_close(found[0], 0.9 * image[0] + math.sqrt(0.19) * noise[0])


def test_fixed_noise_is_normal_and_uncorrelated() -> None:
    found = fixed_noise(torch.arange(256), (3, 16, 16)).flatten(1).double()
    values = found.numel()
    assert found.mean().abs() < 5 / math.sqrt(values)
    assert found.var().item() == pytest.approx(1, abs=0.02)
    assert (found**3).mean().abs() < 0.05
    assert (found**4).mean().item() == pytest.approx(3, abs=0.1)
    for between in (found.corrcoef(), found.T.corrcoef()):  # images, then pixels
        between.fill_diagonal_(0)
        assert between.abs().max() < 6 / math.sqrt(256)
    # neighbours in place, in position and in stream
    other = fixed_noise(torch.arange(256), (3, 16, 16), stream=1).flatten(1).double()
    for product in (found[1:] * found[:-1], found[:, 1:] * found[:, :-1], found * other):
        assert product.mean().abs() < 5 / math.sqrt(values)


def test_fixed_noise_depends_on_the_place_alone() -> None:
    together = fixed_noise(torch.tensor([5, 0, 7]), (3, 4, 4))
    assert torch.equal(together[2], fixed_noise(torch.tensor([7]), (3, 4, 4))[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together, fixed_noise(torch.tensor([5, 0, 7]), (3, 4, 4), stream=1))


@pytest.mark.parametrize("count", [8, 37, 368, 3669])
def test_fixed_times_are_spread_over_all_steps(count: int) -> None:
    found = fixed_steps(torch.arange(count), 1000)
    assert found.dtype == torch.int64
    assert found.min() >= 0
    assert found.max() <= 999
    quarters = torch.bincount(found // 250, minlength=4)
    assert (quarters - count / 4).abs().max() <= 2
    gaps = found.sort().values.diff()
    assert gaps.max() <= 3 * 1000 / count + 1
