from __future__ import annotations

import itertools
import math
import resource
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.analysis.contrast_tests import Basis, Contrast, Observed
from bench.analysis.contrasts import ContrastBook, Question, Result, Word
from bench.analysis.evidence import Claim
from bench.analysis.repeats import Decision, State
from bench.analysis.stats import holm
from bench.analysis.two_sources import Over, paired_table, two_sources

from .simulated import Table

A, B, C = (frozenset({f"{arm}{seed}" for seed in range(5)}) for arm in "abc")
DICE = "test_dice"
AB = Contrast(DICE, A, B)
CLOSE = np.array([0.02, 0.035, 0.01, 0.04, 0.03])


def seen(values: np.ndarray = CLOSE, **given: object) -> Observed:
    return Observed(np.asarray(values, dtype=float), **{"mode": "max", **given})  # type: ignore[arg-type]


def table(
    mean: float = 0.0, seeds: int = 5, images: int = 30, sd_image: float = 0.05
) -> np.ndarray:
    rng = np.random.default_rng(0)
    found = Table(seeds, images, 0.005, sd_image, 0.02).draw_many(1, rng)[0]
    return np.asarray(found - found.mean() + mean)


def by_image(values: np.ndarray, **given: object) -> Observed:
    n_folds = 5 if "by_fold" in given else None
    return seen(values.mean(axis=1), sources=two_sources(values, n_folds=n_folds), **given)


def one(
    observed: Observed, expect: str = "higher", contrast: Contrast = AB, **given: object
) -> Result:
    margin = 0.02 if expect in ("equivalent", "not_higher", "not_lower") else None
    book = ContrastBook(
        [Question("h", contrast, expect, margin)], [], {contrast: observed}, **given
    )  # type: ignore[arg-type]
    return book.declared[0]


def test_difference_over_seeds() -> None:
    found = one(seen())
    expected = stats.ttest_1samp(CLOSE, 0)
    interval = expected.confidence_interval()
    assert (found.word, found.claim, found.basis) == (Word.SUPPORTED, Claim.ABOVE, Basis.TEST)
    assert found.p == found.p_corrected == pytest.approx(expected.pvalue)
    assert found.estimate == pytest.approx((CLOSE.mean(), interval.low, interval.high, 5))
    assert found.statements == ()


@pytest.mark.parametrize(
    ("expect", "shift", "word"),
    [
        ("higher", 0.0, Word.SUPPORTED),
        ("higher", -0.06, Word.REFUTED),
        ("lower", 0.0, Word.REFUTED),
        ("not_higher", -0.03, Word.SUPPORTED),
        ("not_lower", -0.08, Word.REFUTED),
        ("equivalent", -0.027, Word.EQUIVALENT),
        ("equivalent", 0.05, Word.REFUTED),
        ("equivalent", -0.01, Word.INCONCLUSIVE),
    ],
)
def test_words(expect: str, shift: float, word: Word) -> None:
    assert one(seen(CLOSE + shift), expect).word is word


def test_over_both_has_three_statements() -> None:
    values = table(0.012)
    found = one(by_image(values), contrast=replace(AB, over=Over.BOTH))
    assert [statement.over for statement in found.statements] == [
        Over.BOTH,
        Over.SEEDS,
        Over.IMAGES,
    ]
    both, seeds, images = found.statements
    assert seeds.p == pytest.approx(stats.ttest_1samp(values.mean(axis=1), 0).pvalue)
    assert images.p == pytest.approx(stats.ttest_1samp(values.mean(axis=0), 0).pvalue)
    assert found.p == both.p > max(seeds.p, images.p)
    assert (found.estimate.low, found.estimate.high) == (both.low, both.high)
    assert found.sources is not None
    assert found.sources.shares().images > 0.5


def test_over_seeds_keeps_its_test_and_shows_the_others() -> None:
    values = table(0.012)
    found = one(by_image(values))
    assert found.p == pytest.approx(found.statements[1].p)
    assert found.word is Word.SUPPORTED
    assert one(by_image(values), contrast=replace(AB, over=Over.BOTH)).word is Word.INCONCLUSIVE


def test_inconclusive_over_both_needs_images_and_no_number_of_seeds() -> None:
    found = one(by_image(table(0.012)), contrast=replace(AB, over=Over.BOTH))
    assert found.needs_seeds is None
    assert found.needs_images is not None
    assert found.needs_images > 30


def test_inconclusive_over_seeds_needs_seeds() -> None:
    found = one(seen(CLOSE - 0.02))
    assert (found.word, found.needs_images) == (Word.INCONCLUSIVE, None)
    assert found.needs_seeds is not None
    assert found.needs_seeds > 5


@pytest.mark.parametrize("over", [Over.BOTH, Over.IMAGES])
def test_without_scores_by_image_only_seeds(over: Over) -> None:
    found = one(seen(), contrast=replace(AB, over=over))
    assert (found.word, found.basis, found.claim) == (Word.INCONCLUSIVE, Basis.NO_SCORES, None)
    assert found.estimate == one(seen()).estimate  # what is known is shown


