"""The display of a run in a terminal: one line for all trials, one or two for each that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bench.errors import printable
from bench.run.event_text import (
    STARTING,
    describe_end,
    metric_texts,
    notices,
)
from bench.run.events import (
    Decided,
    Ended,
    EpochDone,
    Event,
    Lost,
    Retried,
    Started,
    Ticked,
    Waiting,
    Working,
)
from bench.run.pace import TrialPace, time_left
from bench.states import Status

WIDE = 130
"""Columns from which a trial's figures stand in its own line."""
BAR, SHORTEST_BAR = 24, 6
SHORTEST_NAME = 8
_UNKNOWN = "-:--:--"


@dataclass
class _Line:
    """One running trial."""

    pace: TrialPace
    metric_texts: Sequence[str] = ()
    doing: str = "starting"
    node: str | None = None


@dataclass(frozen=True)
class _Row:
    """What one line of the display says."""

    name: str
    part: float
    count: str
    elapsed: float
    left: float | None
    note: Sequence[str]
    style: str = "cyan"


class LiveDisplay:
    """A bar for the experiment with the time left, and lines for each running trial.

    Args:
        console: where to.
        epochs: planned for each trial to run; it may grow.
        metric: the one that chooses the best epoch.
        total: how many trials there are to be; None: those in `epochs`.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        console: Console,
        epochs: Mapping[str, int],
        metric: str,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._epochs, self._metric, self._most = console, epochs, metric, total
        self._clock, self._begun = clock, clock()
        self._guard = threading.RLock()  # the refreshing thread draws what events change
        self._lines: dict[str, _Line] = {}
        self._over: dict[str, float] = {}
        self._interrupted: dict[str, float] = {}
        self._paces: list[float] = []
        self._workers = 1
        self._waiting = self._decided = ""
        self._preparing: tuple[str, int, int] | None = None
        self._prepared_since: tuple[str, float, int] = ("", 0.0, 0)
        self._spinner = Spinner("dots")
        self._live = Live(self, console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._say(STARTING, "")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def preparing(self, what: str, done: int, total: int, /) -> None:
        """A bar for each thing prepared."""
        with self._guard:
            self._preparing = what, done, total
            if what != self._prepared_since[0]:
                self._prepared_since = what, self._clock(), done
        self._live.start()  # not sooner: a download draws a bar of its own

    def observe(self, event: Event) -> None:
        """Move the bars."""
        with self._guard:
            self._preparing = None
            self._take(event)
        self._live.start()

    def _take(self, event: Event) -> None:
        now = self._clock()
        match event:
            case Started(trial, node):
                self._waiting = ""
                self._lines[trial] = _Line(TrialPace(self._epochs[trial], now), node=node)
                self._workers = max(self._workers, len(self._lines))
            case Ticked() | Working() | EpochDone():
                if event.trial in self._lines:  # else what it does is void
                    self._progress(event, self._lines[event.trial], now)
            case Retried() | Lost():
                self._lines.pop(event.trial, None)
            case Waiting(what):
                self._waiting = f"waiting for {what}"
            case Decided():
                self._decided = event.summary
            case Ended():
                self._end(event, now)
        for text in notices(event):
            self._say(text, "" if isinstance(event, Decided) else "yellow")

    def _progress(self, event: Ticked | Working | EpochDone, line: _Line, now: float) -> None:
        match event:
            case Ticked():
                line.pace.tick(now, event.epoch, event.step / event.steps)
                line.doing = f"step {event.step}/{event.steps}"
            case Working():
                line.doing = f"{event.what} {event.step}" + f"/{event.steps}" * bool(event.steps)
            case EpochDone():
                row = event.row
                seconds = [row.get(key) for key in ("epoch_seconds", "val_seconds")]
                measured = sum(float(value) for value in seconds if value is not None)
                line.pace.epoch_done(now, int(row["epoch"] or 0), measured or None)
                line.metric_texts, line.doing = metric_texts(row, self._metric), ""

    def _end(self, event: Ended, now: float) -> None:
        line = self._lines.pop(event.trial, None)
        done = line.pace.progress if line else 0.0
        if line and (pace := line.pace.seconds_per_epoch(now)) is not None:
            self._paces.append(pace)
        if event.status is Status.INTERRUPTED:
            self._interrupted[event.trial] = done
            return
        self._interrupted.pop(event.trial, None)
        self._over[event.trial] = float(self._epochs.get(event.trial, done))
        if event.status is not Status.DONE:
            style = "red" if event.status is Status.FAILED else "dim"
            self._say(describe_end(event), style)

    def _say(self, text: str, style: str) -> None:
        self._console.print(
            printable(text), style=style, markup=False, highlight=False, soft_wrap=True
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        yield from self.drawn(options.max_width, height)

    def drawn(self, width: int, height: int) -> list[Text]:
        """The lines as they are now; none is longer than `width`, no number is cut."""
        with self._guard:
            if self._preparing is not None:
                return [self._prepared(width)]
            if not (self._lines or self._over or self._interrupted or self._waiting):
                return []
            rows = [self._all(), *(self._row(name, line) for name, line in self._lines.items())]
        fitting = max(1, height - 1)
        apart = width < WIDE
        notes = not apart or 2 * len(rows) <= fitting
        left_out = len(rows) - fitting
        if left_out > 0:
            rows = rows[: fitting - 1]
        found = _aligned(rows, width, self._tick(), notes=notes)
        if left_out > 0:
            found.append(Text(f"  and {left_out + 1} more trials", style="dim"))
        return found

    def _tick(self) -> str:
        frame = self._spinner.render(self._clock() - self._begun)
        return str(frame)[:1]

    def _prepared(self, width: int) -> Text:
        what, done, total = self._preparing or ("", 0, 0)
        count = f" {done}/{total} left {clock_time(self._left(done, total))}" if total else ""
        name = elide_middle(what, max(SHORTEST_NAME, width - 2 - len(count) - 1 - SHORTEST_BAR))
        text = Text(f"{self._tick()} {name}")
        if total:
            room = min(BAR, width - len(text) - len(count) - 1)
            text.append(" ").append_text(_bar(done / total, room, "cyan"))
        return text.append(count)

    def _left(self, done: int, total: int) -> float | None:
        """Seconds until all of what is prepared is done, at the pace so far; None: not known."""
        _, begun, before = self._prepared_since
        made = done - before
        return (self._clock() - begun) / made * (total - done) if made > 0 else None

    def _all(self) -> _Row:
        now = self._clock()
        ended = len(self._over)
        trials = self._most or len(self._epochs)
        done = sum(self._over.values()) + sum(self._interrupted.values())
        done += sum(line.pace.progress for line in self._lines.values())
        total = self._planned()
        begun = {*self._lines, *self._over, *self._interrupted}
        pending = [float(epochs) for name, epochs in self._epochs.items() if name not in begun]
        missing = trials - len(self._epochs)  # not decided on yet
        pending += [total / max(1, trials)] * missing
        running = [line.pace for line in self._lines.values()]
        left = time_left(running, self._paces, pending, self._workers, now)
        note = [f"{ended}/{trials} trials ended"]
        if self._interrupted:
            note.append(f"{len(self._interrupted)} interrupted")
        note += [text for text in (self._decided, self._waiting) if text]
        return _Row(
            "all epochs", done / max(1, total), f"{int(done)}/{total}", now - self._begun, left,
            note, "green",
        )  # fmt: skip

    def _planned(self) -> int:
        """Epochs; of trials that are not decided on yet, as many as the others have."""
        known = sum(self._epochs.values())
        missing = max(0, (self._most or 0) - len(self._epochs))
        return known + round(missing * known / max(1, len(self._epochs)))

    def _row(self, name: str, line: _Line) -> _Row:
        now, pace = self._clock(), line.pace
        where = [f"on {line.node}"] if line.node else []
        note = [*([line.doing] if line.doing else []), *where, *line.metric_texts]
        part = pace.progress / max(1, pace.epochs)
        count = f"{int(pace.progress)}/{pace.epochs}"
        return _Row(name, part, count, now - pace.started, pace.left(now), note)


def _aligned(rows: Sequence[_Row], width: int, tick: str, *, notes: bool) -> list[Text]:
    """The rows under each other: numbers in full; names, the bar and then the notes give way."""
    counts = max(len(row.count) for row in rows)
    elapsed = max(len(clock_time(row.elapsed)) for row in rows)
    lefts = max(len(clock_time(row.left)) for row in rows)
    numbers = counts + elapsed + lefts + len("left ") + 3
    room = width - 2 - numbers - 1  # for names and bars
    longest = max(len(row.name) for row in rows)
    if width >= WIDE:
        longest = min(longest, width // 3)  # figures stand behind
    name = max(SHORTEST_NAME, min(longest, room - 1 - SHORTEST_BAR))
    bar = max(0, min(BAR, room - name - 1))
    found = []
    for number, row in enumerate(rows):
        text = Text(f"{tick if number == 0 else ' '} {elide_middle(row.name, name):<{name}} ")
        text.append_text(_bar(row.part, bar, row.style))
        text.append(f" {row.count:>{counts}} {clock_time(row.elapsed):>{elapsed}}")
        text.append(f" left {clock_time(row.left):>{lefts}}", style="cyan")
        if width >= WIDE:
            text.append("  ").append(fitted(row.note, width - len(text)), style="dim")
        found.append(text)
        if width < WIDE and notes and row.note:
            found.append(Text("    ").append(fitted(row.note, width - 4), style="dim"))
    for text in found:
        text.no_wrap, text.overflow = True, "ellipsis"
    return found


def _bar(part: float, width: int, style: str) -> Text:
    full = round(2 * width * min(1.0, max(0.0, part)))
    text = Text("━" * (full // 2), style=style)
    if full % 2:
        text.append("╸", style=style)
    return text.append("━" * (width - len(text)), style="bright_black")


def elide_middle(name: str, width: int) -> str:
    """A name without its middle: a trial's id begins with its arm and ends with seed and hash."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"


def fitted(note: Sequence[str], width: int) -> str:
    """As many parts of a note as fit, none of them cut."""
    found = ""
    for part in note:
        longer = f"{found}  {part}" if found else part
        if len(longer) > width:
            break
        found = longer
    return found


def clock_time(seconds: float | None) -> str:
    """`1:02:03`, with days as `2d 1:02:03`."""
    if seconds is None:
        return _UNKNOWN
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {text}" if days else text
