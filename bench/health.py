"""What can be wrong with a training that ran to its end: kinds, what each means, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

HEALTHY = "healthy"
EXPECTED = " (expected)"
COLUMN = "health"
"""The column of summary.json and runs.csv that lists the kinds found."""


class HealthIssue(StrEnum):
    """What was found."""

    BELOW_BASELINE = "below_baseline"
    STATISTICS_STOPPED = "statistics_stopped"
    STATISTICS_LAG = "statistics_lag"
    AVERAGE_LAG = "average_lag"
    NO_GRADIENT = "no_gradient"
    LOSS_FROZEN = "loss_frozen"
    NOT_FINITE = "not_finite"
    SKIPPED_STEPS = "skipped_steps"
    SMALL_BATCHES = "small_batches"
    MISTAKE = "mistake"


@dataclass(frozen=True)
class Advice:
    """A kind of finding in words.

    Attributes:
        title: what it is, of any number of trials.
        meaning: why it matters.
        remedy: what to do about it.
    """

    title: str
    meaning: str
    remedy: str


ADVICE: Mapping[HealthIssue, Advice] = {
    HealthIssue.BELOW_BASELINE: Advice(
        "validation never better than the trivial prediction",
        "the model is of no use yet, and what it costs or gains compares nothing",
        "look at its learning curve and pictures, then change train.lr, train longer, or check "
        "that targets and images belong together",
    ),
    HealthIssue.STATISTICS_STOPPED: Advice(
        "BatchNorm's running statistics stood still in a part that is trained",
        "validation normalises by what the weights made of images long ago",
        "put the model into training mode before each epoch, or freeze the part with train.freeze",
    ),
    HealthIssue.STATISTICS_LAG: Advice(
        "BatchNorm's running statistics lag far behind the batches' own",
        "training uses the latter, validation the former: metrics fall short of what was learnt",
        "raise BatchNorm's momentum (encoder_unet: norm_momentum), or train for more steps",
    ),
    HealthIssue.AVERAGE_LAG: Advice(
        "the moving average of the weights is still partly where it began",
        "the average is what is validated and kept, so it is worse than what was trained",
        "lower train.ema, or train for more steps",
    ),
    HealthIssue.NO_GRADIENT: Advice(
        "parameters that are meant to be trained never got a gradient",
        "they keep their initial values, and yet count among the model's parameters",
        "use them in the model's forward, leave them out, or look for activations that are all 0",
    ),
    HealthIssue.LOSS_FROZEN: Advice(
        "the training loss stopped changing",
        "nothing is learnt any more, and the remaining epochs are wasted",
        "lower train.lr, or look for activations that are all 0 or saturated",
    ),
    HealthIssue.NOT_FINITE: Advice(
        "the validation loss was not finite in some epochs",
        "the training was about to diverge, or did for a while",
        "lower train.lr, or set train.clip_grad_norm",
    ),
    HealthIssue.SKIPPED_STEPS: Advice(
        "training steps were skipped because their loss or gradient was not finite",
        "train.bad_steps allowed it; what was trained is fewer steps than the others'",
        "lower train.lr, or look for images that overflow",
    ),
    HealthIssue.SMALL_BATCHES: Advice(
        "BatchNorm saw fewer images at a time than a batch has",
        "gradients add up to those of the whole batch, BatchNorm's statistics do not: not quite "
        "the training that was asked for",
        "compare with arms of the same micro_batch only, or use a smaller train.batch_size for all",
    ),
    HealthIssue.MISTAKE: Advice(
        "a known mistake was made on purpose",
        "the figures are those of the mistake",
        "leave it out of mistakes: where it is not what is studied",
    ),
}


@dataclass(frozen=True)
class HealthFinding:
    """One kind of finding in one trial.

    Attributes:
        kind: what was found.
        text: where and how much, one line.
        expected: it follows from a mistake that was made on purpose.
    """

    kind: HealthIssue
    text: str
    expected: bool = False

    def line(self) -> str:
        """All of it in one line, for a log."""
        advice, remark = ADVICE[self.kind], EXPECTED if self.expected else ""
        return f"{self.text}{remark}: {advice.meaning}; {advice.remedy}"


def record(findings: Sequence[HealthFinding]) -> dict[str, str]:
    """Findings as texts of summary.json: the kinds in `COLUMN`, each one's text in its own."""
    kinds = [f.kind + (EXPECTED if f.expected else "") for f in findings]
    texts = {f"{COLUMN}_{f.kind}": f.text for f in findings}
    return {COLUMN: "; ".join(kinds) or HEALTHY} | texts


def read(summary: Mapping[str, Any]) -> list[HealthFinding] | None:
    """The findings that a trial's summary.json tells; None where it was not looked for any.

    Raises:
        ValueError: it has a kind that this version does not know.
    """
    recorded = summary.get(COLUMN)
    if recorded is None:
        return None
    entries = [] if recorded == HEALTHY else str(recorded).split("; ")
    kinds = [
        (HealthIssue(entry.removesuffix(EXPECTED)), entry.endswith(EXPECTED)) for entry in entries
    ]
    return [
        HealthFinding(kind, str(summary.get(f"{COLUMN}_{kind}", "")), expected)
        for kind, expected in kinds
    ]
