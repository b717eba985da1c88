"""What every sampler must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.data.base import Split
from bench.spec.train_parts import CustomSampler
from bench.tasks.classification import Classification
from bench.testing.cases import as_test, require
from bench.train.samplers import EpochSampler

IMAGES = 20


def sampler_conforms(target: str, **arguments: Any) -> Callable[..., None]:
    """A test of a sampler in all its duties, on 20 images of two classes, 15 and 5.

    Args:
        target: `module:Name`, as in `train.sampler`.
        arguments: the others of `train.sampler`.
    """
    suite = _Suite(CustomSampler.model_validate({"target": target, **arguments}))
    return as_test([suite.gives_indices_of_images, suite.draws_the_same_when_resumed])


class _Suite:
    def __init__(self, chosen: CustomSampler) -> None:
        self.chosen = chosen

    def _sampler(self) -> EpochSampler:
        split = Split(
            np.zeros((IMAGES, 4, 4, 3), np.uint8),
            None,
            tuple(map(str, range(IMAGES))),
            np.array([0] * 15 + [1] * 5, np.int64),
        )
        task = Classification(classes=("many", "few"))
        return EpochSampler(self.chosen, split, "label", task.count_classes, seed=0)

    def gives_indices_of_images(self) -> None:
        order = self._sampler().draw(1)
        require(order.dtype == torch.int64 and len(order) > 0, "an epoch has images")

    def draws_the_same_when_resumed(self) -> None:
        one, other = self._sampler(), self._sampler()
        one.draw(1)
        require(
            torch.equal(one.draw(2), other.draw(2)),
            "an epoch's images depend on seed and epoch alone, not on the epochs before",
        )
