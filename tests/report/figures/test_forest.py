from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.analysis.contrasts import Word
from bench.report.figures import forest
from tests.builders.records import MadeTrial
from tests.builders.studies import study_of

SAME = {"id": "same", "claim": "No difference", "metric": "best_val_dice", "expect": "equivalent",
        "margin": 0.05, "a": {"model": "b"}, "b": {"model": "a"}}  # fmt: skip
LESS = SAME | {"id": "less", "expect": "not_higher"}
MORE = SAME | {"id": "more", "expect": "higher", "margin": None}


def trials(augments=("x",)):
    """b's Dice is higher by 0.01, 0.02 and 0.03."""
    return [
        MadeTrial(s, {"model": m, "augment": g},
                  summary={"best_val_dice": 0.5 + s / 10 + (m == "b") * (s + 1) / 100})
        for m in "ab" for g in augments for s in range(3)
    ]  # fmt: skip


def test_rows_by_hand(tmp_path):
    study = study_of(tmp_path, trials("xy"), hypotheses=[SAME, LESS, MORE])
    rows = forest.verdict_rows(study.tested)
    assert rows["label"].tolist() == ["b − a", "x", "y"] * 3
    assert rows["estimate"].tolist() == pytest.approx([0.02] * 9)
    assert rows["low"].iloc[0] == pytest.approx(0.02 - 4.302653 * 0.01 / math.sqrt(3))
    margins = rows[["margin_low", "margin_high"]].iloc[[0, 3]].to_numpy().tolist()
    assert margins == [[-0.05, 0.05], [-math.inf, 0.05]]
    assert rows["margin_low"].iloc[6:].isna().all()
    assert rows["verdict"].tolist()[:2] == [str(study.tested[0].verdict), ""]


def test_margin_and_verdict_are_drawn(tmp_path):
    study = study_of(tmp_path, trials(), hypotheses=[SAME, MORE])
    ax = Figure().subplots()
    forest.draw_verdicts(ax, forest.verdict_rows(study.tested))
    shaded = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert [(p.get_x(), p.get_width()) for p in shaded] == [pytest.approx((-0.05, 0.1))]
    low, high = ax.get_xlim()
    assert low < -0.05 < 0.05 < high
    labels = [text.get_text() for text in ax.texts]
    assert labels == ["≈ equivalent\n3 seeds", "? inconclusive\n3 seeds"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["same\nb − a", "more\nb − a"]
    marks = [line for line in ax.lines if line.get_marker() == "D"]
    assert to_hex(marks[0].get_markerfacecolor()) == forest.TONES[Word.EQUIVALENT]
    assert marks[1].get_markerfacecolor() == forest.PAPER  # inconclusive: hollow


def test_hypotheses_without_pairs_are_reported(tmp_path):
    lost = SAME | {"id": "lost", "metric": "test_dice"}
    study = study_of(tmp_path, trials(), hypotheses=[SAME, lost])
    drawing = forest.verdicts(study)
    assert "1 hypothesis has no pair to show" in drawing.caption
    assert forest.verdicts(study_of(tmp_path / "none", trials())) is None
    assert forest.verdicts(study_of(tmp_path / "lost", trials(), hypotheses=[lost])) is None


def test_significant_differences_are_filled(tmp_path):
    made = trials()
    for trial in made:  # b is better by 0.2 and hardly scatters
        if trial.axes["model"] == "b":
            trial.summary["best_val_dice"] = 0.7 + trial.seed / 10 + trial.seed / 1000
    study = study_of(tmp_path, made)
    shown = [effect for effect in study.effects if "differences" in effect.frames]
    keys = forest.difference_rows(shown)
    assert keys == [("model", "b", "a")]
    ax = Figure().subplots()
    forest.draw_differences(ax, shown[0].frames["differences"], keys)
    mark = next(line for line in ax.lines if line.get_marker() == "o")
    assert mark.get_xdata()[0] == pytest.approx(0.201)
    assert mark.get_markerfacecolor() == forest.INK
    assert len(forest.differences(study).pages) == 1


def test_a_label_of_three_lines_does_not_reach_into_the_next_row() -> None:
    long = "imagenet · frozen · held − random · trained · moving"
    row = {"metric": "test_dice", "id": "frozen_beats_random", "unit": "seed", "label": long,
           "estimate": 0.1, "low": 0.0, "high": 0.2, "n": 3, "margin_low": math.nan,
           "margin_high": math.nan, "verdict": "supported"}  # fmt: skip
    rows = pd.DataFrame([row | {"id": f"claim_{number}"} for number in range(12)])
    figure, (ax,) = forest.panels(1, 1, height=forest._height(rows))
    forest.draw_verdicts(ax, rows)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.get_yticklabels()]
    for above, below in itertools.pairwise(boxes):
        assert above.y0 >= below.y1
