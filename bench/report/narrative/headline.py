"""What the numbers say in plain words, and what must be known before believing them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis.arm_summary import (
    baseline_column,
    interval_of,
    ranking,
    text_facts,
    value_of,
)
from bench.analysis.arms import Arm
from bench.analysis.contrast_tests import Basis
from bench.analysis.contrasts import Result
from bench.analysis.environments import EnvironmentFact
from bench.analysis.explored import Exploration, Shown, explore
from bench.analysis.measurement_conditions import compiled, measured_on, separating_labels
from bench.analysis.records import Records
from bench.analysis.stats import Interval
from bench.analysis.two_sources import Over
from bench.errors import printable
from bench.metric_columns import CONSTANTS, best_val, on_test
from bench.record.columns import Status
from bench.report.format import numbers
from bench.report.format.display_names import display_name, task_words
from bench.report.narrative.contrast_notes import explored_words, p_equals
from bench.report.narrative.definitions import constant_prediction
from bench.report.narrative.diagnostics import below_baseline
from bench.report.narrative.figure_notes import (
    choice_notes,
    figure_words,
    first_words,
    leaders,
    optimism_note,
    other_split,
)
from bench.states import BENCH_SOURCE

_HARDWARE = ("gpu", "cpu", "trials_per_device")
_VERSIONS = ("bench", "python", "torchvision", "cuda", "cudnn", "gpu_driver", "packages.")
Leading = Mapping[tuple[int, int], Sequence[Shown]]
FEW = 3  # fewer seeds than this support no conclusion


@dataclass(frozen=True)
class Headline:
    """The report's first words: one sentence, then what qualifies it."""

    title: str
    sentences: list[str]


@dataclass(frozen=True)
class BaselineCheck:
    """How the arms stand to the trivial prediction.

    Attributes:
        text: the comparison in words.
        warnings: a sentence for each arm that is not clearly better, but for those of which the
            health checks tell it.
    """

    text: str
    warnings: list[str]


def headline(
    records: Records,
    summary: pd.DataFrame,
    arms: Sequence[Arm],
    explored: Exploration | None = None,
) -> Headline:
    """Which arm is best, by how much, and whether that means anything.

    Where a hypothesis tests the best against the runner-up, its verdict says so.
    """
    column = records.best_column
    compared = summary[summary["source"] == records.protocol]
    verdicts = (explore(records) if explored is None else explored).leading
    found = _headline(records, compared, arms, column, verdicts)
    references = _references(records, summary, arms, column)
    optimism = optimism_note(records, arms)
    return dataclasses.replace(found, sentences=found.sentences + references + optimism)


def _headline(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm], column: str, verdicts: Leading
) -> Headline:
    """What there is to say of the arms of one protocol."""
    mode = records.select.mode
    order = ranking(summary, column, mode)
    if not order:
        done = len(records.done)
        text = f"No finished trial has a {figure_words(column)}." if done else ""
        return Headline(text or "No trial is finished yet.", [progress(records)])
    strata = _strata(records, arms, order)
    if len(strata) > 1:
        axes = ", ".join(separating_labels(records, column, arms[0].levels))
        sentences = [
            s for group in strata for s in _within(records, summary, arms, group, column, verdicts)
        ]
        words = figure_words(column)
        title = f"{words[:1].upper()}{words[1:]} cannot rank the levels of {axes}."
        return Headline(
            title, [_seeds(records, interval_of(summary, order[0], column)), *sentences]
        )
    first = interval_of(summary, order[0], column)
    best = f"{first_words(mode)} {figure_words(column)}"
    value = numbers.interval(first, numbers.metric_decimals(summary, column))
    if len(order) == 1:
        title = f"{arms[order[0]].label} reaches a {figure_words(column)} of {value}."
        alone = "There is no second arm to compare it with."
        return Headline(title, [_seeds(records, first), alone, *choice_notes(records, order)])
    title = f"{leaders(summary, arms, order, column)} the {best}: {value}."
    sentences = [_seeds(records, first)]
    sentences += _against(summary, arms, order, column, verdicts)
    sentences += other_split(records, summary, arms, order[0])
    return Headline(title, sentences + choice_notes(records, order))


def _strata(records: Records, arms: Sequence[Arm], order: Sequence[int]) -> list[list[int]]:
    """The arms in `order` by groups in which the selected metric measures the same."""
    found: dict[tuple[str, ...], list[int]] = {}
    for arm in arms:
        group = measured_on(records, records.best_column, arm.levels)
        found.setdefault(group, []).append(arm.number)
    groups = [[number for number in order if number in group] for group in found.values()]
    return [group for group in groups if group]


