"""What a person sees of a run: bars in a terminal, plain lines elsewhere. Parent process only."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from bench.errors import printable
from bench.run.events import Ended, EpochDone, Event, Lost, Retried, Started, Ticked, Waiting
from bench.states import Status

Row = Mapping[str, float | int | None]


class Display(Protocol):
    """Shows a run's events. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

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


def describe(row: Row, metric: str) -> str:
    """One epoch in a few words: losses, the selected metric, memory."""
    shown = {
        "train/loss": ("loss", ".4f"),
        metric: (metric.removeprefix("val/"), ".4f"),
        "val/loss": ("val loss", ".4f"),
        "epoch_seconds": ("s/epoch", ".2f"),
        "peak_memory_mb": ("MB", ".0f"),
    }
    values = [(name, row.get(column), form) for column, (name, form) in shown.items()]
    return "  ".join(f"{name} {value:{form}}" for name, value, form in values if value is not None)


def verdict(event: Ended) -> str:
    """How a trial ended, in a line."""
    whose = " by another run" if event.elsewhere else ""
    if event.status is Status.FAILED:
        return f"{event.trial}: failed{whose} ({event.failure}): {event.message}"
    if event.status is Status.PRUNED:
        return f"{event.trial}: {event.message}{whose}"
    return f"{event.trial}: {event.status}{whose}"


def again(event: Retried) -> str:
    """That a trial starts again, in a line."""
    return (
        f"{event.trial}: {event.message}; goes on from its last epoch, retry {event.retry} of "
        f"{event.most}"
    )


def taken_over(event: Lost) -> str:
    """That another run has a trial now, in a line."""
    return f"{event.trial}: taken over by another run, which had not heard of this one for too long"


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
        self._rows: dict[str, Row] = {}
        self._prepared: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def preparing(self, what: str, _done: int, _total: int, /) -> None:
        """Name each thing that is prepared once."""
        if what != self._prepared:
            self._prepared = what
            self._line(f"preparing {what}")

    def observe(self, event: Event) -> None:
        """Print starts, ends, and about ten epochs of each trial."""
        match event:
            case Started(trial):
                self._line(f"{trial}: started")
            case EpochDone(trial, row):
                self._rows[trial] = row
                self._epoch(trial, row)
            case Retried():
                self._line(again(event))
            case Lost():
                self._line(taken_over(event))
            case Waiting(what):
                self._line(f"waiting for {what}")
            case Ended():
                self._ended += 1
                row = self._rows.get(event.trial, {})
                told = f"  {describe(row, self._metric)}" if event.status is Status.DONE else ""
                total = self._most or len(self._epochs)
                self._line(f"[{self._ended}/{total}] {verdict(event)}{told}")

    def _epoch(self, trial: str, row: Row) -> None:
        epoch, epochs = int(row["epoch"] or 0), self._epochs[trial]
        if epoch % max(1, epochs // 10) == 0:
            self._line(f"{trial}: epoch {epoch}/{epochs}  {describe(row, self._metric)}")

    def _line(self, text: str) -> None:
        self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)


class LiveDisplay:
    """A bar for the experiment with the time left, and a line for each running trial."""

    def __init__(
        self,
        console: Console,
        epochs: Mapping[str, int],
        metric: str,
        total: int | None = None,
    ) -> None:
        self._console, self._epochs, self._metric = console, epochs, metric
        self._most = total
        self._done = dict.fromkeys(epochs, 0.0)
        self._ended = 0
        self._waiting = ""
        self._lines: dict[str, TaskID] = {}
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            console=console,
        )
        self._total: TaskID | None = None
        self._preparation: tuple[str, TaskID] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def preparing(self, what: str, done: int, total: int) -> None:
        """A bar for each thing prepared."""
        self._bars.start()  # not sooner: a download draws a bar of its own
        if self._preparation is None or self._preparation[0] != what:
            self._end_preparation()
            self._preparation = what, self._bars.add_task(what, total=total or None, note="")
        self._bars.update(self._preparation[1], completed=done, total=total or None)

    def observe(self, event: Event) -> None:
        """Move the bars."""
        self._bars.start()
        self._end_preparation()
        if self._total is None:
            self._total = self._bars.add_task("all epochs", total=self._all(), note=self._note())
        match event:
            case Started(trial):
                self._waiting = ""
                self._lines[trial] = self._bars.add_task(
                    trial, total=self._epochs[trial], note="starting"
                )
            case Ticked(trial, epoch, step, steps):
                self._move(trial, epoch - 1 + step / steps)
            case EpochDone(trial, row):
                self._move(trial, float(row["epoch"] or 0), describe(row, self._metric))
            case Retried():
                self._remove(event.trial)
                self._say(again(event), "yellow")
            case Lost():
                self._remove(event.trial)
                self._done[event.trial] = 0.0
                self._say(taken_over(event), "yellow")
            case Waiting(what):
                self._waiting = f", waiting for {what}"
            case Ended():
                self._end(event)
        done = round(sum(self._done.values()))
        self._bars.update(self._total, completed=done, total=self._all(), note=self._note())

    def _all(self) -> int:
        """Epochs; of trials that are not decided on yet, as many as the others have."""
        known = sum(self._epochs.values())
        missing = max(0, (self._most or 0) - len(self._epochs))
        return known + round(missing * known / max(1, len(self._epochs)))

    def _move(self, trial: str, epochs: float, note: str | None = None) -> None:
        self._done[trial] = epochs
        fields: dict[str, Any] = {} if note is None else {"note": note}
        self._bars.update(self._lines[trial], completed=int(epochs), **fields)

    def _end(self, event: Ended) -> None:
        self._ended += 1
        self._done[event.trial] = float(self._epochs[event.trial])
        self._remove(event.trial)
        if event.status is Status.FAILED:
            self._say(verdict(event), "red")
        if event.status is Status.PRUNED:
            self._say(verdict(event), "dim")

    def _remove(self, trial: str) -> None:
        line = self._lines.pop(trial, None)
        if line is not None:
            self._bars.remove_task(line)

    def _say(self, text: str, style: str) -> None:
        self._console.print(
            printable(text), style=style, markup=False, highlight=False, soft_wrap=True
        )

    def _end_preparation(self) -> None:
        if self._preparation is not None:
            self._bars.remove_task(self._preparation[1])
            self._preparation = None

    def _note(self) -> str:
        total = self._most or len(self._epochs)
        return f"{self._ended}/{total} trials ended{self._waiting}"
