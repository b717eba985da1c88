"""Outcomes of hypotheses in plain words."""

from __future__ import annotations

import re

from bench.analysis import power
from bench.analysis.contrast_tests import Basis, has_folds_alone
from bench.analysis.contrasts import Word
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.sign_test import FEWEST_RUNS
from bench.analysis.stats import Interval
from bench.analysis.strata import SIDES
from bench.analysis.two_sources import FEWEST_GROUPS, Over
from bench.plan.design import OFF, ON
from bench.report.format import numbers
from bench.report.format.display_names import display_name
from bench.report.narrative.completeness import failure_words, remedies, shortage_words
from bench.report.narrative.contrast_notes import runs_beyond, why_open, withheld
from bench.spec.hypotheses import Hypothesis, MetricTerm, figures
from bench.states import BENCH_SOURCE

_LARGE = 1e4  # figures from here on get a prefix: 12.7 M
_MOST = 3  # strata that a sentence names
_SINGULAR = {
    "final_train_loss": "final training loss",
    "overfit_gap": "overfitting gap",
    "peak_memory_mb": "peak memory (MB)",
}
_PLURAL = {
    "params": "parameters",
    "trainable_params": "trainable parameters",
    "macs": "MACs",
    "epochs_to_95pct": "epochs to 95% of the best",
    "seconds_to_95pct": "seconds to 95% of the best",
    "epoch_seconds": "seconds an epoch",
    "train_seconds": "seconds of training",
    "compile_seconds": "seconds of compiling",
}


def sentence(outcome: HypothesisOutcome) -> str:
    """One outcome in words.

    For example: resnet34_unet's final validation loss is lower than unet's by 0.071 [0.031, 0.112],
    5 seeds: supported.
    """
    seeds = outcome.result.estimate.n
    unit = outcome.pairs.unit
    count = numbers.plural(seeds, unit) if unit == "seed" else "one run of each arm"
    found = f"{_difference(outcome)}, {count}" if seeds else _nothing(outcome)
    return f"{found}: {outcome.verdict}{_remark(outcome)}."


def metric_words(metric: str) -> str:
    """A hypothesis's metric for people: `val/loss@20` → `validation loss after epoch 20`."""
    return " minus ".join(_figure_words(figure) for figure in figures(metric))


def claim_words(hypothesis: Hypothesis) -> str:
    """The claim, with the figure named for people: `Without EMA, test Dice is lower`."""
    metric = re.escape(hypothesis.metric)
    return re.sub(rf"(?<!\w){metric}(?!\w)", metric_words(hypothesis.metric), hypothesis.claim)


def side_words(hypothesis: Hypothesis) -> tuple[str, str]:
    """The labels that tell a and b apart; b as a number where it is one."""
    if not isinstance(hypothesis.b, dict):
        return " · ".join(_label(*each) for each in hypothesis.a.items()), f"{hypothesis.b:g}"
    differing = [axis for axis, label in hypothesis.a.items() if hypothesis.b[axis] != label]
    own, other = (
        [_label(axis, side[axis]) for axis in differing] for side in (hypothesis.a, hypothesis.b)
    )
    return " · ".join(own), " · ".join(other)


def _label(axis: str, label: str) -> str:
    """A level's label, which of a design's component says nothing alone: `augmentation on`."""
    return f"{axis} {label}" if label in (ON, OFF) else label


def shared_words(hypothesis: Hypothesis) -> str:
    """The labels that a and b share; empty where there are none."""
    b = hypothesis.b if isinstance(hypothesis.b, dict) else {}
    shared = (_label(a, label) for a, label in hypothesis.a.items() if b.get(a) == label)
    return " · ".join(shared)


def _figure_words(figure: MetricTerm) -> str:
    known = _SINGULAR | _PLURAL
    words = known.get(figure.column) or display_name(figure.column).replace("val ", "validation ")
    return words if figure.epoch is None else f"{words} after epoch {figure.epoch}"


def _difference(outcome: HypothesisOutcome) -> str:
    """The estimate in words, in the direction in which it was found."""
    hypothesis, found = outcome.hypothesis, outcome.result.estimate
    a, b = side_words(hypothesis)
    where, metric = shared_words(hypothesis), hypothesis.metric
    other = f"{b}'s" if isinstance(hypothesis.b, dict) else b
    typical = "median " if outcome.against_number and found.n > 1 else ""
    subject = f"{f'With {where}, ' if where else ''}{a}'s {typical}{metric_words(metric)}"
    several = figures(metric)[0].column in _PLURAL
    be, differ = ("are", "differ") if several else ("is", "differs")
    exactly = " exactly" if outcome.result.basis is Basis.EXACT else ""
    if hypothesis.expect == "equivalent":
        amounts = _amounts(found, plus="+")
        return f"{subject} {differ} from {other} by{exactly} {amounts}{_margin(outcome)}"
    if found.mean == 0:
        return f"{subject} {be}{exactly} as high as {other}{_margin(outcome)}"
    way = "higher" if found.mean > 0 else "lower"
    turned = found if found.mean > 0 else Interval(-found.mean, -found.high, -found.low, found.n)
    amounts = _amounts(turned)
    return f"{subject} {be} {way} than {other} by{exactly} {amounts}{_margin(outcome)}"


