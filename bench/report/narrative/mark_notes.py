"""Which arms may be the best, column by column, in words."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.arms import Arm
from bench.analysis.leaderboard import Leaderboard, LeaderboardsByColumn
from bench.report.format.display_names import title

_MOST = 6  # arms that a sentence names


def mark_notes(found: LeaderboardsByColumn, arms: Sequence[Arm]) -> list[str]:
    """A sentence for each column, and each group of arms that compare in it."""
    return [
        f"{title(column)}: {_best_words(board, arms)}."
        for column, boards in found.items()
        for board in boards
    ]


def _best_words(board: Leaderboard, arms: Sequence[Arm]) -> str:
    if not board.ranked:
        return "fewer than three seeds in common, so nothing is said of the best arm"
    labels = [arms[number].label for number in board.may_be]
    unranked = len(board.numbers) - board.ranked
    left_out = f"; {unranked} without all seeds not ranked" if unranked else ""
    if not board.marks:
        return f"nothing tells the {board.ranked} arms apart{left_out}"
    if len(labels) == 1:
        return f"{labels[0]} is the best of {board.ranked} arms{left_out}"
    more = f" and {len(labels) - _MOST} more" if len(labels) > _MOST else ""
    shown = ", ".join(labels[:_MOST]) + more
    return f"{len(labels)} of {board.ranked} arms may be the best: {shown}{left_out}"