def test_too_few_seeds() -> None:
    found = one(seen(CLOSE[:2]))
    assert (found.word, found.basis, found.claim) == (Word.INCONCLUSIVE, Basis.FEW, None)
    assert math.isnan(found.p_corrected)
    both = one(by_image(table(1.0, seeds=2)), contrast=replace(AB, over=Over.BOTH))
    assert (both.word, both.basis) == (Word.INCONCLUSIVE, Basis.FEW)
    assert both.statements[2].p < 0.05  # of these models on new images
    few_images = by_image(table(1.0, seeds=1, images=4))
    assert one(few_images, contrast=replace(AB, over=Over.IMAGES)).basis is Basis.FEW
    nothing = one(seen(np.array([])))
    assert nothing.basis is Basis.FEW
    assert math.isnan(nothing.estimate.mean)


def test_without_scatter_there_is_no_test() -> None:
    assert one(seen(np.full(5, 0.1))).basis is Basis.FLAT
    flat = one(by_image(np.full((5, 30), 0.1)), contrast=replace(AB, over=Over.BOTH))
    assert (flat.basis, flat.word) == (Basis.FLAT, Word.INCONCLUSIVE)


def test_exact_figures_need_no_test() -> None:
    found = one(seen(np.full(5, 7.0), is_exact=True, failed={"a": 3}))
    assert (found.word, found.basis, found.estimate[:3]) == (Word.SUPPORTED, Basis.EXACT, (7, 7, 7))
    same = np.zeros(5)
    assert one(seen(same, is_exact=True), "higher").word is Word.REFUTED
    assert one(seen(same, is_exact=True), "equivalent").word is Word.EQUIVALENT
    assert one(seen(same + 0.02, is_exact=True), "equivalent").word is Word.REFUTED
    number = Contrast("params", A, 7.0)
    assert one(seen(np.ones(3), is_exact=True), contrast=number).word is Word.SUPPORTED


def test_claim_for_a_side_that_diverged_is_withheld() -> None:
    found = one(seen(failed={"a": 1, "b": 0}))
    assert (found.word, found.is_withheld, found.claim) == (Word.INCONCLUSIVE, True, Claim.ABOVE)
    assert found.needs_seeds is None
    assert one(seen(failed={"a": 0, "b": 1})).word is Word.SUPPORTED
    assert one(seen(mode="min", failed={"a": 0, "b": 1})).is_withheld
    assert one(seen(CLOSE - 0.027, failed={"b": 1}), "equivalent").is_withheld


def test_against_a_number() -> None:
    number = Contrast("overfit_gap", A, 0.05)
    five = seen(np.array([0.01, 0.02, 0.06, 0.25, 0.85]))
    found = one(five, contrast=number)
    assert (found.word, found.p, found.estimate.mean) == (Word.SUPPORTED, 1 / 32, 0.06)
    assert one(five, "lower", number).word is Word.REFUTED
    pair = [Question(name, number, "higher") for name in "xy"]
    book = ContrastBook(pair, [], {number: five})
    assert [r.word for r in book.declared] == [Word.INCONCLUSIVE] * 2  # 0.031 > 0.025
    assert [r.needs_seeds for r in book.declared] == [6, 6]
    assert one(seen(five.differences[:4]), contrast=number).basis is Basis.FEW


def test_against_a_number_over_images_the_larger_p_counts() -> None:
    number = Contrast(DICE, A, 0.8, Over.BOTH)
    values = table(0.012)
    found = one(by_image(values), contrast=number)
    assert (values.mean(axis=1) > 0).all()
    assert found.p > 1 / 32
    assert found.word is Word.INCONCLUSIVE


def test_few_seeds_of_cross_validation_are_tested_over_folds() -> None:
    by_fold = CLOSE[None]
    found = one(seen(np.array([CLOSE.mean()]), by_fold=by_fold))
    error = math.sqrt(CLOSE.var(ddof=1) * (1 / 5 + 1 / 4))
    assert found.p == pytest.approx(2 * stats.t.sf(CLOSE.mean() / error, 4))
    assert found.estimate.n == 1
    both = replace(AB, over=Over.BOTH)
    observed = by_image(table(0.012, seeds=1), by_fold=by_fold)
    assert one(observed, contrast=both).p == found.p


def test_three_seeds_of_cross_validation_pay_for_shared_training_data() -> None:
    both, values = replace(AB, over=Over.BOTH), table(0.012)
    plain = one(by_image(values), contrast=both)
    folds = one(by_image(values, by_fold=np.zeros((5, 5))), contrast=both)
    assert folds.p > plain.p


def test_sequential_decisions_stand() -> None:
    settled = Decision(State.SETTLED, 2, Claim.ABOVE, 0.01, 0.01)
    found = one(seen(CLOSE - 0.025), decisions={"h": settled})
    assert (found.word, found.p, found.p_corrected) == (Word.SUPPORTED, 0.01, 0.01)
    still_open = Decision(State.OPEN, 2, None, 0.3, 0.3)
    assert one(seen(), decisions={"h": still_open}).word is Word.INCONCLUSIVE
    wide = one(seen(), interval_levels={"h": 0.002})
    assert wide.estimate.low < one(seen()).estimate.low


