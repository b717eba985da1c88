"""From records to the paired differences that a hypothesis is about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bench.record.columns import Status
from bench.report.arms import NO_LABEL
from bench.report.load import Records
from bench.report.stats import Floats
from bench.report.terms import unlike_apart
from bench.spec.hypotheses import Hypothesis, figures, sides
from bench.states import OWN

Key = tuple[str, ...]
Seed = int | None
"""None is the one run of an arm whose log names no seed."""


@dataclass(frozen=True)
class Stratum:
    """The pairs of one combination of levels on the axes that a hypothesis leaves open.

    Attributes:
        axes: these levels; with `source` where there are trials that others logged.
        differences: a − b by seed, where both are known; under None that of two single runs.
        missing: trials without the figure whose counterpart is there or was planned: they failed,
            are not finished, or did not record it.
        unpaired: trials without a counterpart of the same seed on the other side.
        unlike: pairs left out because time or memory was not measured on equal terms.
        source: who logged them.
    """

    axes: Mapping[str, str]
    differences: Mapping[Seed, float]
    missing: int = 0
    unpaired: int = 0
    unlike: int = 0
    source: str = OWN


@dataclass(frozen=True)
class Pairs:
    """All pairs of a hypothesis.

    Attributes:
        strata: in the order of the axes' levels.
        along: axes whose level differs together with the sides' own: label of a, label of b.
        source: who logged the trials that the hypothesis is tested on. Ours where there are any,
            else one other's, of most pairs: different protocols make no common sample. The strata
            of others are shown and counted nowhere else.
    """

    strata: tuple[Stratum, ...]
    along: Mapping[str, tuple[str, str]]
    source: str = OWN

    @property
    def tested(self) -> list[Stratum]:
        """The strata behind the verdict."""
        return [stratum for stratum in self.strata if stratum.source == self.source]

    @property
    def by_seed(self) -> Floats:
        """One difference a seed: the mean over the strata that have the seed's pair."""
        found: dict[Seed, list[float]] = {}
        for stratum in self.tested:
            for seed, difference in stratum.differences.items():
                found.setdefault(seed, []).append(difference)
        return np.array([np.mean(found[seed]) for seed in sorted(found, key=_order)], dtype=float)

    @property
    def unit(self) -> str:
        """What is counted: `seed`, or `run` where a log names no seeds."""
        seeds = {seed for stratum in self.tested for seed in stratum.differences}
        return "run" if seeds == {None} else "seed"

    def count(self, what: str) -> int:
        """`missing`, `unpaired` or `unlike` in all strata behind the verdict together."""
        return sum(getattr(stratum, what) for stratum in self.tested)


@dataclass
class _Side:
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


def pairs_of(records: Records, hypothesis: Hypothesis) -> Pairs:
    """The differences a − b of the hypothesis's metric, paired by seed and by every open axis.

    Trials of one source pair with each other only. What is missing is counted, never made up.
    """
    arms = _arms(records)
    found = sides(hypothesis, arms)
    sources = list(records.runs["source"].fillna(NO_LABEL))
    axes = [*found.strata, "source"]
    shown = axes if any(source != OWN for source in sources) else found.strata
    seeds = [None if pd.isna(seed) else int(seed) for seed in records.runs["seed"]]

    def by_stratum(rows: Sequence[int]) -> dict[Key, _Side]:
        strata: dict[Key, _Side] = {}
        for row in rows:
            levels = {**arms[row], "source": sources[row]}
            side = strata.setdefault(tuple(levels[axis] for axis in axes), _Side())
            side.add(row, seeds[row])
        return strata

    of_a, of_b = by_stratum(found.a), by_stratum(found.b)
    values, terms = _values(records, hypothesis), _terms(records, hypothesis)
    strata = []
    for key in sorted({**of_a, **of_b}, key=_position(records, axes)):
        levels, a = dict(zip(shown, key, strict=False)), of_a.get(key, _Side())
        if isinstance(hypothesis.b, dict):
            made = _paired(levels, a, of_b.get(key, _Side()), values, terms)
        else:
            made = _against(levels, a, float(hypothesis.b), values)
        strata.append(replace(made, source=key[-1]))
    return Pairs(tuple(strata), found.along, _protocol(strata))


