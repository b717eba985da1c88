"""Which arm is really the best: what may be marked in a table."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import pandas as pd

from bench.report import stats
from bench.report.arms import Arm, arm_numbers
from bench.report.directions import Mode
from bench.report.effects import summarized
from bench.report.hypotheses import ALPHA
from bench.report.load import Records
from bench.report.table import result_columns
from bench.report.terms import axes_apart


class Standing(StrEnum):
    """How an arm stands to the one with the best mean.

    best: it has that mean, and differs from every other arm; tied: it has that mean or cannot be
    told from the arm that has, while others can.
    """

    BEST = "best"
    TIED = "tied"


def standings(
    records: Records, arms: Sequence[Arm], column: str, mode: Mode
) -> dict[int, Standing]:
    """The arms that deserve a mark in `column` of runs.csv, by number.

    Arms of one source, ours where there are any, that have the figure are compared with the one
    that has the best mean by paired t-tests over seeds, corrected by Holm over these comparisons.
    An arm with fewer than three seeds in common with it cannot be told from it. Where nothing can
    be told apart nothing is marked.
    Arms on different levels of an axis that gives the metric another meaning are not compared.

    That the best was picked by its mean does not make a wrong `best` likelier than 5%: the test is
    two-sided, and every comparison has to reject.
    """
    apart = axes_apart(records, column)
    groups: dict[tuple[str, ...], list[int]] = {}
    for arm in arms:
        if arm.source == records.protocol:
            groups.setdefault(tuple(arm.levels[axis] for axis in apart), []).append(arm.number)
    table = _by_seed(records, arms, column)
    found: dict[int, Standing] = {}
    for numbers in groups.values():
        found |= _among(table[[number for number in numbers if number in table]], mode)
    return found


def standings_of(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm]
) -> dict[str, dict[int, Standing]]:
    """`standings` in every column of results that `summary` has numbers in."""
    modes = {column: direction_of(records, column) for column in result_columns(records)}
    return {
        column: standings(records, arms, column, mode)
        for column, mode in modes.items()
        if mode is not None and summary[column].notna().any()
    }


def direction_of(records: Records, column: str) -> Mode | None:
    """Whether less or more of a column of results is better; None where nobody says."""
    for prefix in ("best_val_", "final_val_", "test_"):
        if column.startswith(prefix) and column.removeprefix(prefix) in records.metrics:
            return records.metrics[column.removeprefix(prefix)]
    return "min" if column == "frechet" else None


def _by_seed(records: Records, arms: Sequence[Arm], column: str) -> pd.DataFrame:
    """The finished values, (seeds, arms that have any)."""
    done = records.done
    rows = pd.DataFrame(
        {"seed": done["seed"], "arm": arm_numbers(records, arms)[done.index], "value": done[column]}
    ).dropna()
    return rows.pivot_table(index="seed", columns="arm", values="value", aggfunc="first")


def _among(table: pd.DataFrame, mode: Mode) -> dict[int, Standing]:
    if table.shape[1] < 2:
        return {}
    means = table.mean()
    leader = int(means.index[int((means if mode == "max" else -means).argmax())])
    others = table.drop(columns=leader)
    differences = others.sub(table[leader], axis=0).to_numpy()
    tests = summarized(differences)
    told = stats.holm(tests["p"]) <= ALPHA
    if told.all():
        return {leader: Standing.BEST}
    if not told.any():
        return {}
    tied = [leader, *others.columns[~told]]
    return {int(number): Standing.TIED for number in tied}
