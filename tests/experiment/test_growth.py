"""An experiment that grows round by round, whoever runs it and whatever interrupts it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.analysis.records import Records
from bench.exit_codes import ExitCode
from bench.experiment import kinds_of_growth
from bench.experiment.current_run import RunOptions
from bench.experiment.growth import Round, grown
from bench.experiment.kinds_of_growth import growth_of
from bench.experiment.rounds import Rounds
from bench.experiment.running import run_plan
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.run.events import Decided, Ended, Event, Waiting
from bench.run.runner import run
from bench.run.worker import Job
from bench.states import Failure, Status
from tests.builders.experiments import finish, planned
from tests.faults.tiny import SPEC
from tests.run.test_runner import Scripted, done, failed, job


def seed_by_seed(most: int) -> Callable[[Plan, Records], Round]:
    """One seed more once all are final, up to so many."""

    def next_round(plan: Plan, records: Records) -> Round:
        of_runs = zip(records.runs["id"], records.runs["status"], strict=True)
        final = {trial for trial, status in of_runs if status in ("done", "failed")}
        last = max(trial.seed for trial in plan.trials)
        if not final.issuperset(trial.id for trial in plan.trials):
            return Round(lines=(f"seed {last} is not final",))
        if last + 1 >= most:
            return Round(lines=("that is enough",), summary="enough")
        new = [replace(trial, seed=last + 1) for trial in plan.trials if trial.seed == 0]
        return Round(tuple(new), (f"on to seed {last + 1}",), f"{last + 1} seeds")

    return next_round


def one_seed(folder: Path) -> Plan:
    return planned(folder, SPEC.replace("seeds: 4", "seeds: 1"))


def test_a_plan_grows_as_far_as_its_records_ask_for(tmp_path: Path) -> None:
    plan, store = one_seed(tmp_path), Store(tmp_path / "results")
    new, found = grown(plan, seed_by_seed(3), store)
    assert (new.trials, found.trials, found.lines) == (plan.trials, (), ("seed 0 is not final",))
    for seed in (0, 1):  # recorded before by a longer plan
        finish(store, plan, replace(plan.trials[0], seed=seed))
    new, found = grown(plan, seed_by_seed(3), store)
    assert [trial.seed for trial in new.trials] == [0, 1, 2]
    assert found.lines == ("on to seed 2",)
    finish(store, plan, new.trials[2])
    new, found = grown(plan, seed_by_seed(3), store)
    assert ([trial.seed for trial in new.trials], found.summary) == ([0, 1, 2], "enough")


def test_what_it_grows_by_is_no_longer_further() -> None:
    first, second = (object.__new__(Trial) for _ in range(2))
    for trial, name in ((first, "a"), (second, "b")):
        trial.__dict__.update(id=name, axes={"model": name})
    plan = object.__new__(Plan)
    plan.__dict__.update(
        spec=None, axes={"model": ("a",)}, trials=(first,), hypotheses=(), further=(second,)
    )
    new = plan.grown([second])
    assert (new.axes, new.trials, new.further) == ({"model": ("a", "b")}, (first, second), ())


class Asked:
    """Rounds that were begun, and the jobs of each."""

    def __init__(self, left: Callable[[Trial], bool] = lambda _: True) -> None:
        self.begun: list[list[int]] = []
        self._left = left

    def __call__(self, plan: Plan, trials: Sequence[Trial]) -> list[Job]:
        self.begun.append([trial.seed for trial in trials])
        return [job(trial.id) for trial in trials if self._left(trial)]


class Finishing(Scripted):
    """Trials that are on record once they have ended."""

    def __init__(self, folder: Path, plan: Plan, scripts: dict[str, list[object]]) -> None:
        super().__init__(scripts)
        self._folder, self._plan = folder, plan

    def events(self, timeout: float) -> Sequence[Event]:
        found = super().events(timeout) if self.running else []
        for event in found:
            if isinstance(event, Ended) and event.status is Status.DONE:
                recorded(self._folder, self._plan, event.trial)
        return found


def recorded(folder: Path, plan: Plan, name: str) -> None:
    seeds = {replace(plan.trials[0], seed=s).id: s for s in range(9)}
    finish(Store(folder / "results"), plan, replace(plan.trials[0], seed=seeds[name]))


def ids(plan: Plan, count: int) -> list[str]:
    return [replace(plan.trials[0], seed=seed).id for seed in range(count)]


def test_a_round_begins_once_all_trials_of_the_last_have_ended(tmp_path: Path) -> None:
    plan = one_seed(tmp_path)
    names = ids(plan, 3)
    asked, seen = Asked(), list[Event]()
    rounds = Rounds(plan, seed_by_seed(3), Store(tmp_path / "results"), asked, names[:1])
    executor = Finishing(tmp_path, plan, {name: done(name) for name in names})
    outcome = run([job(names[0])], executor, rounds.observing(seen.append), source=rounds)
    assert executor.started == names
    assert asked.begun == [[1], [2]]
    assert outcome.count(Status.DONE) == 3
    decided = [event.summary for event in seen if isinstance(event, Decided)]
    assert decided == ["1 seeds", "2 seeds", "enough"]


def test_what_cannot_be_run_ends_it(tmp_path: Path) -> None:
    """A planned trial that is neither final nor to be run, as one whose record is not counted."""
    plan = one_seed(tmp_path)
    names = ids(plan, 2)
    asked = Asked(left=lambda trial: trial.seed == 0)
    rounds = Rounds(plan, seed_by_seed(9), Store(tmp_path / "results"), asked, names[:1])
    executor = Finishing(tmp_path, plan, {names[0]: done(names[0])})
    run([job(names[0])], executor, rounds.observing(lambda _: None), source=rounds)
    assert asked.begun == [[1]]


@pytest.mark.parametrize("why", ["interrupted", "failed"])
def test_stopped_it_grows_no_more(tmp_path: Path, why: str) -> None:
    plan = one_seed(tmp_path)
    name = ids(plan, 1)[0]
    asked = Asked()
    rounds = Rounds(plan, seed_by_seed(9), Store(tmp_path / "results"), asked, [name])
    script = [KeyboardInterrupt] if why == "interrupted" else failed(name)
    executor = Scripted({name: script})
    executor.ask_to_stop = lambda trial=None: setattr(executor, "asked", True)  # type: ignore[method-assign]
    run(
        [job(name)], executor, rounds.observing(lambda _: None), source=rounds, fail_fast=True
    )  # fmt: skip
    assert asked.begun == []


class TheirsFirst:
    """Another run has a trial until we have asked so many times."""

    def __init__(self, folder: Path, plan: Plan, name: str) -> None:
        self._folder, self._plan, self._name, self._times = folder, plan, name, 3

    def claim(self, trial: str) -> Ended | str | None:
        if trial != self._name:
            return None
        self._times -= 1
        if self._times:
            return "process 7"
        recorded(self._folder, self._plan, trial)
        return Ended(trial, Status.DONE, elsewhere=True)

    def keeps(self, trial: str) -> bool:
        return True

    def release(self, trial: str) -> None:
        pass


def test_a_round_waits_for_trials_of_other_runs(tmp_path: Path) -> None:
    plan = one_seed(tmp_path)
    names = ids(plan, 3)
    seen = list[Event]()
    rounds = Rounds(plan, seed_by_seed(3), Store(tmp_path / "results"), Asked(), names[:1])
    executor = Finishing(tmp_path, plan, {name: done(name) for name in names})
    run(
        [job(names[0])],
        executor,
        rounds.observing(seen.append),
        claims=TheirsFirst(tmp_path, plan, names[1]),
        source=rounds,
    )
    assert executor.started == [names[0], names[2]]
    kinds = [type(event) for event in seen if isinstance(event, Decided | Waiting)]
    assert kinds == [Decided, Waiting, Decided, Decided]


@pytest.fixture
def two_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds_of_growth, "KINDS", [lambda _: seed_by_seed(2)])


def command(folder: Path, **options: object) -> tuple[ExitCode, str]:
    said = io.StringIO()
    chosen = RunOptions(folder / "results", folder / "reports", jobs=1, **options)  # type: ignore[arg-type]
    return run_plan(one_seed(folder), chosen, Console(file=said, width=300)), said.getvalue()


@pytest.mark.usefixtures("two_seeds")
def test_a_run_grows_and_the_same_command_finds_nothing_more_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    code, said = command(tmp_path)
    assert (code, "2 of 2 trials done, 0 failed" in said) == (ExitCode.OK, True), said
    assert said.index("on to seed 1") < said.index("that is enough")
    recorded_plan = store.plan("tiny")
    assert recorded_plan is not None
    assert [trial["seed"] for trial in recorded_plan["trials"]] == [0, 1]
    written = store.plan_path("tiny").read_bytes()
    code, said = command(tmp_path)
    assert (code, "Nothing to run: 2 of 2 trials are done" in said) == (ExitCode.OK, True), said
    assert store.plan_path("tiny").read_bytes() == written


def test_a_round_that_was_interrupted_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first trial is recorded, and the plan on record is the first round's."""
    plan, later = one_seed(tmp_path), Store(tmp_path / "results").trial
    command(tmp_path)
    monkeypatch.setattr(kinds_of_growth, "KINDS", [lambda _: seed_by_seed(2)])
    code, said = command(tmp_path)
    assert (code, "1 of 2 trials to run, 1 done before" in said) == (ExitCode.OK, True), said
    assert later("tiny", ids(plan, 2)[1]).status().status is Status.DONE


def test_experiments_do_not_grow_by_themselves(tmp_path: Path) -> None:
    assert growth_of(one_seed(tmp_path)) is None


def test_failed_trials_are_final(tmp_path: Path) -> None:
    plan, store = one_seed(tmp_path), Store(tmp_path / "results")
    files = store.trial("tiny", plan.trials[0].id)
    files.write_config(trial_config(plan.trials[0]))
    recorder = TrialRecorder(files, plan.select.metric, plan.metrics)
    recorder.begin({})
    recorder.stop(Status.FAILED, Failure.CRASH, "boom")
    new, _ = grown(plan, seed_by_seed(2), store)
    assert [trial.seed for trial in new.trials] == [0, 1]
