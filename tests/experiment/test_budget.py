"""What a budget is spent on: whole repeats, as long as they will be over in time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.experiment import budgeting
from bench.experiment.budget import (
    BudgetedJobs,
    ExpectedSeconds,
    left_line,
    outlook,
    whole_repeats,
)
from bench.experiment.durations import DurationRequest
from bench.measure.duration import Duration, UnknownDuration
from bench.plan.trial import Trial
from bench.record.store import Store
from bench.run.events import Ended, Event
from bench.run.runner import JobSource, NoJobs
from bench.run.worker import Job
from bench.states import Status
from tests.builders.training import make_trial
from tests.faults import tiny
from tests.faults.tiny import SPEC, run

SMALL, LARGE = "small", "large"


def trial(arm: str, seed: int, fold: int | None = None) -> Trial:
    made = make_trial(seed, train={"lr": 0.1 if arm == LARGE else 0.01})
    return Trial("made", seed, {"arm": arm}, made.settings, fold=fold)


def jobs(seeds: int, arms: Sequence[str] = (SMALL, LARGE), folds: int | None = None) -> list[Job]:
    every = range(folds) if folds is not None else [None]
    return [
        Job(trial(arm, seed, fold), cast("Any", None), Path("log.txt"))
        for seed in range(seeds)
        for fold in every
        for arm in arms
    ]


class Simulated:
    """A run in simulated time: what was begun, and when each trial ended."""

    def __init__(
        self,
        given: Sequence[Job],
        foreseen: Mapping[str, float],
        budget: float,
        workers: int = 1,
        actual: Mapping[str, float] | None = None,
        more: JobSource | None = None,
    ) -> None:
        self.now = 0.0
        seconds = {job.trial.id: foreseen[job.trial.axes["arm"]] for job in given}
        of_arms = {job.trial.arm: seconds[job.trial.id] for job in given}
        self.jobs = BudgetedJobs(
            deque(whole_repeats(given)), workers, ExpectedSeconds(seconds, of_arms), budget,
            more or NoJobs(), clock=lambda: self.now,
        )  # fmt: skip
        self._actual, self._workers = actual or foreseen, workers
        self.ended: dict[str, float] = {}
        self._run()

    def _run(self) -> None:
        observe = self.jobs.observing(lambda _event: None)
        running: list[tuple[float, str]] = []
        while not self.jobs.over() or running:
            while len(running) < self._workers and (job := self.jobs.next()) is not None:
                end = self.now + self._actual[job.trial.axes["arm"]]
                heapq.heappush(running, (end, job.trial.id))
            if running:
                self.now, name = heapq.heappop(running)
                self.ended[name] = self.now
                observe(Ended(name, Status.DONE))

    def seeds(self) -> dict[str, int]:
        """How many seeds each arm has."""
        arms = [name.partition("-")[0] for name in self.ended]
        return {arm: arms.count(arm) for arm in sorted(set(arms))}


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("budget", [25.0, 60.0, 100.0, 119.0, 1000.0])
def test_no_arm_has_more_seeds_than_another_and_all_ends_in_time(
    workers: int, budget: float
) -> None:
    """Arms that differ tenfold in cost."""
    found = Simulated(jobs(5), {SMALL: 2.0, LARGE: 20.0}, budget, workers)
    counts = found.seeds()
    assert len(set(counts.values())) <= 1
    assert max(found.ended.values(), default=0.0) <= budget
    assert found.jobs.used_up == (counts.get(LARGE, 0) < 5)
    if workers == 1:  # 22 s and a margin of 5% for each repeat
        assert counts.get(LARGE, 0) == min(5, int((budget + 1e-9 - 1.1) // 22))


def test_trials_that_take_longer_than_foreseen_end_it_earlier() -> None:
    found = Simulated(jobs(5), {SMALL: 10.0, LARGE: 10.0}, 100.0, actual={SMALL: 20.0, LARGE: 20.0})
    assert found.seeds() == {LARGE: 2, SMALL: 2}
    assert found.jobs.expected.ratio == 2
    assert found.jobs.used_up


def test_trials_that_are_quicker_leave_room_for_more() -> None:
    found = Simulated(jobs(5), {SMALL: 10.0, LARGE: 10.0}, 60.0, actual={SMALL: 5.0, LARGE: 5.0})
    assert found.seeds() == {LARGE: 5, SMALL: 5}
    assert not found.jobs.used_up


def test_nothing_is_begun_that_would_end_too_late() -> None:
    """The first trial of the repeat took all the time: the second is left, for once."""
    found = Simulated(jobs(1), {SMALL: 10.0, LARGE: 10.0}, 22.0, actual={SMALL: 15.0, LARGE: 10.0})
    assert found.seeds() == {SMALL: 1}
    assert found.jobs.used_up


def test_each_fold_is_a_repeat() -> None:
    found = Simulated(jobs(2, folds=3), {SMALL: 5.0, LARGE: 5.0}, 45.0)
    assert len(found.ended) == 8
    repeats = ("s0-f0", "s0-f1", "s0-f2", "s1-f0")
    assert {name.rpartition("-")[0] for name in found.ended} == {
        f"{arm}-{repeat}" for arm in (SMALL, LARGE) for repeat in repeats
    }


class OneRound:
    """Jobs of a later round: `JobSource`."""

    def __init__(self, later: Sequence[Job]) -> None:
        self._later = deque(later)
        self.stopped = False

    def next(self) -> Job | None:
        return self._later.popleft() if self._later else None

    def over(self) -> bool:
        return not self._later

    def stop(self) -> None:
        self.stopped = True


def test_rounds_that_come_later_are_spent_on_whole_repeats_too() -> None:
    every = jobs(6)
    later = OneRound(every[6:])
    found = Simulated(every[:6], {SMALL: 2.0, LARGE: 8.0}, 46.0, more=later)
    assert found.seeds() == {LARGE: 4, SMALL: 4}
    assert found.jobs.used_up
    assert later.stopped


def test_what_will_and_will_not_be_run_is_said() -> None:
    expected = ExpectedSeconds({job.trial.id: 60.0 for job in jobs(5)})
    repeats = whole_repeats(jobs(5))
    found = outlook(repeats, 2, expected, 240.0, 300.0)
    assert found.line(300.0) == (
        "Budget of 5m: 6 of 10 trials fit (seeds 0 to 2; about 3m00s); 4 are left for another run "
        "(seeds 3 and 4)."
    )
    assert outlook(repeats, 2, expected, 900.0, 900.0).line(900.0) == (
        "Budget of 15m: all 10 trials fit (about 5m00s)."
    )
    with pytest.raises(BenchError) as refused:
        outlook(repeats, 1, expected, 90.0, 100.0)
    assert str(refused.value) == (
        "--budget 1m40s: nothing was begun: seed 0 in 2 arms takes about 2m06s, and 1m30s are left "
        "after preparing; --budget 3m would do"
    )
    folds = whole_repeats(jobs(1, folds=3))
    assert "(s0-f0; about" in outlook(folds, 1, ExpectedSeconds({"x": 10.0}), 22.0, 30.0).line(30.0)


def test_what_is_left_is_said() -> None:
    left = [job.trial for job in jobs(5)[6:]]
    assert left_line(300.0, left, "It goes on.") == (
        "The budget of 5m is used up: 4 trials left (seeds 3 and 4). It goes on."
    )


@pytest.fixture
def each(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Every trial is foreseen to take so many seconds, and by this run's clock it does."""

    def take(seconds: float) -> None:
        def foreseen(
            trials: Sequence[Trial], _request: DurationRequest, _say: Callable[[str], None]
        ) -> dict[str, Duration]:
            found = Duration(start=seconds, training=0, validation=0, between=0, end=0)
            return {trial.id: found for trial in trials}

        class Jumping(BudgetedJobs):
            def observing(self, observe: Callable[[Event], None]) -> Callable[[Event], None]:
                def jump(event: Event) -> None:
                    if isinstance(event, Ended):
                        now = self.clock() + seconds
                        self.clock = lambda: now
                    observe(event)

                return super().observing(jump)

        monkeypatch.setattr(budgeting, "durations", foreseen)
        monkeypatch.setattr(budgeting, "BudgetedJobs", Jumping)

    return take


