"""Before anything runs: what the planned seeds can settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis import power
from bench.analysis.contrasts import ALPHA
from bench.analysis.evidence import Bounds
from bench.analysis.sequential import Boundaries
from bench.analysis.sign_test import p_above, runs_needed
from bench.report.format.numbers import significant
from bench.spec.hypotheses import Hypothesis

HUGE = 2.0
"""Differences of so many standard deviations are called huge (Sawilowsky 2009)."""


@dataclass(frozen=True)
class Outlook:
    """What so many seeds can say of one hypothesis.

    Attributes:
        id: the hypothesis's.
        detectable: what has 80% power at the level with which Holm begins, in standard deviations
            of the paired differences: the smallest true difference; with a margin, how far the
            truth must keep from it. None: nothing can be settled, or no seed changes the metric.
        doubtful: whether the seeds can hardly settle it.
        text: a sentence without a full stop.
    """

    id: str
    detectable: float | None
    doubtful: bool
    text: str


def outlooks(
    hypotheses: Sequence[Hypothesis], seeds: int, boundaries: Boundaries | None = None
) -> list[Outlook]:
    """What `seeds` seeds can say of each hypothesis; with `boundaries` at their last look alone."""
    level = ALPHA / max(1, sum(not hypothesis.exact for hypothesis in hypotheses))
    if boundaries is not None:
        level = float(boundaries.level(len(boundaries.looks) - 1, level))
    return [_outlook(hypothesis, seeds, level) for hypothesis in hypotheses]


def _outlook(hypothesis: Hypothesis, seeds: int, level: float) -> Outlook:
    name, planned = hypothesis.id, f"{seeds} {'seed' if seeds == 1 else 'seeds'}"
    if seeds < power.FEWEST:
        text = f"{name}: {planned} cannot settle it, {power.FEWEST} are the least"
        return Outlook(name, None, True, text)
    if hypothesis.exact:
        text = f"{name}: no seed changes {hypothesis.metric}, so {planned} settle it"
        return Outlook(name, None, False, text)
    if not isinstance(hypothesis.b, dict):
        return _against_number(name, seeds, planned, level)
    if hypothesis.expect == "equivalent":
        size = power.smallest_margin(seeds, level)
        scatter = significant((hypothesis.margin or 0.0) / size, 2)
        case = (
            "the sides do not differ and their paired differences scatter by at most "
            f"{scatter} (standard deviation)"
        )
    else:
        size = power.smallest_difference(seeds, level)
        case = (
            f"the true difference is {significant(size, 2)} standard deviations of the paired "
            f"differences away from {Bounds.of(hypothesis.expect, hypothesis.margin).low:g}"
        )
    power_of = "hardly settle it, unless" if size > HUGE else "settle it with 80% power, if"
    return Outlook(name, size, size > HUGE, f"{name}: {planned} {power_of} {case}")


def _against_number(name: str, seeds: int, planned: str, level: float) -> Outlook:
    """By the sign test: in how many runs the figure must be on one side."""
    least = runs_needed(1.0, level)
    if least is None or seeds < least:
        text = f"{name}: {planned} cannot settle it, {least} are the least against a number"
        return Outlook(name, None, True, text)
    beyond = next(
        k for k in range(seeds + 1) if p_above([1.0] * k + [-1.0] * (seeds - k), 0) <= level
    )
    text = f"{name}: {planned} settle it, if the figure is on one side in {beyond} of them"
    return Outlook(name, None, False, text)
