"""What every task must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.tasks.base import Batch, Task, task_state
from bench.tasks.check_task import AnyModel, check_task, example
from bench.tasks.custom_settings import CustomTask
from bench.tasks.settings import TASKS
from bench.testing.cases import as_test, require


def task_conforms(
    task: dict[str, Any],
    *,
    classes: tuple[str, ...] = ("background", "cat", "dog"),
    size: int = 32,
    channels: int = 3,
) -> Callable[..., None]:
    """A test of a task in all its duties.

    Args:
        task: as it stands in the spec: `target:`, `learns:`, `scores:` and arguments.
        classes: of the target, background first where it is a mask.
        size: of the images it is tried with.
        channels: of them.
    """
    settings = CustomTask.model_validate(task)
    suite = _Suite(settings, classes if settings.learns != "none" else (), size, channels)
    return as_test(
        [
            suite.has_the_scores_that_it_names,
            suite.sends_a_gradient_to_the_model,
            suite.repeats_its_loss_in_evaluation,
            suite.depends_on_no_batch_size,
            suite.depends_on_no_order,
            suite.means_of_images_are_the_splits,
            suite.parts_of_a_batch_add_up,
            suite.has_a_baseline_of_its_own_scores,
        ]
    )


class _Suite:
    def __init__(
        self, settings: CustomTask, classes: tuple[str, ...], size: int, channels: int
    ) -> None:
        self.settings, self.classes = settings, classes
        self.size, self.channels = (size, size), channels

    def _task(self) -> Task:
        torch.manual_seed(0)
        found: Task = TASKS.build(self.settings, classes=self.classes, background=True)
        return found

    def _model(self) -> nn.Module:
        outputs = self.settings.out_channels(self.classes)
        return AnyModel(outputs, vector=self.settings.gives_vectors)

    def _batch(self, count: int = 7) -> Batch:
        return example(self.settings, len(self.classes), self.size, self.channels, count=count)

    def _found(self, batches: list[Batch]) -> tuple[dict[str, float | None], Any]:
        task, model = self._task(), self._model().eval()
        task_state(task).eval()
        meter = task.meter()
        with torch.inference_mode():
            for batch in batches:
                meter.update(model, batch)
        found = meter.compute()
        own = getattr(meter, "by_image", None)
        return found, None if own is None else own()

    def has_the_scores_that_it_names(self) -> None:
        check_task(self.settings, self._task(), len(self.classes), self.size, self.channels)

    def sends_a_gradient_to_the_model(self) -> None:
        model = self._model()
        self._task().loss(model, self._batch()).backward()  # type: ignore[no-untyped-call]  # torch's has no types
        (weight,) = model.parameters()
        require(weight.grad is not None and weight.grad.isfinite().all(), "the gradient is finite")
        require(weight.grad is not None and weight.grad.any(), "the model has a gradient")

    def repeats_its_loss_in_evaluation(self) -> None:
        one, other = (self._found([self._batch()])[0] for _ in range(2))
        require(_alike(one, other), "the same images have the same scores in every validation")

    def depends_on_no_batch_size(self) -> None:
        batch = self._batch()
        whole, parts = self._found([batch])[0], self._found(batch.parts(2))[0]
        require(_alike(whole, parts), "scores are the same whatever the batches")

    def depends_on_no_order(self) -> None:
        batch = self._batch()
        turned = Batch(*(None if part is None else part.flip(0) for part in batch))  # type: ignore[arg-type]  # images are there
        one, other = self._found([batch])[0], self._found([turned])[0]
        require(_alike(one, other), "scores are the same in whichever order images come")

    def means_of_images_are_the_splits(self) -> None:
        found, images = self._found(self._batch().parts(3))
        for name in () if images is None else images.means:
            column, value = images.column(name), found[name]
            if value is not None and np.isfinite(column).any():
                mean = float(np.nanmean(column))
                require(abs(mean - value) < 1e-5 * (1 + abs(mean)), f"{name} is its images' mean")

    def parts_of_a_batch_add_up(self) -> None:
        task, batch = self._task(), self._batch()
        try:
            parts = task.loss_parts(batch, 3)
        except ValueError:
            return  # train.micro_batch is refused with it
        model = self._model()
        whole = float(task.loss(model, batch).detach())
        total = float(sum(float(part(model).detach()) for part in parts))
        require(abs(whole - total) < 1e-5 * (1 + abs(whole)), "loss_parts add up to the loss")

    def has_a_baseline_of_its_own_scores(self) -> None:
        found = self._task().baseline(self._batch().parts(3))
        others = found.metrics.keys() - {"loss", *self.settings.scores}
        require(not others, f"its baseline is of its own scores, not {', '.join(sorted(others))}")


def _alike(one: dict[str, float | None], other: dict[str, float | None]) -> bool:
    first, second = ([np.nan if v is None else v for v in x.values()] for x in (one, other))
    return one.keys() == other.keys() and np.allclose(first, second, rtol=1e-5, equal_nan=True)
