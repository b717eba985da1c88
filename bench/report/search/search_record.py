"""What a search found, read from its search.json: plain data, without Optuna."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.analysis.stats import Interval, mean_interval
from bench.errors import DamagedError
from bench.metric_columns import best_val, curve_metric
from bench.record.directions import Mode
from bench.record.files import read_json
from bench.report.format.display_names import display_name

FILE = "search.json"
ParamValue = str | int | float
RecordedState = Literal["complete", "pruned", "infeasible", "failed", "running", "waiting"]
STATES: tuple[RecordedState, ...] = (
    "complete",
    "pruned",
    "infeasible",
    "failed",
    "running",
    "waiting",
)


class _Read(BaseModel):
    """Something of search.json; keys that a report does not need are left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class ObjectiveRecord(_Read):
    """A figure that the search makes as high, or as low, as it can."""

    metric: str
    mode: Mode = Field(alias="direction")

    @property
    def words(self) -> str:
        """For people."""
        return display_name(self.metric)

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is."""
        return a > b if self.mode == "max" else a < b

    def best(self, values: Sequence[float]) -> float:
        """The best finite one of them; NaN where there are none."""
        known = [value for value in values if math.isfinite(value)]
        return (max if self.mode == "max" else min)(known, default=math.nan)


class DimensionRecord(_Read):
    """One thing that the search varied: a range of numbers, or a choice of labels.

    `when` are the labels of other dimensions under which there is this one.
    """

    levels: dict[str, Any] = Field({}, alias="choice")
    whole: tuple[int, int] | None = Field(None, alias="int")
    real: tuple[float, float] | None = Field(None, alias="float")
    log: bool = False
    step: float | None = None
    when: dict[str, list[str]] = {}

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value; of a choice, the places of its first and last label."""
        return self.whole or self.real or (0.0, float(max(1, len(self.levels) - 1)))

    @property
    def is_choice(self) -> bool:
        """Whether its values are labels."""
        return self.whole is None and self.real is None

    def place(self, value: ParamValue) -> float:
        """Where a value lies along an axis: itself, or the place of a label among the others."""
        if not self.is_choice:
            return float(value)
        return float(list(self.levels).index(str(value)))

    def share(self, value: ParamValue) -> float:
        """How far a value is from the lower end to the upper, 0 to 1, as the axis is scaled."""
        low, high, at = *self.ends, self.place(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)

    @property
    def condition(self) -> str:
        """When there is this one, in words; empty where always."""
        return " and ".join(f"{name} {' or '.join(labels)}" for name, labels in self.when.items())

    @property
    def words(self) -> str:
        """What it can be."""
        if self.is_choice:
            text = ", ".join(self.levels)
        else:
            low, high = self.ends
            text = f"{low:g} to {high:g}" + (f" in steps of {self.step:g}" if self.step else "")
            text += ", log" if self.log else ""
            text += ", whole" if self.whole and not self.step else ""
        return text + (f"; only with {self.condition}" if self.when else "")


class PointRecord(_Read):
    """One point of the space, and what became of it.

    Attributes:
        params: its value on every dimension that there is at it.
        values: the objectives; empty unless it is complete.
        curve: the values by which it was judged, by epoch (by seed with the Wilcoxon pruner).
        ids: of its trials, one for each seed.
        figures: the objectives of each seed that is done.
        reused: the number of the equal point whose result it has.
    """

    number: int
    state: RecordedState
    params: dict[str, ParamValue]
    values: dict[str, float] | None = None
    curve: dict[int, float] = Field({}, alias="intermediate")
    ids: list[str] = []
    figures: list[dict[str, float]] = []
    constraints: dict[str, float] = {}
    message: str | None = None
    reused: int | None = None
    train_seconds: float | None = None
    seconds: float | None = None

    def value(self, metric: str) -> float:
        """What it came to in an objective; NaN where that is not known."""
        return (self.values or {}).get(metric, math.nan)


