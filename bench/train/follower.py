"""The process of another device of a trial: it takes the same steps as the first, and no notes."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from bench.errors import BenchError, DataError
from bench.history_row import HistoryRow
from bench.interruption import ignore_signals
from bench.masking import masked
from bench.plan.trial import Trial
from bench.train.devices import Place, load_state, order_of
from bench.train.failures import describe_failure
from bench.train.loop import Training
from bench.train.recorder import Recorder
from bench.train.trial_parts import build, cuda_or_cpu


class Messages:
    """What the first process says. Where that is gone, this one ends at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._received: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True, name="listen").start()

    def next(self) -> tuple[Any, ...]:
        """The next message; waits for it."""
        return self._received.get()

    def say(self, answer: object) -> None:
        """Answer."""
        with suppress(OSError):
            self._connection.send(answer)

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(1)
            self._received.put(message)


def follow(trial: Trial, place: Place, threads: int, connection: Connection) -> None:
    """Take part in `trial`; the entry point of the process."""
    ignore_signals()
    faulthandler.enable()
    messages = Messages(connection)
    torch.set_num_threads(threads)
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - the first process says the same
    try:
        take_part(trial, place, messages)
    except Exception as error:
        print(masked(traceback.format_exc()), file=sys.stderr, flush=True)
        messages.say(describe_failure(error, place.count))
        threading.Event().wait()  # the first process reads it, and ends this one
    os._exit(0)


def take_part(trial: Trial, place: Place, messages: Messages) -> None:
    """Train the epochs that the first process begins, until it says that there are no more.

    Raises:
        BenchError: this process trains on other samples than the first.
    """
    place.use_device(cuda_or_cpu(trial.settings.machine.device))
    parts = build(trial)
    parts.weight_classes()
    training = Training(
        trial,
        parts.model,
        parts.task,
        parts.batches("train", trial.settings.train.batch_size),
        parts.batches("train"),  # never asked: the first process validates
        samples=parts.samples("train", 1),
        fingerprint=parts.data.fingerprint,
        device=parts.device,
        recorder=_NoRecords(),
        signals=_Unheard(),
        place=place,
    )
    messages.say("ready")
    _, content = messages.next()
    state = load_state(content, parts.device)
    if state["fingerprint"] != parts.data.fingerprint:
        raise DataError("the data has changed while the trial began: start it again")
    with place.together(parts.device):
        training.restore(state)
        while (message := messages.next())[0] != "end":
            if message[0] == "row":
                training.follow(message[1])
                continue
            _, epoch, order = message
            plan = training.begin_epoch(epoch)
            if order_of(*plan) != order:
                raise BenchError(
                    "train.devices: the sampler gives each process other samples: it must draw "
                    "from the `generator` that it is given, or one seeded by `seed`"
                )
            training.take_steps(plan, epoch)


class _NoRecords:
    """A recorder of nothing."""

    best = last = previous = finished = Path(os.devnull)

    def check(self) -> None:
        pass

    def relocated(self, folder: Path) -> Recorder:  # noqa: ARG002 - a recorder's
        return self

    def begin(self, environment: Mapping[str, Any]) -> None:
        pass

    def resume(self, history: Sequence[HistoryRow]) -> None:
        pass

    def record_epoch(self, row: HistoryRow) -> None:
        pass

    def picture(self, name: str, image: Any) -> None:
        pass

    def finish(self, facts: Mapping[str, Any], scores: Any = None) -> None:
        pass

    def retry(self, message: str) -> None:
        pass

    def stop(self, status: str, failure: str | None, message: str | None) -> None:
        pass


class _Unheard:
    """Signals that nobody hears: the first process says when to stop, by ending this one."""

    def stopping(self) -> bool:
        return False

    def tick(self, epoch: int, step: int, steps: int) -> None:
        pass

    def working(self, what: str, step: int, steps: int) -> None:
        pass

    def epoch(self, row: HistoryRow) -> None:
        pass
