"""How far something is that takes seconds: told by whoever works, shown by who has a terminal.

Drawing figures, counting costs and measuring memory are done rooms away from the command line.
They tell each step here; nobody listens in scripts, logs and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int], None]
"""Called with what is done, how many parts of it are done, and of how many."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def each(what: str, parts: Sequence[T]) -> Iterator[T]:
    """The parts one by one, with a word on each; `what` is said of all of them: "figures"."""
    for done, part in enumerate(parts):
        tell(what, done, len(parts))
        yield part
    tell(what, len(parts), len(parts))


def tell(what: str, done: int, total: int) -> None:
    """Say how far it is, if anybody listens."""
    if (listener := _listener.get()) is not None:
        listener(what, done, total)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Have all steps of what is done inside told to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
