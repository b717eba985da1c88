"""Which seeds of a hypothesis are complete, and how the trials of its sides failed, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis.strata import OTHER_CONDITIONS, RESULTS, Pairs, Seed, Shortage, Side
from bench.report.format import numbers
from bench.spec.hypotheses import Hypothesis
from bench.states import Failure, Status

_MOST = 3  # shortages that a sentence names
_UNFINISHED = frozenset({Status.PLANNED, Status.RUNNING, Status.INTERRUPTED})
_WORDS: Mapping[str, str] = {Status.PLANNED: "not started", Status.RUNNING: "still running"}


def shortage_words(hypothesis: Hypothesis, pairs: Pairs) -> list[str]:
    """How many seeds are complete, and what the others lack; nothing where all are complete.

    For example: `4 of 5 seeds are complete: resnet34_unet · elastic lacks seed 3 (out of memory)`.
    """
    if len(pairs.complete) == len(pairs.seeds):
        return []
    known = [shortage_text(hypothesis, short) for short in pairs.shortages]
    shown = ", ".join(known[:_MOST])
    more = len(known) - _MOST
    if pairs.seeds == [None]:
        return [shown]
    verb = "is" if len(pairs.complete) == 1 else "are"
    counts = f"{len(pairs.complete)} of {numbers.plural(len(pairs.seeds), 'seed')} {verb} complete"
    return [f"{counts}: {shown}{f' and {more} more' if more > 0 else ''}"]


def shortage_text(hypothesis: Hypothesis, short: Shortage) -> str:
    """Whose seeds are lacking, and why: `resnet34_unet · elastic lacks seed 3 (diverged)`."""
    if short.reason == OTHER_CONDITIONS:
        where = _name(hypothesis, short) or "the pair"
        return f"{where} was {OTHER_CONDITIONS} ({_seeds(short.seeds)})"
    name = _name(hypothesis, short) or "the comparison"
    return f"{name} lacks {_seeds(short.seeds)} ({reason_words(short.reason)})"


def reason_words(reason: str) -> str:
    """A failure, a status or another reason for people."""
    return _WORDS.get(reason, reason.replace("_", " "))


def failure_words(hypothesis: Hypothesis, pairs: Pairs) -> list[str]:
    """The failures that are results, by side: `diverged: unet 2 of 5 trials, resnet34 0 of 5`."""
    found = []
    for kind, counts in pairs.failures.items():
        if kind in RESULTS:
            found.append(f"{reason_words(kind)}: {failure_counts(hypothesis, pairs, counts)}")
    return found


def failure_counts(hypothesis: Hypothesis, pairs: Pairs, counts: dict[Side, int]) -> str:
    """`unet 2 of 5 trials, resnet34_unet 0 of 5`; of the one side where b is a number."""
    sides: list[tuple[Side, str]] = [("a", _own(hypothesis, "a"))]
    if isinstance(hypothesis.b, dict):
        sides.append(("b", _own(hypothesis, "b")))
    parts = [f"{name} {counts[side]} of {pairs.trials(side)}" for side, name in sides]
    return ", ".join([f"{parts[0]} trials", *parts[1:]])


def remedies(pairs: Pairs) -> list[str]:
    """What brings incomplete seeds to an end, where anything does."""
    reasons = {short.reason for short in pairs.shortages}
    found = []
    if reasons & _UNFINISHED:
        found.append("the same `run` goes on with what is not finished")
    if reasons & ({*Failure} - {Failure.DIVERGED}):
        found.append("`run --retry-failed` trains failed trials again")
    if Failure.DIVERGED in reasons:
        found.append("what diverged would do so again: add seeds")
    return found


def _name(hypothesis: Hypothesis, short: Shortage) -> str:
    """The arm or the stratum that lacks seeds, by its labels."""
    own = [] if short.side is None else [_own(hypothesis, short.side)]
    return " · ".join([*filter(None, own), *short.axes.values()])


def _own(hypothesis: Hypothesis, side: Side) -> str:
    labels = hypothesis.a if side == "a" else hypothesis.b
    return " · ".join(map(str, labels.values())) if isinstance(labels, dict) else ""


def _seeds(seeds: Sequence[Seed]) -> str:
    """`seed 3`, `seeds 0, 1 and 4`, `12 seeds`; `its run` where a log names no seeds."""
    named = [str(seed) for seed in seeds if seed is not None]
    if not named:
        return "its run"
    if len(named) == 1:
        return f"seed {named[0]}"
    if len(named) > 2 * _MOST:
        return f"{len(named)} seeds"
    return f"seeds {', '.join(named[:-1])} and {named[-1]}"
