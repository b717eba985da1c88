from __future__ import annotations

import math

import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.environments import environment_facts
from bench.analysis.explored import explore
from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.narrative.headline import baseline_check, headline, mixed_conditions
from tests.builders.records import MadeTrial, study, write_experiment

CONCLUDED = "nothing can be concluded"


def parts(root, trials, **changes):
    write_experiment(root, "exp", trials, **changes)
    records = load(Store(root), "exp")
    return records, arm_summary(records), arms_of(records)


def arm(name, values, **summary):
    facts = [{"best_val_dice": value, **summary} for value in values]
    return [MadeTrial(s, {"model": name}, summary=f) for s, f in enumerate(facts)]


def words(root, trials, **changes):
    found = headline(*parts(root, trials, **changes))
    return found.title, " ".join(found.sentences)


def test_clear_difference(tmp_path):
    title, text = words(tmp_path, arm("a", [0.5, 0.51, 0.52]) + arm("b", [0.8, 0.82, 0.81]))
    # sd 0.01: half the width is 4.302653 · 0.01 / √3 = 0.0248
    assert title == "b has the highest validation Dice: 0.810 [0.785, 0.835]."
    assert "The runner-up, a, has 0.510 [0.485, 0.535] (n = 3), 0.300 behind." in text
    # 0.30, 0.31, 0.29: half the width is the same
    assert "the difference is +0.300 [0.275, 0.325] over 3 seeds: clear, p < 0.001" in text
    assert CONCLUDED not in text


def test_an_exact_tie_has_no_runner_up_behind(tmp_path):
    trials = arm("a", [0.5, 0.51, 0.52]) + arm("b", [0.52, 0.51, 0.5]) + arm("c", [0.1, 0.2, 0.1])
    title, text = words(tmp_path, trials)
    assert title.startswith("a and 1 other arm have the highest validation Dice: 0.510 [")
    assert "The runner-up, b, has 0.510 [0.485, 0.535] (n = 3), exactly as good." in text


def test_without_scatter_nothing_is_concluded(tmp_path):
    _, text = words(tmp_path, arm("a", [0.5, 0.51, 0.52]) + arm("b", [0.8, 0.81, 0.82]))
    assert "difference is +0.300 in all 3 pairs: without scatter nothing can be concluded" in text


def test_infinite_figures_conclude_nothing(tmp_path):
    inf = math.inf
    trials = [MadeTrial(s, {"model": m}, summary={"best_val_loss": v})
              for m, values in {"a": (inf, 0.3, 0.31, 0.32), "b": (0.1, 0.2, inf, inf)}.items()
              for s, v in enumerate(values)]  # fmt: skip
    _, text = words(tmp_path, trials, select={"metric": "val/loss", "mode": "min"})
    assert CONCLUDED in text


def test_a_verdict_on_the_two_is_the_one_that_is_reported(tmp_path):
    claim = {"id": "same", "claim": "c", "metric": "best_val_dice", "a": {"model": "a"},
             "b": {"model": "b"}, "expect": "equivalent", "margin": 0.1}  # fmt: skip
    trials = arm("a", [0.5, 0.51, 0.52]) + arm("b", [0.51, 0.525, 0.53])
    write_experiment(tmp_path, "exp", trials, hypotheses=[claim])
    records = load(Store(tmp_path), "exp")
    found = headline(
        records, arm_summary(records), arms_of(records), explore(records, outcomes(records))
    )
    assert (
        "The hypothesis same tests these two: equivalent (p < 0.001 after Holm)." in found.sentences
    )
    assert CONCLUDED not in " ".join(found.sentences)


def test_difference_that_may_be_zero(tmp_path):
    _, text = words(tmp_path, arm("a", [0.5, 0.6, 0.7]) + arm("b", [0.7, 0.6, 0.55]))
    assert "over 3 seeds: not clear (explored), p = 0.885" in text


def test_paired_difference_with_overlapping_intervals(tmp_path):
    _, text = words(tmp_path, arm("a", [0.5, 0.6, 0.7]) + arm("b", [0.51, 0.61, 0.711]))
    assert "over 3 seeds: clear, p = 0.001" in text  # pairs tell more than the two intervals


@pytest.mark.parametrize("count", [1, 2])
def test_few_seeds_conclude_nothing(tmp_path, count):
    _, text = words(tmp_path, arm("a", [0.5, 0.5][:count]) + arm("b", [0.9, 0.9][:count]))
    assert "fewer than 3 seeds in an arm, nothing can be concluded" in text