class ImportanceRange(_Read):
    """A dimension's importance: the mean over repeats, and the lowest and highest of them."""

    mean: float
    low: float
    high: float


class ConfirmationRecord(_Read):
    """A chosen point, trained again with fresh seeds: figures by seed of those that are done."""

    number: int
    ids: list[str]
    seeds: list[int]
    searched: dict[str, float]
    confirmed: dict[int, dict[str, float]]

    def interval(self, name: str) -> Interval:
        """The mean of a figure over the fresh seeds that are done, with its 95% t-interval."""
        return mean_interval(found.get(name) for found in self.confirmed.values())

    @property
    def test_figures(self) -> list[str]:
        """Figures of the test split that some seed has."""
        names = dict.fromkeys(name for found in self.confirmed.values() for name in found)
        return [name for name in names if name not in self.searched]


class SearchRecord(_Read):
    """All of search.json."""

    study: str
    storage: str
    over: bool
    objectives: list[ObjectiveRecord] = Field(min_length=1)
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    wanted: int = Field(alias="trials_wanted")
    limits: list[str] = Field([], alias="constraints")
    seeds: list[int]
    confirm_seeds: list[int]
    space: dict[str, DimensionRecord]
    points: list[PointRecord] = Field(alias="trials")
    front: list[int]
    chosen: list[int]
    confirmations: list[ConfirmationRecord]
    importances: dict[str, dict[str, ImportanceRange] | None]

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return len(self.objectives) > 1

    @cached_property
    def by_number(self) -> dict[int, PointRecord]:
        """The points by their numbers."""
        return {point.number: point for point in self.points}

    @property
    def complete(self) -> list[PointRecord]:
        """Those that have values, reused ones among them."""
        return [point for point in self.points if point.state == "complete"]

    @cached_property
    def counts(self) -> dict[RecordedState, int]:
        """How many points are in each state that some are in, in the order of `STATES`."""
        found = Counter(point.state for point in self.points)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def by_seed(self) -> bool:
        """Whether curves have a step for each seed instead of each epoch."""
        return bool(self.pruner.get("name") == "wilcoxon")

    def seen(self, point: PointRecord, metric: str) -> float:
        """The value that a point came to, or had when it was pruned; NaN where none is known.

        A pruned point's is that of its last epoch, or the mean of its seeds with the Wilcoxon
        pruner. A cost that a constraint tells is known of all. Points that failed may have had
        other values too, but none that a result follows from.
        """
        if point.state == "complete":
            return point.value(metric)
        if math.isfinite(cost := self.known_cost(point, metric)):
            return cost
        if point.state != "pruned":
            return math.nan
        known = [found[metric] for found in point.figures if metric in found]
        if self.by_seed:
            return statistics.fmean(known) if known else math.nan
        if not point.curve or metric != self._judged:
            return math.nan
        return point.curve[max(point.curve)]

    @property
    def _judged(self) -> str:
        """The objective that curves show."""
        if not self.several:
            return self.objectives[0].metric
        return best_val(curve_metric(str(self.pruner.get("metric") or "")))

    def confirmation(self, number: int) -> ConfirmationRecord | None:
        """Of a chosen point, where there is one with a seed that is done."""
        return next((c for c in self.confirmations if c.number == number and c.confirmed), None)

    def absent(self, name: str) -> int:
        """How many points have no value on a dimension."""
        return sum(name not in point.params for point in self.points)

    def known_cost(self, point: PointRecord, metric: str) -> float:
        """A cost that a constraint tells of a point, trained or not; NaN where none does."""
        for limit, beyond in point.constraints.items():
            if _name_of(limit) == metric:
                return _bound_of(limit) + beyond
        return math.nan

    def limit(self, metric: str) -> float:
        """The most that a constraint lets a cost be; NaN where none does."""
        found = [_bound_of(limit) for limit in self.limits if _name_of(limit) == metric]
        return min(found, default=math.nan)


def _name_of(limit: str) -> str:
    """`macs` of `macs < 5e9`."""
    return limit.partition("<")[0].strip()


