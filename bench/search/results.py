"""What a search leaves: search.json, ready specs of what was chosen, and lines for a person."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.experiment.reports import is_current
from bench.plan.expand import make_plan
from bench.record.files import read_json, write_json, write_text
from bench.search.context import SearchContext
from bench.spec.load import load_spec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from bench.search.outcome import Confirmation
    from bench.search.study import SharedStudy


def write_record(
    context: SearchContext, study: SharedStudy, confirmations: Sequence[Confirmation], *, over: bool
) -> dict[str, Any]:
    """Write results/<experiment>/search.json, from which a report is made without Optuna."""
    from bench.search.outcome import record
    from bench.search.study import CHOSEN

    chosen = (study.optuna.user_attrs.get(CHOSEN) or [[]])[-1]
    found = record(
        context.request.space,
        context.request.objectives,
        study.study_storage.name,
        study.trials(),
        chosen,
        confirmations,
        over=over,
    )
    write_json(_record(context), found)
    return found


def unchanged_record(context: SearchContext) -> dict[str, Any] | None:
    """search.json, where that, its specs and the report are those of a search that has ended."""
    reports = context.options.reports
    found = read_json(_record(context))
    if not found or not found.get("over"):
        return None
    there = all(path.is_file() for path in _specs(context, found))
    return found if there and is_current(context.store, context.experiment, reports) else None


def write_best(context: SearchContext, study: SharedStudy, record: Mapping[str, Any]) -> None:
    """Write reports/<experiment>/best.yaml, and best_2.yaml, … where several were chosen."""
    from bench.search.outcome import best_spec
    from bench.search.points import FACTS, point_of

    by_number = {found.number: found for found in study.trials()}
    paths = _specs(context, record)
    for number, path in zip(record["chosen"], paths, strict=True):
        found = by_number[number]
        facts: list[dict[str, Any]] = found.user_attrs.get(FACTS, [])
        body = best_spec(
            context.request.space, point_of(found), facts[0]["threads"] if facts else None
        )
        write_text(path, "".join(f"# {line}\n" for line in _heading(record, number, path)) + body)
        _check(context, path, found)
    for stale in (context.options.reports / context.experiment).glob("best_*.yaml"):
        if stale not in paths:
            stale.unlink()


def _record(context: SearchContext) -> Path:
    return context.store.experiment(context.experiment) / "search.json"


def _specs(context: SearchContext, record: Mapping[str, Any]) -> list[Path]:
    """Of what was chosen, in its order."""
    folder = context.options.reports / context.experiment
    names = ("best" if rank == 1 else f"best_{rank}" for rank in count(1))
    return [folder / f"{name}.yaml" for _, name in zip(record["chosen"], names, strict=False)]


def _check(context: SearchContext, path: Path, found: FrozenTrial) -> None:
    """The ready spec has to give the very trials of the point."""
    from bench.search.points import TRIALS

    try:
        made = [trial.id for trial in context.resolve(make_plan(load_spec(path))).trials]
    except BenchError as error:
        context.say(f"Warning: {path} cannot be run as it is: {error}")
        return
    if made != found.user_attrs.get(TRIALS):
        context.say(f"Warning: {path} stands for {', '.join(made)}, not for what was searched.")


def _heading(record: Mapping[str, Any], number: int, path: Path) -> Iterator[str]:
    trial = next(trial for trial in record["trials"] if trial["number"] == number)
    values = ", ".join(f"{name} {value:.6g}" for name, value in trial["values"].items())
    yield f"Point {number} of the search {record['study']}: {values} ({_seeds(record['seeds'])})."
    yield f"  python -m bench run {path}"
    yield "On a CPU, with as many threads, it comes to the same figures to the bit."
    for confirmed in record["confirmations"]:
        if confirmed["number"] == number and confirmed["confirmed"]:
            yield f"Confirmed: {_means(confirmed)} ({_seeds(confirmed['seeds'])})."


def states_line(record: Mapping[str, Any]) -> str:
    """How the points ended, in a line."""
    counts = Counter(trial["state"] for trial in record["trials"])
    order = ("complete", "pruned", "infeasible", "failed", "running", "waiting")
    parts = [f"{counts[state]} {state}" for state in order if counts[state]]
    return f"{sum(counts.values())} points: {', '.join(parts) or 'none'}."


def best_lines(context: SearchContext, record: Mapping[str, Any]) -> Iterator[str]:
    """What was chosen, what fresh seeds say of it, and where its spec is."""
    by_number = {trial["number"]: trial for trial in record["trials"]}
    confirmed = {found["number"]: found for found in record["confirmations"]}
    if not record["chosen"]:
        yield "No point came to its end: there is nothing to choose from."
    for number, path in zip(record["chosen"], _specs(context, record), strict=True):
        trial = by_number[number]
        values = ", ".join(f"{name} {value:.6g}" for name, value in trial["values"].items())
        params = ", ".join(f"{name}: {value}" for name, value in trial["params"].items())
        yield f"Best: point {number}, {values} ({params})."
        if number in confirmed and confirmed[number]["confirmed"]:
            seeds = _seeds(confirmed[number]["seeds"])
            yield f"Confirmed with {seeds}: {_means(confirmed[number])}."
        yield f"`python -m bench run {path}` trains it again."


def _means(confirmed: Mapping[str, Any]) -> str:
    """The mean of each figure over fresh seeds, and its spread."""
    by_seed: list[Mapping[str, float]] = list(confirmed["confirmed"].values())
    parts = []
    for name in by_seed[0]:
        values = [found[name] for found in by_seed if name in found]
        spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
        parts.append(f"{name} {statistics.fmean(values):.6g}{spread}")
    return ", ".join(parts)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
