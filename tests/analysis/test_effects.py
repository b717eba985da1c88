from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.analysis.effects import (
    main_effects,
    summarized,
)
from bench.analysis.level_contrasts import MOST_LEVELS
from bench.analysis.load import load
from bench.analysis.pairing import pairs_of
from bench.record.store import Store
from bench.spec.hypotheses import Hypothesis
from tests.builders.contrasts import difference_frame, interaction_frame
from tests.builders.records import MadeTrial, write_experiment, write_trial

DICE = "best_val_dice"


def trial(seed, value, column=DICE, **axes):
    changes = {name: axes.pop(name) for name in ("status", "source") if name in axes}
    summary = {} if value is None else {column: value}
    return MadeTrial(seed, axes, summary=summary, **changes)


def records(root, trials, **changes):
    write_experiment(root, "exp", trials, **changes)
    return load(Store(root), "exp")


# model a, b × augment n, e × seeds 0, 1, 2
SQUARE = {
    ("a", "n"): (0.50, 0.52, 0.51), ("b", "n"): (0.60, 0.63, 0.60),
    ("a", "e"): (0.54, 0.55, 0.53), ("b", "e"): (0.70, 0.74, 0.71),
}  # fmt: skip


def square():
    return [
        trial(seed, value, model=model, augment=augment)
        for (model, augment), values in SQUARE.items()
        for seed, value in enumerate(values)
    ]


def test_differences_by_hand(tmp_path):
    found = difference_frame(records(tmp_path, square()), DICE)
    assert found[["axis", "a", "b"]].to_numpy().tolist() == [
        ["model", "b", "a"], ["augment", "e", "n"],
    ]  # fmt: skip
    # b − a: n 0.10, 0.11, 0.09; e 0.16, 0.19, 0.18; by seed 0.13, 0.15, 0.135
    by_seed = [0.13, 0.15, 0.135]
    assert found["estimate"][0] == pytest.approx(0.415 / 3)
    assert found["n"].tolist() == [3, 3]
    test = stats.ttest_1samp(by_seed, 0)
    assert found["p"][0] == pytest.approx(test.pvalue)
    low, high = test.confidence_interval(0.95)
    assert (found["low"][0], found["high"][0]) == pytest.approx((low, high))
    corrected = multipletests(found["p"], method="holm")[1]
    assert found["p_corrected"].tolist() == pytest.approx(list(corrected))


