"""What a spec can say of each task, and which metrics each has, without importing torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.registry import Registry
from bench.settings import Settings

Mode = Literal["min", "max"]
Target = Literal["mask", "label", "none"]


class TaskSettings(Settings):
    """Common to every task. `classes` are the names of its target's classes.

    Attributes:
        target: what of the data set's samples is learnt.
        takes_time: whether models are called with a time step (B,) int64 beside the images.
        losses: those that it can minimise, the default first.
    """

    target: ClassVar[Target] = "mask"
    takes_time: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ()

    def metrics(self, classes: tuple[str, ...]) -> dict[str, Mode]:
        """The validation metrics (`dice`, not `val/dice`) and the direction of each."""
        raise NotImplementedError

    def default_metric(self) -> str:
        """The metric that chooses the best epoch unless the spec says otherwise."""
        raise NotImplementedError

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """How many channels a model for this task has at its end."""
        raise NotImplementedError

    def output_shape(self, classes: tuple[str, ...], size: int) -> tuple[int, ...]:
        """The shape of a model's output for one image of `size` × `size`."""
        return (1, self.out_channels(classes), size, size)


TASKS: Registry[TaskSettings] = Registry("task")


@TASKS.register("bench.tasks.segmentation:Segmentation")
class SegmentationSettings(TaskSettings):
    """A class for every pixel."""

    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "dice", "cross_entropy+dice", "focal")
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
