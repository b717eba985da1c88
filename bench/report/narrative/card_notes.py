"""What stands below a verdict: what it generalises over, how the figure scatters, what to know."""

from __future__ import annotations

import math

from bench.analysis.cautions import one_seed_carries
from bench.analysis.contrast_tests import Basis
from bench.analysis.contrasts import ALPHA, Result, Word
from bench.analysis.failures import failure_rates_p
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.sample_size import Scatter
from bench.analysis.strata import SIDES
from bench.analysis.two_sources import Over
from bench.metric_columns import FIGURES, MetricColumn, MetricKind
from bench.report.format import numbers
from bench.report.narrative.contrast_notes import p_equals, statement_lines
from bench.report.narrative.figure_notes import CHOSEN_ON_THESE
from bench.report.narrative.folds_note import scope_of_folds
from bench.spec.hypotheses import figures

_SCOPE_WORDS = {
    Over.BOTH: "seeds and images",
    Over.SEEDS: "seeds",
    Over.IMAGES: "images",
}


def scope_word(outcome: HypothesisOutcome) -> str:
    """`seeds and images`, for a table's cell."""
    return _SCOPE_WORDS[outcome.result.contrast.over]


def needs_fact(result: Result) -> str:
    """What would settle an inconclusive verdict; `never` where no number of that would."""
    if result.needs_seeds is None and result.needs_images is None:
        return ""
    seeds = "never by seeds" if result.needs_seeds is None else f"about {result.needs_seeds} seeds"
    if result.contrast.over is not Over.BOTH:
        return seeds
    never = result.needs_images is None
    images = "never by images" if never else f"about {result.needs_images} images"
    return f"{seeds}, or {images}" if result.needs_seeds and not never else f"{seeds}; {images}"


def card_notes(outcome: HypothesisOutcome) -> list[str]:
    """Lines below a verdict's sentence."""
    return [
        _scope(outcome),
        *statement_lines(outcome.result),
        *_components(outcome.result),
        *_before_correction(outcome),
        *_failures(outcome),
        *_cautions(outcome),
    ]


def _scope(outcome: HypothesisOutcome) -> str:
    """What the verdict generalises over."""
    over, result = outcome.result.contrast.over, outcome.result
    if result.basis is Basis.EXACT:
        return "Follows from the models alone: no other seed or image would change it."
    if outcome.against_number:
        typical = "About the median run, by a sign test"
        also = {
            Over.SEEDS: "",
            Over.BOTH: ", and about the mean over new seeds and new images",
            Over.IMAGES: ", and about the mean over new images",
        }[over]
        return f"{typical}{also}."
    if text := scope_of_folds(outcome):
        return text
    return {
        Over.BOTH: "For new seeds and new images, with these training data.",
        Over.SEEDS: f"For new seeds{', for these images only' if _of_images(outcome) else ''}, "
        "with these training data.",
        Over.IMAGES: "For new images, with these trained models.",
    }[over]


def _of_images(outcome: HypothesisOutcome) -> bool:
    """Whether the figure is one of images, be it that they have scores or not."""
    parsed = [MetricColumn.parse(term.column) for term in figures(outcome.hypothesis.metric)]
    return any(one is not None and one.kind in (*FIGURES, MetricKind.CURVE) for one in parsed)


def _components(result: Result) -> list[str]:
    """How far single seeds, images and their interaction scatter."""
    found = result.sources
    if found is None or found.n_seeds < 2 or math.isnan(found.images):
        return []
    scatter = Scatter.of(found)
    seeds, images, both = (
        numbers.significant(value, 2)
        for value in (scatter.seeds, scatter.images, scatter.interaction)
    )
    groups = round(found.n_groups, 1)
    grouped = "" if groups == found.n_images else f", {groups:g} groups"
    return [
        f"Standard deviation of one difference: {seeds} between seeds, {images} between images, "
        f"{both} in their interaction ({found.n_seeds} seeds, {found.n_images} images{grouped})."
    ]


def _before_correction(outcome: HypothesisOutcome) -> list[str]:
    """Why the interval excludes what the verdict leaves open."""
    result = outcome.result
    if result.word is not Word.INCONCLUSIVE or not result.p <= ALPHA < result.p_corrected:
        return []
    return [f"{p_equals(result.p)}, but not after correction for {outcome.family} hypotheses."]


def _failures(outcome: HypothesisOutcome) -> list[str]:
    """Whether the sides fail equally often."""
    failed, trials = outcome.seen.failed, {side: outcome.pairs.trials(side) for side in SIDES}
    if outcome.against_number or not any(failed.values()) or not all(trials.values()):
        return []
    p = failure_rates_p(failed, trials)
    counts = ", ".join(f"{side} {failed[side]} of {trials[side]}" for side in failed)
    return [f"Failures that are results: {counts} (Fisher's exact test: {p_equals(p)})."]


def _cautions(outcome: HypothesisOutcome) -> list[str]:
    found = []
    place = one_seed_carries(outcome.seen.differences)
    if place is not None and not outcome.against_number:
        found.append(f"Seed {outcome.pairs.complete[place]} has over half of all differences.")
    parsed = [MetricColumn.parse(term.column) for term in figures(outcome.hypothesis.metric)]
    if any(one is not None and one.kind is MetricKind.BEST for one in parsed):
        found.append(CHOSEN_ON_THESE)
    return found
