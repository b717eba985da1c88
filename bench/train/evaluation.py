"""One pass over a split: its figures, and those of each of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.image_scores import ImageScores
from bench.tasks.base import Batch, Task, task_state
from bench.tasks.outputs import main_output
from bench.tasks.segmentation import SegmentationMeter
from bench.tasks.tiles import Scored, TiledModel, blended_strips
from bench.train.batches import Batches
from bench.train.image_scores import scores_of
from bench.train.precision import Precision
from bench.train.progress_watch import ProgressWatch


class Evaluated(NamedTuple):
    """What a pass over a split gives.

    Attributes:
        metrics: the task's, of the split.
        images: the same of each image; None where a task of one's own gives none.
    """

    metrics: dict[str, float | None]
    images: ImageScores | None


def evaluate_images(
    model: nn.Module,
    task: Task,
    batches: Batches,
    precision: Precision,
    *,
    grad: bool = False,
    watch: ProgressWatch | None = None,
    what: str = "validation",
    final: bool = False,
) -> Evaluated:
    """The task's metrics over every sample, in evaluation mode; the model's mode stays evaluation.

    Args:
        model: the model.
        task: whose metrics.
        batches: of the split.
        precision: of the forward passes.
        grad: leaves autograd on (a published mistake, to be measured).
        watch: gets the progress.
        what: what it is called.
        final: whether to compute the metrics for the end only, too.
    """
    model.eval()
    task_state(task).eval()
    watch = watch or ProgressWatch()
    meter = task.meter(final=True) if final else task.meter()
    with nullcontext() if grad else torch.inference_mode():
        with precision.autocast():  # once, so that weights are cast once
            if batches.tile is not None and isinstance(meter, SegmentationMeter):
                tiles = watch.iterate(batches.tiles_in_order(), what, batches.tile_batch_count)
                for strips in strips_of_images(model, tiles, batches):
                    meter.update_in_strips(strips)
            else:
                seen = model if batches.tile is None else TiledModel(model, batches.tile)
                for batch in watch.iterate(batches.in_order(), what, batches.count):
                    meter.update(seen, batch)
        return Evaluated(meter.compute(), scores_of(meter))


def strips_of_images(
    model: nn.Module, tiles: Iterable[Batch], batches: Batches
) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Of each image its scores (1, K, h, W) and masks (1, h, W), strip by strip.

    An image's strips are to be taken before the next image is.

    Args:
        model: scores tiles.
        tiles: as `Batches.tiles_in_order` gives them.
        batches: whose they are.
    """
    assert batches.tile is not None
    scored = _one_by_one(model, tiles)
    for _ in range(len(batches)):
        strips = blended_strips(scored, batches.size, batches.tile)
        yield ((strip.scores, strip.masks) for strip in strips if strip.masks is not None)


def _one_by_one(model: nn.Module, tiles: Iterable[Batch]) -> Iterator[Scored]:
    """The scores and masks of each tile of batches of them."""
    for batch in tiles:
        scores = main_output(model(batch.images)).float()
        assert batch.target is not None, "segmentation has masks"
        yield from map(Scored, torch.split(scores, 1), torch.split(batch.target, 1))


def evaluate(
    model: nn.Module, task: Task, batches: Batches, precision: Precision
) -> dict[str, float | None]:
    """The task's metrics over every sample, without those of each image."""
    return evaluate_images(model, task, batches, precision).metrics
