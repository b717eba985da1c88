"""What every task's meter does with the scores of single images."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from bench.image_scores import ImageScores
from bench.tasks.metric_set import ExtraMetrics, with_further


class ScoredMeter:
    """A meter that has scores of images once `compute` was called."""

    def __init__(self, further: ExtraMetrics | None = None) -> None:
        """`further`: the metrics that the spec asks for beside those of the task."""
        self._further = further or ExtraMetrics.none()
        self._images: ImageScores | None = None

    def keep(self, scores: Mapping[str, Tensor], means: Collection[str]) -> None:
        """Keep (N,) scores by metric; `means`: those whose figure of the split is their mean."""
        found = {name: values.double().cpu().numpy() for name, values in scores.items()}
        self._images = ImageScores.of(found, means)

    def by_image(self) -> ImageScores:
        """What each image scores, also by further metrics, in the order in which they were seen."""
        assert self._images is not None, "compute comes first"
        return with_further(self._images, self._further.by_image())
