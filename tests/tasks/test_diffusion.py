"""The task on tiny images with models whose errors are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.tasks.base import Batch, Samples
from bench.tasks.diffusion import Diffusion, grid
from bench.tasks.frechet_settings import FrechetSettings, ResolvedExtractor
from bench.tasks.settings import DIFFUSION_QUARTERS, DiffusionSettings

SIDE = 8


def images(count: int) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def batches(order: Tensor, size: int) -> Iterator[Batch]:
    pixels = images(len(order))
    for indices in order.split(size):
        yield Batch(pixels[indices], None, indices)


class Half(nn.Module):
    """Predicts half of what it sees, plus a thousandth of the step."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        assert time.dtype == torch.int64
        assert time.shape == (len(x),)
        return self.share * x + time.view(-1, 1, 1, 1) / 1000


def scores(order: Tensor, size: int) -> dict[str, float]:
    meter = Diffusion().meter()
    with torch.inference_mode():
        for batch in batches(order, size):
            meter.update(Half(), batch)
    return meter.compute()


def test_validation_does_not_depend_on_batches_order_or_epoch() -> None:
    expected = scores(torch.arange(40), 40)
    torch.manual_seed(99)  # whatever training has drawn meanwhile
    assert scores(torch.arange(40), 40) == expected
    for order, size in [(torch.arange(40), 7), (torch.arange(40).flip(0), 16)]:
        assert scores(order, size) == pytest.approx(expected, rel=1e-6)


def test_ranges_of_steps_partition_the_loss() -> None:
    task, order = Diffusion(), torch.arange(40)
    (batch,) = batches(order, 40)
    noise, time = task.fixed_noise_and_steps(batch)
    bars = torch.tensor(task.schedule.alpha_bars)[time].view(-1, 1, 1, 1)
    noisy = bars.sqrt() * batch.images + (1 - bars).sqrt() * noise
    errors = (0.5 * noisy + time.view(-1, 1, 1, 1) / 1000 - noise).square().mean((1, 2, 3))
    found = scores(order, 40)
    assert list(found) == ["loss", *DIFFUSION_QUARTERS]
    assert found["loss"] == pytest.approx(errors.mean().item(), rel=1e-5)
    for number, name in enumerate(DIFFUSION_QUARTERS):
        inside = (time >= 250 * number) & (time < 250 * (number + 1))
        assert found[name] == pytest.approx(errors[inside].mean().item(), rel=1e-5)


def test_a_quarter_without_images_is_missing_not_0() -> None:
    found = scores(torch.arange(1), 1)
    assert found["loss_t1"] == found["loss"]  # place 0 has step 0
    assert all(found[name] is None for name in DIFFUSION_QUARTERS[1:])


def test_training_loss_by_hand_and_its_draws() -> None:
    task, model = Diffusion(), Half()
    (batch,) = batches(torch.arange(4), 4)
    torch.manual_seed(3)
    found = task.loss(model, batch)
    torch.manual_seed(3)
    time = torch.randint(1000, (4,))
    noise = torch.randn(4, 3, SIDE, SIDE)
    predicted = model(task.schedule.noisy(batch.images, noise, time), time)
    torch.testing.assert_close(found, (predicted - noise).square().mean())
    found.backward()
    assert model.share.grad is not None
    # the memory format does not change which pixel gets which draw
    torch.manual_seed(3)
    last = batch._replace(images=batch.images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(task.loss(model, last), found)


def test_baseline_is_the_noise_itself() -> None:
    found = Diffusion().baseline(batches(torch.arange(40), 16))
    (batch,) = batches(torch.arange(40), 40)
    noise, _ = Diffusion().fixed_noise_and_steps(batch)
    assert found.metrics["loss"] == pytest.approx(noise.square().mean().item(), rel=1e-6)
    assert found.metrics["loss"] == pytest.approx(1, abs=0.05)
    assert set(found.predictions.values()) == {"no noise"}


def samples() -> Samples:
    (batch,) = batches(torch.arange(2), 2)
    return Samples(("a", "b"), np.zeros((2, SIDE, SIDE, 3), np.uint8), batch)


def test_pictures_are_the_same_each_time() -> None:
    task = Diffusion(ddpm_steps=4, ddim_steps=3, samples=5)
    with torch.inference_mode():
        found = task.pictures(Half(), samples())
        torch.manual_seed(5)
        again = task.pictures(Half(), samples())
    assert list(found) == ["ddpm", "ddim"]
    for name, picture in found.items():
        assert picture.shape == (2 * SIDE + 2, 3 * SIDE + 2 * 2, 3)  # 5 images in 2 rows of 3
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, again[name])
    assert not np.array_equal(found["ddpm"], found["ddim"])


def test_grid_by_hand() -> None:
    four = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    found = grid(four)[..., 0]
    white = 255
    assert found.tolist() == [
        [0, white, white, 128],
        [white] * 4,
        [white] * 4,
        [255, white, white, white],
    ]


@pytest.mark.parametrize(("epochs", "expected"), [(25, [1, 10, 20, 25]), (1, [1])])
def test_pictures_are_made_at_the_first_every_tenth_and_the_last_epoch(
    epochs: int, expected: list[int]
) -> None:
    task = Diffusion(show_every=10)
    assert [
        epoch for epoch in range(1, epochs + 1) if task.makes_pictures_at(epoch, epochs)
    ] == expected


def test_there_is_nothing_to_predict() -> None:
    with pytest.raises(BenchError, match="diffusion"):
        Diffusion().predict(Half(), images(1), (4, 4))


class Colours(nn.Module):
    """A classifier whose features are the mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(x.mean((2, 3)))
        return found


def test_closing_says_the_distance_and_whose_features(tmp_path: Path) -> None:
    train = batches(torch.arange(2), 2)
    assert Diffusion().final_evaluation(Half(), train, batches(torch.arange(8), 3)).facts == {}
    (tmp_path / "best.pt").touch()
    resolved = ResolvedExtractor(
        source="classifier",
        exactly="x",
        sha256=hashlib.sha256(b"").hexdigest(),
        name="classifier breeds/resnet-s0",
        file=str(tmp_path / "best.pt"),
    )
    wanted = FrechetSettings(samples=7, extractor="classifier", classifier=resolved)
    task = Diffusion(ddim_steps=2, frechet=wanted, load_classifier=lambda _: Colours())
    with torch.inference_mode():
        found = task.final_evaluation(Half(), train, batches(torch.arange(8), 3)).facts
    text = "classifier breeds/resnet-s0: 3 features, 7 generated and 8 test images"
    assert found["frechet_extractor"] == text
    # images of noise are far from the test images' mean colours
    assert isinstance(found["frechet"], float)
    assert found["frechet"] > 0


def test_settings() -> None:
    settings = DiffusionSettings()
    assert list(settings.metric_modes(())) == ["loss", *DIFFUSION_QUARTERS]
    assert set(settings.metric_modes(()).values()) == {"min"}
    assert settings.default_metric() == "loss"
    assert settings.output_shape((), (64, 64)) == (1, 3, 64, 64)
    assert settings.losses == ("mse",)
    assert (settings.target_form, settings.takes_time) == ("none", True)
    assert settings.normalize == {"symmetric"}
    # what only pictures depend on is no part of a trial's identity
    assert settings.identity() == DiffusionSettings(samples=4, show_every=1).identity()
