"""Which look says what, from records; and that nothing else than these decides it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.analysis.looks import boundaries_of
from bench.analysis.sequential import Boundaries
from bench.plan.trial import Trial
from bench.spec.repeats import EarlierLooks, RepeatPlan, looks
from bench.states import Failure
from tests.builders.experiments import build
from tests.builders.settled import SPEC, Study, dice, seeds_of

LOOKS = (3, 4, 5, 6, 8, 10)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that nothing disturbed."""
    study = Study(tmp_path_factory.mktemp("alone"))
    study.run()
    return study


def test_arms_get_the_seeds_that_their_hypotheses_take(alone: Study) -> None:
    plan, last = alone.plan()
    found = alone.looks()
    assert found == {"clear": ("settled", 1), "slow": ("open", 6), "same": ("settled", 3)}
    assert seeds_of(plan) == {"a": 10, "b": 3, "c": 10, "d": 5}
    assert last.lines[-1] == "That was the last look."


def test_a_verdict_says_at_which_look_it_stopped(alone: Study) -> None:
    clear, slow, _ = json.loads(alone.verdicts())
    assert (clear["verdict"], clear["n_pairs"], clear["look"]["seeds"]) == ("supported", 3, 3)
    assert clear["look"]["state"] == "settled"
    assert clear["look"]["interval_level"] == pytest.approx(1 - 0.05 * (3 / 10) ** 1.5, abs=1e-4)
    assert (slow["look"]["look"], slow["look"]["next_seeds"]) == (6, None)


