"""A task of one's own in a few lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, SpecError
from bench.tasks.base import Baseline, Batch, FinalEvaluation, LossPart, Picture, Samples
from bench.tasks.scored_meter import ScoredMeter


class SimpleTask:
    """A task whose loss and scores are means over images.

    Write `losses`, and `scores` where the spec names any. All else may be written, too, or be
    inherited: `output` where a model is called with something else than the images, `predict` for
    `bench predict`, `baseline`, `pictures`. Its constructor takes the arguments of `task:`, and
    `classes` (the names of the target's classes) where it has such an argument.

        class Autoencoder(SimpleTask):
            def losses(self, output, batch):
                return (output - batch.images).square().mean((1, 2, 3))
    """

    def losses(self, output: Any, batch: Batch) -> Tensor:
        """(B,) the loss of each image, of which a step minimises the mean.

        Args:
            output: of the model.
            batch: the images as the network gets them, normalised, and their targets.
        """
        raise NotImplementedError

    def scores(self, _output: Any, _batch: Batch) -> Mapping[str, Tensor]:
        """(B,) by each name in `task.scores`; NaN: an image has no score."""
        return {}

    def output(self, model: nn.Module, batch: Batch) -> Any:
        """What the model makes of the images."""
        return model(batch.images)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """See `Task`."""
        return self.losses(self.output(model, batch), batch).mean()

    def loss_parts(self, batch: Batch, size: int) -> Sequence[LossPart]:
        """See `Task`."""

        def share(part: Batch) -> LossPart:
            return lambda model: self.loss(model, part) * (len(part.images) / len(batch.images))

        return [share(part) for part in batch.parts(size)]

    def meter(self, *, final: bool = False) -> SimpleMeter:  # noqa: ARG002 - of other tasks
        """See `Task`."""
        return SimpleMeter(self)

    def weight_classes(self, _weights: Tensor) -> None:
        """Raises SpecError: there are none to be weighted, unless a task says otherwise."""
        name = type(self).__name__
        raise SpecError(f"{name} weights no classes: use none", key="train.class_weights")

    def count_classes(self, _targets: Tensor) -> Tensor:
        """Raises SpecError: there are none to be counted, unless a task says otherwise."""
        name = type(self).__name__
        raise SpecError(f"{name} counts no classes: use shuffle", key="train.sampler")

    def predict(self, _model: nn.Module, _images: Tensor, _size: tuple[int, int] | None) -> Tensor:
        """Raises BenchError: there is nothing to predict, unless a task says otherwise."""
        raise BenchError(f"predict: {type(self).__name__} has no `predict`: write one")

    def baseline(self, _batches: Iterable[Batch]) -> Baseline:
        """None."""
        return Baseline({}, {})

    def pictures(self, _model: nn.Module, _samples: Samples) -> dict[str, Picture]:
        """None."""
        return {}

    def makes_pictures_at(self, _epoch: int, _epochs: int, /) -> bool:
        """Only the best epoch is shown."""
        return False

    def final_evaluation(
        self, _model: nn.Module, _train: Iterable[Batch], _test: Iterable[Batch], /
    ) -> FinalEvaluation:
        """Nothing."""
        return FinalEvaluation()


class SimpleMeter(ScoredMeter):
    """Means over images of the loss and of scores."""

    def __init__(self, task: SimpleTask) -> None:
        super().__init__()
        self._task = task
        self._found: dict[str, list[Tensor]] = {}

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; nothing is read back from the device."""
        output = self._task.output(model, batch)
        found = {"loss": self._task.losses(output, batch), **self._task.scores(output, batch)}
        for name, values in found.items():
            if values.shape != (len(batch.images),):
                raise SpecError(
                    f"{type(self._task).__name__} must give a {name} for each of "
                    f"{len(batch.images)} images, not {tuple(values.shape)}",
                    key="task",
                )
            self._found.setdefault(name, []).append(values.detach())

    def compute(self) -> dict[str, float | None]:
        """The mean loss, and of each score that over the images which have it."""
        images = {name: torch.cat(values).double().cpu() for name, values in self._found.items()}
        self.keep(images, set(images))
        # a loss that is no number is that of a model which has diverged
        figures = {n: v.mean() if n == "loss" else v.nanmean() for n, v in images.items()}
        return {
            name: None if name != "loss" and math.isnan(value) else float(value)
            for name, value in figures.items()
        }
