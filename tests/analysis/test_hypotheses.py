from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from bench.analysis import power
from bench.analysis.contrast_tests import Basis
from bench.analysis.contrasts import Result, Word
from bench.analysis.hypotheses import outcomes, with_hypotheses
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.analysis.stats import Interval
from bench.record.store import Store
from bench.spec.hypotheses import Hypothesis
from tests.builders.contrasts import results_of
from tests.builders.records import MadeTrial, write_experiment


def claim(expect: str = "higher", margin: float | None = None, **changes: Any) -> Hypothesis:
    given = {
        "id": "h",
        "claim": "a is better",
        "metric": "best_val_dice",
        "a": {"model": "a"},
        "b": {"model": "b"},
        "expect": expect,
        "margin": margin,
    }
    return Hypothesis.model_validate(given | changes)


def alone(hypothesis: Hypothesis, differences: list[float]) -> tuple[Result, Word]:
    """The verdict on a hypothesis that is the only one."""
    (found,) = results_of([hypothesis], [differences])
    return found, found.word


CLEAR = [0.19, 0.20, 0.21]  # t = 0.2 / (0.01 / √3) = 34.6, p = 0.00083
NOISY = [0.1, 0.2, 0.3]  # t = 3.46, p = 0.074


@pytest.mark.parametrize(
    ("expect", "margin", "differences", "verdict"),
    [
        ("higher", None, CLEAR, "supported"),
        ("lower", None, CLEAR, "refuted"),
        ("higher", None, NOISY, "inconclusive"),
        ("lower", None, [-d for d in CLEAR], "supported"),
        ("equivalent", 0.3, CLEAR, "equivalent"),
        ("equivalent", 0.3, [-d for d in CLEAR], "equivalent"),
        ("equivalent", 0.1, CLEAR, "refuted"),
        ("equivalent", 0.1, [-d for d in CLEAR], "refuted"),
        ("equivalent", 0.21, CLEAR, "inconclusive"),
        ("equivalent", 0.4, NOISY, "equivalent"),  # one-sided p = 0.037
        ("equivalent", 0.1, NOISY, "inconclusive"),
        ("not_higher", 0.3, CLEAR, "supported"),
        ("not_higher", 0.1, CLEAR, "refuted"),
        ("not_higher", 0.1, [-d for d in CLEAR], "supported"),
        ("not_higher", 0.205, CLEAR, "inconclusive"),
        ("not_lower", 0.1, CLEAR, "supported"),
        ("not_lower", 0.1, [-d for d in CLEAR], "refuted"),
        ("not_lower", 0.3, [-d for d in CLEAR], "supported"),
    ],
)
def test_verdicts(
    expect: str, margin: float | None, differences: list[float], verdict: str
) -> None:
    found, given = alone(claim(expect, margin), differences)
    assert (given, found.basis) == (verdict, Basis.TEST)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("metric", ["best_val_dice", "macs"])
def test_fewer_than_three_pairs_conclude_nothing(count: int, metric: str) -> None:
    found, given = alone(claim(metric=metric), [5.0, 5.000001][:count])
    assert (given, found.basis) == (Word.INCONCLUSIVE, Basis.FEW)
    assert math.isnan(found.p)
    assert found.estimate.n == count
    assert found.estimate.known == (count == 2)


@pytest.mark.parametrize(
    ("expect", "margin", "verdict"),
    [
        ("higher", None, "supported"),
        ("lower", None, "refuted"),
        ("equivalent", 7.0, "equivalent"),
        ("equivalent", 5.0, "refuted"),
        ("not_higher", 7.0, "supported"),
        ("not_higher", 4.0, "refuted"),
    ],
)
def test_what_no_seed_changes_is_known_exactly(
    expect: str, margin: float | None, verdict: str
) -> None:
    found, given = alone(claim(expect, margin, metric="macs"), [5.0, 5.0, 5.0])
    assert (given, found.basis) == (verdict, Basis.EXACT)
    assert found.estimate == Interval(5.0, 5.0, 5.0, 3)
    assert math.isnan(found.p)


def test_equal_counts_are_not_higher() -> None:
    assert alone(claim(metric="params"), [0.0] * 3)[1] == "refuted"


@pytest.mark.parametrize("difference", [0.0, 5.0])
def test_without_scatter_a_trained_metric_is_not_judged(difference: float) -> None:
    found, given = alone(claim("equivalent", 9.0), [difference] * 5)
    assert (given, found.basis) == (Word.INCONCLUSIVE, Basis.FLAT)
    assert found.estimate.mean == difference
    assert not found.estimate.known


