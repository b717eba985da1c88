from __future__ import annotations

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.analysis.pareto import pareto_members
from bench.report.figures import fronts
from bench.report.figures.arm_style import arm_color
from bench.report.figures.look import INK
from tests.builders.records import MadeTrial
from tests.builders.studies import study_of


def arm(model, dice, macs, gpu="X", seconds=1.0, **axes):
    summary = {"best_val_dice": dice, "macs": macs, "epoch_seconds": seconds}
    return MadeTrial(0, {"model": model, **axes}, summary=summary, environment={"gpu": gpu})


def axes_of(study, cost="macs"):
    points = fronts.cost_points(study, cost, pareto_members(study.records, study.summary)[cost])
    ax = Figure(figsize=(3, 3)).subplots()
    fronts.draw_front(ax, points, study.arms, {arm.number for arm in study.arms})
    return ax, points


def test_points_and_front_by_hand(tmp_path):
    study = study_of(tmp_path, [arm("a", 0.9, 30), arm("b", 0.8, 10), arm("c", 0.7, 20)])
    ax, points = axes_of(study)
    assert points[["arm", "cost", "mean"]].to_numpy().tolist() == [
        [1, 10, 0.8], [2, 20, 0.7], [0, 30, 0.9],
    ]  # fmt: skip
    assert points["member"].tolist() == [True, False, True]
    steps = next(line for line in ax.lines if line.get_drawstyle() == "steps-post")
    assert steps.get_xydata().tolist() == [[10, 0.8], [30, 0.9]]
    edges = {line.get_color(): to_hex(line.get_markeredgecolor()) == INK
             for line in ax.lines if line.get_marker() not in ("None", "")}  # fmt: skip
    assert [edges[arm_color(a)] for a in study.arms] == [True, True, False]


def test_an_arm_without_a_cost_is_not_at_zero(tmp_path):
    _, points = axes_of(study_of(tmp_path, [arm("a", 0.9, 30), arm("b", 0.8, None)]))
    assert points["arm"].tolist() == [0]


def marks(ax):
    return [line for line in ax.lines if line.get_marker() not in ("None", "")]


def test_arms_of_one_cost_stand_apart(tmp_path):
    ax, _ = axes_of(study_of(tmp_path, [arm("a", 0.8, 5e9), arm("b", 0.8, 5e9)]))
    places = [line.get_transform().transform((5e9, 0.8))[0] for line in marks(ax)]
    assert places[1] - places[0] > 5


def test_all_costs_are_within_the_frame(tmp_path):
    trials = [arm(m, 0.8, v, augment=a) for m, v in {"s": 1e9, "l": 31e9}.items() for a in "abcdef"]
    ax, _ = axes_of(study_of(tmp_path, trials))
    assert ax.get_xscale() == "log"
    places = [line.get_transform().transform(line.get_xydata()[0])[0] for line in marks(ax)]
    assert len(places) == 12
    assert ax.bbox.x0 < min(places)
    assert max(places) < ax.bbox.x1


def test_incomparable_times_are_left_out_and_reported(tmp_path):
    drawing = fronts.fronts(study_of(tmp_path, [arm("a", 0.9, 3), arm("b", 0.8, 1, gpu="Y")]))
    assert "Without epoch times, not measured under the same conditions" in drawing.caption


@pytest.mark.parametrize("macs", [None, 5])
def test_no_cost_no_figure(tmp_path, macs):
    drawing = fronts.fronts(study_of(tmp_path, [arm("a", None, macs, seconds=None)]))
    assert drawing is None
