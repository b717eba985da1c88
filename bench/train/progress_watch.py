"""Long work besides the steps of training: validation, scores, pictures, a final evaluation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from torch import nn

T = TypeVar("T")
TICK_SECONDS = 0.5  # a person sees no more, and each report is a message to the parent


class Interrupted(Exception):  # noqa: N818 - not an error
    """Training was asked to stop; it can go on from its last checkpoint."""


class Observer(Protocol):
    """Part of `bench.train.loop.Signals`."""

    def stopping(self) -> bool:
        """Whether to stop. Must be cheap."""
        ...

    def working(self, what: str, step: int, steps: int) -> None:
        """How far the work called `what` is; `steps` is 0 where that is not known."""
        ...


class ProgressWatch:
    """Says how far work is, about twice a second, and raises Interrupted when asked to stop.

    `ProgressWatch()` is for work that nobody watches. Without `stops` the work is always finished:
    without its validation a trained epoch would be trained again.
    """

    def __init__(self, observer: Observer | None = None, *, stops: bool = True) -> None:
        self._observer, self._stops = observer, stops
        self._last_report = time.monotonic()

    def iterate(self, items: Iterable[T], what: str, count: int) -> Iterator[T]:
        """The items, of which there are `count`, one by one."""
        for number, item in enumerate(items):
            self._step(what, number, count)
            yield item

    @contextmanager
    def forward_passes(self, model: nn.Module, what: str) -> Iterator[None]:
        """Within the block, each forward pass of `model` counts as a step."""
        done = 0

        def count(*_: Any) -> None:
            nonlocal done
            done += 1
            self._step(what, done, 0)

        hook = model.register_forward_pre_hook(count)
        try:
            yield
        finally:
            hook.remove()

    def _step(self, what: str, step: int, steps: int) -> None:
        if self._observer is None:
            return
        if self._stops and self._observer.stopping():
            raise Interrupted
        if time.monotonic() - self._last_report > TICK_SECONDS:
            self._last_report = time.monotonic()
            self._observer.working(what, step, steps)
