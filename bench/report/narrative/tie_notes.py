"""Why an arm is marked as tied while one nearer to the best is not, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.analysis.arms import Arm
from bench.analysis.leaderboard import Comparison, LeaderboardsByColumn
from bench.analysis.power import FEWEST
from bench.report.format import numbers
from bench.report.format.display_names import display_name


def tie_notes(found: LeaderboardsByColumn, arms: Sequence[Arm]) -> list[str]:
    """Why an arm is marked as tied while one nearer to the best is not, a sentence each."""
    labels = {arm.number: arm.label for arm in arms}
    notes = []
    for column, each in found.items():
        for contest in each:
            different = [other for other in contest.others if other.different]
            for arm in contest.others if contest.marks else ():
                nearer = [other for other in different if other.distance < arm.distance]
                if not arm.different and nearer:
                    last = max(nearer, key=lambda other: other.distance)
                    notes.append(_tie_note(column, arm, last, labels))
    return notes


def _tie_note(column: str, arm: Comparison, nearer: Comparison, labels: Mapping[int, str]) -> str:
    text = (
        f"{display_name(column)}: {labels[arm.number]} has a ☆ although {labels[nearer.number]}, "
        "which has none, is nearer to the best: "
    )
    if arm.hypothesis:
        return f"{text}the verdict of hypothesis {arm.hypothesis} is not that they differ."
    if arm.n < FEWEST:
        seeds = "1 seed" if arm.n == 1 else f"{arm.n} seeds"
        return f"{text}it has {seeds} in common with the best, too few for a test."
    if not arm.sd > 0 or math.isnan(arm.sd):
        return f"{text}its differences from the best have no scatter to test them by."
    own, other = (numbers.significant(each.sd, 2) for each in (arm, nearer))
    return (
        f"{text}its differences from the best have a standard deviation of {own} over {arm.n} "
        f"seeds, the other's {other} over {nearer.n}."
    )
