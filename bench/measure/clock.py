"""Time, with the device's queue emptied before and after."""

from __future__ import annotations

import time
from typing import Self

import torch


class Stopwatch:
    """Seconds of work on a device, as `with Stopwatch(device) as watch:` or `start()`, `seconds()`.

    CUDA works behind the program's back, so it is synchronised at the start and when the time is
    read, and at no time between.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._started: float | None = None
        self._stopped: float | None = None

    def start(self) -> Self:
        """Start, or start anew."""
        self._stopped = None
        self._started = self._now()
        return self

    def seconds(self) -> float:
        """Seconds since the start; after a `with` block, what the block took.

        Raises:
            RuntimeError: the stopwatch was never started.
        """
        if self._started is None:
            raise RuntimeError("the stopwatch was not started")
        stopped = self._now() if self._stopped is None else self._stopped
        return stopped - self._started

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._stopped = self._now()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
