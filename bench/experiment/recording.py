"""What is done about the events of workers: they are recorded, mirrored and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.errors import UnwritableError
from bench.record.recorder import TrialRecorder
from bench.record.store import TrialFiles
from bench.run.events import Ended, EpochDone, Event, Retried
from bench.states import Status


def observer(
    recorders: Mapping[str, TrialRecorder],
    changed: Callable[[TrialFiles], None],
    show: Callable[[Event], None],
) -> Callable[[Event], None]:
    """What is done about an event: record, mirror, show."""

    def observe(event: Event) -> None:
        if isinstance(event, Ended | EpochDone | Retried):
            recorder = recorders[event.trial]
            if isinstance(event, Ended) and not event.recorded:
                _record(event, recorder)
            if isinstance(event, Retried):
                recorder.retry(event.message)
            changed(recorder.files)  # others' too: whoever ended it may have died right then
        show(event)

    return observe


def _record(event: Ended, recorder: TrialRecorder) -> None:
    """What its worker could not. Interrupted on a full disk, it stays `running`: just as well."""
    try:
        recorder.stop(event.status, event.failure, event.message)
    except UnwritableError:
        if event.status is not Status.INTERRUPTED:
            raise
