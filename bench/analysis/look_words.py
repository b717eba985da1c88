"""What the looks say, in words: of one hypothesis, of all of them, and of what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.looks import ALPHA, HypothesisLook, Looks
from bench.analysis.records import NO_LABEL
from bench.analysis.repeats import State
from bench.analysis.sequential import error_of_looks
from bench.durations import format_duration
from bench.spec.repeats import RepeatPlan

_MOST_NAMED = 8


def look_words(found: HypothesisLook) -> str:
    """Where a hypothesis stands: `p must fall below 0.0056 at 8 seeds`."""
    looks, state = found.boundaries.looks, found.decision.state
    if found.look is None:
        return f"first look at {looks[0]} seeds"
    if state is State.SETTLED:
        return f"stopped at look {found.look} of {len(looks)} ({found.n_seeds} seeds)"
    if found.next_level is None or found.next_seeds is None:
        return f"open after the last look ({looks[-1]} seeds)"
    must = f"p must fall below {_significant(found.next_level)} at {found.next_seeds} seeds"
    if state is State.FUTILE:
        chance = "" if found.chance is None else f" ({_percent(found.chance)} at {looks[-1]})"
        return f"open, and more seeds will hardly help{chance}: {must}"
    return f"open (budget used up): {must}" if found.stopped else f"open: {must}"


def look_counts(looks: Looks) -> str:
    """`look 3 of 9 (5 seeds): 1 settled, 1 futile, 1 open`."""
    taken, all_looks = looks.progress.looks_taken, looks.boundaries.looks
    if not taken:
        return f"first of {len(all_looks)} looks at {all_looks[0]} seeds"
    counts = Counter(one.state for one in looks.progress.decisions)
    states = (State.SETTLED, State.FUTILE, State.OPEN)
    parts = [f"{counts[state]} {state}" for state in states if counts[state]]
    return f"look {taken} of {len(all_looks)} ({all_looks[taken - 1]} seeds): {', '.join(parts)}"


def look_lines(
    looks: Looks, tested: Sequence[HypothesisOutcome], *, every: bool = False
) -> list[str]:
    """What the last look decided, and who goes on, for what.

    With `every`, also what earlier ones have.
    """
    counts = look_counts(looks)
    counts = f"{counts[0].upper()}{counts[1:]}."
    if not looks.progress.looks_taken:
        return [counts]
    known = [each for each in tested if each.look is not None]
    return [
        counts,
        *(f"  {_hypothesis(each)}" for each in known if every or _is_new(each, looks)),
        next_line(looks, tested),
    ]


def next_line(looks: Looks, tested: Sequence[HypothesisOutcome]) -> str:
    """What comes next: nothing, or which arms go on for which hypotheses."""
    progress = looks.progress
    if progress.n_next is None:
        last = progress.looks_taken == len(looks.boundaries.looks) and looks.n_open
        return "That was the last look." if last else f"No further seeds: {_why_over(looks)}."
    if looks.is_budget_used_up:
        budget = format_duration(looks.repeats.budget or 0.0)
        spent = format_duration(looks.seconds)
        return f"No further seeds: the budget of {budget} is used up (trained {spent})."
    goes_on = [
        each.hypothesis.id
        for each in tested
        if each.look is not None and each.look.decision.state is State.OPEN
    ]
    named = _named(looks.arms_going_on)
    ids = ", ".join(goes_on[:_MOST_NAMED]) + (" …" if len(goes_on) > _MOST_NAMED else "")
    stopped = looks.arms_stopped
    stops = f"; {_named(stopped)} {'stops' if len(stopped) == 1 else 'stop'}" if stopped else ""
    return f"On to {progress.n_next} seeds with {named}, for {ids}{stops}."


def looks_cost(looks: Sequence[int]) -> str:
    """What looking at these numbers of seeds without a plan did to the error; empty of one look.

    For example: looked at 5 and at 10 seeds: up to 8.7% false claims instead of 5%.
    """
    if len(looks) < 2:
        return ""
    error = 100 * error_of_looks(looks, ALPHA)
    named = [f"at {n}" for n in looks]
    seen = f"{', '.join(named[:-1])} and {named[-1]}"
    return (
        f"looked {seen} seeds: up to {error:.1f}% false claims instead of {100 * ALPHA:g}%; "
        "`seeds: {until: settled}` keeps it"
    )


def earlier_looks(repeats: RepeatPlan) -> list[str]:
    """That the looks were changed after some were taken; a sentence without a full stop."""
    if not repeats.earlier:
        return []
    taken = repeats.looks[: repeats.earlier[-1].taken]
    if not taken:
        return [
            "the looks were changed after some of the path's steps: their levels stand, and what "
            "they left of the 5% of a step is spread over its looks to come"
        ]
    at = f"{', '.join(map(str, taken[:-1]))} and {taken[-1]}" if len(taken) > 1 else f"{taken[0]}"
    return [
        f"the looks were changed after those at {at} seeds: their levels stand, and what they left "
        "of the 5% is spread over the looks to come"
    ]


def _why_over(looks: Looks) -> str:
    futile = any(one.state is State.FUTILE for one in looks.progress.decisions)
    return "what is open is futile" if futile else "all is settled"


def _hypothesis(outcome: HypothesisOutcome) -> str:
    found = outcome.look
    assert found is not None, "it has looks"
    words = look_words(found)
    if found.decision.state is State.SETTLED:
        words = f"{outcome.verdict}, {words}"
    elif found.decision.state is State.FUTILE:
        words += _needs_images(outcome)
    return f"{outcome.hypothesis.id}: {words}."


def _needs_images(outcome: HypothesisOutcome) -> str:
    result = outcome.result
    if result.needs_seeds is not None or result.needs_images is None:
        return ""
    return f"; about {result.needs_images} images would settle it, no number of seeds"


def _is_new(outcome: HypothesisOutcome, looks: Looks) -> bool:
    """Whether the last look said something of it."""
    return outcome.look is not None and outcome.look.look == looks.progress.looks_taken


def _named(arms: Sequence[tuple[str, ...]]) -> str:
    labels = [[label for label in arm if label != NO_LABEL] for arm in arms[:_MOST_NAMED]]
    found = ", ".join(" · ".join(arm) or "the arm" for arm in labels)
    more = len(arms) - _MOST_NAMED
    return f"{found} and {more} more" if more > 0 else found


def _significant(value: float) -> str:
    return f"{value:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
