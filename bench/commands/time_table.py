"""What `bench plan --time` shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from bench.durations import rough_duration
from bench.errors import printable
from bench.experiment.time_forecast import TimeForecast, TimeTotal, TrialTime, spread_of
from bench.measure.duration import Duration, UnknownDuration
from bench.run.schedule import makespan
from bench.spec.search import SearchSettings


def time_table(forecast: TimeForecast) -> Table:
    """A row for each arm: how long one of its trials takes, and all that are certain."""
    axes = list(forecast.plan.axes)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in axes:
        table.add_column(column)
    for column in ("trials", "s/epoch", "per trial", "all", "±", "known by"):
        table.add_column(column, justify="left" if column == "known by" else "right")
    arms: dict[str, list[TrialTime]] = {}
    for trial in (*forecast.plan.trials, *forecast.plan.further):
        arms.setdefault(trial.arm, []).append(forecast.times[trial.id])
    planned = {trial.id for trial in forecast.plan.trials}
    for times in arms.values():
        certain = [one for one in times if one.trial.id in planned]
        labels = [times[0].trial.axes.get(axis, "") for axis in axes]
        cells = [*labels, *_cells(times[0], certain)]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _cells(one: TrialTime, certain: Sequence[TrialTime]) -> list[str]:
    found = one.found
    if isinstance(found, UnknownDuration):
        return [str(len(certain)), "–", "–", "–", "–", "not known"]
    epoch = found.training + found.validation + found.between
    return [
        str(len(certain)),
        f"{epoch:.3g}",
        rough_duration(one.seconds),
        rough_duration(sum(each.seconds for each in certain)),
        "–" if math.isnan(found.spread) else f"{found.spread:.0%}",
        _evidence(found),
    ]


def _evidence(found: Duration) -> str:
    if found.source == "recorded":
        return "1 finished trial" if found.count == 1 else f"{found.count} finished trials"
    return "a few steps"


def time_lines(forecast: TimeForecast) -> Iterator[str]:
    """How long the plan takes, and what that does not hold."""
    problems = {
        one.found.problem: None
        for one in forecast.times.values()
        if isinstance(one.found, UnknownDuration)
    }
    for problem in problems:
        yield f"Time: not known: {problem}."
    if math.isnan(forecast.first.seconds):
        return
    first, most = forecast.first, forecast.most
    yield f"Time: {_range(forecast, first, most)} with {_workers(forecast)}{_spread(forecast)}."
    if not forecast.left.trials:
        yield f"Time: nothing is left of {_count(first.trials, 'trial')}."
    elif forecast.left.trials < first.trials or forecast.left.computing < first.computing:
        yield (
            f"Time: {rough_duration(forecast.left.seconds)} for what is not finished of "
            f"{_count(forecast.left.trials, 'trial')}."
        )
    if any(trial.settings.train.early_stopping for trial in forecast.plan.trials):
        yield "Time: at most, as trials with early stopping may end sooner."


def _range(forecast: TimeForecast, first: TimeTotal, most: TimeTotal) -> str:
    unit = "GPU-hours" if forecast.devices else "core-hours"

    def words(total: TimeTotal) -> str:
        hours = forecast.device_hours(total)
        trials = _count(total.trials, "trial")
        return f"{rough_duration(total.seconds)} for {trials} ({hours:.2g} {unit})"

    if most.trials == first.trials:
        return words(first)
    if math.isnan(most.seconds):
        return f"{words(first)}, and more where it grows"
    return f"{words(first)} to {words(most)}"


def _workers(forecast: TimeForecast) -> str:
    count, threads = len(forecast.resources), forecast.resources[0].threads
    where = f"{forecast.devices} GPU{'s' * (forecast.devices > 1)}, " if forecast.devices else ""
    each = _count(threads, "thread")
    return f"{where}{_count(count, 'trial')} at a time, {each} each"


def _spread(forecast: TimeForecast) -> str:
    spread = spread_of(forecast.times.values())
    ours = "preparing the data, and the report, come on top"
    return f"; {ours}" if math.isnan(spread) else f"; epochs vary by up to ±{spread:.0%}; {ours}"


def search_lines(forecast: TimeForecast, search: SearchSettings) -> Iterator[str]:
    """How long a search takes: between all points like the fastest and all like the slowest.

    `forecast` is of sampled points, a trial each.
    """
    confirming = search.num_chosen * len(search.confirm_seeds)
    trials = search.trials * len(search.seeds) + confirming
    known = sorted(
        one.seconds for one in forecast.times.values() if isinstance(one.found, Duration)
    )
    yield (
        f"{search.trials} points × {_count(len(search.seeds), 'seed')}, and "
        f"{_count(confirming, 'trial')} that confirm the best."
    )
    problems = {
        one.found.problem for one in forecast.times.values()
        if isinstance(one.found, UnknownDuration)
    }  # fmt: skip
    for problem in sorted(problems):
        yield f"Time: not known of all points: {problem}."
    if not known:
        return
    workers = len(forecast.resources)
    low, high = (
        rough_duration(makespan([each] * trials, workers)) for each in (known[0], known[-1])
    )
    yield (
        f"Time: {low} to {high}, as all points are like the fastest or the slowest of "
        f"{len(known)} that were measured ({rough_duration(known[0])} and "
        f"{rough_duration(known[-1])} a trial), with {_workers(forecast)}."
    )
    yield (
        "Time: at most, where points are ended early; `bench search --timeout` starts no point "
        "after it."
        if search.pruner.name != "none"
        else "Time: `bench search --timeout` starts no point after it."
    )


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