def test_the_interval_is_repeated(alone: Study) -> None:
    """D ± t·se at the look's level: wider than that of 95%."""
    (clear, *_), level = json.loads(alone.verdicts()), 0.05 * 0.3**1.5

    def values(arm: str) -> np.ndarray:
        trials = [t for t in alone.plan()[0].trials if t.axes["train.lr"] == arm]
        return np.array([dice(trial) for trial in trials[:3]])

    differences = values("b") - values("a")
    half = stats.t.isf(level / 2, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert clear["ci_high"] - clear["estimate"] == pytest.approx(half, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_interruptions_change_nothing(alone: Study, tmp_path: Path, seed: int) -> None:
    """Trials end in any order, and the run starts anew after any number of them."""
    study, rng = Study(tmp_path), random.Random(seed)
    plan = study.run(rng)
    assert {trial.id for trial in plan.trials} == {trial.id for trial in alone.plan()[0].trials}
    assert study.verdicts() == alone.verdicts()


def test_a_seed_beyond_the_look_changes_nothing(alone: Study, tmp_path: Path) -> None:
    study = Study(tmp_path, figure=lambda t: dice(t) if t.seed < 3 else 0.1 * (t.seed % 3))
    plan = study.plan()[0]
    study.train(plan, plan.trials)
    before = study.verdicts()
    study.train(plan, [trial for trial in plan.further if trial.axes["train.lr"] in "bd"])
    study.plan()
    assert study.verdicts() == before
    study.train(plan, [t for t in plan.further if t.seed == 3 and t.axes["train.lr"] == "a"])
    assert study.verdicts() == before  # never half a pair


def test_no_arm_has_a_seed_that_another_of_its_hypotheses_lacks(tmp_path: Path) -> None:
    study = Study(tmp_path)
    for plan in study.rounds(random.Random(1)):
        pairs = [("b", "a"), ("c", "a"), ("d", "a")]
        open_ones = [
            pair
            for pair, (state, _) in zip(pairs, study.looks().values(), strict=True)
            if state == "open"
        ]
        for a, b in open_ones:
            counts = seeds_of(plan)
            assert counts[a] == counts[b]


def test_a_failed_trial_is_final_and_its_seed_counts_for_nobody(tmp_path: Path) -> None:
    def figure(trial: Trial) -> float | Failure:
        fails = trial.seed == 1 and trial.axes["train.lr"] == "b"
        return Failure.CRASH if fails else dice(trial)

    study = Study(tmp_path, figure=figure)
    study.run()
    clear = json.loads(study.verdicts())[0]
    # two complete seeds at the first look are no test
    assert (clear["look"]["look"], clear["complete_seeds"], clear["verdict"]) == (2, 3, "supported")


def test_what_is_withheld_for_divergence_asks_for_no_more_seeds(tmp_path: Path) -> None:
    def figure(trial: Trial) -> float | Failure:
        fails = trial.seed == 3 and trial.axes["train.lr"] == "b"
        return Failure.DIVERGED if fails else dice(trial)

    text = SPEC.replace("max: 10", "min: 5, max: 10")
    study = Study(tmp_path, text, figure)
    plan = study.run()
    clear = json.loads(study.verdicts())[0]
    assert (clear["withheld"], clear["verdict"]) == (True, "inconclusive")
    assert (clear["look"]["state"], seeds_of(plan)["b"]) == ("settled", 5)


def test_a_divergence_beyond_the_look_withholds_nothing(tmp_path: Path) -> None:
    def figure(trial: Trial) -> float | Failure:
        fails = trial.seed == 4 and trial.axes["train.lr"] == "b"
        return Failure.DIVERGED if fails else dice(trial)

    study = Study(tmp_path, figure=figure)
    plan = study.plan()[0]
    study.train(plan, [*plan.trials, *plan.further])
    assert json.loads(study.verdicts())[0]["withheld"] is False


def test_the_budget_is_asked_between_looks(tmp_path: Path) -> None:
    """A trial of one epoch takes between 2.5 and 4.5 s."""
    study = Study(tmp_path, SPEC.replace("max: 10", "max: 10, budget: 45s"))
    plan = study.run()
    assert seeds_of(plan) == {"a": 4, "b": 3, "c": 4, "d": 4}
    slow = json.loads(study.verdicts())[1]
    assert (slow["look"]["state"], slow["look"]["budget_used_up"]) == ("open", True)
    assert study.plan()[1].lines[-1].startswith("No further seeds: the budget of 45s is used up")
    # half a round does not count, so that a run that was killed in it trains the other half, too
    halfway = Study(tmp_path / "killed", SPEC.replace("max: 10", "max: 10, budget: 45s"))
    for _, _ in zip(range(2), halfway.rounds(random.Random(3)), strict=False):
        pass
    assert seeds_of(halfway.run()) == seeds_of(plan)


def test_lines_say_who_goes_on_for_what_and_who_stops(tmp_path: Path) -> None:
    study = Study(tmp_path)
    plan, before = study.plan()
    assert before.lines == ("First of 6 looks at 3 seeds.",)
    study.train(plan, plan.trials)
    _, decided = study.plan()
    first, *said, last = decided.lines
    assert first == "Look 1 of 6 (3 seeds): 1 settled, 2 open."
    assert said[0] == "  clear: supported, stopped at look 1 of 6 (3 seeds)."
    assert all("p must fall below" in line for line in said[1:])
    assert last == "On to 4 seeds with a, c, d, for slow, same; b stops."
    assert decided.summary == "look 1 of 6 (3 seeds): 1 settled, 2 open"


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    Study(tmp_path, SPEC.replace("max: 10", "max: 10, budget: 45s")).run()
    assert seeds_of(Study(tmp_path).run())["a"] == 10


def test_the_first_look_needs_no_budget(tmp_path: Path) -> None:
    plan = Study(tmp_path, SPEC.replace("max: 10", "max: 10, budget: 1s")).run()
    assert seeds_of(plan) == {"a": 3, "b": 3, "c": 3, "d": 3}


def test_futile_hypotheses_get_no_further_seeds(tmp_path: Path) -> None:
    text = SPEC.replace("max: 10", "max: 20")
    study = Study(tmp_path, text, lambda t: dice(t) if t.axes["train.lr"] != "c" else _no_better(t))
    plan, found = study.run(), study.looks()
    assert found["slow"][0] == "futile"
    assert seeds_of(plan)["c"] < 20
    chance = json.loads(study.verdicts())[1]["look"]["chance"]
    assert 0 <= chance < 0.1
    patient = Study(
        tmp_path / "patient", text.replace("max: 20", "max: 8, futility: 0"), study.figure
    )
    assert seeds_of(patient.run())["c"] == 8


def _no_better(trial: Trial) -> float:
    return 0.80 + 0.02 * (trial.seed % 2 - 0.5)


def test_without_scatter_nothing_is_ever_settled(tmp_path: Path) -> None:
    study = Study(tmp_path, figure=lambda t: 0.8)
    plan = study.run()
    assert {state for state, _ in study.looks().values()} == {"futile"}
    assert set(seeds_of(plan).values()) == {5}


def test_an_exact_figure_needs_no_look(tmp_path: Path) -> None:
    text = SPEC.replace("metric: test_dice, a: {train.lr: b}", "metric: params, a: {train.lr: b}")
    study = Study(tmp_path, text)
    study.run()
    clear = json.loads(study.verdicts())[0]
    assert ("look" in clear, clear["verdict"]) == (False, "refuted")


def test_what_needs_no_look_does_not_count_where_it_lacks_data(tmp_path: Path) -> None:
    """Else what a look has settled would not be significant on the page."""
    text = SPEC.replace("metric: test_dice, a: {train.lr: d}", "metric: params, a: {train.lr: d}")

    def figure(trial: Trial) -> float | Failure:
        return Failure.CRASH if trial.axes["train.lr"] == "d" else dice(trial)

    study = Study(tmp_path, text.replace("max: 10", "max: 5"), figure)
    study.run()
    clear, slow, same = json.loads(study.verdicts())
    assert (same["verdict"], same["p_corrected"]) == ("inconclusive", None)
    assert clear["p_corrected"] == pytest.approx(2 * clear["p"])
    assert slow["p_corrected"] is not None


def test_against_a_number_runs_are_counted(tmp_path: Path) -> None:
    text = SPEC.replace("a: {train.lr: b}, b: {train.lr: a}", "a: {train.lr: b}, b: 0.5")
    study = Study(tmp_path, text.replace("max: 10", "max: 20"))
    study.run()
    state, look = study.looks()["clear"]
    assert state == "settled"
    assert look is not None
    assert look > 3  # five runs are the least


def test_two_hypotheses_on_one_contrast_have_looks_of_their_own(tmp_path: Path) -> None:
    text = SPEC + (
        "  - {id: wide, claim: w, metric: test_dice, a: {train.lr: c}, b: {train.lr: a},\n"
        "     expect: equivalent, margin: 0.1}\n"
    )
    study = Study(tmp_path, text)
    study.run()
    _, slow, _, wide = json.loads(study.verdicts())
    assert (wide["verdict"], wide["n_pairs"]) == ("equivalent", 3)
    assert (slow["n_pairs"], slow["look"]["look"]) == (10, 6)


def test_strata_of_one_side_alone_ask_for_no_seeds(tmp_path: Path) -> None:
    """b has both batch sizes, c and a one each: only where both sides are, seeds count."""
    text = SPEC.replace(
        "grid: {",
        "exclude: [{train.lr: c, train.batch_size: 6}, {train.lr: a, train.batch_size: 8}]\n"
        "grid: {train.batch_size: [6, 8], ",
    ).replace("{train.lr: c}, b: {train.lr: a}", "{train.lr: c}, b: {train.lr: b}")
    study = Study(tmp_path, text, lambda _: 0.5)
    study.run()
    plan, _ = study.plan()
    most = {}
    for trial in plan.trials:
        most[tuple(trial.axes.values())] = trial.seed + 1
    # clear: b and a at 6; slow: c and b at 8; same: d and a at 6
    asked = [("6", "a"), ("6", "b"), ("6", "d"), ("8", "b"), ("8", "c")]
    assert most == dict.fromkeys(asked, 5) | {("8", "d"): 3}


def test_past_levels_stand_where_the_looks_are_changed(tmp_path: Path) -> None:
    study = Study(tmp_path, SPEC.replace("max: 10", "max: 8"))
    study.train(plan := study.plan()[0], plan.trials)
    study.train(grown := study.plan()[0], study.pending(grown))  # two looks, at 3 and 4
    longer = Study(tmp_path, SPEC.replace("max: 10", "min: 4, max: 20"))
    plan = longer.plan()[0]
    assert plan.repeats is not None
    assert plan.repeats.looks == (3, *looks(4, 20))
    assert plan.repeats.earlier == (EarlierLooks(looks=looks(3, 8), taken=2),)
    now, then = boundaries_of(plan.repeats), Boundaries(looks(3, 8))
    assert [float(now.level(look)) for look in (0, 1)] == [float(then.level(k)) for k in (0, 1)]
    assert float(now.level(2)) < float(then.level(2))
    again = longer.plan()[0]
    assert again.repeats == plan.repeats  # and stay, whoever starts when
    back = Study(tmp_path, SPEC.replace("max: 10", "max: 8")).plan()[0]
    assert back.repeats is not None
    assert len(back.repeats.earlier) == 2
    assert back.repeats.looks == looks(3, 8)


def test_looks_that_were_not_taken_are_forgotten(tmp_path: Path) -> None:
    Study(tmp_path).plan()
    plan = Study(tmp_path, SPEC.replace("max: 10", "max: 12")).plan()[0]
    assert plan.repeats == RepeatPlan(asked=looks(3, 12), looks=looks(3, 12))


def test_fewer_seeds_than_were_looked_at_end_it(tmp_path: Path) -> None:
    study = Study(tmp_path)
    for _, _ in zip(range(3), study.rounds(), strict=False):
        pass  # three looks
    plan = Study(tmp_path, SPEC.replace("max: 10", "max: 4")).plan()[0]
    assert plan.repeats is not None
    assert plan.repeats.looks == (3, 4, 5)


def test_the_log_has_every_look(alone: Study) -> None:
    log = alone.plan()[1].log
    assert log is not None
    assert [look["seeds"] for look in log["taken"]] == list(LOOKS)
    assert log["taken"][0]["hypotheses"]["clear"]["claim"] == "above"
    assert (log["next"], log["arms"]) == (None, [])


def test_only_arms_of_the_latest_plan_grow(tmp_path: Path) -> None:
    """An arm that the grid no longer has is on record, and a hypothesis of strata would name it."""
    study = Study(tmp_path)
    plan = study.plan()[0]
    study.train(plan, plan.trials)
    fewer = Study(tmp_path, SPEC.replace(", d: 0.004", "").split("  - {id: same")[0])
    assert set(seeds_of(fewer.run())) >= {"a"}
    assert seeds_of(fewer.plan()[0])["d"] == 0


def test_fixed_seeds_have_no_looks(tmp_path: Path) -> None:
    store, plan = build(tmp_path, SPEC.replace("{until: settled, max: 10}", "3"))
    found = outcomes(load(store, plan.experiment))
    assert all(each.look is None and "look" not in each.record() for each in found)
