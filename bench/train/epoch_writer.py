"""Puts an epoch on record: at once, or in a thread while the next epoch trains."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor


def writes_in_background(device: torch.device) -> bool:
    """Whether writing beside training gains time: a CPU would take it from its own training."""
    return device.type == "cuda"


class EpochWriter:
    """Runs what writes an epoch's checkpoints and records, one epoch after the other.

    In the background the write of one epoch overlaps with the training of the next, so that a GPU
    does not wait for the disk; a kill then costs that epoch, too. What a write raises is raised by
    the next `submit`, or when the block ends: an interrupted trial's last epoch is on record.

    Args:
        background: write in a thread. What is written must not change meanwhile: `host_copy`.
    """

    def __init__(self, *, background: bool) -> None:
        self.background = background
        self._thread = ThreadPoolExecutor(1, "epoch writer") if background else None
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as closing:
            if self._thread is not None:
                closing.callback(self._thread.shutdown)
            self._wait()

    def submit(self, write: Callable[[], None]) -> None:
        """Run `write`, or begin to; raises what the write before this one raised."""
        self._wait()
        if self._thread is None:
            write()
        else:
            self._pending = self._thread.submit(write)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


def host_copy(state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of plain data and tensors in the CPU's memory that shares nothing with the original.

    Tensors that share their memory share it in the copy, so that a file of it has the same size.
    """
    storages: dict[int, torch.UntypedStorage] = {}

    def copied(value: Any) -> Any:
        if isinstance(value, Tensor):
            return _host_tensor(value, storages)
        if isinstance(value, np.ndarray):
            return value.copy()
        if isinstance(value, dict):
            same_kind = copy.copy(value)  # a module's state has its version as an attribute
            same_kind.update((key, copied(inner)) for key, inner in value.items())
            return same_kind
        if isinstance(value, list | tuple):
            return type(value)(copied(inner) for inner in value)
        return value

    return {key: copied(value) for key, value in state.items()}


def _host_tensor(tensor: Tensor, storages: dict[int, torch.UntypedStorage]) -> Tensor:
    original = tensor.untyped_storage()
    key = original.data_ptr()
    if key == 0 or key not in storages:
        storage: Any = original  # these methods have no types
        storages[key] = storage.clone() if storage.device.type == "cpu" else storage.cpu()
    size, stride = tensor.size(), tensor.stride()
    empty = torch.empty(0, dtype=tensor.dtype)
    return empty.set_(storages[key], tensor.storage_offset(), size, stride)
