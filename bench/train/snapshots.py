"""What a step changes before it is sure to be taken: kept, and put back where it is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class BufferSnapshot:
    """A model's buffers, BatchNorm's statistics above all, as they were before a step.

    They are kept in one tensor a type, so that it takes a few launches however many there are.
    """

    def __init__(self, model: nn.Module) -> None:
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for buffer in model.buffers():
            kinds.setdefault(buffer.dtype, []).append(buffer)
        self._groups = list(kinds.values())
        self._saved: list[Tensor] = []

    @torch.no_grad()
    def save(self) -> None:
        """Keep them as they are now."""
        # one tensor per type: a copy per buffer would launch a kernel each
        self._saved = [_flat(group) for group in self._groups]

    @torch.no_grad()
    def restore(self, where: Tensor | None = None) -> None:
        """Make them what they were when kept; if `where`, a () bool, which is not read back."""
        for group, saved in zip(self._groups, self._saved, strict=True):
            values = saved if where is None else torch.where(where, saved, _flat(group))
            parts = torch.split(values, [buffer.numel() for buffer in group])
            shaped = [part.view(old.shape) for part, old in zip(parts, group, strict=True)]
            torch._foreach_copy_(group, shaped)


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def save_random_state(device: torch.device) -> Callable[[], None]:
    """Keep the global generators that `seed_globals` seeds; what is returned puts them back."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - as in seed_globals
    cpu = torch.get_rng_state()
    cuda: Any = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - users' parts may draw from the old global one
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)

    return restore
