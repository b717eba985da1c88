"""Which arm is really the best: what may be marked in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from bench.analysis import stats
from bench.analysis.arm_summary import result_columns
from bench.analysis.arms import Arm, arm_numbers
from bench.analysis.effects import MOST_LEVELS, level_differences, summarized
from bench.analysis.hypotheses import ALPHA, HypothesisOutcome
from bench.analysis.hypothesis_contrasts import (
    ContrastsByArms,
    contrasts_between_arms,
    significantly_different,
    with_verdicts,
)
from bench.analysis.measurement_conditions import incomparable_axes
from bench.analysis.records import Records
from bench.metric_columns import SCORES, MetricColumn
from bench.record.directions import Mode


class Mark(StrEnum):
    """How an arm stands to the one with the best mean.

    best: it has that mean, and differs significantly from every other arm; tied: it has that mean
    or does not differ significantly from the arm that has, while others do.
    """

    BEST = "best"
    TIED = "tied"


@dataclass(frozen=True)
class Comparison:
    """An arm against the one with the best mean.

    Attributes:
        number: the arm's.
        distance: how far its mean is from the best one, at least 0.
        n, sd: the seeds in common, and the standard deviation of the differences.
        different: whether it differs significantly.
        hypothesis: the id of the one whose verdict says so; empty where none tests it.
    """

    number: int
    distance: float
    n: int
    sd: float
    different: bool
    hypothesis: str


@dataclass(frozen=True)
class Leaderboard:
    """Arms that may be compared in one column: the leader and how the others stand to it."""

    leader: int
    others: tuple[Comparison, ...]

    @property
    def marks(self) -> dict[int, Mark]:
        """Nothing where no arm differs from the leader, which then says nothing of any."""
        tied = [other.number for other in self.others if not other.different]
        if not tied:
            return {self.leader: Mark.BEST}
        if len(tied) == len(self.others):
            return {}
        return dict.fromkeys([self.leader, *tied], Mark.TIED)


LeaderboardsByColumn = Mapping[str, Sequence[Leaderboard]]
"""By column of results."""
_Known = Mapping[tuple[int, int], bool]


def leaderboards(
    records: Records,
    arms: Sequence[Arm],
    column: str,
    mode: Mode,
    tested: Sequence[HypothesisOutcome] = (),
) -> list[Leaderboard]:
    """The arms with `column` of runs.csv against the one with the best mean.

    Arms of one source, ours where there are any, by paired t-tests over seeds, corrected by Holm
    over these comparisons. A comparison that a hypothesis tests has its verdict; where the arms are
    the levels of one axis, the others have the result of the table of differences. An arm with
    fewer than three seeds in common with the best does not differ significantly from it. Arms on
    different levels of an axis that gives the metric another meaning are not compared.

    That the best was picked by its mean does not make a wrong `best` likelier than 5%: the test is
    two-sided, and every comparison has to reject.
    """
    incomparable = incomparable_axes(records, column)
    groups: dict[tuple[str, ...], list[int]] = {}
    for arm in arms:
        if arm.source == records.protocol:
            groups.setdefault(tuple(arm.levels[axis] for axis in incomparable), []).append(
                arm.number
            )
    table = _by_seed(records, arms, column)
    verdicts = contrasts_between_arms(records, column, tested, arms)
    known = _of_levels(records, arms, column, tested)
    found = [
        _leaderboard(
            table[[number for number in numbers if number in table]], mode, verdicts, known
        )
        for numbers in groups.values()
    ]
    return [contest for contest in found if contest is not None]


def leaderboards_by_column(
    records: Records,
    summary: pd.DataFrame,
    arms: Sequence[Arm],
    tested: Sequence[HypothesisOutcome] = (),
) -> dict[str, list[Leaderboard]]:
    """`leaderboards` in every column of results that `summary` has numbers in."""
    modes = {column: direction_of(records, column) for column in result_columns(records)}
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
    return {number: mark for contest in found for number, mark in contest.marks.items()}


def direction_of(records: Records, column: str) -> Mode | None:
    """Whether less or more of a column of results is better; None where nobody says."""
    parsed = MetricColumn.parse(column)
    if parsed and parsed.kind in SCORES and parsed.metric in records.metrics:
        return records.metrics[parsed.metric]
    return "min" if column == "frechet" else None


def _by_seed(records: Records, arms: Sequence[Arm], column: str) -> pd.DataFrame:
    """The finished finite values, (seeds, arms that have any)."""
    done = records.done
    value = done[column].where(np.isfinite(done[column]))
    rows = pd.DataFrame(
        {"seed": done["seed"], "arm": arm_numbers(records, arms)[done.index], "value": value}
    ).dropna()
    return rows.pivot_table(index="seed", columns="arm", values="value", aggfunc="first")


def _of_levels(
    records: Records, arms: Sequence[Arm], column: str, tested: Sequence[HypothesisOutcome]
) -> _Known:
    """Which arms differ by the table of differences, where they are the levels of one axis."""
    several = [axis for axis, levels in records.axes.items() if len(levels) > 1]
    if len(several) != 1 or len(records.axes[several[0]]) > MOST_LEVELS:
        return {}
    (axis,) = several
    of_level = {arm.levels[axis]: arm.number for arm in arms if arm.source == records.protocol}
    frame = with_verdicts(level_differences(records, column), records, column, tested)
    frame = frame[
        (frame["hypothesis"] == "") & frame["a"].isin(of_level) & frame["b"].isin(of_level)
    ]
    found = {}
    for a, b, p in frame[["a", "b", "p_corrected"]].itertuples(index=False):
        one, other = of_level[a], of_level[b]
        found[one, other] = found[other, one] = bool(p <= ALPHA)
    return found


def _leaderboard(
    table: pd.DataFrame,
    mode: Mode,
    verdicts: ContrastsByArms,
    known: _Known,
) -> Leaderboard | None:
    """The arms of a table (seeds, arms); None of fewer than two."""
    if table.shape[1] < 2:
        return None
    means = table.mean()
    leader = int(means.index[int((means if mode == "max" else -means).argmax())])
    others = table.drop(columns=leader)
    names = [int(number) for number in others.columns.to_numpy()]
    differences = others.sub(table[leader], axis=0)
    tests = summarized(differences.to_numpy())
    declared = {n: verdicts[leader, n] for n in names if (leader, n) in verdicts}
    declared = {
        n: each for n, each in declared.items() if significantly_different(each) is not None
    }
    settled = {n: known[leader, n] for n in names if (leader, n) in known}
    settled |= {n: bool(significantly_different(each)) for n, each in declared.items()}
    own = [i for i, n in enumerate(names) if n not in settled]
    for i, p in zip(own, stats.holm(tests["p"].to_numpy()[own]), strict=True):
        settled[names[i]] = bool(p <= ALPHA)
    compared = [
        Comparison(
            number=n,
            distance=abs(float(means[n] - means[leader])),
            n=int(tests["n"][i]),
            sd=float(differences[n].std()),
            different=settled[n],
            hypothesis=", ".join(each.outcome.hypothesis.id for each in declared.get(n, ())),
        )
        for i, n in enumerate(names)
    ]
    return Leaderboard(leader, tuple(compared))
