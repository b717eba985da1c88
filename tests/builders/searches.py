"""Searches through the whole program, but for what a worker would train: that is computed."""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console

from bench.commands import search as search_command
from bench.exit_codes import ExitCode
from bench.measure.footprint import Footprint
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.run.events import Ended, EpochDone, Event, Started
from bench.run.prepared import Prepared
from bench.run.worker import Job
from bench.search import execution, importance, storages
from bench.search.context import SearchOptions
from bench.search.storages import StudyStorage
from bench.spec.load import load_spec
from bench.states import Failure, Status

SPEC = """\
experiment: made
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
model: {name: unet, width: 0.05}
train: {epochs: 3, batch_size: 6}
machine: {threads: 1}
search:
  trials: 6
  confirm_seeds: 0
  space:
    train.lr: {float: [1e-4, 1e-1], log: true}
    train.weight_decay: {float: [0, 1]}
"""

Dice = Callable[[Trial, int], float]
"""What a trial's validation Dice is after an epoch; raises what is to end the trial."""


class Dies(BaseException):
    """This process is gone, at once."""


@dataclass
class Pretender:
    """An executor whose trials come to what a function says: `bench.run.executors.base.Executor`.

    `log` has the ids of all that were started, in order.
    """

    dice: Dice
    slots: int = 1
    log: list[str] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    _running: deque[tuple[Job, Iterator[Event]]] = field(default_factory=deque)

    @property
    def free(self) -> int:
        return self.slots - len(self._running)

    @property
    def busy(self) -> int:
        return len(self._running)

    def start(self, job: Job) -> None:
        self.log.append(job.trial.id)
        self._running.append((job, self._train(job)))

    def events(self, timeout: float) -> Sequence[Event]:
        if not self._running:
            return []
        job, story = self._running.popleft()
        event = next(story)
        if not isinstance(event, Ended):
            self._running.append((job, story))
        return [event]

    def ask_to_stop(self, trial: str | None = None) -> None:
        self.stopped |= {job.trial.id for job, _ in self._running if trial in (None, job.trial.id)}

    def close(self) -> None:
        self._running.clear()

    def _train(self, job: Job) -> Iterator[Event]:
        trial, recorder = job.trial, job.recorder
        self.stopped.discard(trial.id)
        yield Started(trial.id)
        before = len(recorder.files.history())
        recorder.last.parent.mkdir(parents=True, exist_ok=True)
        rows = list(recorder.files.history())
        if before:
            recorder.last.touch()
        recorder.begin({})
        recorder.resume(rows)
        for epoch in range(before + 1, trial.settings.train.epochs + 1):
            if trial.id in self.stopped:
                recorder.stop("interrupted", None, None)
                yield Ended(trial.id, Status.INTERRUPTED)
                return
            try:
                value = self.dice(trial, epoch)
            except RuntimeError as error:
                recorder.stop("failed", "diverged", str(error))
                yield Ended(trial.id, Status.FAILED, Failure.DIVERGED, str(error))
                return
            row = {"epoch": epoch, "train/loss": 1.0, "val/loss": 1 - value, "val/dice": value,
                   "val/iou": value, "epoch_seconds": 1.0, "val_seconds": 0.5}  # fmt: skip
            recorder.record_epoch(row)
            yield EpochDone(trial.id, row)
        for path in (recorder.last, recorder.finished):
            path.touch()
        facts: dict[str, Any] = {"threads": 1, "device": "cpu"}
        recorder.finish(facts | ({"test_dice": value / 2} if job.test else {}))
        yield Ended(trial.id, Status.DONE)


def pretend_to_prepare(trials: Sequence[Trial], *_: object, **_more: object) -> Prepared:
    def costs(trial: Trial) -> dict[str, int | None]:
        width = float(getattr(trial.settings.model, "width", 1.0))
        return {"params": round(1000 * width), "trainable_params": 1, "macs": round(9e6 * width)}

    return Prepared({t.id: costs(t) for t in trials}, {t.id: "f" for t in trials}, (), ())


@dataclass
class PretendedBackend:
    """Where nothing is prepared or measured; `footprint` is of every trial."""

    pretender: Pretender
    trials_per_device: int = 1
    footprint: Callable[[Trial], Footprint] | None = None

    def prepare(self, trials: Sequence[Trial], *_: object, **_more: object) -> Prepared:
        return pretend_to_prepare(trials)

    def forecast(self, trials: Sequence[Trial]) -> dict[str, Footprint]:
        measure = self.footprint or (lambda _: Footprint(None, None, None, problem="pretended"))
        return {trial.id: measure(trial) for trial in trials}

    def executor(self, _limits: object) -> Pretender:
        return self.pretender


def in_memory() -> StudyStorage:
    return StudyStorage(optuna.storages.InMemoryStorage(), "memory", shared=False)


@dataclass
class Lab:
    """A folder in which searches run; their study is in `study_storage`, or where the spec says."""

    folder: Path
    patch: pytest.MonkeyPatch
    said: list[str] = field(default_factory=list)
    study_storage: StudyStorage | None = field(default_factory=in_memory)
    footprint: Callable[[Trial], Footprint] | None = None

    def search(
        self, dice: Dice, *overrides: str, spec: str = SPEC, slots: int = 1, **options: Any
    ) -> tuple[ExitCode, Pretender]:
        """One `bench search`."""
        from bench.search.request import read_request

        path = self.folder / "spec.yaml"
        path.write_text(spec)
        pretender = Pretender(dice, slots)
        backend = PretendedBackend(pretender, footprint=self.footprint)
        self.patch.setattr(execution, "opened_backend", lambda *_, **__: nullcontext(backend))
        self.patch.setattr(execution, "mirrored", unmirrored)
        self.patch.setattr(search_command, "finish_mirror", lambda *_: None)
        self.patch.setattr(importance, "REPEATS", 1)
        if self.study_storage is not None:
            self.patch.setattr(storages, "open_storage", lambda *_: self.study_storage)
        self.patch.setattr(search_command, "make_report", lambda *_: None)
        request = read_request(load_spec(path, overrides))
        samples = Plan(request.space.spec, {}, request.space.sample_trials())
        given = SearchOptions(self.folder / "results", self.folder / "reports", **options)
        out = io.StringIO()
        try:
            code = search_command.run_search(
                request, samples, lambda plan: plan, given, Console(file=out, width=200)
            )
        finally:
            self.said = out.getvalue().splitlines()
        return code, pretender

    def record(self, experiment: str = "made") -> dict[str, Any]:
        found = (self.folder / "results" / experiment / "search.json").read_text()
        return dict(json.loads(found))


@contextmanager
def unmirrored(*_: object) -> Iterator[Callable[[object], None]]:
    yield lambda _: None


def bowl(trial: Trial, epoch: int) -> float:
    """Best, 1, at a learning rate of 0.003 and a weight decay of 0.25, and better every epoch."""
    from math import log10

    train = trial.settings.train
    off = (log10(train.lr) - log10(3e-3)) ** 2 / 2 + 2 * (train.weight_decay - 0.25) ** 2
    return max(0.0, 1 - off) * epoch / train.epochs
