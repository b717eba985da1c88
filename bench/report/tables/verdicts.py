"""Verdicts as the page shows them: in words first, then the numbers and the trials behind them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.contrasts import Word
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.records import NO_LABEL, Records
from bench.analysis.stats import Interval
from bench.analysis.two_sources import Over
from bench.plan.sides import sides
from bench.report.format import numbers
from bench.report.format.cells import (
    Cell,
    Column,
    Table,
    format_p,
    integer_column,
    p_value_column,
    sort_key,
    text_column,
)
from bench.report.narrative.card_notes import card_notes, needs_fact, scope_word
from bench.report.narrative.completeness import failure_counts, reason_words
from bench.report.narrative.look_notes import after_verdict, look_notes
from bench.report.narrative.sentences import claim_words, metric_words, sentence

SYMBOLS = {
    Word.SUPPORTED: "✓",
    Word.REFUTED: "✗",
    Word.EQUIVALENT: "≈",
    Word.INCONCLUSIVE: "?",
}
_LARGE = 1e4  # figures from here on get a prefix
_COUNTED = {
    "missing": "trials without the figure",
    "unpaired": "trials without a counterpart",
    "unlike": "pairs measured under different conditions",
}


@dataclass(frozen=True)
class VerdictCard:
    """One hypothesis on the page.

    Attributes:
        id: as declared.
        claim: as declared, but for the figure's name.
        verdict, symbol: in a word and as a sign.
        look: what follows the verdict: `, stopped at look 3 of 9 (5 seeds)`; empty of fixed seeds.
        sentence: the outcome in words.
        facts: names and values of the numbers behind it.
        notes: what it generalises over, its three statements, its components of variance, and
            what to know of it.
        strata: the same per stratum, where there are several.
        trials: the ids of each side's trials, by the side's name.
    """

    id: str
    claim: str
    verdict: str
    symbol: str
    look: str
    sentence: str
    facts: list[tuple[str, str]]
    notes: list[str]
    strata: Table | None
    trials: list[tuple[str, list[str]]]


def verdict_cards(records: Records, outcomes: Iterable[HypothesisOutcome]) -> list[VerdictCard]:
    """A card for each outcome."""
    return [
        VerdictCard(
            id=outcome.hypothesis.id,
            claim=claim_words(outcome.hypothesis),
            verdict=str(outcome.verdict),
            symbol=SYMBOLS[outcome.verdict],
            look=after_verdict(outcome),
            sentence=sentence(outcome),
            facts=_facts(outcome),
            notes=[*look_notes(records, outcome), *card_notes(outcome)],
            strata=_strata_table(outcome) if _has_strata(outcome) else None,
            trials=_trials(records, outcome),
        )
        for outcome in outcomes
    ]


def _has_strata(outcome: HypothesisOutcome) -> bool:
    """Whether there are several that mean something by themselves."""
    return len(outcome.strata) > 1 and not outcome.pairs.of_halves


def verdict_counts(outcomes: Sequence[HypothesisOutcome]) -> str:
    """`3 hypotheses: 1 supported, 2 inconclusive.`"""
    counts = Counter(outcome.verdict for outcome in outcomes)
    parts = [f"{counts[verdict]} {verdict}" for verdict in SYMBOLS if counts[verdict]]
    noun = "hypothesis" if len(outcomes) == 1 else "hypotheses"
    return f"{len(outcomes)} {noun}: {', '.join(parts)}."


def verdict_table(outcomes: Sequence[HypothesisOutcome]) -> Table:
    """A row per hypothesis."""
    hypotheses = [outcome.hypothesis for outcome in outcomes]
    found = [outcome.result for outcome in outcomes]
    lost = [sum(outcome.pairs.count(what) for what in _COUNTED) for outcome in outcomes]
    columns = [
        text_column("Hypothesis", "Its id in the spec.", [h.id for h in hypotheses]),
        text_column("Claim", "What is claimed.", [claim_words(h) for h in hypotheses], wide=True),
        text_column("Verdict", "What the records say of it.", [str(o.verdict) for o in outcomes]),
        text_column("Figure", "What is compared.", [metric_words(h.metric) for h in hypotheses]),
        _amounts(
            "Difference",
            "Mean paired difference a − b; of the median run where b is a number [95% "
            "interval, not corrected].",
            [f.estimate for f in found],
        ),
        text_column(
            "Over", "What the verdict generalises over.", [scope_word(o) for o in outcomes]
        ),
        _seeds_column(outcomes),
        p_value_column("p", "Of the hypothesis's test.", [f.p for f in found]),
        p_value_column(
            "p (Holm)",
            "Corrected by Holm over the experiment's hypotheses.",
            [f.p_corrected for f in found],
        ),
        integer_column(
            "Needs seeds",
            "Seeds that would settle it with 80% power, if the truth is as found.",
            [f.needs_seeds for f in found],
        ),
        integer_column(
            "Needs images",
            "Images that would settle it with 80% power, if the truth is as found.",
            [f.needs_images for f in found],
        ),
        integer_column("Lost", f"{', '.join(_COUNTED.values())}.".capitalize(), lost),
    ]
    if any(outcome.look is not None for outcome in outcomes):
        stood = [after_verdict(outcome).removeprefix(", ") for outcome in outcomes]
        columns.append(text_column("Look", "The planned look that its verdict is of.", stood))
    return Table(columns)


def _seeds_column(outcomes: Sequence[HypothesisOutcome]) -> Column:
    cells = []
    for outcome in outcomes:
        complete, planned = len(outcome.pairs.complete), len(outcome.pairs.seeds)
        cells.append(
            Cell(str(complete), complete, detail="" if complete == planned else f"of {planned}")
        )
    about = "Complete seeds: those with a pair in every planned stratum."
    return Column("Seeds", about, cells)


def _facts(outcome: HypothesisOutcome) -> list[tuple[str, str]]:
    found, hypothesis = outcome.result, outcome.hypothesis
    expected = hypothesis.expect.replace("_", " ")
    margin = "" if hypothesis.margin is None else f", margin {hypothesis.margin:g}"
    text, bounds = _amount(found.estimate)
    facts = [
        ("figure", metric_words(hypothesis.metric)),
        ("expected", f"{expected}{margin}"),
        (_estimate_name(outcome), f"{text} {bounds}".rstrip()),
        (f"{outcome.pairs.unit}s", _complete(outcome)),
        ("p" if outcome.look is None else "p over all looks", format_p(found.p)),
        ("p (Holm)", format_p(found.p_corrected)),
    ]
    if needs := needs_fact(found):
        facts.append(("would need", needs))
    for kind, by_side in outcome.pairs.failures.items():
        facts.append((reason_words(kind), failure_counts(hypothesis, outcome.pairs, by_side)))
    counts = [(words, outcome.pairs.count(what)) for what, words in _COUNTED.items()]
    return facts + [(words, str(count)) for words, count in counts if count]


def _estimate_name(outcome: HypothesisOutcome) -> str:
    repeated = "repeated " if outcome.look is not None else ""
    if outcome.against_number:
        return f"median of a − b [95% {repeated}interval]"
    by_images = outcome.result.contrast.over is not Over.SEEDS
    return f"a − b [95% {repeated}interval]" if by_images else f"a − b [95% {repeated}t-interval]"


def _complete(outcome: HypothesisOutcome) -> str:
    """`5`, or `4 of 5 complete` where some lack a stratum."""
    complete, planned = len(outcome.pairs.complete), len(outcome.pairs.seeds)
    return str(complete) if complete == planned else f"{complete} of {planned} complete"


def _strata_table(outcome: HypothesisOutcome) -> Table:
    strata = outcome.pairs.strata
    axes = list(dict.fromkeys(axis for stratum in strata for axis in stratum.axes))
    columns = [
        text_column(axis, f"Level of {axis}.", [s.axes.get(axis, NO_LABEL) for s in strata])
        for axis in axes
    ]
    columns += [
        _amounts(
            "a − b",
            "As above, in this stratum [95% interval].",
            [f.estimate for f in outcome.strata],
        ),
        integer_column("Seeds", "Pairs in this stratum.", [f.estimate.n for f in outcome.strata]),
        p_value_column("p", "Not corrected.", [f.evidence.p for f in outcome.strata]),
    ]
    counted = [any(stratum is one for one in outcome.pairs.tested) for stratum in strata]
    if not all(counted):
        answers = ["yes" if count else "no" for count in counted]
        about = "Whether the verdict is about it: planned, with trials of both sides, of our own."
        columns.append(text_column("Counted", about, answers))
    for what, words in _COUNTED.items():
        counts = [getattr(stratum, what) for stratum in strata]
        if any(counts):
            columns.append(integer_column(what.capitalize(), words.capitalize(), counts))
    return Table(columns)


def _amounts(heading: str, about: str, estimates: Iterable[Interval]) -> Column:
    cells = []
    for found in estimates:
        text, bounds = _amount(found)
        cells.append(Cell(text, sort_key(found.mean), "", bounds))
    return Column(heading, about, cells)


def _amount(found: Interval) -> tuple[str, str]:
    """Signed difference and its bounds; large ones with a prefix."""
    if math.isfinite(found.mean) and abs(found.mean) >= _LARGE:
        low, high = numbers.scaled(found.low), numbers.scaled(found.high)
        sign = "+" if found.mean > 0 else ""
        bounds = f"[{low}, {high}]" if found.known and found.low < found.high else ""
        return sign + numbers.scaled(found.mean), bounds
    decimals = numbers.decimals_for([found.mean], [found.high - found.mean])
    return numbers.signed(found.mean, decimals), numbers.bounds(found, decimals)


def _trials(records: Records, outcome: HypothesisOutcome) -> list[tuple[str, list[str]]]:
    """Every planned trial of either side: those that lack the figure too."""
    found = sides(outcome.hypothesis, records.labels, records.design)
    ids, seeds, of_row = list(records.runs["id"]), records.runs["seed"], records.trials_of
    last = math.inf if outcome.look is None else outcome.look.n_seeds
    judged = (seeds.isna() | (seeds < last)).fillna(True).tolist()
    a, b = outcome.hypothesis.a, outcome.hypothesis.b
    named = [("a", a, found.a)] + ([("b", b, found.b)] if isinstance(b, dict) else [])
    return [
        (f"{side}: {', '.join(f'{axis} {label}' for axis, label in labels.items())}",
         [name for row in rows if judged[row] for name in of_row.get(ids[row], (ids[row],))])
        for side, labels, rows in named
    ]  # fmt: skip
