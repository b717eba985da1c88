"""Studies whose seeds are repeated until settled, as `run` does it, without training."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.experiment.growth import Round, grown
from bench.experiment.until_settled import continued, next_seeds
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.states import Failure, Status
from tests.builders.experiments import finish, planned

SPEC = """\
experiment: settled
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 1, batch_size: 6}
model: {name: unet, width: 0.05}
grid: {train.lr: {a: 0.001, b: 0.002, c: 0.003, d: 0.004}}
seeds: {until: settled, max: 10}
hypotheses:
  - {id: clear, claim: "b is better", metric: test_dice, a: {train.lr: b}, b: {train.lr: a},
     expect: higher}
  - {id: slow, claim: "c is better", metric: test_dice, a: {train.lr: c}, b: {train.lr: a},
     expect: higher}
  - {id: same, claim: "d is as good", metric: test_dice, a: {train.lr: d}, b: {train.lr: a},
     expect: equivalent, margin: 0.02}
"""
MEANS = {"a": 0.80, "b": 0.90, "c": 0.804, "d": 0.80}

Figure = Callable[[Trial], float | Failure]


def dice(trial: Trial) -> float:
    """Of a trial: its arm's mean and its own noise."""
    (arm,) = trial.axes.values()
    rng = np.random.default_rng([trial.seed, *arm.encode()])
    return MEANS[arm] + float(rng.normal(0, 0.005))


class Study:
    """One experiment, run and interrupted as often as one likes."""

    def __init__(self, folder: Path, text: str = SPEC, figure: Figure = dice) -> None:
        self.folder, self.text, self.figure = folder, text, figure
        self.store = Store(folder / "results")

    def plan(self) -> tuple[Plan, Round]:
        """As far as the records ask for, as a run that starts now has it; put on record."""
        plan, found = grown(
            continued(planned(self.folder, self.text), self.store), next_seeds, self.store
        )
        self.store.write_plan(plan.experiment, plan.record() | {"notes": []})
        return plan, found

    def pending(self, plan: Plan) -> list[Trial]:
        """Those that are not final."""
        statuses = {
            t.id: self.store.trial(plan.experiment, t.id).status().status for t in plan.trials
        }
        return [t for t in plan.trials if statuses[t.id] not in (Status.DONE, Status.FAILED)]

    def train(self, plan: Plan, trials: Collection[Trial]) -> None:
        """Record them as done or failed."""
        for trial in trials:
            found = self.figure(trial)
            if isinstance(found, Failure):
                files = self.store.trial(trial.experiment, trial.id)
                files.write_config(trial_config(trial))
                recorder = TrialRecorder(files, plan.select.metric, plan.metrics)
                recorder.begin({})
                recorder.stop(Status.FAILED, found, "boom")
            else:
                finish(self.store, plan, trial, {"test_dice": found})

    def rounds(self, rng: random.Random | None = None) -> Iterator[Plan]:
        """Run to the end, all trials of a round at a time; or, with `rng`, some and then anew."""
        while left := self.pending(found := self.plan()[0]):
            if rng is not None:
                left = rng.sample(left, rng.randint(1, len(left)))
            self.train(found, left)
            yield found

    def run(self, rng: random.Random | None = None) -> Plan:
        """To the end; the plan then."""
        for _ in self.rounds(rng):
            pass
        return self.plan()[0]

    def verdicts(self) -> str:
        """verdicts.json."""
        records = load(self.store, planned(self.folder, self.text).experiment)
        return json.dumps([outcome.record() for outcome in outcomes(records)], indent=2)

    def looks(self) -> dict[str, tuple[str, int | None]]:
        """By hypothesis: its state, and its last look from 1."""
        records = load(self.store, planned(self.folder, self.text).experiment)
        return {
            each.hypothesis.id: (str(each.look.decision.state), each.look.look)
            for each in outcomes(records)
            if each.look is not None
        }


def seeds_of(plan: Plan, arms: Sequence[str] = "abcd") -> dict[str, int]:
    """How many seeds each arm has."""
    found = [next(iter(trial.axes.values())) for trial in plan.trials]
    return {arm: found.count(arm) for arm in arms}
