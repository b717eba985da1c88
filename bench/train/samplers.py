"""Which images an epoch has, and in which order, where it is not each once in random order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import Split
from bench.errors import SpecError, first_line
from bench.registry import accepted, build_custom, load_target
from bench.spec.train_parts import CustomSampler
from bench.train.seeding import generator, stream_seed

KEY = "train.sampler"
_AT_ONCE = 64  # masks that are counted at a time: 16 MB at 512 pixels

_COUNTED = {"class_counts": "counts", "weights": "weights"}
CountClasses = Callable[[Tensor], Tensor]
"""From masks (N, H, W) or labels (N,) to (N, K) int64: pixels, or ones, of each class."""


def class_counts(split: Split, target: str, count: CountClasses) -> Tensor:
    """(N, K) int64: how often each class is in each sample of a split."""
    if target in ("label", "labels"):
        assert split.labels is not None, "planned on data with labels only"
        return count(torch.from_numpy(np.array(split.labels)))
    masks = split.masks
    assert masks is not None, "planned on data with masks only"
    starts = range(0, len(masks), _AT_ONCE)
    return torch.cat([count(torch.from_numpy(np.array(masks[i : i + _AT_ONCE]))) for i in starts])


def balanced_class_weights(counts: Tensor) -> Tensor:
    """(K,) float32 n / (K · n_k), as scikit-learn's `balanced`, of (N, K) counts.

    A class that is nowhere has the weight 0, and K counts the others.
    """
    totals = counts.sum(0).double()
    present = totals > 0
    weights = totals.sum() / (present.sum() * totals.clamp(min=1))
    return torch.where(present, weights, 0.0).float()


def balanced_sample_weights(counts: Tensor) -> Tensor:
    """(N,) float64: the sum over a sample's classes of 1 / (samples that have the class)."""
    has = (counts > 0).double()
    return (has / has.sum(0).clamp(min=1)).sum(1)


@dataclass(frozen=True)
class EpochSampler:
    """Draws the samples of an epoch: the same for every trial of a seed.

    Attributes:
        chosen: `balanced`, or a sampler of one's own.
        split: the training split.
        target: what of its samples is learnt: `mask`, `label` or `labels`.
        count: counts classes in them.
        seed: the trial's.
    """

    chosen: str | CustomSampler
    split: Split
    target: str
    count: CountClasses
    seed: int

    @cached_property
    def counts(self) -> Tensor:
        """(N, K) of the split; in what has no classes (N, 0)."""
        if self.target == "none":
            return torch.empty((len(self.split), 0), dtype=torch.int64)
        return class_counts(self.split, self.target, self.count)

    @property
    def weights(self) -> Tensor:
        """(N,) how often `balanced` draws each sample, relatively; no label at all is as a class.

        Without classes every sample has the same weight.
        """
        if self.target == "none":
            return torch.ones(len(self.split), dtype=torch.float64)
        counts = self.counts
        if self.target == "labels":
            counts = torch.cat([counts, (counts.sum(1, keepdim=True) == 0).long()], 1)
        return balanced_sample_weights(counts)

    def draw(self, epoch: int) -> Tensor:
        """(M,) int64 indices of samples.

        Raises:
            SpecError: a sampler of one's own fails, or gives indices that are none.
        """
        stream = generator(self.seed, "sampler", epoch)
        if not isinstance(self.chosen, CustomSampler):
            weights = self.weights
            return torch.multinomial(weights, len(weights), replacement=True, generator=stream)
        return self._own(self.chosen, epoch, stream)

    def _own(self, chosen: CustomSampler, epoch: int, stream: torch.Generator) -> Tensor:
        size, labels = len(self.split), self.split.labels
        context: dict[str, Any] = {
            "data_source": range(size),
            "num_samples": size,
            "labels": None if labels is None else torch.from_numpy(np.array(labels)),
            "generator": stream,
            "seed": stream_seed(self.seed, "sampler", epoch),
            "epoch": epoch,
        }
        # masks are gone through only where the sampler asks what is in them
        wanted = accepted(load_target(chosen.target), {"class_counts": 0, "weights": 0})
        context |= {name: getattr(self, _COUNTED[name]) for name in wanted}
        try:
            sampler: Iterable[int] = build_custom(chosen, **context)
            found = torch.as_tensor([int(index) for index in sampler], dtype=torch.int64)
        except Exception as error:  # code of others may raise anything
            raise SpecError(f"{chosen.target!r} fails: {first_line(error)}", key=KEY) from error
        if not len(found) or int(found.min()) < 0 or int(found.max()) >= size:
            raise SpecError(
                f"{chosen.target!r} must give indices from 0 to {size - 1}, one at least", key=KEY
            )
        return found
