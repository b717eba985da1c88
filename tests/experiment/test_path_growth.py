"""An ablation path: each round takes the best candidate, whatever order trials end in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.analysis.hypotheses import outcomes, with_hypotheses
from bench.analysis.load import load
from bench.analysis.path import path_rounds
from bench.errors import SpecError
from bench.experiment.growth import Round, grown
from bench.experiment.path_growth import path_growth
from bench.plan.design import CONFIGURATION
from bench.plan.plan import Plan
from bench.record.store import Store
from bench.report.page import write_report
from tests.builders.designs import COMPONENTS, additive, fail, finish_with
from tests.builders.designs import HEAD as SPEC_HEAD
from tests.builders.experiments import planned

PATH = f"design:\n  path:\n    to:\n{COMPONENTS.replace('    ', '      ')}"


def synergy(levels: Mapping[str, str]) -> float:
    """Decay is worth something only once there are flips: greedy must look again each round."""
    both = {levels["flips"], levels["weight decay"]} == {"to"}
    return additive(levels) + 0.05 * both


def walked(folder: Path, backwards: bool = False) -> tuple[Store, Plan, list[Round]]:
    """Plan and finish round after round, as `run` does."""
    plan = planned(folder, SPEC_HEAD + PATH)
    store = Store(folder / "results")
    growth = path_growth(plan)
    assert growth is not None
    rounds: list[Round] = []
    while True:
        recorded = {files.id for files in store.trials(plan.experiment)}
        left = [trial for trial in plan.trials if trial.id not in recorded]
        for trial in reversed(left) if backwards else left:
            finish_with(store, plan, trial, synergy)
        plan, found = grown(plan, growth, store)
        rounds.append(found)
        if not found.trials:
            store.write_plan(plan.experiment, plan.record() | {"notes": []})
            return store, plan, rounds


def test_the_first_round_is_planned(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC_HEAD + PATH)
    expected = ("from", "with flips", "with weight decay", "with average", "to")
    assert plan.axes[CONFIGURATION] == expected
    assert len(plan.trials) == 20
    assert len(plan.further) == 3 * 4
    assert [hypothesis.id for hypothesis in plan.hypotheses] == ["whole_path"]
    assert plan.design is not None
    assert plan.design.most_configurations == 7


@pytest.mark.parametrize("backwards", [False, True])
def test_each_round_takes_the_best(backwards: bool, tmp_path: Path) -> None:
    store, plan, rounds = walked(tmp_path, backwards=backwards)
    assert plan.axes[CONFIGURATION][5:] == ("with flips + weight decay", "with flips + average")
    records = load(store, plan.experiment)
    assert [one.taken for one in path_rounds(records)] == ["flips", "weight decay", "average"]
    assert rounds[-1].summary == "path: flips → weight decay → average"
    assert rounds[-1].lines[0].startswith("Step 1 of 3: flips (val/dice 0.7")
    assert len(records.runs) == 7 * 4


def test_every_step_is_tested_once_it_is_known(tmp_path: Path) -> None:
    store, plan, _ = walked(tmp_path)
    found = {one.hypothesis.id: one for one in outcomes(load(store, plan.experiment))}
    assert {name: str(one.verdict) for name, one in found.items()} == {
        "whole_path": "supported",
        "plus_flips": "supported",
        "plus_weight_decay": "supported",
        "plus_average": "refuted",
    }
    steps = ("plus_flips", "plus_weight_decay", "plus_average")
    assert sum(found[name].result.estimate.mean for name in steps) == pytest.approx(
        found["whole_path"].result.estimate.mean
    )


def test_the_report_shows_the_path_and_what_was_tried(tmp_path: Path) -> None:
    store, plan, _ = walked(tmp_path)
    page = write_report(store, [plan.experiment], tmp_path / "reports")
    assert 'id="waterfall"' in page.read_text()
    lines = (page.parent / "tables/ablation.md").read_text().splitlines()[2:9]
    labels = [line.split(" | ")[0].removeprefix("| ") for line in lines]
    assert labels == [
        "from", "with flips", "with flips + weight decay", "to",
        "with weight decay", "with average", "with flips + average",
    ]  # fmt: skip


def test_the_spec_s_own_hypotheses_are_those_that_were_planned(tmp_path: Path) -> None:
    store, plan, _ = walked(tmp_path)
    records = load(store, plan.experiment)
    assert with_hypotheses(records, plan.hypotheses) is records


def test_a_candidate_with_a_failed_trial_is_not_taken(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC_HEAD + PATH)
    store = Store(tmp_path / "results")
    growth = path_growth(plan)
    assert growth is not None
    for trial in plan.trials:
        if trial.axes[CONFIGURATION] == "with flips" and trial.seed == 2:
            fail(store, plan, trial)
        else:
            finish_with(store, plan, trial, synergy)
    plan, found = grown(plan, growth, store)
    labels = {trial.axes[CONFIGURATION] for trial in found.trials}
    assert labels == {"with flips + weight decay", "with weight decay + average"}


def test_a_path_without_a_candidate_says_why_it_stops(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC_HEAD + PATH)
    store = Store(tmp_path / "results")
    growth = path_growth(plan)
    assert growth is not None
    for trial in plan.trials:
        fail(store, plan, trial)
    _, found = grown(plan, growth, store)
    assert found.trials == ()
    assert found.lines[-1].startswith("The path stops after 0 of 3 steps: every candidate has a")


def test_nothing_is_decided_before_a_round_is_over(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC_HEAD + PATH)
    store = Store(tmp_path / "results")
    growth = path_growth(plan)
    assert growth is not None
    for trial in plan.trials[:-2]:
        finish_with(store, plan, trial, synergy)
    after, found = grown(plan, growth, store)
    assert found.trials == ()
    assert after.trials == plan.trials


def test_a_path_chooses_by_a_score_that_all_share(tmp_path: Path) -> None:
    text = "design: {path: {to: {dice: {train.loss: dice}, rate: {train.lr: 0.1}}}}\n"
    planned(tmp_path, SPEC_HEAD + text)
    with pytest.raises(SpecError, match=r"design\.path: the path would choose by val/loss"):
        planned(tmp_path, SPEC_HEAD + text + "select: {metric: val/loss}\n")


def test_both_ends_can_be_given(tmp_path: Path) -> None:
    ends = "from: {rate: {train.lr: 0.1}}, to: {rate: {train.lr: 0.2}, train.ema: 0.9}"
    text = f"design: {{path: {{{ends}}}}}\n"
    plan = planned(tmp_path, SPEC_HEAD + text)
    settings = {t.axes[CONFIGURATION]: t.settings.train for t in plan.trials}
    assert {label: (s.lr, s.ema) for label, s in settings.items()} == {
        "from": (0.1, None),
        "with rate": (0.2, None),
        "with train.ema": (0.1, 0.9),
        "to": (0.2, 0.9),
    }


def test_a_path_may_not_be_too_long(tmp_path: Path) -> None:
    many = ", ".join(f"c{i}: {{model.x{i}: 1}}" for i in range(11))
    text = f"design: {{path: {{to: {{{many}}}}}}}\n"
    with pytest.raises(SpecError, match=r"design\.path: 11 components make 2048 configurations"):
        planned(tmp_path, SPEC_HEAD + text)


def test_seeds_of_other_designs_are_added_until_all_is_settled(tmp_path: Path) -> None:
    text = SPEC_HEAD.replace("seeds: 4", "seeds: {until: settled, max: 5}")
    plan = planned(tmp_path, text + f"design:\n  add_one:\n{COMPONENTS}")
    assert len(plan.trials) == 4 * 3
    assert len(plan.further) == 4 * 2
    assert len(plan.hypotheses) == 3