def _within(
    records: Records,
    summary: pd.DataFrame,
    arms: Sequence[Arm],
    order: list[int],
    column: str,
    verdicts: Leading,
) -> list[str]:
    """What can be said of arms, best first, in which the selected metric measures the same."""
    mode = records.select.mode
    best, decimals = arms[order[0]], numbers.metric_decimals(summary, column)
    value = numbers.interval(interval_of(summary, best.number, column), decimals)
    if len(order) == 1:
        return [f"{best.label} reaches {value}."]
    apart = separating_labels(records, column, best.levels)
    where = ", ".join(f"{name} {label}" for name, label in apart.items())
    leading = leaders(summary, arms, order, column)
    sentences = [f"With {where}, {leading} the {first_words(mode)}: {value}."]
    sentences += _against(summary, arms, order, column, verdicts)
    sentences += other_split(records, summary.loc[order], arms, best.number)
    return sentences + choice_notes(records, order)


def _references(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm], column: str
) -> list[str]:
    """The best arm of every source whose trials are compared with nothing of the others'."""
    sentences, mode = [], records.select.mode
    for source in summary["source"].unique():
        theirs = summary[summary["source"] == source]
        order = ranking(theirs, column, mode)
        if source == records.protocol or not order:
            continue
        found = interval_of(theirs, order[0], column)
        value = numbers.interval(found, numbers.metric_decimals(theirs, column))
        which = f"{arms[order[0]].label} the {first_words(mode)}, " if len(order) > 1 else ""
        count = "from one run" if found.n == 1 else f"mean over {found.n} seeds"
        sentences.append(
            f"For reference, logged elsewhere by {source} and never paired with the others: "
            f"{which}{value} ({count})."
        )
    return sentences


def progress(records: Records) -> str:
    """How many trials are in which state."""
    counts = records.runs["status"].value_counts()
    parts = [f"{counts[s]} {s}" for s in Status if s in counts.index]
    return f"{numbers.plural(len(records.runs), 'trial')}: {', '.join(parts)}."


def baseline_check(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm]
) -> BaselineCheck | None:
    """Compare every arm with the trivial prediction: on the test split where that was evaluated."""
    metric, sign = records.select.metric, 1 if records.select.mode == "max" else -1
    columns = (on_test(metric), best_val(metric))
    column = next((c for c in columns if _compared(summary, c)), None)
    if column is None:
        return None
    base, split = baseline_column(column), "test" if column == columns[0] else "validation"
    decimals = numbers.metric_decimals(summary, column)
    warnings, compared, better, single, diagnosed = [], 0, 0, 0, below_baseline(records, arms)
    for arm in arms:
        found, floor = interval_of(summary, arm.number, column), value_of(summary, arm.number, base)
        if math.isnan(found.mean) or math.isnan(floor):
            continue
        compared += 1
        near = found.low if sign > 0 else found.high
        values = f"{numbers.interval(found, decimals)} against {numbers.fixed(floor, decimals)}"
        above = sign * (found.mean - floor) > 0
        if above and sign * (near - floor) > 0:  # False where there is no interval
            better += 1
        elif above and not found.known:
            single += 1
        elif arm.number not in diagnosed:
            what = "clearly better than it" if above else "better than the trivial prediction"
            warnings.append(f"{arm.label} is not {what}: {values}.")
    known = summary[base].dropna()
    low, high = (numbers.fixed(float(v), decimals) for v in (known.min(), known.max()))
    trivial = _trivial(records, column)
    values = low if low == high else f"{low}–{high}"
    text = f"{trivial} gives a {split} {display_name(metric)} of {values}"
    verdict = f"; {better} of {numbers.plural(compared, 'arm')} clearly better."
    if single:
        are = "is" if single == 1 else "are"
        verdict += (
            f" {numbers.plural(single, 'arm')} {are} above it with one seed: without an interval "
            "that is not clear."
        )
    return BaselineCheck(text + verdict, warnings)


def _trivial(records: Records, column: str) -> str:
    """The prediction behind the baseline of `column`, as a sentence's subject."""
    if not any(str(name).startswith(CONSTANTS) for name in records.done):
        return task_words(records.task).trivial  # of bench 0.1, which did not record it
    constant = constant_prediction(records, column)
    if constant is None:
        return "The best constant prediction"
    if constant == "no noise" or constant.startswith(("each class's share", "each label's share")):
        named = f"Predicting {constant}"
    elif records.task in ("classification", "multi_label"):
        named = f"Always predicting {constant}"
    else:
        named = f"Predicting {constant} everywhere"
    return f"{named}, the best constant prediction,"


def mixed_conditions(records: Records, facts: Sequence[EnvironmentFact] = ()) -> list[str]:
    """A sentence for everything that ought to be the same in all finished trials and is not.

    `facts` are the trials' environments, which know the hardware's names.
    """
    consequences = {
        "device": "epoch times and memory cannot be compared across devices",
        "threads": "epoch times cannot be compared, and results differ in their last bits",
        "memory_kind": "peak memory cannot be compared",
        "precision": "costs cannot be compared, and results may differ",
        "channels_last": "epoch times cannot be compared",
        "deterministic": "epoch times cannot be compared",
        "compile": "epoch times cannot be compared",
        "data_fingerprint": "the trials did not see the same data",
        "torch": "results may differ for that reason alone",
        "git_commit": "the program changed between trials",
        **dict.fromkeys(text_facts(records), "what depends on it cannot be compared"),
    }
    found = []
    done = records.done.assign(compile=compiled(records))
    done = done[done["source"] == BENCH_SOURCE]
    for column, consequence in consequences.items():
        counts = done[column].value_counts()
        meant = any(_explains(axis, column) for axis in records.decided_settings)
        if len(counts) > 1 and not meant:
            found.append(_mixture(column, list(counts.items()), consequence))
    hardware = [fact for fact in facts if fact.name in _HARDWARE and fact.mixed]
    found += [
        _mixture(fact.name, fact.values, "epoch times cannot be compared") for fact in hardware
    ]
    return found + _versions(facts)


