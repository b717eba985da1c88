"""What was found wrong with finished trials, counted over them: the first thing to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.arms import Arm, arm_numbers
from bench.analysis.records import Records
from bench.health import ADVICE, HealthFinding, HealthIssue
from bench.report.format import numbers
from bench.states import BENCH_SOURCE

NAMED_ARMS = 4
"""More arms than this are counted, not named."""


@dataclass(frozen=True)
class DiagnosticGroup:
    """One kind of finding and the trials that have it.

    Attributes:
        title: how many trials, and what was found.
        arms: whose trials they are.
        advice: what it means and what to do.
        trials: each trial's id and what was found there.
        expected: it follows from a mistake made on purpose.
    """

    title: str
    arms: str
    advice: str
    trials: list[tuple[str, str]]
    expected: bool


@dataclass(frozen=True)
class Diagnostics:
    """What was found in all finished trials that were looked at.

    Attributes:
        text: in how many, in a sentence.
        groups: the faults, then what was to be expected.
    """

    text: str
    groups: list[DiagnosticGroup]

    @property
    def faults(self) -> bool:
        """Whether anything was found that no mistake on purpose explains."""
        return any(not group.expected for group in self.groups)


def diagnose(records: Records, arms: Sequence[Arm]) -> Diagnostics | None:
    """The findings of finished trials by kind; None where none was looked at."""
    done = [trial for trial in records.done["id"] if trial in records.findings]
    if not done:
        return None
    labels = _labels(records, arms)
    groups = [
        _group(kind, expected, trials, len(done), labels)
        for expected in (False, True)
        for kind in HealthIssue
        if (trials := _with(records, done, kind, expected))
    ]
    ill = sum(any(not f.expected for f in records.findings[trial]) for trial in done)
    unseen = int((records.done["source"] == BENCH_SOURCE).sum()) - len(done)
    found = f"{ill} of them have a fault" if ill != 1 else "1 of them has a fault"
    text = f"{numbers.plural(len(done), 'trial')} looked at, {found if ill else 'no fault found'}."
    if unseen:
        text += f" {numbers.plural(unseen, 'trial')} not looked at."
    return Diagnostics(text, groups)


def below_baseline(records: Records, arms: Sequence[Arm]) -> set[int]:
    """The arms of whose finished trials none was ever better than the trivial prediction."""
    numbers = dict(zip(records.runs["id"], arm_numbers(records, arms), strict=True))
    better: dict[int, bool] = {}
    for trial in records.done["id"]:
        kinds = {finding.kind for finding in records.findings.get(trial, ())}
        number = int(numbers[trial])
        better[number] = better.get(number, False) or HealthIssue.BELOW_BASELINE not in kinds
    return {number for number, any_is in better.items() if not any_is}


def _with(
    records: Records, done: Sequence[str], kind: HealthIssue, expected: bool
) -> list[tuple[str, HealthFinding]]:
    """The trials that have such a finding."""
    return [
        (trial, finding)
        for trial in done
        for finding in records.findings[trial]
        if (finding.kind, finding.expected) == (kind, expected)
    ]


def _group(
    kind: HealthIssue,
    expected: bool,
    trials: Sequence[tuple[str, HealthFinding]],
    looked_at: int,
    labels: Mapping[str, str],
) -> DiagnosticGroup:
    advice = ADVICE[kind]
    share = f"{len(trials)} of {numbers.plural(looked_at, 'trial')}"
    names = list(dict.fromkeys(labels[trial] for trial, _ in trials))
    return DiagnosticGroup(
        title=f"{share}: {advice.title}{', as expected' if expected else ''}.",
        arms=", ".join(names) if len(names) <= NAMED_ARMS else f"{len(names)} arms",
        advice=f"{_sentence(advice.meaning)} {_sentence(advice.remedy)}",
        trials=[(trial, finding.text) for trial, finding in trials],
        expected=expected,
    )


def _labels(records: Records, arms: Sequence[Arm]) -> dict[str, str]:
    """Each trial's arm."""
    numbers = arm_numbers(records, arms)
    names: dict[int, Any] = {arm.number: arm.label for arm in arms}
    return dict(zip(records.runs["id"], numbers.map(names), strict=True))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
