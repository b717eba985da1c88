"""One step by hand, and a whole walk with a model that knows the noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bench.tasks.noise import NoiseSchedule, schedule
from bench.tasks.sampling import ddim, ddpm, implied_image, posterior, spaced_steps, start_noise

SCHEDULE = schedule("linear", 1000)


class KnowsTheImage(nn.Module):
    """Predicts exactly the noise that x_t has over one image."""

    def __init__(self, image: Tensor, alpha_bars: list[float]) -> None:
        super().__init__()
        self.image, self.bars = image, torch.tensor(alpha_bars, dtype=torch.float64)
        self.times: list[int] = []

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.times.append(int(time[0]))
        bar = self.bars[time].view(-1, 1, 1, 1)
        return (x.double() - bar.sqrt() * self.image) / (1 - bar).sqrt()


def an_image(count: int = 2) -> Tensor:
    return torch.linspace(-1, 1, 48).view(1, 3, 4, 4).expand(count, -1, -1, -1)


@pytest.mark.parametrize(("trained", "wanted"), [(1000, 50), (1000, 1), (100, 250), (30, 7)])
def test_steps_are_evenly_spaced_from_the_noisiest_on(trained: int, wanted: int) -> None:
    found = spaced_steps(trained, wanted)
    assert len(found) == min(trained, wanted)
    assert found[0] == trained - 1
    gaps = {before - after for before, after in zip(found, [*found[1:], -1], strict=True)}
    assert max(gaps) - min(gaps) <= 1
    assert min(gaps) >= 1


def test_posterior_by_hand() -> None:
    # ᾱ_before 0.9, ᾱ 0.72: α = 0.8, β = 0.2, 1-ᾱ = 0.28, 1-ᾱ_before = 0.1
    x, image = torch.tensor([2.0]), torch.tensor([0.5])
    mean, variance = posterior(x, image, 0.72, 0.9)
    by_hand = math.sqrt(0.9) * 0.2 / 0.28 * 0.5 + math.sqrt(0.8) * 0.1 / 0.28 * 2
    assert mean.item() == pytest.approx(by_hand, abs=1e-6)
    assert variance == pytest.approx(0.2 * 0.1 / 0.28)


def test_posterior_mean_is_ho_et_als_in_terms_of_the_noise() -> None:
    x, noise = torch.tensor([0.3]), torch.tensor([0.2])  # small, so that nothing is clipped
    found = posterior(x, implied_image(x, noise, 0.72), 0.72, 0.9).mean
    # equation 11: (x - β/√(1-ᾱ)·ε)/√α
    expected = (0.3 - 0.2 / math.sqrt(0.28) * 0.2) / math.sqrt(0.8)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_the_implied_image_is_clipped() -> None:
    found = implied_image(torch.tensor([3.0, -3.0, 0.3]), torch.zeros(3), 0.36)
    assert found.tolist() == pytest.approx([1, -1, 0.5])


def test_ddim_step_by_hand() -> None:
    # two trained steps, ᾱ = 0.75, 0.25; noise predicted as 0.4·x, x = 0.5
    steps = NoiseSchedule(torch.tensor([0.25, 2 / 3], dtype=torch.float64))

    class LossPart(nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return 0.4 * x

    image = (0.5 - math.sqrt(0.75) * 0.2) / 0.5
    x = math.sqrt(0.75) * image + 0.5 * 0.2
    expected = (x - 0.5 * 0.4 * x) / math.sqrt(0.75)
    found = ddim(LossPart(), steps, torch.full((1, 1, 1, 1), 0.5), 2)
    assert found.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 10, 50])
def test_ddim_with_perfect_predictions_recovers_the_image(steps: int) -> None:
    model = KnowsTheImage(an_image(), SCHEDULE.alpha_bars)
    found = ddim(model, SCHEDULE, start_noise(torch.arange(2), (3, 4, 4)), steps)
    assert model.times == spaced_steps(1000, steps)
    torch.testing.assert_close(found, an_image(), rtol=0, atol=1e-4)


def test_ddpm_with_perfect_predictions_recovers_the_image() -> None:
    model = KnowsTheImage(an_image(), SCHEDULE.alpha_bars)
    indices = torch.arange(2)
    found = ddpm(model, SCHEDULE, start_noise(indices, (3, 4, 4)), 40, indices)
    torch.testing.assert_close(found, an_image(), rtol=0, atol=1e-4)


def test_ddpm_keeps_the_variance_of_the_forward_process() -> None:
    """Of x_t over one image: of a walk that stops at ᾱ, the variance must be 1-ᾱ."""
    seen: dict[int, Tensor] = {}

    class Watched(KnowsTheImage):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            seen[int(time[0])] = x
            return super().forward(x, time)

    indices = torch.arange(400)
    model = Watched(torch.zeros(1, 1, 8, 8), SCHEDULE.alpha_bars)
    ddpm(model, SCHEDULE, start_noise(indices, (1, 8, 8)), 20, indices)
    for time in (749, 499, 99):
        assert seen[time].var().item() == pytest.approx(1 - SCHEDULE.alpha_bars[time], rel=0.03)


def test_samples_depend_on_their_place_alone() -> None:
    model = KnowsTheImage(an_image(1), [bar**0.5 for bar in SCHEDULE.alpha_bars])
    all_places = torch.arange(3)
    noise = start_noise(all_places, (3, 4, 4))
    together = ddpm(model, SCHEDULE, noise, 10, all_places)
    assert torch.equal(together, ddpm(model, SCHEDULE, noise, 10, all_places))
    alone = ddpm(model, SCHEDULE, noise[1:2], 10, all_places[1:2])
    torch.testing.assert_close(alone[0], together[1])
