"""One call of `bench search`: what it was given, and its part in the experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.experiment.resolving import ResolvePlan
from bench.plan.plan import Plan
from bench.record.leases import Leases
from bench.record.store import Store
from bench.run.executor_options import ExecutorOptions
from bench.run.limits import Limits
from bench.run.progress import print_line
from bench.run.retries import RETRIES

if TYPE_CHECKING:
    from bench.search.request import SearchRequest


@dataclass(frozen=True)
class SearchOptions:
    """What the command line says besides the spec.

    Attributes:
        timeout: seconds after which no further point is begun, instead of the spec's.
        more: go on, though the search has ended before.
    """

    results: Path
    reports: Path
    jobs: int | None = None
    timeout: float | None = None
    more: bool = False
    retry_failed: bool = False
    limits: Limits = field(default_factory=Limits)
    retries: int = RETRIES
    keep_last: bool = False
    executor: ExecutorOptions = field(default_factory=ExecutorOptions)


@dataclass(frozen=True)
class SearchContext:
    """One `bench search` at work.

    Attributes:
        request: what the spec asks for.
        samples: a plan of trials of every kind.
        resolve: resolves what trials name by other experiments.
        console: for people.
        store: where records are.
        leases: its part in who does what.
    """

    request: SearchRequest
    samples: Plan
    resolve: ResolvePlan
    options: SearchOptions
    console: Console
    store: Store
    leases: Leases

    @property
    def experiment(self) -> str:
        """The experiment's name, and the study's."""
        return self.samples.experiment

    def say(self, text: str) -> None:
        """A line for a person."""
        print_line(self.console, text)
