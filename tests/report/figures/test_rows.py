from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from bench.report.figures import by_arm, plot_data, rows
from bench.report.figures.look import level_colors
from tests.builders.records import MadeTrial
from tests.builders.studies import row, study_of


def drawn(root, values, baseline=None, source="bench"):
    trials = [
        MadeTrial(
            s, {"model": m}, source=source, summary={"test_dice": v, "baseline_dice": baseline}
        )
        for m, vs in values.items()
        for s, v in enumerate(vs)
    ]  # fmt: skip
    found = study_of(root, trials)
    ax = Figure().subplots()
    floors = {arm.number: baseline for arm in found.arms} if baseline else {}
    panel = rows.Panel("test_dice", "Test Dice")
    rows.draw_rows(ax, plot_data.seed_data(found, ["test_dice"]), found.arms, panel, floors)
    return ax, found.arms


def points(ax):
    return [tuple(p) for c in ax.collections if isinstance(c, PathCollection)
            for p in np.round(c.get_offsets(), 6)]  # fmt: skip


def lines(ax, style):
    return [segment for c in ax.collections if isinstance(c, LineCollection)
            and (c.get_linestyle()[0][1] is not None) == (style == "dashed")
            for segment in c.get_segments()]  # fmt: skip


def test_every_seed_is_a_point_and_the_baseline_a_line(tmp_path):
    ax, _ = drawn(tmp_path, {"a": [0.8, 0.81, 0.82], "b": [0.6, 0.61, 0.62]}, 0.56)
    seeds = [x for x, y in points(ax) if y % 1]
    assert sorted(seeds) == [0.6, 0.61, 0.62, 0.8, 0.81, 0.82]
    assert [x for x, y in points(ax) if not y % 1] == pytest.approx([0.81, 0.61])  # the means
    assert [set(s[:, 0]) for s in lines(ax, "dashed")] == [{0.56}] * 2
    assert ax.get_xlim()[0] < 0.56
    assert ax.get_xlabel() == "Test Dice"


def test_a_far_baseline_is_written_instead_of_squeezing_the_arms(tmp_path):
    ax, _ = drawn(tmp_path, {"a": [0.90, 0.901, 0.902]}, 0.56)
    assert ax.get_title(loc="left") == "◂ baseline 0.560"
    assert ax.get_xlim()[0] > 0.85


def test_what_was_logged_elsewhere_is_hollow_and_dashed(tmp_path):
    ours, _ = drawn(tmp_path / "ours", {"a": [0.8, 0.81, 0.82]})
    theirs, _ = drawn(tmp_path / "theirs", {"a": [0.8, 0.81, 0.82]}, source="A, 2024")
    assert (len(lines(ours, "solid")), len(lines(ours, "dashed"))) == (1, 0)
    assert (len(lines(theirs, "solid")), len(lines(theirs, "dashed"))) == (0, 1)


def test_missing_is_no_row_and_failed_trials_are_counted(tmp_path):
    trials = [
        MadeTrial(0, {"model": "a"}, summary={"best_val_dice": 0.8}),
        MadeTrial(1, {"model": "a"}, status="failed", failure="crash"),
        MadeTrial(0, {"model": "b"}, status="failed", failure="crash"),
    ]
    found = study_of(tmp_path, trials)
    drawing = by_arm.scores(found)
    assert "2 trials failed and are in no number" in drawing.caption
    assert "1 of 2 arms has no such figure: b." in drawing.caption
    ax = Figure().subplots()
    rows.label_rows(ax, found, found.arms[:1], 20)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a (1 of 2)"]


def test_many_arms_are_paged_with_their_levels_first(tmp_path):
    models, augments = ([f"{kind}{i}" for i in range(n)] for kind, n in (("m", 9), ("a", 10)))
    trials = [
        MadeTrial(0, {"model": m, "augment": a}, summary={"best_val_dice": i / 100 + j / 1000})
        for i, m in enumerate(models)
        for j, a in enumerate(augments)
    ]
    found = study_of(tmp_path, trials)
    drawing = by_arm.scores(found)
    assert len(drawing.pages) == 1 + 3  # 90 arms in rows of 40
    assert "best first" in drawing.caption
    values = plot_data.seed_data(found, ["best_val_dice"])
    frame = rows.level_rows(found, values, "best_val_dice")
    assert len(frame) == 180
    of_m2 = frame[(frame["axis"] == "model") & (frame["level"] == "m2")]["mean"]
    assert of_m2.tolist() == pytest.approx([0.02 + j / 1000 for j in range(10)])
    assert set(level_colors(found.records, found.arms)) == {"model", "augment"}


def test_times_under_other_conditions_are_left_out_and_throughput_is_kept_separate(tmp_path):
    trials = []
    for model, gpu in (("a", "X"), ("b", "Y")):
        history = [row(e, 1.0, 0.5, images_per_second=5.0, epoch_seconds=1.0, val_seconds=1.0)
                   for e in (1, 2)]  # fmt: skip
        summary = {"epochs_to_95pct": 1, "seconds_to_95pct": 2.0}
        trials.append(MadeTrial(0, {"model": model}, history=history, summary=summary,
                                environment={"gpu": gpu}))  # fmt: skip
    found = study_of(tmp_path, trials)
    assert "not all measured under the same conditions" in by_arm.convergence(found).caption
    assert "not all measured under the same conditions" in by_arm.equal_budgets(found).caption
    speed = by_arm.throughput(found)
    assert len(speed.pages) == 2
    assert "cannot be compared: gpu X; gpu Y." in speed.caption


def test_nothing_to_show_is_no_figure(tmp_path):
    found = study_of(tmp_path, [MadeTrial(0, {"model": "a"})])
    for make in (by_arm.scores, by_arm.convergence, by_arm.overfitting, by_arm.throughput,
                 by_arm.equal_budgets):  # fmt: skip
        assert make(found) is None
