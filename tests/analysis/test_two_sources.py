from __future__ import annotations

import math
import resource
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

from bench.analysis.sample_size import Scatter
from bench.analysis.two_sources import Over, TwoSources, components, paired_table, two_sources

from .simulated import (
    Table,
    bound,
    cross_validated,
    errors,
    errors_per_patient,
    heavy_tailed,
    p_by_satterthwaite,
    p_of_both,
    p_of_seeds,
    shares,
)


def made(seeds: int = 4, images: int = 7, seed: int = 0) -> np.ndarray:
    return Table(seeds, images, 0.05, 0.1, 0.05).draw_many(1, np.random.default_rng(seed))[0]


def test_by_hand() -> None:
    # rows' means 2 and 4, columns' 2, 3, 4: no interaction but in the first row
    found = two_sources([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    assert found.mean == 3.0
    assert found.seeds == pytest.approx(1.0)  # variance 2 of (2, 4), of 2 seeds
    assert found.images == pytest.approx(1 / 3)  # variance 1 of (2, 3, 4), of 3 images
    assert found.interaction == pytest.approx(0.0)
    assert found.variance == pytest.approx(4 / 3)
    assert found.seed_share == pytest.approx(0.75)
    assert tuple(found.shares()) == pytest.approx((0.75, 0.25, 0.0))
    assert (found.n_seeds, found.n_images, found.n_groups) == (2, 3, 3.0)


def test_components_are_those_of_an_analysis_of_variance() -> None:
    table = made()
    seeds, images = table.shape
    rows = pd.DataFrame(
        [(s, i, table[s, i]) for s in range(seeds) for i in range(images)], columns=["s", "i", "d"]
    )
    squares = anova_lm(ols("d ~ C(s) + C(i)", rows).fit())["mean_sq"] / table.size
    found = two_sources(table)
    expected = [squares["C(s)"], squares["C(i)"], squares["Residual"]]
    assert [found.seeds, found.images, found.interaction] == pytest.approx(expected, rel=1e-10)
    total = expected[0] + expected[1] - expected[2]
    assert found.variance == pytest.approx(total, rel=1e-12)


@pytest.mark.filterwarnings("ignore:The MLE may be on the boundary")
def test_balanced_data_need_no_mixed_model() -> None:
    table = made(4, 7, seed=2)
    rows = pd.DataFrame(
        [(s, i, table[s, i], 0) for s in range(4) for i in range(7)], columns=["s", "i", "d", "all"]
    )
    parts = {"seed": "0 + C(s)", "image": "0 + C(i)"}
    model = mixedlm("d ~ 1", rows, groups="all", vc_formula=parts, re_formula="0")
    by_reml = model.fit(reml=True)
    found = two_sources(table)
    scatter = Scatter.of(found)
    assert by_reml.vcomp == pytest.approx([scatter.images**2, scatter.seeds**2], rel=1e-3)
    assert by_reml.scale == pytest.approx(scatter.interaction**2, rel=1e-3)
    assert float(by_reml.bse_fe.iloc[0]) == pytest.approx(found.standard_error(), rel=1e-3)


def test_groups_of_equal_size_are_their_means() -> None:
    table = made(images=12)
    grouped = two_sources(table, groups=["a", "b", "c", "d"] * 3)
    means = two_sources(table.reshape(4, 3, 4).mean(axis=1))
    for part in ("mean", "seeds", "images", "interaction", "n_groups"):
        assert getattr(grouped, part) == pytest.approx(getattr(means, part), rel=1e-12)
    assert grouped.n_images == 12


def test_groups_of_unequal_size_by_hand() -> None:
    # weights ½, ¼, ¼ of means 1, 3, 5: D = 2.5
    found = two_sources([[1.0, 1.0, 3.0, 5.0]] * 3, groups=["p", "p", "q", "r"])
    assert found.mean == 2.5
    assert found.n_groups == pytest.approx(1 / (1 / 4 + 1 / 16 + 1 / 16))
    squares = 2.25 / 4 + 0.25 / 16 + 6.25 / 16
    correction = 0.375 / (0.375 - 2 * (1 / 8 + 2 / 64) + 0.375**2)
    assert found.images == pytest.approx(correction * squares)


def test_mean_is_that_of_all_scores_whatever_the_groups() -> None:
    table = made(images=9)
    found = two_sources(table, groups=[0, 0, 0, 0, 1, 1, 2, 3, 4])
    assert found.mean == pytest.approx(table.mean(), rel=1e-12)


def test_unequal_groups_are_unbiased() -> None:
    rng, sizes = np.random.default_rng(3), np.array([12, 6, 3, 2, 1, 1, 1])
    tables = rng.normal(0, 1, (20_000, 1, 7)) + rng.normal(0, 2, (20_000, 3, 7))
    found = components(tables, sizes)
    w2 = ((sizes / sizes.sum()) ** 2).sum()
    assert found.images.mean() == pytest.approx(w2 * (1 + 4 / 3), rel=0.03)
    assert found.interaction.mean() == pytest.approx(w2 * 4 / 3, rel=0.03)
    assert found.seeds.mean() == pytest.approx(w2 * 4 / 3, rel=0.03)
    assert (found.mean.var()) == pytest.approx(w2 * (1 + 4 / 3), rel=0.05)


def test_negative_component_is_left_out() -> None:
    found = TwoSources(0.1, 1.0, 3.0, 2.0, 5, 60, 60.0)  # seeds under the interaction
    assert found.variance == 3.0
    assert found.shares() == pytest.approx((0.0, 1 / 3, 2 / 3))
    both = TwoSources(0.1, 1.0, 1.5, 2.0, 5, 60, 60.0)
    assert both.variance == 1.5
    assert both.shares() == pytest.approx((0.0, 0.0, 1.0))


def test_three_statements_have_their_own_tests() -> None:
    table = made(5, 30)
    found = two_sources(table)
    by_seed = stats.ttest_1samp(table.mean(axis=1), 0.01)
    by_image = stats.ttest_1samp(table.mean(axis=0), 0.01)
    assert found.p(0.01, Over.SEEDS) == pytest.approx(by_seed.pvalue)
    assert found.p(0.01, Over.IMAGES) == pytest.approx(by_image.pvalue)
    assert found.p(0.01) > max(by_seed.pvalue, by_image.pvalue)
    for over, test in ((Over.SEEDS, by_seed), (Over.IMAGES, by_image)):
        expected = test.confidence_interval(0.9)
        assert found.interval(0.1, over) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("over", list(Over))
def test_interval_holds_what_is_not_rejected(over: Over) -> None:
    found = two_sources(made(5, 30))
    low, high = found.interval(0.05, over)
    assert found.p(low, over) == pytest.approx(0.05, rel=1e-6)
    assert found.p(high, over) == pytest.approx(0.05, rel=1e-6)
    assert found.p_above(low, over) == pytest.approx(0.025, rel=1e-6)
    assert found.p_below(high, over) == pytest.approx(0.025, rel=1e-6)


def test_equivalence_is_two_one_sided_tests() -> None:
    found = two_sources(made(5, 30))
    margin = abs(found.mean) + 0.1
    assert found.p_within(margin) == max(found.p_above(-margin), found.p_below(margin))
    assert found.p_within(margin) < 0.5 < found.p_outside(margin) == 1.0
    near = abs(found.mean) / 2
    assert found.p_outside(near) == pytest.approx(found.p(math.copysign(near, found.mean)))


def test_fold_correction_adds_training_sets() -> None:
    table = made(3, 20)
    plain, folds = two_sources(table), two_sources(table, n_folds=5)
    assert folds.variance == pytest.approx(plain.variance + 1.25 * plain.images)
    expected = plain.seeds / (plain.seeds + 2.25 * plain.images)
    assert folds.seed_share == pytest.approx(expected)
    assert sum(folds.shares()) == pytest.approx(1.0)
    # what is said of these models needs no new training set
    for over in (Over.SEEDS, Over.IMAGES):
        assert folds.p(over=over) == plain.p(over=over)


def test_images_without_a_score_in_some_seed_are_left_out() -> None:
    table = made(4, 8)
    table[2, 3] = math.nan
    found = two_sources(table, groups=list("aabbccdd"))
    kept = two_sources(np.delete(table, 3, axis=1), groups=list("aabccdd"))
    assert found == kept
    assert found.n_images == 7


@pytest.mark.parametrize(
    ("table", "over"),
    [
        (made(2, 30), Over.BOTH),
        (made(2, 30), Over.SEEDS),
        (made(5, 4), Over.BOTH),
        (made(5, 4), Over.IMAGES),
        (made(1, 30), Over.BOTH),
        (np.full((5, 30), 0.1), Over.BOTH),
    ],
)
def test_too_little_to_test(table: np.ndarray, over: Over) -> None:
    found = two_sources(table)
    assert not found.testable(over)
    assert math.isnan(found.p(over=over))
    assert math.isnan(found.interval(over=over)[0])


def test_without_variance_there_are_no_shares() -> None:
    assert all(math.isnan(share) for share in two_sources(np.zeros((5, 30))).shares())


def test_one_seed_says_something_of_images() -> None:
    table = made(1, 30)
    expected = stats.ttest_1samp(table[0], 0).pvalue
    assert two_sources(table).p(over=Over.IMAGES) == pytest.approx(expected)


def test_few_patients_are_too_few_however_many_images() -> None:
    assert not two_sources(made(5, 40), groups=[i % 4 for i in range(40)]).testable()


@pytest.mark.parametrize(
    ("table", "groups", "folds"),
    [
        (np.zeros(3), None, None),
        (np.zeros((0, 3)), None, None),
        (np.full((3, 3), math.nan), None, None),
        (np.zeros((3, 3)), ["a"], None),
        (np.zeros((3, 3)), None, 1),
    ],
)
def test_refused(table: np.ndarray, groups: list[str] | None, folds: int | None) -> None:
    with pytest.raises(ValueError, match=r"must be|no image|groups for|at least 2"):
        two_sources(table, groups, folds)


def test_pairs_are_averaged_over_strata() -> None:
    scores = np.arange(24, dtype=np.float32).reshape(8, 3) ** 2
    found = paired_table(scores, [[0, 1], [2, 3]], [[4, 5], [6, 7]])
    wide = scores.astype(float)
    expected = ((wide[[0, 1]] - wide[[4, 5]]) + (wide[[2, 3]] - wide[[6, 7]])) / 2
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(paired_table(scores, [0, 1], 2.0), wide[:2] - 2.0)


def test_errors_when_images_and_their_interaction_dominate() -> None:
    table = Table(5, 60, 0.005, 0.1, 0.1)
    assert errors(table, 4000, 0.05, p_of_both) <= bound(0.05, 4000)
    assert errors(table, 4000, 0.05, p_of_seeds) >= 0.25  # guards the simulation


@pytest.mark.parametrize("draw", [None, heavy_tailed])
def test_errors_when_seeds_dominate(draw: object) -> None:
    table = (
        Table(3, 60, 0.1, 0.01, 0.1)
        if draw is None
        else Table(3, 60, 0.1, 0.01, 0.1, draw=heavy_tailed)
    )
    assert errors(table, 4000, 0.05, p_of_both) <= 0.065


def test_errors_at_the_levels_that_holm_begins_with() -> None:
    table = shares(3, 60, (0.9, 0.1, 0.0))
    assert errors(table, 10_000, 0.005, p_of_both) <= bound(0.005, 10_000)
    assert errors(table, 10_000, 0.005, p_by_satterthwaite) >= 0.015  # why it is not used


def test_errors_with_patients() -> None:
    table = Table(3, 50, 0.005, 0.0, 0.05, sd_patient=0.1, per_patient=5)
    per_patient, per_image = errors_per_patient(table, 4000)
    assert per_patient <= 0.06
    assert per_image >= 0.2


def test_errors_of_cross_validation() -> None:
    tables = cross_validated(400, 60, 3, 5)
    assert (p_of_both(tables, correction=5 / 4) <= 0.05).mean() <= bound(0.05, 400)
    assert (p_of_both(tables) <= 0.05).mean() >= 0.1  # what overlapping training sets cost


def test_a_thousand_trials_on_a_large_test_split() -> None:
    scores = np.random.default_rng(0).random((1000, 3669), dtype=np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    for shift in range(36):
        b = np.arange(500, 1000)
        found = two_sources(paired_table(scores, np.roll(np.arange(500), shift), b))
        assert all(found.p(over=over) > 0 for over in Over)
        assert found.interval()[0] < found.interval()[1]
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
