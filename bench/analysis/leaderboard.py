"""Which arms may be the best: what may be marked in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from bench.analysis.arm_summary import result_columns
from bench.analysis.arms import Arm, arm_numbers
from bench.analysis.best_arms import BestArms, may_be_best
from bench.analysis.explored import Shown, contrasts_between_arms
from bench.analysis.figure_directions import figure_direction
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.measurement_conditions import measured_on
from bench.analysis.records import Records
from bench.record.directions import Mode

Pair = tuple[int, int]


class Mark(StrEnum):
    """best: the only arm that may be. may_be: one of several that may be the best."""

    BEST = "best"
    MAY_BE = "may be best"


@dataclass(frozen=True)
class Leaderboard:
    """Arms that compare in one column, and which of them may be the best.

    Attributes:
        found: the confidence set, by position in `numbers`.
        numbers: of the arms compared.
        may_be: numbers of those that may be the best once the verdicts had their say.
    """

    found: BestArms
    numbers: tuple[int, ...]
    may_be: tuple[int, ...]

    @property
    def ranked(self) -> int:
        """How many arms are compared: those that have all seeds that count."""
        return len(self.found.ranked)

    @property
    def marks(self) -> dict[int, Mark]:
        """Nothing where nothing tells the arms apart, or too few seeds are in common."""
        if not 0 < len(self.may_be) < self.ranked:
            return {}
        mark = Mark.BEST if len(self.may_be) == 1 else Mark.MAY_BE
        return dict.fromkeys(self.may_be, mark)


LeaderboardsByColumn = Mapping[str, Sequence[Leaderboard]]
"""By column of results."""


def leaderboards(
    records: Records,
    arms: Sequence[Arm],
    column: str,
    mode: Mode,
    tested: Iterable[HypothesisOutcome] = (),
) -> list[Leaderboard]:
    """The arms with `column` of runs.csv that may be the best, over new seeds on these images.

    Arms of one source, ours where there are any. Arms on different levels of an axis that gives the
    metric another meaning are not compared. A third statement beside declared and explored ones,
    with its own 5%; but an arm that a verdict calls worse than another has no mark, and two between
    which a verdict is inconclusive both keep it.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for arm in arms:
        if arm.source == records.protocol:
            groups.setdefault(measured_on(records, column, arm.levels), []).append(arm.number)
    table = _by_seed(records, arms, column)
    verdicts = contrasts_between_arms(records, column, tested, arms)
    found = [[number for number in numbers if number in table] for numbers in groups.values()]
    return [_leaderboard(table[numbers], mode, verdicts) for numbers in found if len(numbers) > 1]


def leaderboards_by_column(
    records: Records,
    summary: pd.DataFrame,
    arms: Sequence[Arm],
    tested: Sequence[HypothesisOutcome] = (),
) -> dict[str, list[Leaderboard]]:
    """`leaderboards` in every column of results that `summary` has numbers in."""
    modes = {column: figure_direction(records, column) for column in result_columns(records)}
    return {
        column: leaderboards(records, arms, column, mode, tested)
        for column, mode in modes.items()
        if mode is not None and summary[column].notna().any()
    }


def marks_by_column(found: LeaderboardsByColumn) -> dict[str, dict[int, Mark]]:
    """The arms that deserve a mark, by column and number."""
    return {column: _marks(each) for column, each in found.items()}


def marks_in_column(
    records: Records,
    arms: Sequence[Arm],
    column: str,
    mode: Mode,
    tested: Sequence[HypothesisOutcome] = (),
) -> dict[int, Mark]:
    """The arms that deserve a mark in `column`, by number."""
    return _marks(leaderboards(records, arms, column, mode, tested))


def _marks(found: Sequence[Leaderboard]) -> dict[int, Mark]:
    return {number: mark for board in found for number, mark in board.marks.items()}


def _by_seed(records: Records, arms: Sequence[Arm], column: str) -> pd.DataFrame:
    """The finished finite values, (seeds, arms that have any)."""
    done = records.done
    value = done[column].where(np.isfinite(done[column]))
    rows = pd.DataFrame(
        {"seed": done["seed"], "arm": arm_numbers(records, arms)[done.index], "value": value}
    ).dropna()
    return rows.pivot_table(index="seed", columns="arm", values="value", aggfunc="first")


def _leaderboard(
    table: pd.DataFrame, mode: Mode, verdicts: Mapping[Pair, Sequence[Shown]]
) -> Leaderboard:
    """Of a table (seeds, arms)."""
    numbers = tuple(int(number) for number in table.columns.to_numpy())
    found = may_be_best(table.to_numpy(dtype=float).T, mode)
    if not found.ranked:
        return Leaderboard(found, numbers, ())
    ranked = [numbers[place] for place in found.ranked]
    best = [numbers[place] for place in found.arms]
    said = {
        pair: each
        for pair, each in verdicts.items()
        if set(pair) <= set(ranked) and any(one.different is not None for one in each)
    }
    kept = best + [
        b for (a, b), each in said.items() if a in best and b not in best and _undecided(each)
    ]
    worse = {a for (a, _), each in said.items() if any(_is_worse(one, mode) for one in each)}
    may_be = tuple(dict.fromkeys(number for number in kept if number not in worse))
    return Leaderboard(found, numbers, may_be)


def _undecided(shown: Sequence[Shown]) -> bool:
    """Whether verdicts keep two arms together."""
    return not any(one.different for one in shown)


def _is_worse(shown: Shown, mode: Mode) -> bool:
    """Whether a verdict says that a is worse than b."""
    mean = shown.result.estimate.mean
    return bool(shown.different) and (mean < 0 if mode == "max" else mean > 0)
