"""Several `run`s of one experiment: what one does while the others are there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench import folders
from bench.errors import BenchError, UnconfirmedError, UnwritableError
from bench.plan.expand import trial_config
from bench.plan.trial import Trial
from bench.record.confirm import verified_status
from bench.record.leases import Lease, Leases
from bench.record.owners import Owner
from bench.record.recorder import TrialRecorder
from bench.record.store import LEASES, Store
from bench.record.trial_files import TrialStatus
from bench.run.events import Ended
from bench.states import Failure, Status

SETUP = "setup"
"""Held while a run chooses its trials, prepares them and puts them on record."""
REPORT = "report"
"""Held while a run writes the report."""


@contextmanager
def kept_in_place(store: Store, experiment: str) -> Iterator[None]:
    """Where results vanish meanwhile, none of their folders is made again.

    Raises:
        BenchError: the results folder cannot be written.
    """
    leases = store.root / LEASES  # of MLflow's; `rm -rf` may come to it before all others
    folders.make(leases)
    with folders.keeping(store.root, store.experiment(experiment), leases):
        yield


def has_vanished(store: Store) -> bool:
    """Whether the results, or a part that is kept in place, are no longer there."""
    try:
        folders.check_kept(store.root)
    except UnwritableError:
        return True
    return False


class SharedTrials:
    """The trials of one run, any of which another may have: `bench.run.runner.Claims`.

    Args:
        leases: this run's part in them.
        recorders: of all trials to be run, by id; each is given its lease, and keeps it when it is
            sent to a worker.
        before: how they were when it was decided to run them.
        unwritten: those whose config.yaml is another run's while that has the trial.
    """

    def __init__(
        self,
        leases: Leases,
        recorders: Mapping[str, TrialRecorder],
        before: Mapping[str, TrialStatus],
        unwritten: Mapping[str, Trial],
    ) -> None:
        self._leases = leases
        self._recorders, self._before = dict(recorders), dict(before)
        self._unwritten: dict[str, Mapping[str, Any]] = {
            key: trial_config(trial) for key, trial in unwritten.items()
        }

    def add(
        self, trial: str, recorder: TrialRecorder, before: TrialStatus, config: Mapping[str, Any]
    ) -> None:
        """One trial more, as it is `before` it is claimed; `config` is written when it is ours."""
        self._recorders[trial], self._before[trial] = recorder, before
        self._unwritten[trial] = config

    def claim(self, trial: str) -> Ended | str | None:
        """None: ours now. Else who has it; or how it ended, in another run, since we started."""
        recorder = self._recorders[trial]
        if recorder.lease is not None and recorder.lease.held():
            return None  # it starts again
        found = self._leases.claim(trial)
        if isinstance(found, Owner):
            return str(found)
        if (ended := self._ended(trial)) is not None:
            self._leases.release(found)
            return ended
        self._take(trial, found)
        return None

    def keeps(self, trial: str) -> bool:
        """Whether our lease still holds.

        Raises:
            UnwritableError: the folder of results has vanished, or cannot be written any more.
        """
        recorder = self._recorders[trial]
        if recorder.lease is None:
            return False
        if not recorder.lease.held():
            recorder.lease.check_folder()
            return False
        recorder.check_folder()
        return True

    def release(self, trial: str) -> None:
        """Let others have it."""
        recorder = self._recorders[trial]
        if recorder.lease is not None:
            self._leases.release(recorder.lease)
            recorder.lease = None

    def in_good_hands(self, trials: Collection[str]) -> bool:
        """Whether others have each of these, and are alive for certain.

        Waits for a sign of those on other machines, at most as long as leases last.
        """
        alive = {owner.token for owner in self._leases.certain_others()}
        holders = map(self._leases.holder, trials)
        return all(owner is not None and owner.token in alive for owner in holders)

    def _take(self, trial: str, lease: Lease) -> None:
        recorder = self._recorders[trial]
        recorder.lease = lease
        if (unwritten := self._unwritten.pop(trial, None)) is not None:
            recorder.files.write_config(unwritten)

    def _ended(self, trial: str) -> Ended | None:
        """A failure that was there before is what `--retry-failed` runs again."""
        try:
            status = verified_status(self._recorders[trial].files)
        except UnconfirmedError as error:  # left alone, as before a run
            return Ended(trial, Status.FAILED, Failure.CRASH, str(error), elsewhere=True)
        if status.status not in (Status.DONE, Status.FAILED) or status == self._before[trial]:
            return None
        return Ended(trial, status.status, status.failure, status.message, elsewhere=True)


def refuse_force(experiment: str, leases: Leases, say: Callable[[str], None]) -> None:
    """Nothing is forgotten under the hands of another run.

    Raises:
        BenchError: there is one, and which.
    """
    for other in leases.others():
        if not other.is_local():
            say(f"--force: is {other} still running this? (up to {other.expiry:.0f} s)")
    for other in leases.certain_others():
        raise BenchError(
            f"--force: {experiment!r} is being run by {other}, since {other.since}: wait for it, "
            "or stop it first"
        )
