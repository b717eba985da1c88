"""`bench status --watch`: follow an experiment by its folder, from any machine that sees it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.errors import BenchError, StoreError
from bench.record.store import Store, TrialFiles
from bench.run.events import Ended, EpochDone, Event, Started
from bench.run.progress import display, print_line
from bench.states import Status

POLL_SECONDS = 2.0
OVER = (Status.DONE, Status.FAILED, Status.PRUNED)


@dataclass
class _Seen:
    """What was last printed of one trial."""

    status: Status = Status.PLANNED
    epochs: int = 0
    stamps: tuple[int, int] = (-1, -1)


@dataclass
class FolderWatcher:
    """Tells what has changed in an experiment's folder as the events that `bench run` shows.

    Attributes:
        store: where the folder is.
        experiment: its name.
        epochs: planned for each trial that was not over at the beginning; it grows with the plan.
        states: of all trials, as last seen.
    """

    store: Store
    experiment: str
    epochs: dict[str, int] = field(default_factory=dict)
    states: dict[str, Status] = field(default_factory=dict)
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _planned: list[str] = field(default_factory=list)
    _plan_stamp: int = -1

    def events(self) -> Iterator[Event]:
        """What has changed since the last call."""
        first = not self.states
        running = self.store.running(self.experiment)
        for trial in self._trials():
            if first or self.states.get(trial) not in OVER:
                yield from self._changes(trial, held=trial in running, first=first)

    def is_over(self) -> bool:
        """Whether every trial has ended."""
        return bool(self.states) and all(status in OVER for status in self.states.values())

    @property
    def metric(self) -> str:
        """The one that chooses the best epoch."""
        plan = self.store.plan(self.experiment) or {}
        return str((plan.get("select") or {}).get("metric", "val/loss"))

    def count(self) -> str:
        """`12 of 18 trials done, 1 failed, 3 running`."""
        counts = Counter(self.states.values())
        rest = [
            f"{counts[status]} {status}"
            for status in (Status.FAILED, Status.PRUNED, Status.RUNNING, Status.INTERRUPTED)
            if counts[status]
        ]
        return ", ".join([f"{counts[Status.DONE]} of {len(self.states)} trials done", *rest])

    def _trials(self) -> list[str]:
        """Ids, in the plan's order."""
        stamp = _stamp(self.store.plan_path(self.experiment))
        if stamp != self._plan_stamp:
            self._plan_stamp = stamp
            plan = self.store.plan(self.experiment) or {"trials": []}
            self._planned = [str(trial["id"]) for trial in plan["trials"]]
        if not self._planned:  # imported, or written by hand
            self._planned = [files.id for files in self.store.trials(self.experiment)]
        return self._planned

    def _changes(self, trial: str, *, held: bool, first: bool) -> Iterator[Event]:
        files, seen = (
            self.store.trial(self.experiment, trial),
            self._seen.setdefault(trial, _Seen()),
        )
        stamps = _stamp(files.status_path), _stamp(files.history_path)
        changed, seen.stamps = stamps != seen.stamps, stamps
        if not (changed or self.states.get(trial, Status.PLANNED) is Status.RUNNING):
            self.states.setdefault(trial, Status.PLANNED)
            return
        found = files.status()
        now = found.status
        if now is Status.RUNNING and not (held or self.store.runs(self.experiment, trial)):
            now = Status.INTERRUPTED  # whoever was running it is gone; it has not just begun
        self.states[trial] = now
        if first and now in OVER:
            return
        if trial not in self.epochs:
            self.epochs[trial] = _planned_epochs(files)
        if now is Status.RUNNING and seen.status is not Status.RUNNING:
            yield Started(trial, found.host)
        if changed and now is not Status.PLANNED:
            yield from self._new_epochs(trial, files, seen, first=first)
        if now != seen.status and now in (*OVER, Status.INTERRUPTED) and not first:
            yield Ended(trial, now, found.failure, found.message)
        seen.status = now

    def _new_epochs(
        self, trial: str, files: TrialFiles, seen: _Seen, *, first: bool
    ) -> Iterator[Event]:
        try:
            history = files.history()
        except StoreError:  # `bench status` says it
            return
        if len(history) < seen.epochs:  # it began anew
            seen.epochs = 0
        rows = history[seen.epochs :]
        seen.epochs = len(history)
        for row in rows[-1:] if first else rows:
            yield EpochDone(trial, row)


def watch(
    store: Store,
    experiment: str,
    console: Console,
    *,
    seconds: float = POLL_SECONDS,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Show how an experiment gets on until every trial has ended: bars in a terminal, else lines.

    Writes nothing, so it may be read-only there.
    """
    watcher = FolderWatcher(store, experiment)
    before = list(watcher.events())
    print_line(console, f"{experiment}: {watcher.count()}.")
    if watcher.is_over():
        return
    with display(console, watcher.epochs, watcher.metric) as shown:
        for event in before:
            shown.observe(event)
        while not watcher.is_over():
            sleep(seconds)
            for event in watcher.events():
                shown.observe(event)
    print_line(console, f"{experiment}: {watcher.count()}.")


def watched_experiment(store: Store, name: str | None) -> str:
    """The experiment to follow: the one that is named, the only one, or the only one that runs.

    Raises:
        BenchError: there is none, or it is not clear which.
    """
    if name is not None:
        return store.existing(name)
    names = store.experiments()
    active = [each for each in names if store.running(each)] or names
    if len(active) == 1:
        return active[0]
    if not active:
        raise BenchError(f"no experiments in {store.root}: `bench run` makes one")
    raise BenchError(f"--watch follows one experiment: name it ({', '.join(active)})")


def _planned_epochs(files: TrialFiles) -> int:
    """Of a trial; 1 where its settings are not on record yet."""
    try:
        settings = files.config().get("settings") or {}
        return int(settings["train"]["epochs"])
    except (StoreError, KeyError, TypeError, ValueError):
        return 1


def _stamp(path: Path) -> int:
    """When a file was changed, in ns; -1: it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
