"""What a page says of looks: of those planned, and of what reports cost that were not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.contrast_tests import Basis
from bench.analysis.evidence import Claim
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.look_words import earlier_looks, look_words, looks_cost
from bench.analysis.records import Records
from bench.analysis.repeats import State
from bench.analysis.sequential import error_of_looks
from bench.durations import format_duration
from bench.report.format import numbers
from bench.spec.repeats import FEWEST


def after_verdict(outcome: HypothesisOutcome) -> str:
    """`, stopped at look 3 of 9 (5 seeds)`; empty where seeds are fixed."""
    found = outcome.look
    if found is None:
        return ""
    if found.decision.state is State.SETTLED or found.look is None:
        return f", {look_words(found)}"
    state = "futile" if found.decision.state is State.FUTILE else "open"
    of = f"{found.look} of {len(found.boundaries.looks)}"
    return f", {state} after look {of} ({found.n_seeds} seeds)"


def look_notes(records: Records, outcome: HypothesisOutcome) -> list[str]:
    """What to know of a verdict whose seeds are repeated until it is settled."""
    found = outcome.look
    if found is None:
        return []
    notes = []
    if found.is_early and not outcome.result.is_withheld:
        within = found.decision.claim is Claim.WITHIN
        size = "" if within else "the size is rather overstated; "
        notes.append(f"Stopped early: {size}the interval allows for it.")
    if found.next_level is not None and found.look is not None:
        level = numbers.significant(found.next_level, 2)
        notes.append(f"At {found.next_seeds} seeds the p of its test must fall below {level}.")
    if found.decision.state is State.FUTILE and found.chance is not None:
        last = found.boundaries.looks[-1]
        notes.append(
            f"More seeds will hardly help: its chance to be settled at {last} is "
            f"{100 * found.chance:.0f}%."
        )
    if found.stopped and records.repeats is not None and records.repeats.budget is not None:
        budget = format_duration(records.repeats.budget)
        notes.append(f"Open, as the budget of {budget} of training is used up.")
    if beyond := _beyond(outcome, found.n_seeds, records):
        trials = "trial" if beyond == 1 else "trials"
        notes.append(f"{beyond} {trials} of later seeds came after this look and do not count.")
    return notes


def look_cautions(records: Records, tested: Sequence[HypothesisOutcome]) -> tuple[str, ...]:
    """What the looks that were taken do to the page's errors, a sentence each."""
    if records.repeats is None:
        return tuple(_costs(records, tested))
    changed = earlier_looks(records.repeats)
    before = sorted({n for report in records.reported for n in report.values()})
    if not before:
        return tuple(changed)
    unplanned = (
        f"reports tested hypotheses at {_listed(before)} seeds, at the full level, before seeds "
        "were repeated until settled: these looks are not accounted for"
    )
    return (*changed, unplanned)


def reported_seeds(tested: Iterable[HypothesisOutcome]) -> dict[str, int]:
    """By hypothesis: on how many seeds a report tests it, where seeds are fixed."""
    return {
        each.hypothesis.id: each.result.estimate.n
        for each in tested
        if each.look is None and each.result.basis is Basis.TEST
    }


def _costs(records: Records, tested: Sequence[HypothesisOutcome]) -> Iterable[str]:
    """Of the hypotheses that reports tested at several numbers of seeds, the one that most did."""
    now = reported_seeds(tested)
    found = []
    for name, n in now.items():
        before = [report[name] for report in records.reported if name in report]
        looks = sorted({*(count for count in before if FEWEST <= count <= n), n})
        if len(looks) > 1:
            found.append((error_of_looks(looks), looks))
    if found:
        yield looks_cost(max(found)[1])


def _beyond(outcome: HypothesisOutcome, n: int, records: Records) -> int:
    """Finished trials of its sides that come after the seeds it is judged on."""
    contrast, runs = outcome.result.contrast, records.runs
    sides = [side for side in (contrast.a, contrast.b) if isinstance(side, frozenset)]
    own = runs.iloc[[row for side in sides for row in side if isinstance(row, int)]]
    return int(((own["seed"] >= n) & (own["status"] == "done")).sum())


def _listed(values: Sequence[int]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last
