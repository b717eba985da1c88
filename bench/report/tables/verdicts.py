"""Verdicts as the page shows them: in words first, then the numbers and the trials behind them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.arms import NO_LABEL
from bench.analysis.hypotheses import Finding, Outcome, Verdict
from bench.analysis.load import Records
from bench.analysis.pairing import labels_of
from bench.analysis.stats import Interval
from bench.plan.sides import sides
from bench.report.format import numbers
from bench.report.format.cells import (
    Cell,
    Column,
    Table,
    integers,
    p_text,
    probabilities,
    sort_key,
    texts,
)
from bench.report.narrative.completeness import failure_counts, reason_words
from bench.report.narrative.sentences import metric_words, sentence

SYMBOLS = {
    Verdict.SUPPORTED: "✓",
    Verdict.REFUTED: "✗",
    Verdict.EQUIVALENT: "≈",
    Verdict.INCONCLUSIVE: "?",
}
_LARGE = 1e4  # figures from here on are told with a prefix
_COUNTED = {
    "missing": "trials without the figure",
    "unpaired": "trials without a counterpart",
    "unlike": "pairs not measured on equal terms",
}


@dataclass(frozen=True)
class Card:
    """One hypothesis on the page.

    Attributes:
        id, claim: as declared.
        verdict, symbol: in a word and as a sign.
        sentence: the outcome in words.
        facts: names and values of the numbers behind it.
        strata: the same per stratum, where there are several.
        trials: the ids of each side's trials, by the side's name.
    """

    id: str
    claim: str
    verdict: str
    symbol: str
    sentence: str
    facts: list[tuple[str, str]]
    strata: Table | None
    trials: list[tuple[str, list[str]]]


def cards(records: Records, outcomes: Iterable[Outcome]) -> list[Card]:
    """A card for each outcome."""
    return [
        Card(
            id=outcome.hypothesis.id,
            claim=outcome.hypothesis.claim,
            verdict=str(outcome.verdict),
            symbol=SYMBOLS[outcome.verdict],
            sentence=sentence(outcome),
            facts=_facts(outcome),
            strata=_strata_table(outcome) if len(outcome.strata) > 1 else None,
            trials=_trials(records, outcome),
        )
        for outcome in outcomes
    ]


def tally(outcomes: Sequence[Outcome]) -> str:
    """`3 hypotheses: 1 supported, 2 inconclusive.`"""
    counts = Counter(outcome.verdict for outcome in outcomes)
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    noun = "hypothesis" if len(outcomes) == 1 else "hypotheses"
    return f"{len(outcomes)} {noun}: {', '.join(parts)}."


def verdict_table(outcomes: Sequence[Outcome]) -> Table:
    """A row per hypothesis."""
    hypotheses = [outcome.hypothesis for outcome in outcomes]
    findings = [outcome.finding for outcome in outcomes]
    lost = [sum(outcome.pairs.count(what) for what in _COUNTED) for outcome in outcomes]
    return Table(
        [
            texts("Hypothesis", "Its id in the spec.", [h.id for h in hypotheses]),
            texts("Claim", "What is claimed.", [h.claim for h in hypotheses], wide=True),
            texts("Verdict", "What the records say of it.", [str(o.verdict) for o in outcomes]),
            texts("Figure", "What is compared.", [metric_words(h.metric) for h in hypotheses]),
            _amounts("Difference", "Mean paired difference a − b [95% t-interval].", findings),
            _seeds_column(outcomes),
            probabilities("p", "Of the hypothesis's test.", [f.p for f in findings]),
            probabilities(
                "p (Holm)",
                "Corrected by Holm over the experiment's hypotheses.",
                [outcome.p_corrected for outcome in outcomes],
            ),
            integers(
                "Needs seeds",
                "Seeds that would settle it with 80% power, if the truth is as found.",
                [outcome.needs_seeds for outcome in outcomes],
            ),
            integers("Lost", f"{', '.join(_COUNTED.values())}.".capitalize(), lost),
        ]
    )


def _seeds_column(outcomes: Sequence[Outcome]) -> Column:
    cells = []
    for outcome in outcomes:
        complete, planned = len(outcome.pairs.complete), len(outcome.pairs.seeds)
        cells.append(
            Cell(str(complete), complete, detail="" if complete == planned else f"of {planned}")
        )
    about = "Complete seeds: those with a pair in every planned stratum."
    return Column("Seeds", about, cells)


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    found, hypothesis = outcome.finding, outcome.hypothesis
    expected = hypothesis.expect.replace("_", " ")
    margin = "" if hypothesis.margin is None else f", margin {hypothesis.margin:g}"
    text, bounds = _amount(found.estimate)
    facts = [
        ("figure", metric_words(hypothesis.metric)),
        ("expected", f"{expected}{margin}"),
        ("a − b [95% t-interval]", f"{text} {bounds}".rstrip()),
        (f"{outcome.pairs.unit}s", _complete(outcome)),
        ("p", p_text(found.p)),
        ("p (Holm)", p_text(outcome.p_corrected)),
    ]
    if outcome.needs_seeds is not None:
        facts.append(("would need", f"about {outcome.needs_seeds} seeds"))
    for kind, by_side in outcome.pairs.failures.items():
        facts.append((reason_words(kind), failure_counts(hypothesis, outcome.pairs, by_side)))
    counts = [(words, outcome.pairs.count(what)) for what, words in _COUNTED.items()]
    return facts + [(words, str(count)) for words, count in counts if count]


def _complete(outcome: Outcome) -> str:
    """`5`, or `4 of 5 complete` where some lack a stratum."""
    complete, planned = len(outcome.pairs.complete), len(outcome.pairs.seeds)
    return str(complete) if complete == planned else f"{complete} of {planned} complete"


def _strata_table(outcome: Outcome) -> Table:
    strata = outcome.pairs.strata
    axes = list(dict.fromkeys(axis for stratum in strata for axis in stratum.axes))
    columns = [
        texts(axis, f"Level of {axis}.", [s.axes.get(axis, NO_LABEL) for s in strata])
        for axis in axes
    ]
    columns += [
        _amounts("a − b", "Mean paired difference [95% t-interval].", outcome.strata),
        integers("Seeds", "Pairs in this stratum.", [f.estimate.n for f in outcome.strata]),
        probabilities("p", "Not corrected.", [f.p for f in outcome.strata]),
    ]
    counted = [any(stratum is one for one in outcome.pairs.tested) for stratum in strata]
    if not all(counted):
        told = ["yes" if count else "no" for count in counted]
        about = "Whether the verdict is about it: planned, with trials of both sides, of our own."
        columns.append(texts("Counted", about, told))
    for what, words in _COUNTED.items():
        counts = [getattr(stratum, what) for stratum in strata]
        if any(counts):
            columns.append(integers(what.capitalize(), words.capitalize(), counts))
    return Table(columns)


def _amounts(heading: str, about: str, findings: Iterable[Finding]) -> Column:
    cells = []
    for found in findings:
        text, bounds = _amount(found.estimate)
        cells.append(Cell(text, sort_key(found.estimate.mean), "", bounds))
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


def _trials(records: Records, outcome: Outcome) -> list[tuple[str, list[str]]]:
    """Every planned trial of either side: those that lack the figure too."""
    found = sides(outcome.hypothesis, labels_of(records))
    ids = list(records.runs["id"])
    a, b = outcome.hypothesis.a, outcome.hypothesis.b
    named = [("a", a, found.a)] + ([("b", b, found.b)] if isinstance(b, dict) else [])
    return [
        (f"{side}: {', '.join(f'{axis} {label}' for axis, label in labels.items())}",
         [ids[row] for row in rows])
        for side, labels, rows in named
    ]  # fmt: skip
