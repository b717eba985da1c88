"""From records to the paired differences that a hypothesis is about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bench.errors import StoreError
from bench.record.columns import Status
from bench.record.store import TrialFiles
from bench.report.arms import NO_LABEL, OWN
from bench.report.load import Records
from bench.report.stats import Floats
from bench.spec.hypotheses import Hypothesis, figures, sides

TIMES = frozenset({"epoch_seconds", "train_seconds", "seconds_to_95pct", "compile_seconds"})
MEMORY = frozenset({"peak_memory_mb"})

Key = tuple[str, ...]


@dataclass(frozen=True)
class Stratum:
    """The pairs of one combination of levels on the axes that a hypothesis leaves open.

    Attributes:
        axes: these levels; with `source` where there are trials that others logged.
        differences: a − b by seed, where both are known.
        missing: trials without the figure whose counterpart is there or was planned: they failed,
            are not finished, or did not record it.
        unpaired: trials without a counterpart of the same seed on the other side.
        unlike: pairs left out because time or memory was not measured on equal terms.
    """

    axes: Mapping[str, str]
    differences: Mapping[int, float]
    missing: int = 0
    unpaired: int = 0
    unlike: int = 0


@dataclass(frozen=True)
class Pairs:
    """All pairs of a hypothesis.

    Attributes:
        strata: in the order of the axes' levels.
        along: axes whose level differs together with the sides' own: label of a, label of b.
    """

    strata: tuple[Stratum, ...]
    along: Mapping[str, tuple[str, str]]

    @property
    def by_seed(self) -> Floats:
        """One difference a seed: the mean over the strata that have the seed's pair."""
        found: dict[int, list[float]] = {}
        for stratum in self.strata:
            for seed, difference in stratum.differences.items():
                found.setdefault(seed, []).append(difference)
        return np.array([np.mean(found[seed]) for seed in sorted(found)], dtype=float)

    def count(self, what: str) -> int:
        """`missing`, `unpaired` or `unlike` in all strata together."""
        return sum(getattr(stratum, what) for stratum in self.strata)


@dataclass
class _Side:
    """One side's trials of a stratum: rows of `records.runs` by seed, and those that repeat none.

    A trial without a seed, and a second one of the same seed, cannot be paired.
    """

    by_seed: dict[int, int] = field(default_factory=dict)
    others: int = 0

    def add(self, row: int, seed: int | None) -> None:
        if seed is None or seed in self.by_seed:
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
    with_source = any(source != OWN for source in sources)
    axes = [*found.strata, *(["source"] if with_source else [])]
    seeds = [None if pd.isna(seed) else int(seed) for seed in records.runs["seed"]]

    def by_stratum(rows: Sequence[int]) -> dict[Key, _Side]:
        strata: dict[Key, _Side] = {}
        for row in rows:
            levels = {**arms[row], "source": sources[row]}
            side = strata.setdefault(tuple(levels[axis] for axis in axes), _Side())
            side.add(row, seeds[row])
        return strata

    of_a, of_b = by_stratum(found.a), by_stratum(found.b)
    values = _values(records, hypothesis)
    terms = _terms(records, hypothesis, [*hypothesis.a, *found.along])
    strata = []
    for key in sorted({**of_a, **of_b}, key=_position(records, axes)):
        levels, a = dict(zip(axes, key, strict=True)), of_a.get(key, _Side())
        if isinstance(hypothesis.b, dict):
            strata.append(_paired(levels, a, of_b.get(key, _Side()), values, terms))
        else:
            strata.append(_against(levels, a, float(hypothesis.b), values))
    return Pairs(tuple(strata), found.along)


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
    differences: dict[int, float] = {}
    missing = unlike = 0
    for seed in sorted(a.by_seed.keys() & b.by_seed.keys()):
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
    found = {seed: float(values[row]) - value for seed, row in sorted(a.by_seed.items())}
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


def _terms(records: Records, hypothesis: Hypothesis, asked: Sequence[str]) -> list[str]:
    """On which terms each run's time or memory was measured, as a text; else all the same.

    What the axes in `asked` decide is the question, so it does not make terms unequal.
    """
    measured = {figure.column for figure in figures(hypothesis.metric)}
    columns = ["device"] if measured & (TIMES | MEMORY) else []
    columns += ["memory_kind"] if measured & MEMORY else []
    columns += ["deterministic"] if measured & TIMES else []
    settings = {axis.split(".")[-1] for axis in asked}
    known = [list(records.runs[column]) for column in columns if column not in settings]
    texts = ["; ".join(str(values[row]) for values in known) for row in range(len(records.runs))]
    if measured & TIMES:
        machines = [_machine(records, name) for name in records.runs["id"]]
        return [f"{text}; {machine}" for text, machine in zip(texts, machines, strict=True)]
    return texts


def _machine(records: Records, name: str) -> str:
    """What a trial's time was taken on, and how much of it the trial had."""
    try:
        known = TrialFiles(records.folders[name]).environment()
    except (KeyError, StoreError):
        return ""
    if known.get("gpu"):
        return f"{known['gpu']}, {known.get('trials_per_device')} at a time"
    return f"{known.get('cpu')}, {known.get('threads')} threads"


def _position(records: Records, axes: Sequence[str]) -> Callable[[Key], list[tuple[int, str]]]:
    """Sorts strata by the order of their levels."""
    order = [{level: i for i, level in enumerate(records.axes.get(axis, ()))} for axis in axes]

    def position(key: Key) -> list[tuple[int, str]]:
        return [(ranks.get(label, 0), label) for ranks, label in zip(order, key, strict=True)]

    return position
