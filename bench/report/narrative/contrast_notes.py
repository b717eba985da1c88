"""What verdicts generalise over, and why they are open, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.analysis.contrast_tests import Basis, Statement
from bench.analysis.contrasts import ALPHA, Result, Word
from bench.analysis.evidence import Claim
from bench.analysis.stats import Floats, Interval
from bench.analysis.strata import SIDES, Side
from bench.analysis.two_sources import FEWEST_GROUPS, FEWEST_SEEDS, Over, TwoSources
from bench.report.format import numbers
from bench.report.format.cells import format_p


def explored_words(word: str) -> str:
    """What a page says of an explored contrast: `clear` or `not clear (explored)`."""
    return "clear" if word == Word.CLEAR else "not clear (explored)"


def statement_lines(result: Result) -> list[str]:
    """The three statements, one a line; nothing where there are no scores of images."""
    if result.sources is None:
        return []
    return [_statement(each, result.sources) for each in result.statements]


def _statement(statement: Statement, found: TwoSources) -> str:
    scopes = {
        Over.BOTH: "New seeds and new images",
        Over.SEEDS: f"New seeds on these {found.n_images} images",
        Over.IMAGES: "New images with these trained models",
    }
    if found.correction:
        scopes[Over.BOTH] = "new training sets of this size and new images"
        scopes[Over.SEEDS] = f"new seeds on these {found.n_images} images and folds"
    amount = Interval(found.mean, statement.low, statement.high, found.n_seeds)
    if not found.testable(statement.over):
        return f"{scopes[statement.over]}: {_too_little(found, statement.over)}"
    decimals = numbers.decimals_for([amount.mean], [amount.high - amount.mean])
    text = f"{numbers.signed(amount.mean, decimals)} {numbers.bounds(amount, decimals)}"
    return f"{scopes[statement.over]}: {text}, {p_equals(statement.p)}"


def _too_little(found: TwoSources, over: Over) -> str:
    if over is not Over.IMAGES and found.n_seeds < FEWEST_SEEDS:
        return f"no test below {FEWEST_SEEDS} complete seeds"
    if over is not Over.SEEDS and found.n_groups < FEWEST_GROUPS:
        return f"no test below {FEWEST_GROUPS} images, or groups of images"
    return "no scatter to test by"


def why_open(result: Result, a: str, b: str) -> str:
    """Why a verdict over seeds and images is inconclusive, and what would settle it.

    For example: on these 60 images a is higher (p = 0.004), but 83% of the uncertainty is which
    images these are; about 300 images would settle it, no number of seeds would.
    """
    found = result.sources
    is_open = result.word is Word.INCONCLUSIVE and result.basis is Basis.TEST
    if found is None or not is_open or result.is_withheld or result.contrast.over is not Over.BOTH:
        return ""
    by_over = {statement.over: statement for statement in result.statements}
    images, seeds, both = map(_percent, _of_uncertainty(found))
    higher = f"{a} is {'higher' if found.mean > 0 else 'lower'} than {b}"
    needs = _needs(result)
    if by_over[Over.SEEDS].p <= ALPHA < by_over[Over.IMAGES].p:
        p = p_equals(by_over[Over.SEEDS].p)
        known = f"on these {found.n_images} images {higher} ({p})"
        return f"{known}, but {images} of the uncertainty is which images these are; {needs}"
    if by_over[Over.IMAGES].p <= ALPHA < by_over[Over.SEEDS].p:
        p = p_equals(by_over[Over.IMAGES].p)
        known = f"with these trained models {higher} ({p})"
        return f"{known}, but {seeds} of the uncertainty is which seeds these are; {needs}"
    return (
        f"{seeds} of the uncertainty is due to seeds, {images} to images, {both} to their "
        f"interaction; {needs}"
    )


def _of_uncertainty(found: TwoSources) -> tuple[float, float, float]:
    """Shares of images, seeds and their interaction."""
    shares = found.shares()
    return shares.images, shares.seeds, shares.interaction


def _needs(result: Result) -> str:
    """What would settle it, the larger source of uncertainty first."""
    parts = {
        "images": (result.needs_images, "images"),
        "seeds": (result.needs_seeds, "seeds"),
    }
    shares = result.sources.shares() if result.sources else None
    order = ["images", "seeds"] if shares and shares.images >= shares.seeds else ["seeds", "images"]
    enough = [f"about {count} {noun}" for count, noun in map(parts.__getitem__, order) if count]
    never = [noun for count, noun in map(parts.__getitem__, order) if not count]
    if not enough:
        return "neither more seeds nor more images alone would settle it"
    settled = f"{' or '.join(enough)} would settle it"
    return f"{settled}, no number of {never[0]} would" if never else settled


def withheld(
    result: Result, a: str, b: str, failed: Mapping[Side, int], trials: Mapping[Side, int]
) -> str:
    """Why a significant difference is no verdict.

    For example: a failed in 2 of 5 trials, b in 0 of 5; where both trained a is higher by 0.02.
    """
    if not result.is_withheld:
        return ""
    counts = [f"{failed.get(side, 0)} of {trials[side]}" for side in SIDES if side in trials]
    sides = [f"{a} failed in {counts[0]} trials"] + [f"{b} in {each}" for each in counts[1:]]
    where = "where both trained" if len(counts) > 1 else "where it trained"
    if result.claim is Claim.WITHIN:
        return f"{', '.join(sides)}; {where} they are equivalent"
    way = "higher" if result.claim is Claim.ABOVE else "lower"
    amount = numbers.significant(abs(result.estimate.mean), 2)
    return f"{', '.join(sides)}; {where} {a} is {way} by {amount}"


def runs_beyond(runs: Floats, what: str, number: float) -> str:
    """`in all 5 runs the gap is over 0.05`, from runs minus the number."""
    over, under = int((runs > 0).sum()), int((runs < 0).sum())
    count, way = (over, "over") if over >= under else (under, "under")
    part = f"all {len(runs)}" if count == len(runs) else f"{count} of {len(runs)}"
    return f"in {part} runs {what} is {way} {number:g}"


def p_equals(p: float) -> str:
    """`p = 0.031`, `p < 0.001`."""
    text = format_p(p)
    return f"p < {text[1:].lstrip()}" if text.startswith("<") else f"p = {text}"


def _percent(share: float) -> str:
    return f"{np.rint(100 * share):.0f}%"
