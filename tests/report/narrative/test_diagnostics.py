from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.load import load
from bench.health import ADVICE, HealthFinding, HealthIssue, record
from bench.record.store import Store
from bench.report.narrative.diagnostics import below_baseline, diagnose
from bench.report.narrative.headline import baseline_check
from bench.report.page import write_report
from tests.builders.records import MadeTrial, study, write_experiment

LAG = HealthFinding(HealthIssue.STATISTICS_LAG, "moved by 18.2% of the way in 20 steps (norm)")
STOPPED = HealthFinding(
    HealthIssue.STATISTICS_STOPPED, "stood still in 3 of 4 epochs", expected=True
)
MISTAKE = HealthFinding(HealthIssue.MISTAKE, "eval_mode_leak: on purpose", expected=True)
HOSTILE = '<script>alert("x")</script>'


def trials_with(*findings: list[HealthFinding] | None) -> list[MadeTrial]:
    """Trials of one model and two augmentations in turn; None: not looked at."""
    seeds = -(-len(findings) // 2)
    trials = study(models=("unet",), augments=("none", "elastic"), seeds=seeds, epochs=3)
    for trial, found in zip(trials, findings, strict=False):
        if found is not None:
            trial.summary |= record(found)
    return trials[: len(findings)]


def records_of(root, trials):
    write_experiment(root, "exp", trials)
    return load(Store(root), "exp")


def test_counted_over_trials(tmp_path):
    """none: seeds 0 to 2, elastic: seeds 0 to 2."""
    trials = trials_with([LAG], [LAG], [], [LAG, STOPPED, MISTAKE], [], None)
    records = records_of(tmp_path, trials)
    found = diagnose(records, arms_of(records))
    assert found.text == "5 trials looked at, 3 of them have a fault. 1 trial not looked at."
    assert found.faults
    lag, stopped, mistake = found.groups
    assert lag.title == f"3 of 5 trials: {ADVICE[HealthIssue.STATISTICS_LAG].title}."
    assert lag.arms == "none, elastic"
    assert lag.trials == [(trials[i].id, LAG.text) for i in (0, 1, 3)]
    assert [group.expected for group in found.groups] == [False, True, True]
    assert stopped.title.startswith("1 of 5 trials: BatchNorm")
    assert stopped.title.endswith(", as expected.")
    assert (mistake.arms, mistake.trials) == ("elastic", [(trials[3].id, MISTAKE.text)])


@pytest.mark.parametrize(
    ("findings", "text", "faults"),
    [
        ([[], []], "2 trials looked at, no fault found.", False),
        ([[STOPPED], []], "2 trials looked at, no fault found.", False),
        ([[LAG], [STOPPED]], "2 trials looked at, 1 of them has a fault.", True),
    ],
)
def test_what_is_expected_is_no_fault(tmp_path, findings, text, faults):
    records = records_of(tmp_path, trials_with(*findings))
    found = diagnose(records, arms_of(records))
    assert (found.text, found.faults) == (text, faults)


def test_unfinished_trials_and_those_of_earlier_versions_are_not_judged(tmp_path):
    trials = trials_with([LAG], None)
    trials[0].status = "failed"
    records = records_of(tmp_path, trials)
    assert diagnose(records, arms_of(records)) is None


def test_in_runs_csv(tmp_path):
    records = records_of(tmp_path, trials_with([LAG, STOPPED], [], None))
    reported = records.runs["health"]
    assert reported[:2].tolist() == ["statistics_lag; statistics_stopped (expected)", "healthy"]
    assert pd.isna(reported[2])
    assert not [c for c in records.runs if c.startswith("health_")]
    assert records.closing == ()


def test_a_kind_of_a_later_version_is_reported(tmp_path):
    trials = trials_with([], [])
    trials[0].summary["health"] = "too_good"
    records = records_of(tmp_path, trials)
    assert "'too_good'" in records.runs["message"][0]
    assert diagnose(records, arms_of(records)).text.endswith("1 trial not looked at.")


def test_what_the_health_checks_report_of_the_baseline_is_not_reported_again(tmp_path):
    """Of an arm whose trials were all below it; of the other arm one was better."""
    below = [
        HealthFinding(
            HealthIssue.BELOW_BASELINE, "the best val/dice is 0.4, the trivial prediction's 0.9"
        )
    ]
    trials = trials_with(below, [], below, below)
    for trial in trials:
        trial.summary |= {"test_dice": 0.4, "baseline_dice": 0.9}
    records = records_of(tmp_path, trials)
    arms = arms_of(records)
    reported = below_baseline(records, arms)
    assert [arm.label for arm in arms if arm.number in reported] == ["elastic"]
    found = baseline_check(records, arm_summary(records), arms)
    assert "0 of 2 arms clearly better" in found.text
    assert [warning.split(" is not ")[0] for warning in found.warnings] == ["none"]


def test_on_top_of_the_page(tmp_path):
    trials = trials_with([HealthFinding(HealthIssue.NO_GRADIENT, HOSTILE)], [STOPPED])
    records_of(tmp_path / "results", trials)
    page = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    for text in (page.read_text(), page.with_name("report.md").read_text()):
        assert HOSTILE not in text
        top = text[: text.index("Means over seeds")]
        assert "1 of 2 trials: parameters that are meant to be trained never got" in top
        assert "leave them out, or look for activations that are all 0." in top
        assert top.count("all foreground gives") == 1  # the baseline stands with it
        assert trials[1].id in top
