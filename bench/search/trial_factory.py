"""Where the points of a search become trials with records: `bench.search.driver.TrialFactory`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bench.experiment.resolving import ResolvePlan
from bench.experiment.shared_trials import SharedTrials
from bench.measure.footprint import Footprint
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.space import Space, Value
from bench.plan.trial import NO_LEVEL, Trial, digest
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.run.backend import Backend, LocalBackend
from bench.run.forecast import MEMORY_NEUTRAL_SETTINGS, ForecastError
from bench.run.prepared import Costs, Prepared
from bench.run.worker import Job
from bench.spec import yaml12
from bench.spec.search import without_password


class Stopping(Protocol):
    """The part of an executor that ends trials."""

    def ask_to_stop(self, trial: str | None = None) -> None:
        """Ask a trial's worker to stop at its next step."""
        ...


class SearchTrialFactory:
    """Makes trials of points, and jobs of trials; keeps the plan on record up to date.

    Args:
        about: what plan.json says of the search.
        claims: of the trials; each job is added.
        executor: where they run.
        keep_last: whether finished trials keep what training goes on from.

    Attributes:
        recorders, epochs: of the jobs that were made, by id.
        notes: what a reader of the results should know of the data.
        backend: where trials are prepared and measured; set before the first job is asked for.
    """

    def __init__(
        self,
        space: Space,
        store: Store,
        resolve: ResolvePlan,
        about: Mapping[str, Any],
        claims: SharedTrials,
        executor: Stopping,
        *,
        keep_last: bool = False,
    ) -> None:
        self._space, self._store, self._resolve, self._about = space, store, resolve, about
        self._claims, self._executor = claims, executor
        self._keep_last = keep_last
        self._costs: dict[str, Costs] = {}
        self._footprints: dict[str, Footprint] = {}
        self._trials_by_point: dict[str, tuple[Trial, ...]] = {}
        self._planned: dict[str, Trial] = {}
        self.recorders: dict[str, TrialRecorder] = {}
        self.epochs: dict[str, int] = {}
        self.notes: tuple[str, ...] = ()
        self.backend: Backend = LocalBackend(())

    @property
    def planned(self) -> tuple[Trial, ...]:
        """The trials on record as planned."""
        return tuple(self._planned.values())

    def trials(
        self, point: Mapping[str, Value], seeds: Sequence[int] | None = None
    ) -> tuple[Trial, ...]:
        """The point with each seed, by default the search's, all that they name resolved."""
        wanted = tuple(self._space.search.seeds if seeds is None else seeds)
        key = digest([dict(point), wanted])
        if key not in self._trials_by_point:
            trials = self._space.trials(point, wanted)
            self._trials_by_point[key] = self._resolve(Plan(self._space.spec, {}, trials)).trials
        return self._trials_by_point[key]

    def add_prepared(self, trials: Sequence[Trial], prepared: Prepared) -> None:
        """What was prepared before the first point."""
        self.notes = prepared.notes
        for trial in trials:
            self._costs[_preparation_key(trial)] = prepared.costs[trial.id]

    def costs(self, trial: Trial) -> Costs:
        """What its model costs; what it needs is prepared, once for all trials that need it."""
        key = _preparation_key(trial)
        if key not in self._costs:
            prepared = self.backend.prepare([trial], lambda *_: None, survey=False)
            self._costs[key] = prepared.costs[trial.id]
        return self._costs[key]

    def footprint(self, trial: Trial) -> Footprint:
        """How much memory it will take; trials that are alike in it are measured once."""
        key = _preparation_key(trial)
        if key not in self._footprints:
            try:
                self._footprints[key] = self.backend.forecast([trial])[trial.id]
            except ForecastError as error:
                self._footprints[key] = Footprint(None, None, None, problem=str(error))
        return self._footprints[key]

    def job(self, trial: Trial, number: int, before: TrialStatus, *, test: bool = False) -> Job:
        """The trial, which stands as in `before`, as a job of point `number`.

        With `test`, it confirms the point.
        """
        settings, files = trial.settings, self.files(trial)
        metrics = settings.metrics
        recorder = TrialRecorder(
            files,
            settings.select.metric,
            metrics,
            self.costs(trial),
            keep_last=self._keep_last,
        )
        part = {"search": {"point": number, "part": "confirmation" if test else "search"}}
        self.recorders[trial.id] = recorder
        self.epochs[trial.id] = settings.train.epochs
        self._claims.add(trial.id, recorder, before, trial_config(trial) | part)
        self.plan([trial])
        return Job(trial, recorder, files.log, test)

    def files(self, trial: Trial) -> TrialFiles:
        """A trial's."""
        return self._store.trial(trial.experiment, trial.id)

    def stop(self, trial: str) -> None:
        """End a trial at its next step."""
        self._executor.ask_to_stop(trial)

    def plan(self, trials: Iterable[Trial]) -> None:
        """Put trials more on record as planned."""
        self._planned |= {trial.id: trial for trial in trials}
        plan = Plan(self._space.spec, self._labels(), self.planned)
        tree = without_password(self._space.spec.document.tree)
        record = plan.record() | {
            "spec": yaml12.dump(tree),
            "notes": list(self.notes),
            "search": dict(self._about),
        }
        self._store.write_plan(plan.experiment, record)

    def _labels(self) -> dict[str, tuple[str, ...]]:
        """The labels on each dimension that a trial has: numbers by size, choices as written."""
        found: dict[str, tuple[str, ...]] = {}
        for dimension in self._space.dimensions:
            name = dimension.name
            used = {trial.axes[name] for trial in self._planned.values()}
            numbers = sorted(used - {NO_LEVEL}, key=float) if not dimension.levels else ()
            choices = [label for label in dimension.levels if label in used]
            none = [NO_LEVEL] if NO_LEVEL in used else []
            found[name] = (*numbers, *choices, *none)
        return {name: found[name] for name in self._space.names}


def _preparation_key(trial: Trial) -> str:
    """Trials of one kind need the same preparation and take the same memory."""
    settings = trial.settings.identity()
    train = {
        key: value for key, value in settings["train"].items() if key not in MEMORY_NEUTRAL_SETTINGS
    }
    data, machine = trial.settings.data, trial.settings.machine
    local = [data.model_dump(mode="json"), machine.model_dump(mode="json")]
    return digest([settings | {"train": train}, local])
