"""From records to the paired differences that a hypothesis is about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bench.analysis.measurement_conditions import measurement_conditions
from bench.analysis.records import NO_LABEL, Records
from bench.analysis.stats import Floats
from bench.analysis.strata import (
    NO_FIGURE,
    NOT_PLANNED,
    OTHER_CONDITIONS,
    SIDES,
    Gap,
    Pairs,
    Seed,
    Stratum,
    seed_order,
)
from bench.plan.sides import sides
from bench.record.columns import Status
from bench.spec.hypotheses import Hypothesis, figures
from bench.states import BENCH_SOURCE

Key = tuple[str, ...]


@dataclass
class _Trials:
    """One side's trials of a stratum: rows of `records.runs` by seed, and those that repeat one.

    A second trial of the same seed, or without any, cannot be paired.
    """

    by_seed: dict[Seed, int] = field(default_factory=dict)
    others: int = 0

    def add(self, row: int, seed: Seed) -> None:
        if seed in self.by_seed:
            self.others += 1
        else:
            self.by_seed[seed] = row


@dataclass(frozen=True)
class _Rows:
    """What a hypothesis needs to know of every row of `records.runs`.

    Attributes:
        values: its metric, NaN where a trial is not finished or has none.
        conditions: under which a time or memory was measured.
        ends: how each trial ended, or how far it has come.
        planned: whether the latest plan has it.
        ids: of the trials.
    """

    values: Floats
    conditions: Sequence[str]
    ends: Sequence[str]
    planned: Sequence[bool]
    ids: Sequence[str]

    def reason(self, row: int) -> str:
        """Why a trial has no figure."""
        return NO_FIGURE if self.ends[row] == Status.DONE else self.ends[row]

    def counted(self, side: _Trials) -> Counter[str]:
        """How many trials of a side ended in which way."""
        return Counter(self.ends[row] for row in side.by_seed.values())

    def any_planned(self, side: _Trials) -> bool:
        """Whether the latest plan has a trial of this side."""
        return any(self.planned[row] for row in side.by_seed.values())


def pairs_of(records: Records, hypothesis: Hypothesis) -> Pairs:
    """The differences a − b of the hypothesis's metric, paired by seed and by every open axis.

    Trials of one source pair with each other only. What is missing is counted, never made up.
    """
    arms = records.labels
    found = sides(hypothesis, arms, records.design)
    sources = list(records.runs["source"].fillna(NO_LABEL))
    axes = [*found.strata, "source"]
    shown = axes if any(source != BENCH_SOURCE for source in sources) else found.strata
    seeds = [None if pd.isna(seed) else int(seed) for seed in records.runs["seed"]]

    def by_stratum(rows: Sequence[int]) -> dict[Key, _Trials]:
        strata: dict[Key, _Trials] = {}
        for row in rows:
            levels = {**arms[row], "source": sources[row]}
            key = (*(levels[axis] for axis in axes), found.partners.get(row, ""))
            strata.setdefault(key, _Trials()).add(row, seeds[row])
        return strata

    of_a, of_b = by_stratum(found.a), by_stratum(found.b)
    known = _rows(records, hypothesis)
    strata = []
    for key in sorted({**of_a, **of_b}, key=_position(records, axes)):
        levels, a = dict(zip(shown, key, strict=False)), of_a.get(key, _Trials())
        if isinstance(hypothesis.b, dict):
            made = _paired(levels, a, of_b.get(key, _Trials()), known)
        else:
            made = _against(levels, a, float(hypothesis.b), known)
        strata.append(replace(made, source=key[-2]))
    return Pairs(tuple(strata), found.along, _protocol(strata), of_halves=bool(found.partners))


def _rows(records: Records, hypothesis: Hypothesis) -> _Rows:
    runs = records.runs
    return _Rows(
        values=_values(records, hypothesis),
        conditions=_conditions(records, hypothesis),
        ends=list(runs["failure"].where(runs["status"] == Status.FAILED).fillna(runs["status"])),
        planned=list(records.is_planned),
        ids=list(runs["id"]),
    )


def _protocol(strata: Sequence[Stratum]) -> str:
    """Whose trials a hypothesis is tested on; ours where there are any."""
    pairs: dict[str, int] = {}
    for stratum in strata:
        pairs[stratum.source] = pairs.get(stratum.source, 0) + len(stratum.differences)
    return (
        BENCH_SOURCE
        if BENCH_SOURCE in pairs or not pairs
        else max(pairs, key=lambda source: pairs[source])
    )


def _paired(axes: Mapping[str, str], a: _Trials, b: _Trials, rows: _Rows) -> Stratum:
    differences: dict[Seed, float] = {}
    trials: dict[Seed, tuple[str, ...]] = {}
    gaps: list[Gap] = []
    missing = unlike = 0
    for seed in sorted(a.by_seed.keys() | b.by_seed.keys(), key=seed_order):
        row, other = a.by_seed.get(seed), b.by_seed.get(seed)
        if row is None or other is None:
            gaps.append(Gap(seed, "a" if row is None else "b", NOT_PLANNED))
            continue
        lacking = [
            Gap(seed, side, rows.reason(at))
            for side, at in zip(SIDES, (row, other), strict=True)
            if math.isnan(rows.values[at])
        ]
        missing += len(lacking)
        gaps += lacking
        if not lacking and rows.conditions[row] != rows.conditions[other]:
            unlike += 1
            gaps.append(Gap(seed, None, OTHER_CONDITIONS))
        elif not lacking:
            differences[seed] = float(rows.values[row] - rows.values[other])
            trials[seed] = rows.ids[row], rows.ids[other]
    return Stratum(
        axes,
        differences,
        missing,
        unpaired=len(a.by_seed.keys() ^ b.by_seed.keys()) + a.others + b.others,
        unlike=unlike,
        gaps=tuple(gaps),
        both_sides=bool(a.by_seed and b.by_seed),
        planned=rows.any_planned(a) and rows.any_planned(b),
        ends={"a": rows.counted(a), "b": rows.counted(b)},
        trials=trials,
    )


def _against(axes: Mapping[str, str], a: _Trials, value: float, rows: _Rows) -> Stratum:
    """A side against a fixed value: each seed is one difference."""
    seeds = sorted(a.by_seed, key=seed_order)
    found = {seed: float(rows.values[a.by_seed[seed]]) - value for seed in seeds}
    known = {seed: difference for seed, difference in found.items() if not math.isnan(difference)}
    return Stratum(
        axes,
        known,
        missing=len(found) - len(known),
        unpaired=a.others,
        gaps=tuple(Gap(s, "a", rows.reason(a.by_seed[s])) for s in seeds if s not in known),
        planned=rows.any_planned(a),
        ends={"a": rows.counted(a)},
        trials={seed: (rows.ids[a.by_seed[seed]],) for seed in known},
    )


def _values(records: Records, hypothesis: Hypothesis) -> Floats:
    """The metric of every run; NaN where it is not finished or has none."""
    terms = [_figure(records, *figure) for figure in figures(hypothesis.metric)]
    values = terms[0] if len(terms) == 1 else terms[0] - terms[1]
    done = (records.runs["status"] == Status.DONE).to_numpy(dtype=bool)
    return np.where(done & np.isfinite(values), values, np.nan)


def figures_by_trial(records: Records, hypothesis: Hypothesis) -> dict[str, float]:
    """The hypothesis's metric of every finished trial that has it, by id."""
    values = dict(zip(records.runs["id"], _values(records, hypothesis), strict=True))
    return {name: float(value) for name, value in values.items() if not math.isnan(value)}


