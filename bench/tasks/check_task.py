"""A task of the user's own is tried once before hours are spent on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError, SpecError, describe_exception
from bench.tasks.base import Batch, Task
from bench.tasks.custom_settings import CustomTask

KEY = "task"
_NEEDED = (
    "loss", "loss_parts", "meter", "weight_classes", "count_classes", "predict", "baseline",
    "pictures", "makes_pictures_at", "final_evaluation",
)  # fmt: skip


class AnyModel(nn.Module):
    """Gives an output of the right shape, on which its one weight and the images have a part."""

    def __init__(self, channels: int, *, vector: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1, channels))
        self._vector = vector

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) or (B, C)."""
        found = images.mean(1, keepdim=True) * self.weight.view(1, -1, 1, 1)
        return found.mean((2, 3)) if self._vector else found


def example(
    settings: CustomTask, classes: int, size: tuple[int, int], channels: int, *, count: int = 3
) -> Batch:
    """Random images in 0…1 and targets of the form that the task learns."""
    noise = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, *size, generator=noise)
    shape = {"mask": (count, *size), "label": (count,), "labels": (count, classes)}
    target = None
    if settings.learns != "none":
        most = 2 if settings.learns == "labels" else max(1, classes)
        target = torch.randint(most, shape[settings.learns], generator=noise)
        target = target.to(torch.uint8) if settings.learns == "mask" else target
    return Batch(images, target, torch.arange(count))


def check_methods(settings: CustomTask, task: Any) -> None:
    """Raise a SpecError where a task lacks what every task has."""
    missing = [name for name in _NEEDED if not callable(getattr(task, name, None))]
    if missing:
        raise SpecError(
            f"{settings.target!r} has no {' and no '.join(missing[:2])}: derive it from "
            "bench.tasks.simple.SimpleTask, or from a task of bench",
            key=KEY,
        )


def check_task(
    settings: CustomTask, task: Task, classes: int, size: tuple[int, int], channels: int
) -> None:
    """Try a task on a few random images.

    Args:
        settings: what the spec says of it.
        task: as it was built.
        classes: of the target.
        size: of images, their height and width.
        channels: of images.

    Raises:
        SpecError: it fails, has no gradient, or does not have the scores that the spec names.
    """
    check_methods(settings, task)
    batch = example(settings, classes, size, channels)
    outputs = settings.outputs or max(1, classes)
    model = AnyModel(outputs, vector=settings.gives_vectors)
    try:
        loss: Any = task.loss(model, batch)
        meter = task.meter()
        with torch.inference_mode():
            meter.update(model.eval(), batch)
            found = meter.compute()
    except BenchError:
        raise
    except Exception as error:  # code of others may raise anything
        target = "no target" if batch.target is None else f"targets {tuple(batch.target.shape)}"
        shape = tuple(model(batch.images).shape)
        raise SpecError(
            f"{settings.target!r} fails on images {tuple(batch.images.shape)}, {target} and an "
            f"output {shape}: {describe_exception(error)}; task.learns, output and outputs say "
            "what it is given",
            key=KEY,
        ) from error
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise SpecError(f"the loss of {settings.target!r} is no number with a gradient", key=KEY)
    _check_names(settings, set(found))


def _check_names(settings: CustomTask, found: set[str]) -> None:
    """The scores that it has are those that the spec names."""
    wanted = {"loss", *settings.scores}
    found = {name for name in found if not name.startswith("scored_")}
    if missing := sorted(wanted - found):
        raise SpecError(
            f"{settings.target!r} gives no {missing[0]!r}, which task.scores names (it gives "
            f"{', '.join(sorted(found)) or 'nothing'})",
            key=KEY,
        )
    if others := sorted(found - wanted):
        raise SpecError(
            f"{settings.target!r} gives {others[0]!r}: write it under task.scores, with min or max",
            key=KEY,
        )
