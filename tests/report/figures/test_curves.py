from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure

from bench.report.figures import curves, plot_data
from bench.report.figures.arm_style import arm_color, arm_marker
from tests.builders.records import MadeTrial, study
from tests.builders.studies import row, study_of


def axes_of(found, metric, behind=()):
    ax = Figure().subplots()
    shown = [arm for arm in found.arms if arm not in behind]
    curves.draw_curves(ax, plot_data.curve_data(found), shown, metric, behind)
    return ax


def test_curves_have_the_arms_colours_and_bands(tmp_path):
    found = study_of(tmp_path, study(models=("unet",), seeds=3, epochs=3))
    ax = axes_of(found, "val/dice")
    assert [line.get_color() for line in ax.lines] == [arm_color(arm) for arm in found.arms]
    assert [line.get_marker() for line in ax.lines] == [arm_marker(arm) for arm in found.arms]
    assert len(ax.collections) == len(found.arms)  # the bands
    assert (ax.get_title(loc="left"), ax.get_xlabel()) == ("Val Dice", "Epoch")


def test_only_curves_logged_elsewhere_are_dashed(tmp_path):
    ours, theirs = (study(models=("unet",), seeds=1, epochs=3) for _ in range(2))
    for trial in theirs:
        trial.source, trial.seed = "A, 2024", None
    found = study_of(tmp_path, [*ours, *theirs])
    ax = axes_of(found, "val/dice")
    assert [line.is_dashed() for line in ax.lines] == [False] * 3 + [True] * 3
    caption = curves.learning_curves(found).caption
    assert "none under three seeds" in caption


def test_falling_losses_over_decades_stand_on_a_log_scale(tmp_path):
    found = study_of(tmp_path, [MadeTrial(0, history=[row(1, 13.0, 0.5), row(2, 0.2, 0.9)])])
    scales = [axes_of(found, metric).get_yscale() for metric in ("val/loss", "val/dice")]
    assert scales == ["log", "linear"]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_value_that_is_not_finite_costs_no_figure(tmp_path, value):
    history = [row(1, 3e30, 0.5), row(2, 2.0, 0.6), row(3, 0.01, 0.9)]
    history[0]["val/loss"] = value
    found = study_of(tmp_path, [MadeTrial(seed, history=history) for seed in (0, 1)])
    assert curves.learning_curves(found).pages
    assert curves.budgets(found).pages


def test_of_many_arms_the_best_stand_out_and_all_are_there(tmp_path):
    trials = [
        MadeTrial(0, {"model": f"m{i}"}, history=[row(1, 0.5, 0.0), row(2, 0.5, i / 20)],
                  summary={"best_val_dice": i / 20})
        for i in range(15)
    ]  # fmt: skip
    found = study_of(tmp_path, trials)
    assert "the 8 best of 15 arms" in curves.learning_curves(found).caption
    shown, behind = found.leading(range(15), 8)
    assert [arm.label for arm in shown] == [f"m{i}" for i in range(7, 15)]
    ax = axes_of(found, "val/dice", behind)
    assert len(ax.lines) == 8
    pale = [c for c in ax.collections if hasattr(c, "get_segments")]
    assert [len(c.get_segments()) for c in pale] == [7]


def test_every_metric_has_a_panel(tmp_path):
    metrics = {"loss": "min", "dice": "max"} | {f"dice_{i}": "max" for i in range(8)}
    more = {f"val/dice_{i}": 0.5 for i in range(8)}
    history = [row(e, 0.5, 0.5, **more) for e in (1, 2)]
    found = study_of(tmp_path, [MadeTrial(0, history=history)], metrics=metrics)
    assert len(curves.learning_curves(found).pages) == 2  # eleven: eight and three


def test_budgets_leave_out_what_is_not_known(tmp_path):
    found = study_of(tmp_path, [MadeTrial(0, history=[row(1, 1.0, 0.5), row(2, 1.0, 0.6)])])
    drawing = curves.budgets(found)
    assert drawing.name == "budgets"
    ax = Figure().subplots()
    frame = plot_data.budget_curves(plot_data.running_best(found), "epochs")
    curves.draw_budget(ax, frame, found.arms, "epochs", 2.0)
    assert ax.get_xlabel() == "Epochs"


@pytest.mark.parametrize(
    ("cost", "largest", "unit", "label"),
    [
        ("seconds", 100.0, 1.0, "Seconds of training"),
        ("seconds", 200.0, 60.0, "Minutes of training"),
        ("seconds", 20000.0, 3600.0, "Hours of training"),
        ("macs", 2.5e15, 1e15, "Training MACs (P)"),
        ("macs", 2.0, 1.0, "Training MACs"),
    ],
)
def test_units(cost, largest, unit, label):
    assert curves.budget_unit(cost, largest) == (unit, label)
