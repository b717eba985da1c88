"""A sign of life from a worker that has nothing to tell: its main thread gets on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

PULSE_SECONDS = 1.0


def watch(on_progress: Callable[[], None], seconds: float = PULSE_SECONDS) -> None:
    """Call `on_progress`, from a thread, whenever the calling thread has moved within `seconds`.

    Where it is: its stack, down to the instruction. Validation, sampling and compiling change it
    all the time, without telling anything; a call that never comes back leaves it as it is, in
    Python, in a library or on a GPU alike. A loop that spins without end moves, too: a timeout is
    what ends that.
    """
    watched = threading.get_ident()
    pause = threading.Event()

    def run() -> None:
        before = _stack(watched)
        while not pause.wait(seconds):
            if (now := _stack(watched)) != before:
                before = now
                on_progress()

    threading.Thread(target=run, daemon=True, name="pulse").start()


def _stack(thread: int) -> tuple[tuple[int, int], ...]:
    """The code and the instruction of every frame of a thread."""
    frame, found = sys._current_frames().get(thread), []
    while frame is not None:
        found.append((id(frame.f_code), frame.f_lasti))
        frame = frame.f_back
    return tuple(found)
