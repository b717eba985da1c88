"""`bench plan`: what it measures, its tables and its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.commands.data_sets import plan_lines
from bench.commands.design_table import design_lines, design_table
from bench.commands.disk import disk_lines
from bench.commands.inspect import count_words, memory_lines, outlook_lines, plan_rows, plan_table
from bench.commands.look_lines import plan_look_lines, with_further
from bench.commands.time_table import search_lines, time_lines, time_table
from bench.experiment.longer_trials import longer_trials
from bench.experiment.time_forecast import forecast_time
from bench.plan.plan import Plan
from bench.record.store import Store
from bench.run.forecast import forecast
from bench.spec.load import Spec


@dataclass(frozen=True)
class PlanQuestions:
    """What is asked besides which trials there are.

    Attributes:
        cost: parameters and MACs.
        memory: the peak of each trial.
        time: how long it takes.
        jobs: with so many trials at a time; None: as `run` would choose.
    """

    cost: bool = False
    memory: bool = False
    time: bool = False
    jobs: int | None = None


@dataclass(frozen=True)
class PlanView:
    """What `bench plan` shows.

    Attributes:
        records: for `--json`.
        tables: tables of rich, or text.
        summary: how many trials there are, and warnings.
        lines: all else, a line each.
    """

    records: Sequence[Mapping[str, Any]]
    tables: Sequence[Any]
    summary: Sequence[str]
    lines: Sequence[str]


def plan_view(
    plan: Plan, spec: Path, results: Path, asked: PlanQuestions, say: Callable[[str], None]
) -> PlanView:
    """Measure what is asked of a plan, and say it; `say` is called with what takes time."""
    footprints = forecast(plan.trials) if asked.memory else None
    times = forecast_time(plan, Store(results), asked.jobs, say) if asked.time else None
    rows = plan_rows(plan, cost=asked.cost, memory=footprints)
    records = with_further(rows, plan)
    if times is not None:
        records = [row | {"time": times.times[row["id"]].record()} for row in records]
    ticks = design_table(plan)
    tables = [
        *([] if ticks is None else [ticks]),
        plan_table(rows, list(plan.axes), cost=asked.cost),
        *([] if times is None else [time_table(times)]),
    ]
    epochs = sum(trial.settings.train.epochs for trial in plan.trials)
    summary = [f"{count_words(plan)}, {epochs} epochs"]
    summary += [f"Warning: {caution}." for caution in plan.warnings]
    lines = [
        *plan_look_lines(plan),
        *([] if footprints is None else memory_lines(plan, footprints)),
        *([] if times is None else time_lines(times)),
        *longer_trials((*plan.trials, *plan.further), Store(results)).lines(),
        *design_lines(plan),
        *outlook_lines(plan),
        *disk_lines(plan, results),
        *plan_lines(plan, spec),
    ]
    return PlanView(records, tables, summary, lines)


def search_times(
    spec: Spec,
    path: Path,
    results: Path,
    jobs: int | None,
    say: Callable[[str], None],
    *,
    trust_code: bool,
) -> Iterator[str]:
    """How long a search takes at most, by points of every kind.

    Raises:
        BenchError: anything that the spec says and that cannot be used.
    """
    from bench.experiment.resolving import resolver
    from bench.plan.expand import check_targets
    from bench.search.request import read_request

    space = read_request(spec).space
    samples = Plan(spec, {}, space.sample_trials())
    check_targets(samples)
    samples = resolver(results, path.parent, trust_code=trust_code)(samples)
    yield from search_lines(forecast_time(samples, Store(results), jobs, say), space.search)