def test_what_rounding_leaves_is_no_scatter() -> None:
    differences = [0.8 - 0.7, 0.9 - 0.8, 0.7 - 0.6]  # 0.1, to the last bits
    assert len(set(differences)) > 1
    assert alone(claim(), differences)[0].basis is Basis.FLAT


def test_a_single_test_is_that_of_scipy_and_statsmodels() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.9, 0.01, 6), rng.normal(0.89, 0.01, 6)
    differences = list(a - b)
    assert alone(claim(), differences)[0].p == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue)
    expected = ttost_paired(a, b, -0.03, 0.03)[0]
    assert alone(claim("equivalent", 0.03), differences)[0].p == pytest.approx(expected)
    shifted = scipy.stats.ttest_rel(a, b + 0.03).pvalue
    assert alone(claim("not_higher", 0.03), differences)[0].p == pytest.approx(shifted)
    shifted = scipy.stats.ttest_rel(a, b - 0.03).pvalue
    assert alone(claim("not_lower", 0.03), differences)[0].p == pytest.approx(shifted)


def test_correction_agrees_with_statsmodels() -> None:
    given = [[d + k for d in NOISY] for k in (0.0, 1.0, 2.0, 3.0)]
    found = results_of([claim()] * 4, given)
    expected = multipletests([one.p for one in found], method="holm")[1]
    assert [one.p_corrected for one in found] == pytest.approx(list(expected))


def test_exact_knowledge_is_no_test_and_lacking_pairs_are_one() -> None:
    exact, tested, few = results_of(
        [claim(metric="macs"), claim(), claim()], [[5.0] * 3, CLEAR, [1.0]]
    )
    assert tested.p_corrected == pytest.approx(2 * tested.p)
    assert math.isnan(exact.p_corrected)
    assert math.isnan(few.p_corrected)


def test_needed_seeds_are_those_of_the_power() -> None:
    # the mean is 2 standard deviations away from 0 and 1 from the margin of 0.1; two are open
    def needed(expect: str, margin: float | None = None) -> int | None:
        return results_of([claim(expect, margin), claim()], [NOISY, [0.0, 1.0, -1.0]])[
            0
        ].needs_seeds

    assert needed("higher") == needed("lower") == power.seeds_for_difference(2.0, 0.025)
    assert needed("not_higher", 0.1) == power.seeds_for_difference(1.0, 0.025)
    assert needed("equivalent", 0.1) == power.seeds_for_difference(1.0, 0.025)
    assert needed("equivalent", 0.2) is None  # on the margin no number of seeds helps


# From here on whole experiments.


def made(root: Path, *hypotheses: Hypothesis, trials: list[MadeTrial] | None = None) -> Records:
    study = trials or [
        MadeTrial(seed, {"model": model, "x": x}, summary={"best_val_dice": dice, "macs": macs})
        for model, start, macs in (("a", 0.9, 7), ("b", 0.7, 4))
        for x, shift in (("u", 0.0), ("v", 0.1))
        for seed, noise in enumerate((0.0, 0.01, 0.02))
        for dice in [start - shift * (model == "b") + noise * (model == "a")]
    ]
    records = [hypothesis.record() for hypothesis in hypotheses]
    write_experiment(root, "exp", study, hypotheses=records)
    return load(Store(root), "exp")


def test_the_record_of_an_outcome(tmp_path: Path) -> None:
    # differences: 0.20 0.21 0.22 with u, 0.30 0.31 0.32 with v, so 0.25 0.26 0.27 by seed
    found = outcomes(made(tmp_path, claim(), claim(id="cost", metric="macs", expect="lower")))
    record = found[0].record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == [
        "id", "claim", "verdict", "metric", "estimate", "ci_low", "ci_high", "n_pairs", "p",
        "p_corrected", "needs_seeds", "needs_images", "over", "withheld", "statements",
        "components", "strata", "missing", "complete_seeds", "planned_seeds",
        "shortages", "trials", "failures",
    ]  # fmt: skip
    half = 4.302652730 * 0.01 / math.sqrt(3)
    p = scipy.stats.ttest_1samp([0.25, 0.26, 0.27], 0).pvalue
    assert record["estimate"] == pytest.approx(0.26)
    assert (record["ci_low"], record["ci_high"]) == pytest.approx((0.26 - half, 0.26 + half))
    assert record["p"] == record["p_corrected"] == pytest.approx(p)
    assert (record["verdict"], record["n_pairs"], record["missing"]) == ("supported", 3, 0)
    assert record["needs_seeds"] is None
    assert (record["complete_seeds"], record["planned_seeds"]) == (3, 3)
    assert (record["trials"], record["failures"]) == ({"a": 6, "b": 6}, {})
    assert [stratum["axes"] for stratum in record["strata"]] == [{"x": "u"}, {"x": "v"}]
    assert [stratum["estimate"] for stratum in record["strata"]] == pytest.approx([0.21, 0.31])
    exact = found[1].record()
    assert (exact["verdict"], exact["estimate"], exact["p"]) == ("refuted", 3.0, None)