def _versions(facts: Sequence[EnvironmentFact]) -> list[str]:
    """One sentence on versions that differ, torch's apart: the first few, and how many more."""
    differing = [
        f"{fact.name.removeprefix('packages.')} {' and '.join(str(v) for v, _ in fact.values)}"
        for fact in facts
        if fact.mixed and fact.name.startswith(_VERSIONS) and fact.name != "packages.torch"
    ]
    if not differing:
        return []
    more = f" and {len(differing) - FEW} more" if len(differing) > FEW else ""
    text = f"Mixed versions: {', '.join(differing[:FEW])}{more}"
    return [f"{text}; results may differ for that reason alone."]


def _mixture(name: str, counts: Sequence[tuple[object, int]], consequence: str) -> str:
    values = ", ".join(f"{value} ({numbers.plural(n, 'trial')})" for value, n in counts)
    return f"Mixed {name.replace('_', ' ')}: {values}; {consequence}."


def _explains(axis: str, column: str) -> bool:
    """Whether an axis is meant to change what a column says."""
    if column == "data_fingerprint":
        return axis.split(".")[0] == "data"
    return axis.split(".")[-1] == column


def _compared(summary: pd.DataFrame, column: str) -> bool:
    base = baseline_column(column)
    return base in summary and bool((summary[base].notna() & summary[column].notna()).any())


def _seeds(records: Records, found: Interval) -> str:
    if found.n == 1 and records.protocol != BENCH_SOURCE:
        return "From one run logged elsewhere: how far others would scatter is not known."
    if found.n == 1:
        return "From one seed: how far other seeds would scatter is not known."
    unit = "runs" if records.done["seed"].isna().all() else "seeds"
    return f"Mean over {found.n} {unit}, in brackets the 95% t-interval."


def _against(
    summary: pd.DataFrame,
    arms: Sequence[Arm],
    order: list[int],
    column: str,
    verdicts: Leading,
) -> list[str]:
    """The best arm against the runner-up: paired by seed where they share seeds."""
    first, second = (interval_of(summary, number, column) for number in order[:2])
    decimals = numbers.metric_decimals(summary, column)
    gap = numbers.fixed(abs(first.mean - second.mean), decimals)
    behind = f"{gap} behind" if first.mean != second.mean else "exactly as good"
    runner = f"The runner-up, {arms[order[1]].label}, has {numbers.interval(second, decimals)}"
    text = f"{runner} (n = {second.n}), {behind}."
    shown = verdicts.get((order[0], order[1]), ())
    declared = [each for each in shown if each.outcome is not None]
    if declared:
        return [text, *map(_by_hypothesis, declared)]
    if min(first.n, second.n) < FEW:
        return [text, f"With fewer than {FEW} seeds in an arm, nothing can be concluded."]
    return [text, *(_paired(each.result, decimals) for each in shown)]


def _by_hypothesis(shown: Shown) -> str:
    """The verdict on the best and the runner-up."""
    assert shown.outcome is not None
    corrected = shown.result.p_corrected
    p = "" if math.isnan(corrected) else f" ({p_equals(corrected)} after Holm)"
    return f"The hypothesis {shown.outcome.hypothesis.id} tests these two: {shown.result.word}{p}."


def _paired(result: Result, decimals: int) -> str:
    """What the explored contrast of the best and the runner-up says."""
    paired = result.estimate
    if paired.n < FEW:
        pairs = numbers.plural(paired.n, "seed")
        return f"The two share {pairs}; below {FEW} pairs nothing can be concluded."
    difference = f"Paired by seed, the difference is {numbers.signed(paired.mean, decimals)}"
    if result.basis is Basis.FLAT:
        return f"{difference} in all {paired.n} pairs: without scatter nothing can be concluded."
    if result.basis is not Basis.TEST:
        return f"{difference} over {paired.n} pairs, and there is no test of it."
    over = " and images" if result.contrast.over is Over.BOTH else ""
    words = explored_words(result.word)
    return (
        f"{difference} [{numbers.fixed(paired.low, decimals)}, "
        f"{numbers.fixed(paired.high, decimals)}] over {paired.n} seeds{over}: {words}, "
        f"{p_equals(result.p_corrected)} after Holm over all that no hypothesis declares."
    )


def unused_image_scores(problems: Mapping[str, str]) -> str:
    """That scores of single images are not used; `problems` says by trial why."""
    return (
        f"Scores of single images of {numbers.plural(len(problems), 'trial')} are not used; "
        "their other figures are: "
        f"{printable(next(iter(problems.values())))}"
    )
