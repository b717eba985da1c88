"""A path whose steps repeat seeds until the best candidate is settled, without training."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.analysis.path_round import PathRound, StepState
from bench.commands.look_lines import plan_look_lines, status_look_lines
from bench.experiment.growth import Round, grown
from bench.experiment.looks_log import keep_log
from bench.experiment.path_growth import next_round
from bench.experiment.until_settled import changed_looks, continued
from bench.history_row import HistoryRow
from bench.plan.design import CONFIGURATION
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.store import Store
from bench.report.page import write_report
from bench.states import Status
from tests.builders.designs import COMPONENTS, HEAD, fail
from tests.builders.experiments import finish, planned

PATH = f"design:\n  path:\n    to:\n{COMPONENTS.replace('    ', '      ')}"
CLEAR = {"flips": 0.09, "weight decay": 0.03, "average": 0.0}
EQUAL = {"flips": 0.09, "weight decay": 0.0, "average": 0.0}
Failing = Callable[[Trial], bool]


def spec(seeds: str = "until: settled, max: 8") -> str:
    return HEAD.replace("seeds: 4", f"seeds: {{{seeds}}}") + PATH


def no_trial(_: Trial) -> bool:
    return False


class Study:
    """One path, run and interrupted as often as one likes."""

    def __init__(
        self, folder: Path, effects: Mapping[str, float] = CLEAR, fails: Failing = no_trial
    ) -> None:
        self.folder, self.effects, self.fails = folder, effects, fails
        self.store = Store(folder / "results")
        self.said: list[str] = []

    def plan(self, text: str) -> tuple[Plan, Round]:
        """As a run that starts now has it; put on record."""
        plan, found = grown(
            continued(planned(self.folder, text), self.store), next_round, self.store
        )
        self.said += keep_log(self.store, plan.experiment, found.log)
        self.store.write_plan(plan.experiment, plan.record() | {"notes": []})
        return plan, found

    def run(self, text: str = "", draw: random.Random | None = None) -> tuple[Plan, Round]:
        """To the end; with `draw` some trials at a time, in any order, and then from anew."""
        text = text or spec()
        while left := self.pending(self.plan(text)[0]):
            plan, _ = self.plan(text)
            for trial in draw.sample(left, draw.randint(1, len(left))) if draw else left:
                self.train(plan, trial)
        return self.plan(text)

    def pending(self, plan: Plan) -> list[Trial]:
        found = {t.id: self.store.trial(plan.experiment, t.id).status().status for t in plan.trials}
        return [t for t in plan.trials if found[t.id] not in (Status.DONE, Status.FAILED)]

    def train(self, plan: Plan, trial: Trial) -> None:
        if self.fails(trial):
            fail(self.store, plan, trial)
            return
        assert plan.design is not None
        levels = plan.design.configurations[trial.axes[CONFIGURATION]]
        noise = np.random.default_rng([int(trial.id[-8:], 16)]).normal(0, 0.004)
        value = 0.7 + sum(self.effects[c] for c, level in levels.items() if level == "to") + noise
        rows: list[HistoryRow] = [
            {"epoch": epoch, "train/loss": 0.5, "val/loss": 0.5, "val/dice": value - 0.1 / epoch,
             "val/iou": value / (2 - value), "lr": 1e-3, "epoch_seconds": 2.0, "val_seconds": 0.5,
             "images_per_second": 6.0, "peak_memory_mb": 100.0}
            for epoch in (1, 2)
        ]  # fmt: skip
        finish(self.store, plan, trial, {"test_dice": value}, rows)

    @property
    def path(self) -> tuple[PathRound, ...]:
        return load(self.store, "ablation").path

    def found(self) -> str:
        """All that must not depend on the order of trials or on interruptions."""
        records = load(self.store, "ablation")
        verdicts = [outcome.record() for outcome in outcomes(records)]
        plan = self.store.plan("ablation") or {}
        ids = [trial["id"] for trial in plan["trials"]]
        return json.dumps([verdicts, self.store.looks("ablation"), ids], indent=1)


def test_a_clear_path_is_settled_step_by_step(tmp_path: Path) -> None:
    study = Study(tmp_path)
    plan, found = study.run()
    assert [one.taken for one in study.path] == ["flips", "weight decay", "average"]
    assert {one.state for one in study.path} == {StepState.SETTLED}
    assert "settled at look" in found.lines[0]
    assert found.summary.startswith("path: flips → weight decay → average; look ")
    assert len(plan.trials) < plan.most_trials == 7 * 8
    seeds = [len({t.seed for t in plan.trials if t.axes[CONFIGURATION] == label})
             for label in ("with average", "from")]  # fmt: skip
    assert seeds[0] == 3  # beaten at the first look
    states = {one.hypothesis.id: one.look and one.look.decision.state
              for one in outcomes(load(study.store, "ablation"))}  # fmt: skip
    assert set(states) == {"whole_path", "plus_flips", "plus_weight_decay", "plus_average"}
    assert str(states["whole_path"]) == "settled"


@pytest.mark.long
def test_neither_order_nor_interruptions_change_a_decision(tmp_path: Path) -> None:
    one, other = Study(tmp_path / "a", EQUAL), Study(tmp_path / "b", EQUAL)
    one.run()
    other.run(draw=random.Random(1))
    assert one.found() == other.found()
    assert other.said == []


def test_equal_candidates_are_not_settled_and_everything_says_so(tmp_path: Path) -> None:
    study = Study(tmp_path, EQUAL)
    _, found = study.run()
    second = study.path[1]
    assert second.state in (StepState.FUTILE, StepState.LAST_LOOK)
    assert second.is_unsettled
    assert "but not settled" in found.lines[1]
    log = study.store.looks("ablation")["path"]
    assert log[1]["state"] == str(second.state)
    assert log[1]["left"] == ["weight decay", "average"]
    page = write_report(study.store, ["ablation"], tmp_path / "reports")
    assert "but not settled" in page.read_text()
    lines = (page.parent / "tables/path.csv").read_text().splitlines()
    assert lines[0] == "step,component,configuration,mean,seeds,taken,state,look"
    assert len(lines) == 1 + 3 + 2 + 1
    assert any("but not settled" in line for line in status_look_lines(study.store, "ablation"))


def test_what_is_unsettled_goes_on_with_a_larger_maximum(tmp_path: Path) -> None:
    study = Study(tmp_path, EQUAL)
    study.run(spec("until: settled, max: 4, futility: 0"))
    before = study.path
    assert before[1].state is StepState.LAST_LOOK
    plan = continued(planned(tmp_path, spec("until: settled, max: 6, futility: 0")), study.store)
    assert changed_looks(plan)
    study.run(spec("until: settled, max: 6, futility: 0"))
    after = study.path
    assert after[0].taken == before[0].taken
    assert max(after[1].seeds.values()) == 6
    assert study.said == []


def test_after_the_budget_steps_have_their_first_seeds(tmp_path: Path) -> None:
    study = Study(tmp_path, EQUAL)
    plan, found = study.run(spec("until: settled, max: 8, budget: 30, futility: 0"))
    assert [one.state for one in study.path][1] is StepState.BUDGET
    assert len(plan.trials) == 7 * 3
    assert any("budget is used up" in line for line in found.lines)


def test_a_failed_candidate_is_not_taken(tmp_path: Path) -> None:
    def flips_alone_fail(trial: Trial) -> bool:
        return trial.axes[CONFIGURATION] == "with flips" and trial.seed == 1

    study = Study(tmp_path, CLEAR, flips_alone_fail)
    study.run()
    assert [one.taken for one in study.path] == ["weight decay", "flips", "average"]


def test_a_path_without_a_candidate_stops(tmp_path: Path) -> None:
    study = Study(tmp_path, CLEAR, lambda trial: trial.axes[CONFIGURATION].startswith("with"))
    plan, found = study.run()
    assert any("The path stops after 0 of 3 steps" in line for line in found.lines)
    assert len(plan.trials) >= 5 * 3


def test_the_plan_says_how_many_trials_there_may_be(tmp_path: Path) -> None:
    plan = planned(tmp_path, spec())
    assert len(plan.trials) == 5 * 3
    (line,) = plan_look_lines(plan)
    assert line.startswith("15 to 56 trials: 3 seeds of every arm, then as many as steps of")