def test_hypotheses_share_the_error(tmp_path: Path) -> None:
    p = alone(claim(), NOISY)[0].p  # 0.074
    near = [d + 0.2 for d in NOISY]  # 0.3 0.4 0.5: t = 6.93, p = 0.020
    trials = [
        MadeTrial(seed, {"model": model}, summary={"best_val_dice": values[seed]})
        for model, values in (("a", NOISY), ("b", near), ("c", [0.0] * 3))
        for seed in range(3)
    ]
    both = [claim(id=side, a={"model": side}, b={"model": "c"}) for side in ("a", "b")]
    first, second = outcomes(made(tmp_path, *both, trials=trials))
    assert first.result.p_corrected == pytest.approx(p)
    assert second.result.p_corrected == pytest.approx(2 * alone(claim(), near)[0].p)
    assert second.verdict == "supported"
    assert first.verdict == "inconclusive"
    # one is settled, so that the other is tested at 0.05: (0.2 / 0.1) standard deviations
    assert first.result.needs_seeds == power.seeds_for_difference(2.0, 0.05)


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    trials = [MadeTrial(s, {"model": m}, status="planned") for m in "ab" for s in range(3)]
    record = outcomes(made(tmp_path, claim(), trials=trials))[0].record()
    assert record["verdict"] == "inconclusive"
    assert record["missing"] == 6
    unknown = ("estimate", "ci_low", "ci_high", "p", "p_corrected", "needs_seeds")
    assert [record[name] for name in unknown] == [None] * 6


def test_arms_that_are_not_recorded(tmp_path: Path) -> None:
    record = outcomes(made(tmp_path, claim(a={"model": "new"})))[0].record()
    assert (record["verdict"], record["n_pairs"]) == ("inconclusive", 0)
    assert [stratum["unpaired"] for stratum in record["strata"]] == [3, 3]


def test_other_hypotheses_than_planned_are_reported(tmp_path: Path) -> None:
    records = made(tmp_path, claim())
    assert with_hypotheses(records, records.hypotheses) is records
    changed = with_hypotheses(records, (claim("lower"),))
    assert changed.hypotheses[0].expect == "lower"
    assert changed.cautions == (
        "the hypotheses are the spec's as it stands now; those of the trials' plan differ",
    )


# Simulated experiments with known truth. A share that is to be at most 5% may be found up to
# 2.58 standard errors above it: 5% + 1.8% with 1,000 experiments.

EXPERIMENTS = 1000
AT_MOST = 0.05 + 2.58 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)


def judged(hypotheses: list[Hypothesis], differences: np.ndarray) -> list[Word]:
    """The verdicts of one experiment; `differences` (hypotheses, seeds)."""
    return [one.word for one in results_of(hypotheses, list(differences))]


def share(hypotheses: list[Hypothesis], drawn: np.ndarray, wrong: set[Word]) -> float:
    """The share of experiments with a wrong verdict; `drawn` (experiments, hypotheses, seeds)."""
    return float(np.mean([bool(wrong & set(judged(hypotheses, each))) for each in drawn]))


def test_when_nothing_differs_hardly_anything_is_claimed() -> None:
    """Four arms with a common part by seed, all six pairs and two more: correlated tests."""
    rng = np.random.default_rng(2)
    arms = rng.normal(0, 1, (EXPERIMENTS, 4, 5)) + rng.normal(0, 2, (EXPERIMENTS, 1, 5))
    couples = [(i, j) for i in range(4) for j in range(i)]
    hypotheses = [claim("higher" if (i + j) % 2 else "lower") for i, j in couples]
    hypotheses += [claim("equivalent", 0.5), claim("equivalent", 2.0)]
    couples += [(1, 0), (3, 2)]
    drawn = np.stack([arms[:, i] - arms[:, j] for i, j in couples], axis=1)
    assert share(hypotheses, drawn, {Word.SUPPORTED, Word.REFUTED}) <= AT_MOST