def test_few_pairs_conclude_nothing(tmp_path):
    other = arm("b", [0.8, 0.81, 0.82])
    for trial in other:
        trial.seed += 2
    _, text = words(tmp_path, arm("a", [0.5, 0.51, 0.52]) + other)
    assert "The two share 1 seed; below 3 pairs nothing can be concluded." in text


def test_lower_is_better(tmp_path):
    trials = [MadeTrial(0, {"model": m}, summary={"best_val_loss": v})
              for m, v in (("a", 0.3), ("b", 0.2))]  # fmt: skip
    title, _ = words(tmp_path, trials, select={"metric": "val/loss", "mode": "min"})
    assert title == "b has the lowest validation loss: 0.200."


def test_one_arm(tmp_path):
    title, text = words(tmp_path, arm("a", [0.5, 0.51, 0.52]))
    assert title == "a reaches a validation Dice of 0.510 [0.485, 0.535]."
    assert "no second arm" in text


def test_nothing_finished(tmp_path):
    title, text = words(tmp_path, [MadeTrial(0, status="planned"), MadeTrial(1, status="planned")])
    assert title == "No trial is finished yet."
    assert text == "2 trials: 2 planned."


def test_the_test_split_says_which_is_best(tmp_path):
    trials = arm("a", [0.8] * 3, test_dice=0.7) + arm("b", [0.7] * 3, test_dice=0.75)
    title, text = words(tmp_path, trials)
    assert title == "b has the highest test Dice: 0.750 [0.750, 0.750]."
    own = "Its best validation Dice, which chose the epochs, is 0.700 [0.700, 0.700]"
    assert f"{own}; there a leads with 0.800 [0.800, 0.800]." in text
    assert "Chosen" not in text


def test_an_arm_without_test_figures_is_not_left_out(tmp_path):
    trials = arm("a", [0.8] * 3, test_dice=0.7) + arm("b", [0.7] * 3)
    title, text = words(tmp_path, trials)
    assert title == "a has the highest validation Dice: 0.800 [0.800, 0.800]."
    assert "On the test split it has 0.700 [0.700, 0.700], the highest there too." in text
    assert "Chosen on these images: the best epoch is scored on the images that chose it" in text


def test_the_best_of_many_arms_is_chosen(tmp_path):
    trials = [trial for n, m in enumerate("abcde")
              for trial in arm(m, [0.7] * 3, test_dice=0.7 + n / 100)]  # fmt: skip
    _, text = words(tmp_path, trials)
    assert "Chosen among 5 arms by this figure, which makes it too good" in text


def test_no_test_split(tmp_path):
    _, text = words(tmp_path, arm("a", [0.8] * 3) + arm("b", [0.7] * 3))
    assert "No trial has been evaluated on the test split." in text


def test_baseline(tmp_path):
    trials = [
        MadeTrial(s, {"model": m}, summary={"test_dice": v, "baseline_dice": 0.56})
        for m, values in {
            "good": [0.8, 0.81, 0.82],
            "unclear": [0.5, 0.6, 0.7],
            "poor": [0.5, 0.51, 0.52],
        }.items()
        for s, v in enumerate(values)
    ]
    found = baseline_check(*parts(tmp_path, trials))
    assert found is not None
    assert found.text == (
        "Predicting all foreground gives a test Dice of 0.560; 1 of 3 arms clearly better."
    )
    assert [w.split(" is ")[0] for w in found.warnings] == ["unclear", "poor"]
    assert "not clearly better" in found.warnings[0]
    assert "0.510 [0.485, 0.535] against 0.560" in found.warnings[1]


def test_baseline_on_validation_without_a_test_split(tmp_path):
    found = baseline_check(*parts(tmp_path, arm("a", [0.8], baseline_val_dice=0.5)))
    assert found is not None
    assert found.text.endswith(
        "validation Dice of 0.500; 0 of 1 arm clearly better. 1 arm is above it with one seed: "
        "without an interval that is not clear."
    )
    assert found.warnings == []


