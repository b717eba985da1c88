"""What a person sees of a run: bars in a terminal, plain lines elsewhere. Parent process only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

from rich.console import Console

from bench.errors import printable
from bench.run.event_text import (
    STARTING,
    MetricRow,
    describe_end,
    describe_epoch,
    notices,
)
from bench.run.events import Ended, EpochDone, Event, Started, Waiting
from bench.run.live_display import LiveDisplay
from bench.states import Status


class Display(Protocol):
    """Shows a run's events. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def preparing(self, what: str, done: int, total: int, /) -> None:
        """Something shared is being made."""
        ...

    def observe(self, event: Event) -> None:
        """A worker told something."""
        ...


def display(
    console: Console, epochs: Mapping[str, int], metric: str, total: int | None = None
) -> Display:
    """The display that fits the console; `epochs` are those planned for each trial to run.

    Where trials are decided on as others end, `epochs` grows, and `total` says how many there are
    to be.
    """
    kind = LiveDisplay if console.is_terminal else PlainDisplay
    return kind(console, epochs, metric, total)


class PlainDisplay:
    """A line per event worth keeping; what a log file or a CI shows."""

    def __init__(
        self,
        console: Console,
        epochs: Mapping[str, int],
        metric: str,
        total: int | None = None,
    ) -> None:
        self._console, self._metric = console, metric
        self._epochs, self._most = epochs, total
        self._ended = 0
        self._rows: dict[str, MetricRow] = {}
        self._prepared: str | None = None

    def __enter__(self) -> Self:
        self._line(STARTING)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def preparing(self, what: str, _done: int, _total: int, /) -> None:
        """Name each thing that is prepared once."""
        if what != self._prepared:
            self._prepared = what
            self._line(f"preparing {what}")

    def observe(self, event: Event) -> None:
        """Print starts, ends, and about ten epochs of each trial."""
        for text in notices(event):
            self._line(text)
        match event:
            case Started(trial, node):
                self._line(f"{trial}: started" + (f" on {node}" if node else ""))
            case EpochDone(trial, row):
                self._rows[trial] = row
                self._epoch(trial, row)
            case Waiting(what):
                self._line(f"waiting for {what}")
            case Ended(status=Status.INTERRUPTED):
                reached = self._rows.get(event.trial, {}).get("epoch", 0)
                where = f" after epoch {reached}/{self._epochs[event.trial]}" if reached else ""
                self._line(f"{describe_end(event)}{where}")
            case Ended():
                self._ended += 1
                row = self._rows.get(event.trial, {})
                text = (
                    f"  {describe_epoch(row, self._metric)}"
                    if event.status is Status.DONE and row
                    else ""
                )
                total = self._most or len(self._epochs)
                self._line(f"[{self._ended}/{total}] {describe_end(event)}{text}")

    def _epoch(self, trial: str, row: MetricRow) -> None:
        epoch, epochs = int(row["epoch"] or 0), self._epochs[trial]
        if epoch % max(1, epochs // 10) == 0:
            self._line(f"{trial}: epoch {epoch}/{epochs}  {describe_epoch(row, self._metric)}")

    def _line(self, text: str) -> None:
        print_line(self._console, text)


def print_line(console: Console, text: str) -> None:
    """Print a line as it is, without markup, colours or breaks."""
    console.print(printable(text), highlight=False, markup=False, soft_wrap=True)
