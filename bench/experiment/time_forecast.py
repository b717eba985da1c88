"""How long a plan will take: per arm, in all, and what is left of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import StoreError
from bench.experiment.durations import DurationRequest, Found, durations
from bench.experiment.longer_trials import longer_trials
from bench.measure.duration import Duration, UnknownDuration
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.confirm import verified_status
from bench.record.store import Store, TrialFiles
from bench.run.forecast import divide_machine
from bench.run.schedule import makespan
from bench.run.worker import WorkerResources
from bench.states import Status


@dataclass(frozen=True)
class TrialTime:
    """How long one trial takes; `found` says by what that is known."""

    trial: Trial
    found: Found

    @property
    def seconds(self) -> float:
        """From its start to its end; NaN where it is not known."""
        return self.left(0)

    def left(self, epochs_done: float) -> float:
        """The same after so many epochs."""
        if isinstance(self.found, UnknownDuration):
            return math.nan
        train = self.trial.settings.train
        later = max(0, train.epochs - int(epochs_done))
        unfreezes = train.unfreeze_epoch
        return self.found.seconds(
            later, None if unfreezes is None else max(1, unfreezes - int(epochs_done))
        )

    def record(self) -> dict[str, Any]:
        """For `bench plan --json`."""
        if isinstance(self.found, UnknownDuration):
            return {"seconds": None, "problem": self.found.problem}
        spread = self.found.spread
        return {
            "seconds": round(self.seconds, 3),
            "spread": None if math.isnan(spread) else round(spread, 4),
            "source": self.found.source,
        }


@dataclass(frozen=True)
class TimeTotal:
    """How long several trials take.

    Attributes:
        trials: how many there are.
        seconds: until the last has ended, on all workers.
        computing: added up over the trials.
    """

    trials: int
    seconds: float
    computing: float


@dataclass(frozen=True)
class TimeForecast:
    """How long a plan takes.

    Attributes:
        plan: the plan.
        resources: of the workers.
        times: of every trial that there may be, by id.
        first: of the trials that are trained in any case.
        most: of as many as there may be; equal to `first` where the plan does not grow.
        left: of the first what is not finished, as far as it is not.
    """

    plan: Plan
    resources: Sequence[WorkerResources]
    times: Mapping[str, TrialTime]
    first: TimeTotal
    most: TimeTotal
    left: TimeTotal

    @property
    def devices(self) -> int:
        """GPUs that are used; 0: it runs on CPU cores."""
        return len({gpu for one in self.resources if one.gpus for gpu in one.gpus.split(",")})

    def device_hours(self, total: TimeTotal) -> float:
        """GPU-hours, of which trials that share a GPU share one; else core-hours."""
        one = self.resources[0]
        gpus = len((one.gpus or "").split(","))
        each = gpus / one.trials_per_device if self.devices else one.threads
        return total.computing * each / 3600


def forecast_time(
    plan: Plan,
    store: Store,
    jobs: int | None,
    say: Callable[[str], None],
) -> TimeForecast:
    """Measure, or look up, how long the trials of a plan take as `bench run` would run them."""
    every = (*plan.trials, *plan.further)
    resources = divide_machine(plan.machine, plan.trials, len(every), jobs, say)
    request = DurationRequest(store, plan.experiment, resources)
    found = durations(every, request, say)
    times = {trial.id: TrialTime(trial, found[trial.id]) for trial in every}
    shorter = longer_trials(plan.trials, store).epochs
    done = {**epochs_done(plan.trials, store), **shorter}
    return make_forecast(plan, resources, times, done)


def make_forecast(
    plan: Plan,
    resources: Sequence[WorkerResources],
    times: Mapping[str, TrialTime],
    done: Mapping[str, float],
) -> TimeForecast:
    """What the times of single trials come to.

    Args:
        plan: the plan.
        resources: of the workers.
        times: of every trial that there may be.
        done: how many epochs of a trial are done; all of them: it is finished.
    """
    workers = len(resources)
    first = [times[trial.id].seconds for trial in plan.trials]
    further = [times[trial.id].seconds for trial in plan.further]
    longest = sorted(further, key=lambda each: -math.inf if math.isnan(each) else -each)
    more = longest[: plan.most_trials - len(plan.trials)]
    left = [
        times[trial.id].left(done.get(trial.id, 0))
        for trial in plan.trials
        if done.get(trial.id, 0) < math.inf
    ]
    return TimeForecast(
        plan, resources, times, _total(first, workers), _total([*first, *more], workers),
        _total(left, workers),
    )  # fmt: skip


def epochs_done(trials: Iterable[Trial], store: Store) -> dict[str, float]:
    """Of each trial that is on record how many epochs are done; infinite where it has ended."""
    found: dict[str, float] = {}
    for trial in trials:
        files = store.trial(trial.experiment, trial.id)
        if not files.status_path.exists():
            continue
        try:
            ended = verified_status(files).status in (Status.DONE, Status.FAILED)
            found[trial.id] = math.inf if ended else _resumable_epochs(files)
        except StoreError:
            found[trial.id] = math.inf  # left alone by a run
    return found


def _resumable_epochs(files: TrialFiles) -> int:
    return len(files.history()) if any(path.exists() for path in files.states) else 0


def _total(seconds: Sequence[float], workers: int) -> TimeTotal:
    if any(math.isnan(each) for each in seconds):
        return TimeTotal(len(seconds), math.nan, math.nan)
    return TimeTotal(len(seconds), makespan(seconds, workers), sum(seconds))


def spread_of(times: Iterable[TrialTime]) -> float:
    """How far measurements of the same trial lay apart at most; NaN: not known of any."""
    known = [one.found.spread for one in times if isinstance(one.found, Duration)]
    return max((each for each in known if not math.isnan(each)), default=math.nan)