@pytest.mark.parametrize(
    ("constants", "subject"),
    [
        (["background"], "Predicting background everywhere, the best constant prediction,"),
        (["each class's share of the pixels"],
         "Predicting each class's share of the pixels, the best constant prediction,"),
        (["background", "pet"], "The best constant prediction"),
        ([None], "Predicting all foreground"),
    ],
)  # fmt: skip
def test_the_trivial_prediction_is_named(tmp_path, constants, subject):
    trials = [
        MadeTrial(s, {"model": "a"}, summary={"best_val_dice": 0.5, "baseline_val_dice": 0.6}
                  | ({"constant_val_dice": constant} if constant else {}))
        for s, constant in enumerate(constants)
    ]  # fmt: skip
    found = baseline_check(*parts(tmp_path, trials))
    assert found is not None
    assert found.text.startswith(f"{subject} gives a validation Dice of 0.600; 0 of 1 arm")


@pytest.mark.parametrize(
    ("mode", "values", "floor", "better"),
    [
        ("max", [0.8], 0.5, 0),
        ("max", [0.8, 0.81], 0.5, 1),
        ("max", [0.8, math.inf], 0.5, 0),
        ("max", [0.4], 0.5, 0),
        ("min", [0.2], 0.5, 0),
        ("min", [0.2, 0.21, 0.22], 0.5, 1),
        ("min", [0.2, -math.inf], 0.5, 0),
        ("max", [0.8, 0.81, 0.82], math.nan, None),
    ],
)
def test_clearly_better_needs_a_known_interval(tmp_path, mode, values, floor, better):
    metric = "dice" if mode == "max" else "loss"
    known = {} if math.isnan(floor) else {f"baseline_val_{metric}": floor}
    trials = [MadeTrial(s, {"model": "a"}, summary={f"best_val_{metric}": v} | known)
              for s, v in enumerate(values)]  # fmt: skip
    found = baseline_check(
        *parts(tmp_path, trials, select={"metric": f"val/{metric}", "mode": mode})
    )
    assert (found is None) == (better is None)
    assert found is None or f"; {better} of 1 arm clearly better." in found.text


def test_no_baseline_no_claim(tmp_path):
    assert baseline_check(*parts(tmp_path, arm("a", [0.8]))) is None


def test_mixed_conditions_are_flagged(tmp_path):
    trials = study(models=("unet",), augments=("none",), seeds=3, epochs=2)
    trials[0].summary["device"] = "cpu"
    trials[1].summary["threads"] = 2
    found = mixed_conditions(parts(tmp_path, trials)[0])
    assert len(found) == 2
    assert "cuda (2 trials), cpu (1 trial)" in found[0]
    assert "epoch times" in found[0]
    assert found[1].startswith("Mixed threads: 8 (2 trials), 2 (1 trial)")


def test_mixed_hardware_is_flagged(tmp_path):
    trials = study(models=("unet",), augments=("none",), seeds=3, epochs=2)
    trials[2].environment["gpu"] = "another GPU"
    records = parts(tmp_path, trials)[0]
    assert mixed_conditions(records, environment_facts(records)) == [
        "Mixed gpu: NVIDIA H100 80GB HBM3 (2 trials), another GPU (1 trial); "
        "epoch times cannot be compared."
    ]


def test_trials_of_which_some_were_compiled_are_flagged(tmp_path):
    trials = study(models=("unet",), augments=("none",), seeds=2, epochs=2)
    trials[0].summary["compile_seconds"] = 20.0
    assert mixed_conditions(parts(tmp_path, trials)[0]) == [
        "Mixed compile: compiled (1 trial), not compiled (1 trial); epoch times cannot be compared."
    ]


def test_what_an_axis_varies_is_not_flagged(tmp_path):
    trials = study(models=("unet",), augments=("none",), seeds=2, epochs=2)
    for trial, precision in zip(trials, ("fp32", "bf16"), strict=True):
        trial.axes["train.precision"] = trial.summary["precision"] = precision
    assert mixed_conditions(parts(tmp_path, trials)[0]) == []


def test_mixed_versions_are_one_sentence(tmp_path):
    trials = arm("a", [0.5, 0.6])
    for trial, version in zip(trials, ("1", "2"), strict=True):
        trial.environment = {"python": f"3.1{version}", "hostname": version, "packages": {
            "torch": version, "scipy": version, "seaborn": version, "pandas": version}}  # fmt: skip
    records, _, _ = parts(tmp_path, trials)
    assert mixed_conditions(records, environment_facts(records)) == [
        "Mixed versions: python 3.11 and 3.12, scipy 1 and 2, seaborn 1 and 2 and 1 more; results "
        "may differ for that reason alone."
    ]