def test_one_claim_about_nothing_uses_the_whole_level() -> None:
    drawn = np.random.default_rng(3).normal(0, 1, (EXPERIMENTS, 1, 3))
    found = share([claim()], drawn, {Word.SUPPORTED, Word.REFUTED})
    assert 0.05 - (AT_MOST - 0.05) <= found <= AT_MOST


@pytest.mark.parametrize(("count", "seeds"), [(1, 5), (1, 10), (4, 10)])
def test_at_the_margin_equivalence_is_rarely_claimed(count: int, seeds: int) -> None:
    signs = np.resize([1.0, -1.0], count)[:, None]
    rng = np.random.default_rng(count + seeds)
    drawn = signs + rng.normal(0, 0.3, (EXPERIMENTS, count, seeds))
    hypotheses = [claim("equivalent", 1.0)] * count
    found = share(hypotheses, drawn, {Word.EQUIVALENT})
    assert found <= AT_MOST
    assert found >= 0.02  # and not for want of power


def test_inside_the_margin_equivalence_is_rarely_refuted() -> None:
    drawn = 0.99 + np.random.default_rng(6).normal(0, 0.3, (EXPERIMENTS, 1, 5))
    assert share([claim("equivalent", 1.0)], drawn, {Word.REFUTED}) <= AT_MOST


@pytest.mark.parametrize("expect", ["not_higher", "not_lower"])
def test_beyond_the_margin_it_is_rarely_supported(expect: str) -> None:
    sign = 1 if expect == "not_higher" else -1
    drawn = sign + np.random.default_rng(7).normal(0, 1, (EXPERIMENTS, 1, 5))
    assert share([claim(expect, 1.0)], drawn, {Word.SUPPORTED}) <= AT_MOST


def test_power_is_as_predicted() -> None:
    """Binomial error: 2.58 standard errors of 80% are 3.3% with 1,000 experiments."""
    error = 2.58 * math.sqrt(0.8 * 0.2 / EXPERIMENTS)
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 1, (EXPERIMENTS, 1, 5))
    found = share([claim()], noise + power.smallest_difference(5, 0.05), {Word.SUPPORTED})
    assert found == pytest.approx(0.8, abs=error)
    margin = power.smallest_margin(5, 0.05)
    found = share([claim("equivalent", margin)], noise, {Word.EQUIVALENT})
    assert found == pytest.approx(0.8, abs=error)


def test_needed_seeds_have_the_power_within_a_family() -> None:
    """Beside two claims about nothing, which Holm corrects for, the third has its 80%."""
    needed = power.seeds_for_difference(1.0, 0.05 / 3)
    assert needed is not None
    drawn = np.random.default_rng(9).normal(0, 1, (EXPERIMENTS, 3, needed))
    drawn[:, 2] += 1.0
    hypotheses = [claim(), claim("lower"), claim()]
    found = np.mean([judged(hypotheses, each)[2] is Word.SUPPORTED for each in drawn])
    assert found >= 0.8 - 2.58 * math.sqrt(0.16 / EXPERIMENTS)
    assert found <= 0.9  # the next whole number of seeds, and Holm's later steps


def test_strata_are_no_further_seeds(tmp_path: Path) -> None:
    """Whole experiments whose arms differ by a draw of the seed alone, the same in every stratum.

    Nothing differs in the mean. Strata taken for repeats would be 15 pairs where there are 5: with
    them 33% of these experiments claim something.
    """
    trials = [
        MadeTrial(seed, {"model": model, "x": x}, summary={"best_val_dice": 0.5})
        for model in "ab" for x in "uvw" for seed in range(5)
    ]  # fmt: skip
    records = made(tmp_path, claim(), trials=trials)
    rng = np.random.default_rng(12)
    effects = rng.normal(0, 1, (EXPERIMENTS, 2, 1, 5)) + rng.normal(0, 0.1, (EXPERIMENTS, 2, 3, 5))
    wrong = 0
    for drawn in effects:
        runs = records.runs.assign(best_val_dice=drawn.ravel())
        (found,) = outcomes(dataclasses.replace(records, runs=runs))
        assert found.result.estimate.n == 5
        wrong += found.verdict is not Word.INCONCLUSIVE
    assert wrong / EXPERIMENTS <= AT_MOST
    assert wrong / EXPERIMENTS >= 0.05 - (AT_MOST - 0.05)  # and the level is used