def _margin(outcome: HypothesisOutcome) -> str:
    margin = outcome.hypothesis.margin
    return "" if margin is None else f" (margin {margin:g})"


def _nothing(outcome: HypothesisOutcome) -> str:
    a, b = side_words(outcome.hypothesis)
    sides = f"{a} and {b}" if isinstance(outcome.hypothesis.b, dict) else a
    what = metric_words(outcome.hypothesis.metric)
    if any(stratum.differences for stratum in outcome.pairs.tested):
        return f"{sides} have no seed whose {what} is known in every stratum"
    return f"{sides} have no pair to compare in {what}"


def _amounts(found: Interval, plus: str = "") -> str:
    """`0.071 [0.031, 0.112]`; large figures with a prefix; without an interval the mean alone."""
    mean, low, high = (_amount(value, found) for value in found[:3])
    sign = plus if found.mean > 0 else ""
    return f"{sign}{mean} [{low}, {high}]" if found.known and low != high else f"{sign}{mean}"


def _amount(value: float, among: Interval) -> str:
    if abs(among.mean) >= _LARGE:
        return numbers.scaled(value)
    return numbers.fixed(value, numbers.decimals_for([among.mean], [among.high - among.mean]))


def _remark(outcome: HypothesisOutcome) -> str:
    """Why nothing could be concluded, what to know of the comparison, and what is missing."""
    pairs = outcome.pairs
    notes = [*_why(outcome)]
    along = ", ".join(f"{axis} {a} against {b}" for axis, (a, b) in pairs.along.items())
    notes += [f"the sides also differ in {along}"] if along else []
    notes += _of_others(outcome)
    notes += shortage_words(outcome.hypothesis, pairs)
    notes += remedies(pairs) if outcome.result.basis is Basis.FEW else []
    notes += failure_words(outcome.hypothesis, pairs)
    unpaired = pairs.count("unpaired")
    notes += [f"{numbers.plural(unpaired, 'trial')} without a counterpart"] if unpaired else []
    return "".join(f"; {note}" for note in notes)


def _of_others(outcome: HypothesisOutcome) -> list[str]:
    """Whose trials it is about if not ours, and whose stand beside without counting."""
    pairs = outcome.pairs
    notes = [f"logged elsewhere by {pairs.source}"] if pairs.source != BENCH_SOURCE else []
    others = {stratum.source for stratum in pairs.strata if stratum.differences} - {pairs.source}
    if others:
        notes.append(f"not counted, being another protocol: {', '.join(sorted(others))}")
    if pairs.not_planned:
        names = [" · ".join(stratum.axes.values()) for stratum in pairs.not_planned]
        shown = ", ".join(names[:_MOST]) + (", …" if len(names) > _MOST else "")
        notes.append(f"not counted, as the latest plan does not have it: {shown}")
    return notes


def _why(outcome: HypothesisOutcome) -> list[str]:
    """Why nothing was concluded; of a number, in how many runs it is exceeded."""
    result, runs = outcome.result, outcome.seen.differences
    beyond = []
    b = outcome.hypothesis.b
    if isinstance(b, float | int) and len(runs) and result.basis is Basis.TEST:
        beyond = [runs_beyond(runs, f"the {metric_words(outcome.hypothesis.metric)}", b)]
    if outcome.verdict is not Word.INCONCLUSIVE:
        return beyond
    if result.is_withheld:
        trials = {side: count for side in SIDES if (count := outcome.pairs.trials(side))}
        return [
            *beyond,
            withheld(result, *side_words(outcome.hypothesis), outcome.seen.failed, trials),
        ]
    return [*beyond, _why_undecided(outcome)]


def _why_undecided(outcome: HypothesisOutcome) -> str:
    """Why there is no test, or what its test would need."""
    result = outcome.result
    if result.basis is Basis.NO_SCORES:
        return (
            "single images have no scores here: `evaluate --scores` adds them where the best "
            "weights are kept; or ask for `over: seeds`"
        )
    if result.basis is Basis.FLAT:
        return "every seed gives the same difference, so there is no scatter to judge it by"
    if result.basis is Basis.FEW:
        return _too_few(outcome)
    if has_folds_alone(outcome.seen) and result.contrast.over is not Over.IMAGES:
        return f"not settled over these folds; from {power.FEWEST} seeds on images count, too"
    if text := why_open(result, *side_words(outcome.hypothesis)):
        return text
    unit = "runs" if outcome.against_number else "seeds"
    if result.contrast.over is Over.IMAGES:
        return "with these seeds other images might show another difference"
    if result.needs_seeds is None:
        return f"more than {power.MOST} {unit} would be needed"
    return f"about {result.needs_seeds} {unit} would be needed"


def _too_few(outcome: HypothesisOutcome) -> str:
    sources, n = outcome.result.sources, outcome.result.estimate.n
    if outcome.against_number and n < FEWEST_RUNS:
        return f"{FEWEST_RUNS} runs are the least that can settle it"
    if sources is not None and n >= power.FEWEST and sources.n_groups < FEWEST_GROUPS:
        return f"{FEWEST_GROUPS} images, or groups of images, are the least that can settle it"
    return f"{power.FEWEST} complete seeds are the least that can settle it"