def write(folder: Path, more: str = "") -> None:
    (folder / "spec.yaml").write_text(SPEC + "grid: {train.lr: [1e-3, 1e-2]}\n" + more)


def test_a_run_ends_with_whole_repeats_a_report_and_goes_on(
    tmp_path: Path, each: Callable[[float], None]
) -> None:
    write(tmp_path)
    each(1000.0)
    code, said = run(tmp_path, budget=5000.0, command="bench run spec.yaml --budget 5000")
    assert code is ExitCode.OK
    assert "Budget of 1h23m20s: 4 of 8 trials fit (seeds 0 and 1; about 1h07m); 4 are left" in said
    assert "4 trials left (seeds 2 and 3). `bench run spec.yaml --budget 5000` goes on." in said
    assert [files.config()["seed"] for files in tiny.trials(tmp_path / "results") if
            files.status().status is Status.DONE] == [0, 1, 0, 1]  # fmt: skip
    page = (tmp_path / "reports" / "tiny" / "report.md").read_text()
    assert "\n* Stopped by its budget of 1h23m20s with 4 of 8 trials finished." in page
    assert "would be one.\n" in page
    code, said = run(tmp_path, budget=5000.0)
    assert "Budget of 1h23m20s: all 4 trials fit" in said
    assert code is ExitCode.OK
    plan = Store(tmp_path / "results").plan("tiny") or {}
    assert "stopped" not in plan


def test_a_budget_for_nothing_is_refused_and_nothing_runs(
    tmp_path: Path, each: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    with pytest.raises(BenchError, match="--budget 0: no trial ends in no time"):
        run(tmp_path, budget=0.0)
    each(1000.0)
    with pytest.raises(BenchError, match="nothing was begun: seed 0 in 2 arms takes about 35m"):
        run(tmp_path, budget=600.0)
    unknown = lambda trials, *_: {one.id: UnknownDuration("it broke") for one in trials}  # noqa: E731
    monkeypatch.setattr(budgeting, "durations", unknown)
    with pytest.raises(BenchError, match="--budget: it is not known what fits: it broke"):
        run(tmp_path, budget=600.0)
    assert {files.status().status for files in tiny.trials(tmp_path / "results")} == {
        Status.PLANNED
    }
