"""Which durations are measured, which are looked up, and what the totals are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.commands.time_table import time_lines
from bench.experiment import durations as module
from bench.experiment.durations import DurationRequest, durations
from bench.experiment.recorded_durations import duration_of
from bench.experiment.time_forecast import TrialTime, forecast_time, make_forecast
from bench.history_row import HistoryRow
from bench.measure.duration import Duration, UnknownDuration, mean_duration
from bench.plan.expand import make_plan
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.store import Store, TrialStatus
from bench.run.measure_durations import MeasuredTrial
from bench.run.worker import WorkerResources
from bench.spec.load import load_spec
from bench.states import Status
from tests.builders.training import make_trial
from tests.faults.tiny import SPEC, run

ONE = Duration(start=1.0, training=2.0, validation=0.5, between=0.5, end=4.0, spread=0.1)


def plan_of(folder: Path, text: str = SPEC) -> Plan:
    (folder / "spec.yaml").write_text(text)
    return make_plan(load_spec(folder / "spec.yaml"))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """The trials that were measured; each took as `ONE`."""
    found: list[Trial] = []

    def measure(
        trials: Sequence[Trial],
        recorded_at: Callable[[Trial, int], MeasuredTrial],
        resources: Sequence[WorkerResources],
        report: Callable[[Trial], None],
        clock: str,
    ) -> dict[str, Duration]:
        found.extend(trials)
        return {trial.id: ONE for trial in trials}

    monkeypatch.setattr(module, "measure_durations", measure)
    return found


def test_seconds_add_up_to_a_trial() -> None:
    assert ONE.seconds(10) == 1 + 10 * 3 + 4
    frozen = Duration(1.0, 2.0, 0.5, 0.5, 4.0, frozen_training=1.0)
    assert frozen.seconds(10, unfreeze_epoch=4) == 1 + 3 * 2 + 7 * 3 + 4
    assert frozen.seconds(2, unfreeze_epoch=4) == 1 + 2 * 2 + 4


def test_the_mean_has_half_the_range_of_its_epochs() -> None:
    slow = Duration(3.0, 4.0, 1.0, 1.0, 4.0)
    found = mean_duration([ONE, slow])
    assert (found.start, found.training, found.end, found.count) == (2.0, 3.0, 4.0, 2)
    assert found.spread == pytest.approx(1.5 / 4.5)
    assert mean_duration([ONE]).spread == 0.1


def test_trials_that_are_alike_are_measured_once_and_then_never(
    tmp_path: Path, measured: list[Trial]
) -> None:
    trials = [
        make_trial(), make_trial(seed=1), make_trial(train={"lr": 0.1}),
        make_trial(train={"epochs": 30}), make_trial(train={"schedule": "cosine"}),
        make_trial(train={"batch_size": 4}), make_trial(augment=["hflip"]),
    ]  # fmt: skip
    request = DurationRequest(Store(tmp_path / "results"), "made", [WorkerResources(1)])
    found = durations(trials, request, lambda _: None)
    assert measured == [trials[0], trials[5], trials[6]]
    assert set(found) == {trial.id for trial in trials}
    measured.clear()
    durations(trials, request, lambda _: None)
    assert measured == []
    two = DurationRequest(request.store, "made", [WorkerResources(1)] * 2)
    durations(trials[:1], two, lambda _: None)
    assert measured == trials[:1], "as many at a time is another condition"


def test_code_of_ones_own_that_changed_is_measured_again(
    tmp_path: Path, measured: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "timed_model.py").write_text("class Net: ...\n")
    trial = make_trial(model={"target": "timed_model:Net"})
    request = DurationRequest(Store(tmp_path / "results"), "made", [WorkerResources(1)])
    durations([trial], request, lambda _: None)
    durations([trial], request, lambda _: None)
    assert measured == [trial]
    (tmp_path / "timed_model.py").write_text("class Net:\n    slow = True\n")
    durations([trial], request, lambda _: None)
    assert measured == [trial, trial]


def test_a_few_steps_are_measured_and_nothing_is_left(tmp_path: Path) -> None:
    """Two side by side; nothing of them stays where the results will be."""
    plan = plan_of(tmp_path)
    said: list[str] = []
    request = DurationRequest(Store(tmp_path / "results"), "tiny", [WorkerResources(1)] * 2)
    found = durations(plan.trials, request, said.append)
    one = found[plan.trials[0].id]
    assert isinstance(one, Duration)
    assert one.count == 6  # three rounds in each of two processes
    assert 0 < one.training < 5
    assert 0 < one.validation < 5
    assert one.start > 0
    assert one.end > 0
    assert one.source == "measured"
    assert said == [f"Measuring how long {plan.trials[0].id} takes."]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "spec.yaml"]


def test_what_breaks_says_so_and_the_rest_is_measured(tmp_path: Path) -> None:
    broken = make_trial(model={"target": "tests.run.test_forecast:Broken"})
    request = DurationRequest(Store(tmp_path / "results"), "made", [WorkerResources(1)] * 2)
    found = durations([broken, make_trial()], request, lambda _: None)
    problem = found[broken.id]
    assert isinstance(problem, UnknownDuration)
    assert "TypeError: the model broke" in problem.problem
    assert isinstance(found[make_trial().id], Duration)


HISTORY: list[HistoryRow] = [
    {"epoch": epoch, "epoch_seconds": 9.0 if epoch == 1 else 2.0, "val_seconds": 0.5,
     "between_seconds": None if epoch == 1 else 0.25}
    for epoch in range(1, 5)
]  # fmt: skip


def status(seconds: int, retries: int = 0) -> TrialStatus:
    return TrialStatus(
        Status.DONE,
        started="2026-01-01T00:00:00.000Z",
        updated=f"2026-01-01T00:00:{seconds:02}.000Z",
        retries=retries,
    )


def test_a_record_s_first_epoch_and_all_else_are_in_its_end() -> None:
    found = duration_of(HISTORY, status(30))
    assert found is not None
    assert (found.training, found.validation, found.between) == (2.0, 0.5, 0.25)
    assert found.end == pytest.approx(30 - 4 * 2.75)
    assert found.seconds(4) == pytest.approx(30)
    assert duration_of(HISTORY[:1], status(30)) is None


def test_a_record_with_a_pause_tells_its_epochs_only() -> None:
    resumed = [row | {"between_seconds": None} if row["epoch"] == 3 else row for row in HISTORY]
    for history, state in ((resumed, status(30)), (HISTORY, status(30, 1)), (HISTORY, status(2))):
        found = duration_of(history, state)
        assert found is not None
        assert math.isnan(found.end)
        assert found.training == 2.0


def test_finished_trials_are_better_evidence(tmp_path: Path, measured: list[Trial]) -> None:
    plan = plan_of(tmp_path)
    run(tmp_path)
    forecast = forecast_time(plan, Store(tmp_path / "results"), 1, lambda _: None)
    assert measured == []
    found = forecast.times[plan.trials[0].id].found
    assert isinstance(found, Duration)
    assert (found.source, found.count) == ("recorded", 4)
    assert forecast.left.trials == 0
    assert forecast.first.seconds == pytest.approx(forecast.first.computing)
    # on two at a time they say nothing
    forecast_time(plan, Store(tmp_path / "results"), 2, lambda _: None)
    assert len(measured) == 1


GROWING = SPEC.replace("seeds: 4", "seeds: {until: settled, min: 3, max: 6}") + (
    "grid: {train.lr: [1e-3, 1e-2]}\n"
    "hypotheses:\n"
    "  - {id: lr, claim: c, a: {train.lr: 1e-2}, b: {train.lr: 1e-3}, expect: higher}\n"
)


def test_what_grows_takes_from_to(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GROWING)
    times = {trial.id: TrialTime(trial, ONE) for trial in (*plan.trials, *plan.further)}
    found = make_forecast(plan, [WorkerResources(1)] * 2, times, {plan.trials[0].id: math.inf})
    each = 1 + 3 * 3 + 4
    assert (found.first.trials, found.most.trials, found.left.trials) == (6, 12, 5)
    assert (found.first.seconds, found.most.seconds) == (3 * each, 6 * each)
    assert list(time_lines(found)) == [
        f"Time: 42s for 6 trials ({6 * each / 3600:.2g} core-hours) to 1m24s for 12 trials "
        f"({12 * each / 3600:.2g} core-hours) with 2 trials at a time, 1 thread each; epochs vary "
        "by up to ±10%; preparing the data, and the report, come on top.",
        "Time: 42s for what is not finished of 5 trials.",
    ]


def test_an_interrupted_trial_has_its_later_epochs_left(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    times = {trial.id: TrialTime(trial, ONE) for trial in plan.trials}
    found = make_forecast(plan, [WorkerResources(1)], times, {plan.trials[0].id: 2})
    assert found.left.seconds == 4 * 14 - 2 * 3


def test_what_is_not_known_is_not_added_up(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    times = {trial.id: TrialTime(trial, UnknownDuration("it broke")) for trial in plan.trials}
    found = make_forecast(plan, [WorkerResources(1)], times, {})
    assert list(time_lines(found)) == ["Time: not known: it broke."]
    assert found.times[plan.trials[0].id].record() == {"seconds": None, "problem": "it broke"}


def test_a_trial_of_several_devices_is_known_by_records_only(
    tmp_path: Path, measured: list[Trial]
) -> None:
    trial = make_trial(train={"devices": 2, "batch_size": 4})
    request = DurationRequest(Store(tmp_path / "results"), "made", [WorkerResources(1)])
    found = durations([trial], request, lambda _: None)[trial.id]
    assert isinstance(found, UnknownDuration)
    assert "what a trial on 2 takes (train.devices)" in found.problem
    assert measured == []