def _figure(records: Records, column: str, epoch: int | None) -> Floats:
    runs, history = records.runs, records.history
    if column not in (runs if epoch is None else history):
        return np.full(len(runs), np.nan)
    if epoch is None:
        return runs[column].to_numpy(dtype=float, na_value=np.nan)
    at = history[history["epoch"] == epoch].drop_duplicates("id", keep="last").set_index("id")
    return runs["id"].map(at[column]).to_numpy(dtype=float, na_value=np.nan)


def _conditions(records: Records, hypothesis: Hypothesis) -> list[str]:
    """Under which conditions each run's time or memory was measured; else all the same."""
    columns = [figure.column for figure in figures(hypothesis.metric)]
    parts = [list(measurement_conditions(records, column)) for column in dict.fromkeys(columns)]
    return ["; ".join(texts) for texts in zip(*parts, strict=True)]


def _position(records: Records, axes: Sequence[str]) -> Callable[[Key], list[tuple[int, str]]]:
    """Sorts strata by the order of their levels."""
    order = [{level: i for i, level in enumerate(records.axes.get(axis, ()))} for axis in axes]

    def position(key: Key) -> list[tuple[int, str]]:
        known = [(ranks.get(label, 0), label) for ranks, label in zip(order, key, strict=False)]
        return [*known, (len(key[-1]), key[-1])]  # partners by number: 2 before 10

    return position
