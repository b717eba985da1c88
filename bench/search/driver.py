"""What a search does next: `bench.run.runner.JobSource`, and what follows from each event."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from bench.errors import BenchError, WorkerStartError
from bench.measure.footprint import Footprint
from bench.plan.objectives import Objective
from bench.plan.space import Space, Value
from bench.plan.trial import Trial
from bench.record.confirm import verified_status
from bench.record.store import TrialFiles, TrialStatus
from bench.run.events import Ended, EpochDone, Event, Started
from bench.run.prepared import Costs
from bench.run.worker import Job
from bench.search.points import INFEASIBLE, MESSAGE, REUSED, TRIALS, ActivePoint, draw_point
from bench.search.pruning import PruningPolicy
from bench.search.study import REAP_SECONDS, SharedStudy
from bench.states import Status

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class TrialFactory(Protocol):
    """Where points become trials that can be trained."""

    def trials(self, point: Mapping[str, Value]) -> tuple[Trial, ...]:
        """One for each seed; a BenchError where its settings do not go together."""
        ...

    def costs(self, trial: Trial) -> Costs:
        """What its model costs, its data being prepared; a BenchError where it cannot be built."""
        ...

    def footprint(self, trial: Trial) -> Footprint:
        """How much memory it will take."""
        ...

    def job(self, trial: Trial, number: int, before: TrialStatus) -> Job:
        """The trial, which stands as in `before`, as a job of point `number`."""
        ...

    def files(self, trial: Trial) -> TrialFiles:
        """A trial's."""
        ...

    def stop(self, trial: str) -> None:
        """End a trial at its next step."""
        ...


@dataclass(frozen=True)
class SearchGoal:
    """What is optimised, and how.

    Attributes:
        objectives: the objectives.
        curve: the objective whose curve trials are pruned by.
        policy: what ends hopeless points.
    """

    objectives: tuple[Objective, ...]
    curve: Objective | None
    policy: PruningPolicy


