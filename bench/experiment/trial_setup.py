"""What is done before the trials of a round are started: prepared, put on record, made jobs of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.data.survey import Survey
from bench.errors import DamagedError
from bench.experiment import changed_data
from bench.experiment.current_run import CurrentRun
from bench.experiment.longer_trials import longer_trials, take_over
from bench.experiment.shared_trials import SETUP, SharedTrials
from bench.experiment.surveys import keep_surveys
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.pretrained import fetch_weights
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import TrialStatus
from bench.run.backend import Backend
from bench.run.prepared import Costs, Prepared, Report
from bench.run.worker import Job


class TrialSetup:
    """Jobs of a run's trials, and what all of them share.

    Args:
        here: the run.
        report: called with what is being prepared.
        backend: where they are prepared and run.
        epochs: by trial, for the display; filled as rounds come.

    Attributes:
        recorders: by trial.
        claims: who has which trial.
        continued: by trial how many epochs it begins with, a shorter one having trained them.
    """

    def __init__(
        self, here: CurrentRun, report: Report, backend: Backend, epochs: dict[str, int]
    ) -> None:
        self._here, self._report, self._epochs = here, report, epochs
        self._backend = backend
        self._costs: dict[str, Costs] = {}  # by arm
        self._fingerprints: dict[str, str] = {}  # by arm
        self._surveys: dict[str, Survey] = {}
        self._notes: dict[str, None] = {}
        self.recorders: dict[str, TrialRecorder] = {}
        self.continued: dict[str, int] = {}
        self.claims = SharedTrials(here.leases, {}, {}, {})

    def first(
        self, todo: Sequence[Trial], moved: Sequence[Trial], before: Mapping[str, TrialStatus]
    ) -> list[Job]:
        """Jobs of the first round.

        The data of the finished trials in `moved` is looked at again.
        """
        here = self._here
        lines = self._prepare([*todo, *moved])
        changed_data.keep_stamps(here.plan, here.store)
        warnings = [f"Warning: {caution}." for caution in here.plan.warnings]
        surveys = keep_surveys(here.store, here.plan, self._surveys)
        for line in (*lines, *warnings, *surveys):
            here.say(line)
        self._keep_plan()
        self.recorders |= {trial.id: self._recorder(trial) for trial in todo}
        self.claims = self._put_on_record(todo, moved, before)
        if not here.options.force:
            self._go_on_from_shorter(todo)
        return [self._job(trial) for trial in todo]

    def further(self, plan: Plan, trials: Sequence[Trial]) -> list[Job]:
        """Jobs of those of a later round's trials that are not finished."""
        here = self._here
        with here.leases.hold(SETUP):
            here.plan = plan
            before, refused = here.verified_statuses(trials)
            statuses = {trial: found.status for trial, found in before.items()}
            selected = set(here.select(statuses, refused).todo)
            todo = [trial for trial in trials if trial.id in selected]
            new = [trial for trial in todo if trial.arm not in self._costs]
            if new:
                fetch_weights(new)
                for line in self._prepare(new):
                    here.say(line)
            keep_surveys(here.store, plan, self._surveys)
            self._keep_plan(later=True)
            self._go_on_from_shorter(todo)
        for trial in todo:
            recorder = self.recorders[trial.id] = self._recorder(trial)
            self.claims.add(trial.id, recorder, before[trial.id], trial_config(trial))
            self._epochs[trial.id] = trial.settings.train.epochs
        return [self._job(trial) for trial in todo]

    def _prepare(self, trials: Sequence[Trial]) -> list[str]:
        """Prepare what these trials share; returns what to say of it."""
        here = self._here
        prepared: Prepared = self._backend.prepare(trials, self._report)
        if not here.options.force:
            changed_data.refuse_changed_data(here.plan, prepared.fingerprints, here.store)
        self._costs |= {trial.arm: prepared.costs[trial.id] for trial in trials}
        self._fingerprints |= {t.arm: prepared.fingerprints[t.id] for t in trials}
        self._surveys |= prepared.surveys
        self._notes |= dict.fromkeys(prepared.notes)
        return [*prepared.placements, *prepared.notes]

    def _go_on_from_shorter(self, trials: Sequence[Trial]) -> None:
        """Let trials begin with the last states of those that are the same with fewer epochs."""
        here = self._here
        theirs = here.store.running(here.plan.experiment)
        free = [trial for trial in trials if trial.id not in theirs]
        fingerprints = {trial.id: self._fingerprints[trial.arm] for trial in free}
        longer = take_over(longer_trials(free, here.store), fingerprints)
        self.continued |= longer.epochs
        for line in longer.lines():
            here.say(line)

    def _keep_plan(self, *, later: bool = False) -> None:
        """Put the plan on record.

        Not where another run of this spec is a round ahead; nor, in a later round, where one of
        another spec has started since.
        """
        plan, store = self._here.plan, self._here.store
        record = plan.record()
        try:
            found = store.plan(plan.experiment) or {}
        except DamagedError:
            found = {}
        same = found.get("spec") == record["spec"]
        ahead = {trial["id"] for trial in found.get("trials", ())} > {t.id for t in plan.trials}
        if (same and ahead and plan.further) or (later and found and not same):
            return
        record |= {"notes": list(self._notes)}
        changed = any(found.get(key) != value for key, value in record.items())
        if changed or "stopped" in found:  # by a budget: this run goes on
            store.write_plan(plan.experiment, record)  # else reports stay up to date

    def _put_on_record(
        self,
        todo: Sequence[Trial],
        moved: Sequence[Trial],
        before: Mapping[str, TrialStatus],
    ) -> SharedTrials:
        """Write what is asked for, but for trials that other runs have, or had since `before`."""
        here, force = self._here, self._here.options.force
        theirs = set(here.store.running(here.plan.experiment))
        now, refused = here.verified_statuses(todo)
        theirs |= {key for key, status in now.items() if status != before[key]}
        theirs |= set() if force else refused.keys()
        if force:
            self._forget((*todo, *moved, *here.plan.further))
        for trial in [*todo, *moved]:
            if trial.id not in theirs:
                here.files(trial).write_config(trial_config(trial))
        if force:
            before, _ = here.verified_statuses(todo)
        unwritten = {trial.id: trial for trial in todo if trial.id in theirs}
        return SharedTrials(here.leases, self.recorders, before, unwritten)

    def _forget(self, trials: Iterable[Trial]) -> None:
        """Start these from nothing, those of later rounds too."""
        for files in map(self._here.files, trials):
            if files.folder.is_dir():
                files.clear()

    def _recorder(self, trial: Trial) -> TrialRecorder:
        plan, keep_last = self._here.plan, self._here.options.keep_last
        costs, metric = self._costs[trial.arm], plan.select.metric
        return TrialRecorder(
            self._here.files(trial), metric, plan.metrics, costs, keep_last=keep_last
        )

    def _job(self, trial: Trial) -> Job:
        recorder = self.recorders[trial.id]
        return Job(trial, recorder, recorder.files.log)