def random_page(
    rng: np.random.Generator,
) -> tuple[list[Question], list[Contrast], dict[Contrast, Observed]]:
    """Some contrasts of three arms declared, once or twice and either way round, all explored."""
    arms = {"a": A, "b": B, "c": C}
    observed: dict[Contrast, Observed] = {}
    for one_arm, other in itertools.combinations(arms, 2):
        values = rng.normal(rng.choice([0, 0.02, 0.05]), 0.02, 5)
        failed = {"a": int(rng.random() < 0.2), "b": int(rng.random() < 0.2)}
        observed[Contrast(DICE, arms[one_arm], arms[other])] = seen(values, failed=failed)
    questions = []
    for contrast in observed:
        for _ in range(rng.integers(0, 3)):
            turned = contrast.reversed
            assert turned is not None
            expect = str(rng.choice(["higher", "lower", "equivalent"]))
            margin = 0.03 if expect == "equivalent" else None
            side = contrast if rng.random() < 0.5 else turned
            questions.append(Question(f"h{len(questions)}", side, expect, margin))  # type: ignore[arg-type]
    turned_too = [c.reversed for c in observed if c.reversed is not None]
    return questions, [*observed, *turned_too], observed


@pytest.mark.parametrize("seed", range(40))
def test_whoever_asks_gets_one_result(seed: int) -> None:
    questions, explored, observed = random_page(np.random.default_rng(seed))
    book = ContrastBook(questions, explored, observed)
    assert len(book.explored) == 3 - len(
        {frozenset((q.contrast.a, q.contrast.b)) for q in questions}
    )  # type: ignore[arg-type]
    for contrast in observed:
        turned = contrast.reversed
        assert turned is not None
        ours, theirs = book.results(contrast), book.results(turned)
        for one_way, other in zip(ours, theirs, strict=True):
            assert (one_way.word, one_way.id) == (other.word, other.id)
            assert one_way.p_corrected == other.p_corrected or math.isnan(one_way.p_corrected)
            assert one_way.estimate.mean == -other.estimate.mean
            assert one_way.estimate.low == -other.estimate.high
        asked = [q for q in questions if contrast in (q.contrast, q.contrast.reversed)]
        assert [r.id for r in ours] == ([q.id for q in asked] or [""])
        for result in ours:
            declared_words = {Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT, Word.INCONCLUSIVE}
            assert (result.word in declared_words) == bool(result.id)


@pytest.mark.parametrize("seed", range(5))
def test_each_family_is_corrected_by_itself(seed: int) -> None:
    questions, explored, observed = random_page(np.random.default_rng(seed))
    book = ContrastBook(questions, explored, observed)
    for family in (book.declared, book.explored):
        np.testing.assert_allclose([r.p_corrected for r in family], holm([r.p for r in family]))


def test_turning_a_hypothesis_round_changes_nothing() -> None:
    values = table(0.012)
    both = replace(AB, over=Over.BOTH)
    straight = one(by_image(values, failed={"a": 1}), contrast=both)
    turned = both.reversed
    assert turned is not None
    book = ContrastBook(
        [Question("h", turned, "lower")], [], {both: by_image(values, failed={"a": 1})}
    )
    (found,) = book.results(both)
    assert found.p == pytest.approx(straight.p)
    assert (found.word, found.is_withheld) == (straight.word, straight.is_withheld)
    assert found.estimate == pytest.approx(straight.estimate)


def test_within_a_stratum_is_another_contrast() -> None:
    inner = Contrast(DICE, frozenset({"a0"}), frozenset({"b0"}))
    book = ContrastBook([Question("h", AB, "higher")], [inner], {AB: seen(), inner: seen(-CLOSE)})
    assert book.results(AB)[0].word is Word.SUPPORTED
    assert book.results(inner)[0].word is Word.CLEAR


def test_unknown_contrast() -> None:
    book = ContrastBook([], [AB], {AB: seen()})
    with pytest.raises(KeyError):
        book.results(Contrast(DICE, A, C))
    with pytest.raises(KeyError):
        ContrastBook([], [Contrast(DICE, A, C)], {AB: seen()})


def test_a_page_of_a_thousand_trials_on_a_large_test_split() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((1000, 3669), dtype=np.float32) / 10
    scores += rng.normal(0, 0.01, (1000, 1)).astype(np.float32)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    questions, observed = [], {}
    for i in range(36):
        a, b = np.roll(np.arange(500), i), np.arange(500, 1000)
        contrast = Contrast(DICE, frozenset({f"a{i}"}), B, Over.BOTH)
        values = paired_table(scores, a[None], b[None])
        observed[contrast] = by_image(values)
        expect, margin = ("equivalent", 0.002) if i % 2 else ("higher", None)
        questions.append(Question(f"h{i}", contrast, expect, margin))  # type: ignore[arg-type]
    book = ContrastBook(questions, [], observed)
    assert len(book.declared) == 36
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
