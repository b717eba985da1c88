"""What the figure that ranks arms is, and what choosing by it does to it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.arm_summary import interval_of, ranking
from bench.analysis.arms import Arm
from bench.analysis.measured_optimism import measured_optimism
from bench.analysis.records import Records
from bench.metric_columns import MetricColumn, MetricKind, on_test
from bench.report.format import numbers
from bench.report.format.display_names import display_name

CHOSEN_ON_THESE = (
    "Chosen on these images: the best epoch is scored on the images that chose it, which favours "
    "arms whose curves fluctuate."
)
FEW_ARMS = 4
"""Among more than these the best one's figure is told to be chosen."""
_SPLIT = {
    MetricKind.TEST: "test",
    MetricKind.BEST: "validation",
    MetricKind.CROSS_FITTED: "cross-fitted validation",
}


def figure_words(column: str) -> str:
    """`test Dice`, `cross-fitted validation Dice`, `validation Dice`."""
    parsed = MetricColumn.parse(column)
    if parsed is None or parsed.kind not in _SPLIT:
        return display_name(column)
    return f"{_SPLIT[parsed.kind]} {display_name(parsed.metric)}"


def leaders(summary: pd.DataFrame, arms: Sequence[Arm], order: Sequence[int], column: str) -> str:
    """`unet has`; where others have exactly the same mean, `unet and 2 other arms have`.

    `order` are the arms that compare, best first.
    """
    means = [interval_of(summary, number, column).mean for number in order]
    first, others = arms[order[0]].label, means.count(means[0]) - 1
    return f"{first} and {numbers.plural(others, 'other arm')} have" if others else f"{first} has"


def choice_notes(records: Records, order: Sequence[int]) -> list[str]:
    """What choosing an epoch, and the best of many arms, did to the figure that is told.

    `order` are the arms that compare, best first.
    """
    notes = []
    if len(order) > FEW_ARMS:
        notes.append(
            f"Chosen among {len(order)} arms by this figure, which makes it too good, the more so "
            "the more arms there are and the less they differ."
        )
    if records.best_column == records.selection_column:
        notes.append(CHOSEN_ON_THESE)
    return notes


def other_split(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm], best: int
) -> list[str]:
    """What the selection's own figure, or the test split, says of the same choice."""
    is_test = records.best_column == on_test(records.select.metric)
    column = records.selection_column if is_test else on_test(records.select.metric)
    order = ranking(summary, column, records.select.mode)
    if not order:
        return [] if is_test else ["No trial has been evaluated on the test split."]
    decimals = numbers.metric_decimals(summary, column)
    own = numbers.interval(interval_of(summary, best, column), decimals)
    metric = display_name(records.select.metric)
    where = f"Its best validation {metric}, which chose the epochs, is"
    text = f"{where if is_test else 'On the test split it has'} {own}"
    if order[0] == best:
        return [f"{text}, the {first_words(records.select.mode)} there too."]
    top = numbers.interval(interval_of(summary, order[0], column), decimals)
    return [f"{text}; there {arms[order[0]].label} leads with {top}."]


def optimism_note(records: Records, arms: Sequence[Arm]) -> list[str]:
    """By how much the best epoch's own figure is too good, as far as it could be measured."""
    found = measured_optimism(records, arms)
    if found.empty:
        return []
    metric = display_name(records.select.metric)
    mean, least, most = (
        numbers.fixed(float(v), 4) for v in (found.mean(), found.min(), found.max())
    )
    text = (
        "Measured optimism: judged by images that did not choose the epoch, the best epoch's "
        f"validation {metric} is too good by {mean}"
    )
    if len(found) == 1:
        return [f"{text}."]
    places = found.to_numpy().argsort(kind="stable")
    first, last = (arms[int(found.index.to_numpy()[place])].label for place in places[[0, -1]])
    return [f"{text} on average ({least} of {first} to {most} of {last})."]


def first_words(mode: str) -> str:
    """`highest` or `lowest`."""
    return "highest" if mode == "max" else "lowest"
