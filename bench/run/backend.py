"""Where a run prepares its trials and runs them: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.measure.footprint import Footprint
from bench.plan.trial import Trial
from bench.run.executor_options import ExecutorOptions
from bench.run.executors.base import Executor
from bench.run.executors.local import LocalExecutor
from bench.run.forecast import divide_machine, forecast
from bench.run.limits import Limits
from bench.run.prepare import prepare
from bench.run.prepared import Prepared, Report
from bench.run.worker import WorkerResources
from bench.spec.schema import Machine


class Backend(Protocol):
    """Prepares trials, measures them, and makes what runs them, all in one place."""

    @property
    def trials_per_device(self) -> int:
        """How many trials a device has at a time."""
        ...

    def prepare(self, trials: Sequence[Trial], report: Report, *, survey: bool = True) -> Prepared:
        """As `bench.run.prepare.prepare`."""
        ...

    def forecast(self, trials: Sequence[Trial]) -> Mapping[str, Footprint]:
        """As `bench.run.forecast.forecast`."""
        ...

    def executor(self, limits: Limits) -> Executor:
        """What runs them; closed by whoever runs jobs on it."""
        ...


class LocalBackend:
    """This machine, divided among workers."""

    def __init__(self, resources: Sequence[WorkerResources]) -> None:
        self.resources = resources

    @property
    def trials_per_device(self) -> int:
        """How many trials a device has at a time."""
        return max((resources.trials_per_device for resources in self.resources), default=1)

    def prepare(self, trials: Sequence[Trial], report: Report, *, survey: bool = True) -> Prepared:
        """In a process of this machine."""
        return prepare(trials, report, self.trials_per_device, survey=survey)

    def forecast(self, trials: Sequence[Trial]) -> Mapping[str, Footprint]:
        """In processes of this machine."""
        return forecast(trials)

    def executor(self, limits: Limits) -> Executor:
        """A process for each trial."""
        return LocalExecutor(self.resources, limits)


@contextmanager
def opened_backend(
    options: ExecutorOptions,
    machine: Machine,
    trials: Sequence[Trial],
    count: int,
    jobs: int | None,
    say: Callable[[str], None],
    *,
    shared: tuple[Path, str] | None = None,
) -> Iterator[Backend]:
    """Where the trials of a run are prepared and run.

    Args:
        options: what the command line says of it.
        machine: what the spec says of it.
        trials: of every kind that is to be run: what they take says how many fit on a GPU.
        count: how many trials are to be run at most.
        jobs: how many at a time; None: as many as there is room for.
        say: takes what a person should know.
        shared: a file in the results folder and a text in it: nodes that see it share the folder.

    Raises:
        BenchError: there is no such device or cluster.
    """
    if options.name == "local":
        yield LocalBackend(divide_machine(machine, trials, count, jobs, say))
        return
    from bench.run.ray_backend import opened_ray_backend

    with opened_ray_backend(options, machine, trials, count, jobs, say, shared=shared) as backend:
        yield backend