def test_interaction_by_hand(tmp_path):
    found = interaction_frame(records(tmp_path, square()), DICE)
    assert len(found) == 1
    row = found.iloc[0]
    assert [*row[["axis", "a", "b", "other", "c", "d"]]] == ["model", "b", "a", "augment", "e", "n"]
    # (b − a with e) − (b − a with n): 0.06, 0.08, 0.09
    test = stats.ttest_1samp([0.06, 0.08, 0.09], 0)
    assert row["estimate"] == pytest.approx(0.23 / 3)
    assert row["p"] == row["p_corrected"] == pytest.approx(test.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_main_effects_by_hand(tmp_path):
    found = main_effects(records(tmp_path, square()), DICE)
    assert found[["axis", "level"]].to_numpy().tolist() == [
        ["model", "a"], ["model", "b"], ["augment", "n"], ["augment", "e"],
    ]  # fmt: skip
    assert found["mean"][0] == pytest.approx(np.mean(SQUARE["a", "n"] + SQUARE["a", "e"]))
    assert found["estimate"].tolist()[:2] == pytest.approx([-0.415 / 6, 0.415 / 6])
    assert (found["high"] - found["low"])[0] == pytest.approx(
        stats.t.ppf(0.975, 2) * np.std([0.13, 0.15, 0.135], ddof=1) / math.sqrt(3)
    )  # half of the difference, so half of its interval: twice its half width over two


def test_differences_agree_with_the_pairs_of_a_hypothesis(tmp_path):
    rng = np.random.default_rng(0)
    levels = itertools.product("abc", "xyz", range(16))
    trials = [
        trial(seed, float(rng.random()), model=model, augment=augment,
              status="failed" if rng.random() < 0.1 else "done")
        for model, augment, seed in levels
        if (model, augment) != ("c", "z") and rng.random() < 0.95  # an arm that is not planned
    ]  # fmt: skip
    found_records = records(tmp_path, trials)
    found = difference_frame(found_records, DICE)
    assert len(found) == 6
    assert found["n"].between(3, 13).all()
    for row in found.itertuples():
        claim = {"id": "h", "claim": "c", "metric": DICE, "expect": "higher",
                 "a": {row.axis: row.a}, "b": {row.axis: row.b}}  # fmt: skip
        pairs = pairs_of(found_records, Hypothesis.model_validate(claim))
        assert row.estimate == pytest.approx(pairs.by_seed.mean())
        assert (row.n, row.seeds) == (len(pairs.complete), len(pairs.seeds))
        assert row.p == pytest.approx(stats.ttest_1samp(pairs.by_seed, 0).pvalue)


def test_fewer_than_three_seeds_are_not_tested(tmp_path):
    trials = [trial(s, v, model=m) for m, v in (("a", 0.5), ("b", 0.7)) for s in (0, 1)]
    trials[3].summary[DICE] = 0.8
    found = difference_frame(records(tmp_path, trials), DICE).iloc[0]
    assert found["estimate"] == pytest.approx(0.25)
    assert math.isfinite(found["low"])
    assert math.isnan(found["p"])
    assert math.isnan(found["p_corrected"])


def test_without_scatter_there_is_no_test():
    found = summarized(np.array([[0.1], [0.1], [0.1]]), np.array([0])).iloc[0]
    assert found["estimate"] == pytest.approx(0.1)
    assert math.isnan(found["low"])


def test_pairs_that_failed_are_counted(tmp_path):
    trials = square()
    trials[0].status = "failed"
    made = records(tmp_path, trials)
    assert difference_frame(made, DICE)["lost"].tolist() == [1, 1]
    for frame in (
        difference_frame(made, DICE),
        interaction_frame(made, DICE),
        main_effects(made, DICE),
    ):
        assert set(zip(frame["n"], frame["seeds"], frame["lost"], strict=True)) == {(2, 3, 1)}


def test_every_seed_is_the_mean_of_the_same_strata(tmp_path):
    """With n: b − a is 0.25, with e −0.25; seed 0 lacks the one, seed 1 the other."""
    gain = {"an": 0.0, "ae": 0.0, "bn": 0.25, "be": -0.25}
    trials = [
        trial(seed, 0.5 + gain[model + augment] + 0.01 * seed * (model == "b"),
              model=model, augment=augment)
        for model in "ab" for augment in "ne" for seed in range(5)
    ]  # fmt: skip
    trials[0].status = trials[6].status = "failed"  # a, n, seed 0; a, e, seed 1
    made = records(tmp_path, trials)
    row = difference_frame(made, DICE).iloc[0]
    assert row["estimate"] == pytest.approx(0.03)  # of seeds 2, 3 and 4: 0.02, 0.03, 0.04
    assert (row["n"], row["seeds"], row["lost"]) == (3, 5, 2)
    effects = main_effects(made, DICE).set_index("level")
    assert effects.loc["b", "estimate"] == pytest.approx(0.015)
    assert effects.loc["b", "mean"] == pytest.approx(0.53)
    assert interaction_frame(made, DICE)["estimate"].tolist() == pytest.approx([-0.5])


def test_strata_that_the_plan_does_not_have_are_left_out(tmp_path):
    """Arms of an earlier plan with another augmentation, where the difference is another."""
    planned = [trial(s, 0.5 + s / 10 + (m == "b") * (0.1 + s / 100), model=m, augment="n")
               for m in "ab" for s in range(3)]  # fmt: skip
    earlier = [trial(s, 0.9 if m == "a" else 0.1, model=m, augment="e") for m in "ab"
               for s in range(3)]  # fmt: skip
    write_experiment(tmp_path, "exp", planned)
    for each in earlier:
        write_trial(tmp_path, "exp", each)
    made = load(Store(tmp_path), "exp")
    found = difference_frame(made, DICE).iloc[0]
    assert (found["axis"], found["n"]) == ("model", 3)
    assert found["estimate"] == pytest.approx(0.11)
    assert main_effects(made, DICE)["estimate"].tolist()[:2] == pytest.approx([-0.055, 0.055])


def test_an_infinite_figure_is_missing(tmp_path):
    trials = square()
    trials[0].summary[DICE] = math.inf
    found = difference_frame(records(tmp_path, trials), DICE)
    assert found["n"].tolist() == [2, 2]
    assert np.isfinite(found["estimate"]).all()


def test_sources_and_trials_without_a_seed_are_not_paired(tmp_path):
    trials = [trial(s, 0.5 + s / 10, model="a") for s in range(3)]
    trials += [trial(s, 0.9, model="b", source="A, 2024") for s in range(3)]
    trials += [trial(None, 0.9, model="b")]
    assert difference_frame(records(tmp_path, trials), DICE)["n"].tolist() == [0]


def test_levels_by_which_a_loss_means_something_else_are_not_compared(tmp_path):
    trials = [
        trial(s, 0.1 * s + (m == "b"), "best_val_loss", **{"model": m, "train.loss": loss})
        for m in "ab" for loss in ("ce", "dice") for s in range(3)
    ]  # fmt: skip
    made = records(tmp_path, trials, incomparable={"loss": ["train.loss"]})
    assert difference_frame(made, "best_val_loss")["axis"].tolist() == ["model"]
    assert interaction_frame(made, "best_val_loss").empty
    assert set(difference_frame(made, DICE)["axis"]) == {"model", "train.loss"}


def test_times_on_other_hardware_are_not_compared(tmp_path):
    def timed(seed, model, seconds, gpu):
        figures = {"epoch_seconds": seconds, DICE: seconds / 10}
        return MadeTrial(seed, {"model": model}, summary=figures, environment={"gpu": gpu})

    trials = [timed(s, "a", 1.0 + s / 10, "X") for s in range(4)]
    trials += [timed(s, "b", 2.0, "Y" if s == 3 else "X") for s in range(4)]
    made = records(tmp_path, trials)
    times = difference_frame(made, "epoch_seconds").iloc[0]
    assert (times["n"], times["lost"]) == (3, 1)
    assert times["estimate"] == pytest.approx(0.9)
    assert difference_frame(made, DICE).iloc[0]["n"] == 4


def test_many_levels_are_compared_with_the_first(tmp_path):
    names = [f"m{i}" for i in range(MOST_LEVELS + 1)]
    found = difference_frame(records(tmp_path, [trial(0, 0.5, model=m) for m in names]), DICE)
    assert found["b"].unique().tolist() == ["m0"]
    assert found["a"].tolist() == names[1:]


def test_pairs_of_pairs_are_few(tmp_path):
    def count(root, one, other):
        trials = [trial(0, 0.5, model=f"m{i}", augment=f"x{j}")
                  for i in range(one) for j in range(other)]  # fmt: skip
        return len(interaction_frame(records(root, trials), DICE))

    assert count(tmp_path / "small", 3, 3) == 9
    assert count(tmp_path / "large", 6, 5) == 20


def test_no_axis_no_effects(tmp_path):
    made = records(tmp_path, [trial(0, 0.5)])
    assert all(f(made, DICE).empty for f in (difference_frame, interaction_frame, main_effects))


def test_others_trials_are_no_further_seeds(tmp_path):
    """Ours alone where there are any; else single runs make one pair, which tests nothing."""
    own = [trial(s, v, model=m) for m, v in (("a", 0.5), ("b", 0.7)) for s in range(3)]
    theirs = [trial(s, v, model=m, source="x") for m, v in (("a", 0.9), ("b", 0.1))
              for s in (0, None)]  # fmt: skip
    for each in theirs:
        each.arm = f"x{each.axes['model']}"
    write_experiment(tmp_path / "both", "exp", own)
    write_experiment(tmp_path / "x", "exp", [])
    for each in theirs:
        write_trial(tmp_path / "both", "exp", each)
        write_trial(tmp_path / "x", "exp", each)
    (row,) = difference_frame(load(Store(tmp_path / "both"), "exp"), DICE).itertuples()
    assert (row.n, row.estimate) == (3, pytest.approx(0.2))
    (row,) = difference_frame(load(Store(tmp_path / "x"), "exp"), DICE).itertuples()
    assert (row.n, row.estimate) == (2, pytest.approx(-0.8))
    assert math.isnan(row.p)