class Driver:
    """Asks the study for points, hands out their seeds one after the other, and tells how they end.

    Args:
        until: a time of `time.monotonic` after which no further point is begun.
        retry_failed: train a trial again that has failed in an earlier study.
    """

    def __init__(
        self,
        space: Space,
        study: SharedStudy,
        goal: SearchGoal,
        factory: TrialFactory,
        say: Callable[[str], None],
        *,
        until: float | None = None,
        retry_failed: bool = False,
    ) -> None:
        self._space, self._study, self._goal = space, study, goal
        self._factory, self._say = factory, say
        self._until, self._retry_failed = until, retry_failed
        self._size = space.size
        self._active: dict[int, ActivePoint] = {}
        self._stopped = False
        self._last_asked = -REAP_SECONDS

    @property
    def late(self) -> bool:
        """Whether the time for new points is over."""
        return self._until is not None and time.monotonic() >= self._until

    @property
    def exhausted(self) -> bool:
        """Whether every point of a finite space is finished."""
        if self._size is None:
            return False
        finished = [trial for trial in self._study.trials() if trial.state in _FINISHED]
        return len({tuple(sorted(trial.params.items())) for trial in finished}) >= self._size

    def next(self) -> Job | None:
        """The next seed of a point that is being tried, or the first one of a new point."""
        if self._stopped:
            return None
        for active in list(self._active.values()):
            if active.running is None and (job := self._next_job(active)) is not None:
                return job
        while (begun := self._take_point()) is not None:
            if (job := self._next_job(begun)) is not None:
                return job
        return None

    def over(self) -> bool:
        """Whether nothing is being tried here, and nothing is left that others might leave us."""
        if self._stopped:
            return True
        if self._active:
            return False
        return self.late or self._study.unfinished() == 0 or self.exhausted

    def stop(self) -> None:
        """No further jobs; a storage that is away is not waited for."""
        self._stopped = True
        self._study.study_storage.retry_policy.over = True

    def close(self) -> None:
        """Give back what is not finished: others go on with it, or the next call."""
        for active in self._active.values():
            self._study.release(active.handle)
        self._active.clear()

    def interpret(self, event: Event) -> Event:
        """What an event means: a trial that we have ended was pruned, not interrupted."""
        active = self._active_for(event.trial) if isinstance(event, Ended) else None
        if active is None or active.pruned is None:
            return event
        assert isinstance(event, Ended)
        if event.status is not Status.INTERRUPTED or event.message or self._stopped:
            return event
        return Ended(event.trial, Status.PRUNED, None, active.pruned, recorded=False)

    def handle_event(self, event: Event) -> None:
        """Do what follows from an event, once it is on record."""
        if not isinstance(event, Started | EpochDone | Ended):
            return
        active = self._active_for(event.trial)
        if active is None:
            return
        try:
            if isinstance(event, EpochDone):
                self._observe_epoch(active, event.row)
            elif isinstance(event, Ended):
                active.running = None
                if event.status is Status.DONE:
                    active.pruned = None  # it was quicker than we were
                    self._add_seed(active)
                elif event.status is Status.PRUNED:
                    self._prune(active)
                elif event.status is Status.FAILED:
                    self._fail(active, f"{event.failure}: {event.message}")
        except UpdateFinishedTrialError:
            self._taken_over(active)
        if active.pruned is not None and not isinstance(event, Ended):
            self._factory.stop(event.trial)

    def _active_for(self, trial: str) -> ActivePoint | None:
        """The point that is training this trial."""
        return next((a for a in self._active.values() if a.running == trial), None)

    def _taken_over(self, active: ActivePoint) -> None:
        """Somebody took us for dead and has ended the point."""
        self._deactivate(active)
        self._say(f"point {active.number} was taken over by another process")

    # points

    def _take_point(self) -> ActivePoint | None:
        """A new point, or one that somebody has left; None: none just now."""
        while time.monotonic() >= self._last_asked + REAP_SECONDS:
            if self._stopped or self.late or self.exhausted:
                return None
            handle = self._study.take()
            if handle is None:
                self._last_asked = time.monotonic()
                return None
            if (active := self._prepare_point(handle)) is not None:
                self._active[active.number] = active
                return active
        return None

    def _prepare_point(self, handle: optuna.Trial) -> ActivePoint | None:
        """The point of a trial, ready for its first seed; None where it has ended already."""
        point = draw_point(self._space, handle)
        try:
            trials = self._factory.trials(point)
        except BenchError as error:
            self._refuse(handle, {"settings": 1.0}, str(error))
            return None
        active = ActivePoint(handle, trials)
        handle.set_user_attr(TRIALS, [trial.id for trial in trials])
        if self._reuse_result(active):
            return None
        try:
            costs = self._factory.costs(trials[0])
        except WorkerStartError:
            raise  # says nothing of the point, which is given back
        except BenchError as error:
            self._fail(active, str(error))
            return None
        return active if self._meets_constraints(active, costs) else None

    def _reuse_result(self, active: ActivePoint) -> bool:
        """Whether the same point was finished before: it is not trained again."""
        ids = [trial.id for trial in active.trials]
        for other in self._study.trials():
            known = other.user_attrs
            if other.number == active.number or known.get(TRIALS) != ids:
                continue
            if other.state not in _FINISHED:
                continue
            for key, value in known.items():
                if key not in active.handle.user_attrs:
                    active.handle.set_user_attr(key, value)
            active.handle.set_user_attr(REUSED, other.number)
            values = other.values if other.state is TrialState.COMPLETE else None
            for name, value in other.constraints.items():
                _constrain(active.handle, name, value)
            self._study.end(active.handle, other.state, values)
            self._say(f"point {active.number} is point {other.number} again, and not trained again")
            return True
        return False

    def _meets_constraints(self, active: ActivePoint, costs: Costs) -> bool:
        """Whether it meets the constraints; it is not trained otherwise."""
        known: dict[str, float | int | None] = dict(costs)
        limits = self._space.search.parsed_constraints
        if any(limit.name == "memory_mb" for limit in limits):
            found = self._factory.footprint(active.trials[0])
            # more than there is counts as twice that: beyond any limit that a machine can meet
            known["memory_mb"] = found.peak_mb
            if found.peak_mb is None and found.problem is None:
                known["memory_mb"] = 2 * (found.free_mb or 0.0)
            if found.problem is not None:
                known["memory_mb"] = None
                self._say(f"point {active.number}: its memory is not known: {found.problem}")
        excesses, violations = {}, []
        for limit in limits:
            value = known.get(limit.name)
            if value is not None:
                excesses[str(limit)] = limit.excess(value)
                if excesses[str(limit)] > 0:
                    violations.append(f"{limit.name} is {value:.6g}, but is to be {limit.bound}")
        if violations:
            self._refuse(active.handle, excesses, "; ".join(violations))
            return False
        for name, value in excesses.items():
            _constrain(active.handle, name, value)
        return True

    def _refuse(self, handle: optuna.Trial, excesses: Mapping[str, float], message: str) -> None:
        """End a point that is not to be trained; samplers see by how much it is beyond limits."""
        for name, value in excesses.items():
            _constrain(handle, name, value)
        handle.set_user_attr(INFEASIBLE, True)
        handle.set_user_attr(MESSAGE, message)
        self._study.end(handle, TrialState.PRUNED)
        self._say(f"point {handle.number} is infeasible, and not trained: {message}")

    # seeds

    def _next_job(self, active: ActivePoint) -> Job | None:
        """The next seed that has to be trained; None: it waits for another point, or has ended."""
        while True:
            trial = active.next
            if self._active_for(trial.id) is not None:
                return None  # another point of ours is the same: its result will be this one's
            files = self._factory.files(trial)
            found = verified_status(files)
            if found.status in (Status.DONE, Status.PRUNED) and not active.figures:
                for row in files.history():  # recorded before this search was resumed
                    self._check_pruning(active, row)
            if found.status is Status.PRUNED and active.pruned is not None:
                self._prune(active)
                return None
            active.pruned = None if found.status is Status.DONE else active.pruned
            if found.status is Status.FAILED and not self._retry_failed:
                self._fail(active, f"{found.failure}: {found.message}")
                return None
            if found.status is not Status.DONE:
                active.running = trial.id
                return self._factory.job(trial, active.number, found)
            if self._add_seed(active):
                return None

    def _add_seed(self, active: ActivePoint) -> bool:
        """A seed is done; whether the point has ended with it."""
        index = len(active.figures)
        summary = self._factory.files(active.next).summary()
        if (missing := active.add(summary, self._goal.objectives)) is not None:
            self._fail(active, missing)
            return True
        first = active.figures[index][self._goal.objectives[0].metric]
        pruned = self._goal.policy.seed(active.handle, index, first)
        if active.complete:
            self._deactivate(active)
            values = active.values(self._goal.objectives)
            if not self._study.end(active.handle, TrialState.COMPLETE, values):
                self._taken_over(active)
            return True
        if pruned:
            active.pruned = f"pruned after {index + 1} of {len(active.trials)} seeds"
            self._say(f"point {active.number}: {active.pruned}")
            self._prune(active)
        return pruned

    def _prune(self, active: ActivePoint) -> None:
        active.handle.set_user_attr(MESSAGE, active.pruned)
        self._deactivate(active)
        self._study.end(active.handle, TrialState.PRUNED)

    def _fail(self, active: ActivePoint, message: str) -> None:
        active.handle.set_user_attr(MESSAGE, message)
        self._deactivate(active)
        self._study.end(active.handle, TrialState.FAIL)
        self._say(f"point {active.number} has failed: {message}")

    def _deactivate(self, active: ActivePoint) -> None:
        self._active.pop(active.number, None)

    # epochs

    def _observe_epoch(self, active: ActivePoint, row: Mapping[str, Any]) -> None:
        """Prune by an epoch's value, and by those before it that we did not hear of."""
        if active.figures or self._goal.curve is None:
            return
        epoch = int(row["epoch"])
        if epoch > active.judged_epoch + 1:
            for earlier in self._factory.files(active.next).history():
                if int(earlier["epoch"] or 0) < epoch:
                    self._check_pruning(active, earlier)
        self._check_pruning(active, row)

    def _check_pruning(self, active: ActivePoint, row: Mapping[str, Any]) -> None:
        objective, epoch = self._goal.curve, int(row["epoch"])
        value = None if objective is None else row.get(objective.curve or "")
        if (
            objective is None
            or value is None
            or epoch <= active.judged_epoch
            or not math.isfinite(value)
        ):
            return  # what is no number says nothing, so that nothing is pruned for it
        active.judged_epoch = epoch
        worse = active.so_far is not None and not objective.better(value, active.so_far)
        if not (worse and objective.best_so_far):
            active.so_far = float(value)
        assert active.so_far is not None
        hopeless = self._goal.policy.epoch(active.handle, epoch, active.so_far)
        last = epoch >= active.next.settings.train.epochs
        if hopeless and not last and active.pruned is None:
            active.pruned = f"pruned after epoch {epoch}: {objective.curve} {active.so_far:.4g}"


def _constrain(handle: optuna.Trial, name: str, value: float) -> None:
    if name not in handle.constraints:
        handle.set_constraint(name, value)