def _bound_of(limit: str) -> float:
    return float(limit.partition("<")[2].removeprefix("="))


def best_so_far(search: SearchRecord, objective: ObjectiveRecord) -> list[tuple[int, float]]:
    """Number and value of each point that was the best so far, and of the last point."""
    steps: list[tuple[int, float]] = []
    for point in sorted(search.complete, key=lambda point: point.number):
        value = point.value(objective.metric)
        if math.isfinite(value) and (not steps or objective.better(value, steps[-1][1])):
            steps.append((point.number, value))
    last = max((point.number for point in search.points), default=0)
    return [*steps, (last, steps[-1][1])] if steps and steps[-1][0] < last else steps


def most_important(search: SearchRecord, objective: ObjectiveRecord) -> list[str]:
    """The dimensions that every point has, the most important first; empty if nobody can say."""
    shares = search.importances.get(objective.metric) or {}
    known = [name for name in shares if math.isfinite(shares[name].mean)]
    return sorted(known, key=lambda name: -shares[name].mean)


def read_search_record(folder: Path) -> SearchRecord | None:
    """What an experiment's folder says of its search; None where it was none.

    Raises:
        DamagedError: search.json is none.
    """
    path = folder / FILE
    record = read_json(path)
    if record is None:
        return None
    try:
        found = SearchRecord.model_validate(record)
        _check(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return found


def _check(search: SearchRecord) -> None:
    """Everything that is named is there; a ValueError says what is not."""
    for number in (*search.front, *search.chosen, *(c.number for c in search.confirmations)):
        if number not in search.by_number:
            raise ValueError(f"there is no point {number}")
    for point in search.points:
        for name, value in point.params.items():
            if name not in search.space:
                raise ValueError(f"point {point.number}: there is no dimension {name}")
            try:
                search.space[name].share(value)
            except (ValueError, ArithmeticError):
                message = f"point {point.number}: {name} cannot be {value}"
                raise ValueError(message) from None


def _damaged(path: Path, reason: str) -> DamagedError:
    remedy = "the same `bench search` writes it again"
    return DamagedError(f"{path}: cannot be read ({reason[:200]}): {remedy}")


def known_facts(search: SearchRecord) -> Mapping[str, str]:
    """How was searched, a text for each fact."""
    aims = ", ".join(f"{o.metric} ({o.mode})" for o in search.objectives)
    facts = {
        "objectives": aims,
        "points": f"{len(search.points)} of {search.wanted} wanted",
        "sampler": _settings(search.sampler),
        "pruner": _settings(search.pruner),
        "constraints": ", ".join(search.limits) or "none",
        "seeds of a point": ", ".join(map(str, search.seeds)),
        "fresh seeds": ", ".join(map(str, search.confirm_seeds)) or "none",
        "study": f"{search.study} in {search.storage}",
    }
    return facts | {f"space: {name}": kind.words for name, kind in search.space.items()}


def _settings(part: Mapping[str, Any]) -> str:
    """`tpe (startup_trials 10, seed 0)`."""
    settings = [f"{k} {v}" for k, v in part.items() if k != "name" and v is not None]
    inside = f" ({', '.join(settings)})" if settings else ""
    return f"{part.get('name')}{inside}"


def manifest_of(search: SearchRecord) -> dict[str, Any]:
    """What manifest.json keeps of a search: how was searched, and what became of the points."""
    return {
        "study": search.study,
        "storage": search.storage,
        "objectives": {objective.metric: objective.mode for objective in search.objectives},
        "sampler": search.sampler,
        "pruner": search.pruner,
        "constraints": search.limits,
        "space": {
            name: kind.model_dump(by_alias=True, exclude_defaults=True)
            for name, kind in search.space.items()
        },
        "points_wanted": search.wanted,
        "points": search.counts,
        "reused": sum(point.reused is not None for point in search.points),
        "seeds": search.seeds,
        "confirm_seeds": search.confirm_seeds,
        "chosen": search.chosen,
        "over": search.over,
    }
