"""What a spec can say of each task, and which metrics each has, without importing torch."""

from __future__ import annotations

from typing import Literal

from bench.registry import Registry
from bench.settings import Settings

Mode = Literal["min", "max"]


class TaskSettings(Settings):
    """Common to every task."""

    def metrics(self, classes: tuple[str, ...]) -> dict[str, Mode]:
        """The validation metrics (`dice`, not `val/dice`) and the direction of each."""
        raise NotImplementedError

    def default_metric(self) -> str:
        """The metric that chooses the best epoch unless the spec says otherwise."""
        raise NotImplementedError

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """How many channels a model for this task has at its end."""
        raise NotImplementedError


TASKS: Registry[TaskSettings] = Registry("task")


@TASKS.register("bench.tasks.segmentation:Segmentation")
class SegmentationSettings(TaskSettings):
    """A class for every pixel."""

    name: Literal["segmentation"] = "segmentation"

    def metrics(self, classes: tuple[str, ...]) -> dict[str, Mode]:
        """Loss, mean Dice and IoU, and with more than one foreground class each class's own."""
        found: dict[str, Mode] = {"loss": "min", "dice": "max", "iou": "max"}
        if len(classes) > 2:
            for kind in ("dice", "iou"):
                found |= {f"{kind}_{name}": "max" for name in classes[1:]}
        return found

    def default_metric(self) -> str:
        """Mean Dice."""
        return "dice"

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """A channel of scores per class."""
        return len(classes)
