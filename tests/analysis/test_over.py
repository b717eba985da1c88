"""What verdicts generalise over, from a spec and scores of single images to a page."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.contrast_tests import Basis
from bench.analysis.contrasts import Word
from bench.analysis.hypotheses import HypothesisOutcome, outcomes
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.analysis.two_sources import Over, two_sources
from bench.errors import SpecError
from bench.image_scores import TrialScores
from bench.plan.trial import Trial
from bench.report.format.cells import format_p
from bench.report.format.latex_text import latex
from bench.report.page import write_one
from tests.builders.experiments import planned
from tests.builders.image_scores import build_scored, scores_of

SPEC = """
experiment: exp
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 30, test: 30}
train: {epochs: 4, batch_size: 6}
model: {name: unet, width: 0.05}
grid: {train.lr: {high: 0.01, low: 0.001}}
seeds: 4
hypotheses:
  - id: better
    claim: c
    metric: test_dice
    a: {train.lr: high}
    b: {train.lr: low}
    expect: higher
"""
IMAGES = 30


def scores(trial: Trial) -> TrialScores:
    """High is better by 0.03; images scatter by 0.1, and by 0.05 anew in each trial."""
    rng = np.random.default_rng([trial.seed, len(trial.axes["train.lr"])])
    shared = np.random.default_rng(0).normal(0, 0.1, IMAGES)
    gain = 0.03 if trial.axes["train.lr"] == "high" else 0.0
    return scores_of(0.6 + gain + shared + rng.normal(0, 0.05, IMAGES))


def judged(
    root: Path, spec: str = SPEC, *, with_scores: bool = True
) -> tuple[Records, HypothesisOutcome]:
    store, _ = build_scored(root, spec, scores if with_scores else lambda _: None)
    records = load(store, "exp")
    (found,) = outcomes(records)
    return records, found


def test_both_by_default_where_images_have_scores(tmp_path: Path) -> None:
    _, found = judged(tmp_path)
    assert found.result.contrast.over is Over.BOTH
    assert [each.over for each in found.result.statements] == [Over.BOTH, Over.SEEDS, Over.IMAGES]
    assert found.seen.sources is not None
    assert found.result.p == pytest.approx(found.seen.sources.p())
    assert found.result.estimate.mean == pytest.approx(found.seen.differences.mean(), abs=1e-6)
    assert found.record()["over"] == "both"
    assert found.record()["components"]["n_images"] == IMAGES


@pytest.mark.parametrize("over", ["seeds", "images", "both"])
@pytest.mark.parametrize("where", ["hypothesis", "statistics"])
def test_a_spec_can_ask_for_either(tmp_path: Path, over: str, where: str) -> None:
    spec = (
        SPEC.replace("expect: higher", f"expect: higher\n    over: {over}")
        if where == "hypothesis"
        else f"{SPEC}statistics: {{over: {over}}}\n"
    )
    _, found = judged(tmp_path, spec)
    assert found.result.contrast.over == over
    by_over = {each.over: each.p for each in found.result.statements}
    assert found.result.p == pytest.approx(by_over[Over(over)], rel=1e-4)  # scores are float32


def test_identities_do_not_know_of_it(tmp_path: Path) -> None:
    plain = planned(tmp_path / "plain", SPEC)
    other = planned(tmp_path / "other", f"{SPEC}statistics: {{over: seeds}}\n")
    assert [trial.id for trial in plain.trials] == [trial.id for trial in other.trials]
    assert "over" not in plain.record()["hypotheses"][0]
    assert "statistics" not in plain.record()


def test_over_images_needs_a_figure_of_images(tmp_path: Path) -> None:
    spec = SPEC.replace("metric: test_dice", "metric: epoch_seconds")
    with pytest.raises(SpecError, match=r"images have no scores of epoch_seconds: use over: seeds"):
        planned(tmp_path, spec.replace("expect: higher", "expect: higher\n    over: both"))


def test_without_scores(tmp_path: Path) -> None:
    _, found = judged(tmp_path / "default", with_scores=False)
    assert found.result.contrast.over is Over.SEEDS
    asked = SPEC.replace("expect: higher", "expect: higher\n    over: both")
    _, found = judged(tmp_path / "asked", asked, with_scores=False)
    assert (found.verdict, found.result.basis) == (Word.INCONCLUSIVE, Basis.NO_SCORES)


def test_every_part_of_a_page_has_the_one_result(tmp_path: Path) -> None:
    """Declared over both in one figure; explored over both in another."""
    records, found = judged(tmp_path)
    page = write_one(records, tmp_path / "report")
    (record,) = json.loads((page.parent / "verdicts.json").read_text())
    assert record["p_corrected"] == found.result.p_corrected
    p, word = format_p(found.result.p_corrected), f"{found.verdict} (better)"
    rows = (page.parent / "tables" / "differences.tex").read_text().splitlines()
    (line,) = [line for line in rows if latex(word) in line]
    assert f"& {latex(p)} &" in line
    text = (page.parent / "report.md").read_text()
    assert "new seeds and new images" in text
    alone = dataclasses.replace(records, hypotheses=())
    write_one(alone, tmp_path / "explored")
    rows = (tmp_path / "explored" / "tables" / "differences.csv").read_text().splitlines()
    header, own = rows[0].split(","), next(row for row in rows if row.startswith("test_dice"))
    given = dict(zip(header, own.split(","), strict=True))
    assert given["over"] == "both"
    assert float(given["p"]) == pytest.approx(found.result.p)  # two-sided, of 0, as declared


def test_the_sources_are_those_of_the_images(tmp_path: Path) -> None:
    _, found = judged(tmp_path)
    table = np.array(
        [
            [
                scores(Trial("exp", seed, {"train.lr": label}, None))  # type: ignore[arg-type]
                .splits["test"]
                .selected.values[:, 0]
                .astype(float)
                for label in ("high", "low")
            ]
            for seed in range(4)
        ]
    )
    expected = two_sources(table[:, 0] - table[:, 1])
    assert found.seen.sources is not None
    assert found.seen.sources.variance == pytest.approx(expected.variance, rel=1e-6)
