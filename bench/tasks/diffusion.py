"""Diffusion: predicting the noise in images (Ho et al. 2020), and making images from noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import BenchError
from bench.tasks.base import Baseline, Batch, FinalEvaluation, LossPart, Picture, Samples
from bench.tasks.frechet import (
    LoadClassifier,
    describe_extractor,
    frechet_distance,
    gaussian,
    load_extractor,
)
from bench.tasks.frechet_settings import FrechetSettings, ResolvedExtractor
from bench.tasks.noise import fixed_noise, fixed_steps, schedule
from bench.tasks.palette import GAP
from bench.tasks.sampling import ddim, ddpm, start_noise
from bench.tasks.scored_meter import ScoredMeter
from bench.tasks.settings import DIFFUSION_QUARTERS


def refuse_classifier(resolved: ResolvedExtractor) -> nn.Module:
    """Stands in where nothing is given to load a classifier with.

    Raises:
        BenchError: always.
    """
    raise BenchError(f"{resolved.name}: a task built without `load_classifier` cannot load it")


class Diffusion:
    """The diffusion task; see `bench.tasks.base.Task`. Images are in -1…1.

    Models are called with (B, 3, H, W) noisy images and (B,) steps, and give the noise.
    """

    def __init__(
        self,
        *,
        steps: int = 1000,
        noise: Literal["linear", "cosine"] = "linear",
        ddim_steps: int = 50,
        ddpm_steps: int = 250,
        samples: int = 16,
        show_every: int = 10,
        frechet: FrechetSettings | None = None,
        load_classifier: LoadClassifier = refuse_classifier,
    ) -> None:
        """`load_classifier` is what the Fréchet distance's classifier is loaded with."""
        self.schedule = schedule(noise, steps)
        self._ddim_steps, self._ddpm_steps = ddim_steps, ddpm_steps
        self._samples, self._show_every = samples, show_every
        self._frechet, self._load_classifier = frechet, load_classifier

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean squared error of the predicted noise; noise and steps are drawn anew each time."""
        noise, time = self._draw_noise(batch.images)
        return self.errors(model, batch.images, noise, time).mean()

    def _draw_noise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Noise like the images, and a step for each (B,)."""
        time = torch.randint(self.schedule.steps, (len(images),), device=images.device)
        # by shape, so that the memory format does not decide which pixel gets which draw
        return torch.randn(images.shape, device=images.device), time

    def loss_parts(self, batch: Batch, size: int) -> Sequence[LossPart]:
        """The loss is a mean over images; what is drawn is drawn for the whole batch."""
        noise, time = self._draw_noise(batch.images)

        def share(part: Batch, noise: Tensor, time: Tensor) -> LossPart:
            return lambda model: (
                self.errors(model, part.images, noise, time).sum() / len(batch.images)
            )

        parts = batch.parts(size)
        drawn = noise.tensor_split(len(parts)), time.tensor_split(len(parts))
        return [share(*each) for each in zip(parts, *drawn, strict=True)]

    def errors(self, model: nn.Module, images: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """(B,) each image's mean squared error of the predicted noise, in fp32."""
        predicted = model(self.schedule.noisy(images, noise, time), time).float()
        return F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))

    def fixed_noise_and_steps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Noise like the images and steps (B,) that belong to their places in the split."""
        noise = fixed_noise(batch.indices, tuple(batch.images.shape[1:]))
        return noise, fixed_steps(batch.indices, self.schedule.steps)

    def meter(self) -> DiffusionMeter:
        """A fresh meter."""
        return DiffusionMeter(self)

    def predict(
        self, _model: nn.Module, _images: Tensor, _size: tuple[int, int] | None = None
    ) -> Tensor:
        """Refuses: a diffusion model has nothing to say of a given image.

        Raises:
            BenchError: always.
        """
        raise BenchError(
            "predict: a diffusion model generates images and labels none; see samples/ instead"
        )

    def baseline(self, batches: Iterable[Batch]) -> Baseline:
        """No noise predicted at all: the mean square of the noise, about 1.

        Of constants it is the best one, noise being 0 in the mean.
        """
        meter = self.meter()
        for batch in batches:
            meter.update(_ZeroNoise(), batch)
        known = {name: value for name, value in meter.compute().items() if value is not None}
        return Baseline(known, dict.fromkeys(known, "no noise"))

    def generate(self, model: nn.Module, indices: Tensor, shape: tuple[int, ...]) -> Tensor:
        """(B, *shape) images in -1…1 by DDIM, each from the noise that belongs to its place."""
        return ddim(model, self.schedule, start_noise(indices, shape), self._ddim_steps)

    def pictures(self, model: nn.Module, samples: Samples) -> dict[str, Picture]:
        """Grids of images by DDPM and DDIM, from the same noise in every trial and epoch."""
        images = samples.batch.images
        indices = torch.arange(self._samples, device=images.device)
        noise = start_noise(indices, tuple(images.shape[1:]))
        return {
            "ddpm": grid(ddpm(model, self.schedule, noise, self._ddpm_steps, indices)),
            "ddim": grid(ddim(model, self.schedule, noise, self._ddim_steps)),
        }

    def makes_pictures_at(self, epoch: int, epochs: int, /) -> bool:
        """The first epoch, every so many, and the last."""
        return epoch in (1, epochs) or epoch % self._show_every == 0

    def final_evaluation(
        self, model: nn.Module, _train: Iterable[Batch], test: Iterable[Batch], /
    ) -> FinalEvaluation:
        """The Fréchet distance of generated from test images, where the spec asks for it.

        Raises:
            DataError: the feature extractor is not what it was when the trial was planned.
        """
        if self._frechet is None:
            return FinalEvaluation()
        extractor, batches = load_extractor(self._frechet, self._load_classifier), iter(test)
        first = next(batches)
        extractor.network.to(first.images.device)
        shown = ((batch.images + 1) / 2 for batch in chain([first], batches))
        real = extractor.all_features(shown)
        made = self._generated(model, first.images, self._frechet.samples)
        generated = extractor.all_features(made)
        distance = frechet_distance(gaussian(generated), gaussian(real))
        named = describe_extractor(extractor, generated, real)
        return FinalEvaluation({"frechet": distance, "frechet_extractor": named})

    def _generated(self, model: nn.Module, like: Tensor, count: int) -> Iterable[Tensor]:
        """`count` images in 0…1, in batches of the size and shape of `like`."""
        for indices in torch.split(torch.arange(count, device=like.device), len(like)):
            yield (self.generate(model, indices, tuple(like.shape[1:])) + 1) / 2


class _ZeroNoise(nn.Module):
    """Predicts that there is no noise."""

    def forward(self, images: Tensor, _time: Tensor) -> Tensor:
        return torch.zeros_like(images)


class DiffusionMeter(ScoredMeter):
    """The loss with each image's own noise and step, once more in the quarter of its step."""

    def __init__(self, task: Diffusion) -> None:
        super().__init__()
        self._task = task
        self._errors: list[Tensor] = []
        self._times: list[Tensor] = []

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; nothing is read back from the device."""
        noise, time = self._task.fixed_noise_and_steps(batch)
        self._errors.append(self._task.errors(model, batch.images, noise, time).detach())
        self._times.append(time)

    def compute(self) -> dict[str, float | None]:
        """Means over images; of a quarter that no image fell into, None."""
        errors = torch.cat(self._errors).double().cpu()
        quarters = (
            torch.cat(self._times).cpu() * len(DIFFUSION_QUARTERS) // self._task.schedule.steps
        )
        found: dict[str, float | None] = {"loss": float(errors.mean())}
        for number, name in enumerate(DIFFUSION_QUARTERS):
            own = errors[quarters == number]
            found[name] = float(own.mean()) if len(own) else None
        each = {"loss": errors} | {
            name: torch.where(quarters == number, errors, torch.nan)
            for number, name in enumerate(DIFFUSION_QUARTERS)
        }
        self.keep(each, set(each))
        return found


def grid(images: Tensor) -> Picture:
    """(N, 3, H, W) in -1…1 → one (h, w, 3) picture, as square as N allows, with white gaps."""
    pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).byte().cpu()
    pixels = F.pad(pixels, (0, GAP, 0, GAP), value=255)
    columns = math.ceil(math.sqrt(len(pixels)))
    rows = math.ceil(len(pixels) / columns)
    blank = torch.full_like(pixels[:1], 255).expand(rows * columns - len(pixels), -1, -1, -1)
    cells = torch.cat([pixels, blank]).view([rows, columns, *pixels.shape[1:]])
    sheet = cells.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return np.ascontiguousarray(sheet[:-GAP, :-GAP].numpy())
