"""Which trials start again by themselves: those whose worker was killed, a few times in a row."""

from __future__ import annotations

from collections import Counter

from bench.run.events import Ended, EpochDone, Event, Retried
from bench.states import Failure

RETRIES = 2


class Retries:
    """Counts them. A trial that was killed may pass the next time; other failures repeat.

    An epoch that was done since begins the count anew: nodes of a cluster that come and go do not
    make a long trial fail that gets on all the time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: Counter[str] = Counter()

    def stop(self) -> None:
        """From now on, nothing starts again."""
        self._most = 0

    def instead_of(self, event: Event) -> Event:
        """A `Retried` for a trial that was killed and may start again, else the event itself."""
        if isinstance(event, EpochDone):
            self._used.pop(event.trial, None)
        if not isinstance(event, Ended) or event.failure is not Failure.KILLED:
            return event
        if self._used[event.trial] >= self._most:
            return event
        self._used[event.trial] += 1
        return Retried(event.trial, event.message or "", self._used[event.trial], self._most)
