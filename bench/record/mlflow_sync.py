"""One `sync`: figures and states of all trials first, files last, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from bench.errors import StoreError
from bench.record.columns import Status
from bench.record.mlflow_errors import ArtifactError, MirrorError
from bench.record.mlflow_record import LACKING, memory_of
from bench.record.store import Store, TrialFiles

Check = Callable[[TrialFiles], object]
"""Raises a StoreError of a trial that is not to be mirrored."""

FAILURES = 3
"""In a row, after which it is not single trials or files that fail, but MLflow."""


@dataclass(frozen=True)
class SyncCounts:
    """What `sync` did.

    Attributes:
        trials: how many have something to mirror.
        pushed: of how many of them MLflow lacked something.
        problems: why some are not there, or not whole, a line each.
    """

    trials: int
    pushed: int
    problems: tuple[str, ...] = ()


def accept(_files: TrialFiles) -> None:
    """Mirror every trial."""


class Target(Protocol):
    """Where trials are pushed to: `bench.record.mlflow.Mirror`."""

    store: Store

    @property
    def label(self) -> str:
        """Its address, for people."""

    def push(self, files: TrialFiles) -> bool:
        """Figures and state of a trial; whether any lacked."""

    def push_artifacts(self, files: TrialFiles) -> bool:
        """Files of a trial that has ended; whether any lacked."""

    def close_parents(self) -> None:
        """States of experiments follow those of their trials."""

    def keep_specs(self) -> None:
        """Specs of experiments."""

    def is_well(self) -> bool:
        """Whether MLflow answers."""


class Sync:
    """One `sync`: what was found and done so far. Of a trial nothing is kept but where it is."""

    def __init__(self, mirror: Target, names: Iterable[str], check: Check = accept) -> None:
        self._mirror, self._names, self._check = mirror, list(names), check
        self._left_out: set[TrialFiles] = set()
        self.trials = 0
        self.pushed: set[TrialFiles] = set()
        self.problems: list[str] = []
        self._failures = 0

    def run(self) -> SyncCounts:
        """All of it.

        Raises:
            MirrorError: MLflow failed.
        """
        self._push()
        if self.pushed:
            self._mirror.close_parents()
        if self._push_artifacts():
            self._mirror.keep_specs()
        return SyncCounts(self.trials, len(self.pushed), tuple(self.problems))

    def _push(self) -> None:
        """Figures and states of all trials. One that fails does not keep out the others."""
        for files in self._each():
            try:
                planned = files.status(strict=True).status is Status.PLANNED
                if not planned:
                    self._check_record(files)
                self.trials += not planned
                if self._mirror.push(files):
                    self.pushed.add(files)
                self._failures = 0
            except MirrorError as error:
                self._failed(error)
            except StoreError as error:
                self.problems.append(str(error))

    def _push_artifacts(self) -> bool:
        """Files of all trials, until it is clear that the artifact store takes none; False then."""
        failures, left = 0, 0
        for files in self._each():
            if files in self._left_out or not memory_of(files).get(LACKING):
                continue
            if failures >= FAILURES:
                left += 1
                continue
            try:
                if self._mirror.push_artifacts(files):
                    self.pushed.add(files)
                failures = 0
            except ArtifactError as error:
                failures += error.unreachable
                self.problems.append(str(error))
            except StoreError as error:
                failures += 1
                self.problems.append(str(error))
        if left:
            self.problems.append(
                f"MLflow at {self._mirror.label} has the figures of {left} more trials, but not "
                "their files: `bench sync` tries again"
            )
        return failures == 0

    def _check_record(self, files: TrialFiles) -> None:
        try:
            self._check(files)
        except StoreError:
            self._left_out.add(files)
            raise

    def _each(self) -> Iterator[TrialFiles]:
        for name in self._names:
            try:
                yield from self._mirror.store.trials(name)
            except StoreError as error:
                if str(error) not in self.problems:
                    self.problems.append(str(error))

    def _failed(self, error: MirrorError) -> None:
        """Go on with the next trial if MLflow itself is well, which it is not time and again."""
        self._failures += 1
        if not error.doubtful or self._failures >= FAILURES or not self._mirror.is_well():
            raise error
        self.problems.append(str(error))