def _protocol(strata: Sequence[Stratum]) -> str:
    """Whose trials a hypothesis is tested on; ours where there are any."""
    pairs: dict[str, int] = {}
    for stratum in strata:
        pairs[stratum.source] = pairs.get(stratum.source, 0) + len(stratum.differences)
    return OWN if OWN in pairs or not pairs else max(pairs, key=lambda source: pairs[source])


def _arms(records: Records) -> list[dict[str, str]]:
    """Each run's labels."""
    columns = {axis: records.runs[f"axis.{axis}"].fillna(NO_LABEL) for axis in records.axes}
    return [
        {axis: str(labels.iloc[row]) for axis, labels in columns.items()}
        for row in range(len(records.runs))
    ]


def _paired(
    axes: Mapping[str, str], a: _Side, b: _Side, values: Floats, terms: Sequence[str]
) -> Stratum:
    differences: dict[Seed, float] = {}
    missing = unlike = 0
    for seed in sorted(a.by_seed.keys() & b.by_seed.keys(), key=_order):
        row, other = a.by_seed[seed], b.by_seed[seed]
        absent = math.isnan(values[row]) + math.isnan(values[other])
        missing += absent
        if not absent and terms[row] != terms[other]:
            unlike += 1
        elif not absent:
            differences[seed] = float(values[row] - values[other])
    unpaired = len(a.by_seed.keys() ^ b.by_seed.keys()) + a.others + b.others
    return Stratum(axes, differences, missing, unpaired, unlike)


def _against(axes: Mapping[str, str], a: _Side, value: float, values: Floats) -> Stratum:
    """A side against a fixed value: each seed is one difference."""
    seeds = sorted(a.by_seed, key=_order)
    found = {seed: float(values[a.by_seed[seed]]) - value for seed in seeds}
    known = {seed: difference for seed, difference in found.items() if not math.isnan(difference)}
    return Stratum(axes, known, len(found) - len(known), a.others)


def _values(records: Records, hypothesis: Hypothesis) -> Floats:
    """The metric of every run; NaN where it is not finished or has none."""
    terms = [_figure(records, *figure) for figure in figures(hypothesis.metric)]
    values = terms[0] if len(terms) == 1 else terms[0] - terms[1]
    done = (records.runs["status"] == Status.DONE).to_numpy(dtype=bool)
    return np.where(done & np.isfinite(values), values, np.nan)


def _figure(records: Records, column: str, epoch: int | None) -> Floats:
    runs, history = records.runs, records.history
    if column not in (runs if epoch is None else history):
        return np.full(len(runs), np.nan)
    if epoch is None:
        return runs[column].to_numpy(dtype=float, na_value=np.nan)
    at = history[history["epoch"] == epoch].drop_duplicates("id", keep="last").set_index("id")
    return runs["id"].map(at[column]).to_numpy(dtype=float, na_value=np.nan)


def _terms(records: Records, hypothesis: Hypothesis) -> list[str]:
    """On which terms each run's time or memory was measured, as a text; else all the same."""
    columns = [figure.column for figure in figures(hypothesis.metric)]
    parts = [list(unlike_apart(records, column)) for column in dict.fromkeys(columns)]
    return ["; ".join(texts) for texts in zip(*parts, strict=True)]


def _order(seed: Seed) -> tuple[bool, int]:
    """Seeds in order, the run without one last."""
    return seed is None, seed or 0


def _position(records: Records, axes: Sequence[str]) -> Callable[[Key], list[tuple[int, str]]]:
    """Sorts strata by the order of their levels."""
    order = [{level: i for i, level in enumerate(records.axes.get(axis, ()))} for axis in axes]

    def position(key: Key) -> list[tuple[int, str]]:
        return [(ranks.get(label, 0), label) for ranks, label in zip(order, key, strict=True)]

    return position
