from __future__ import annotations

import io
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bench.record.store import Store
from bench.report import figures
from bench.report.arms import arms_of
from bench.report.load import load
from bench.report.table import arm_summary

from .made_records import MadeTrial, study, write_experiment


def parts(root, trials):
    write_experiment(root, "exp", trials)
    records = load(Store(root), "exp")
    return records, arm_summary(records), arms_of(records)


def row(epoch, loss, dice):
    return {"epoch": epoch, "train/loss": loss, "val/loss": loss, "val/dice": dice}


def test_curve_data_by_hand(tmp_path):
    histories = [
        [row(1, 1.0, 0.8), row(2, 0.5, 0.9)],
        [row(1, 2.0, 0.9)],
        [row(1, 3.0, 1.0)],
    ]
    trials = [MadeTrial(s, history=h) for s, h in enumerate(histories)]
    trials.append(MadeTrial(9, status="failed", history=[row(1, 99.0, 0.0)]))
    records, _, arms = parts(tmp_path, trials)
    data = figures.curve_data(records, arms).set_index(["metric", "epoch"])
    assert data.loc[("val/dice", 1), "mean"] == pytest.approx(0.9)
    assert data.loc[("val/dice", 1), "low"] == pytest.approx(0.651586, abs=1e-6)
    assert data.loc[("train/loss", 1), "mean"] == pytest.approx(2.0)  # without the failed one
    assert data.loc[("train/loss", 1), "highest"] == 3.0
    assert data.loc[("val/dice", 2), "n"] == 1
    assert math.isnan(data.loc[("val/dice", 2), "low"])


def test_score_data(tmp_path):
    trials = [MadeTrial(0, summary={"best_val_dice": 0.8, "test_dice": 0.7}), MadeTrial(1)]
    records, _, arms = parts(tmp_path, trials)
    data = figures.score_data(records, arms)
    assert data[["column", "value"]].to_numpy().tolist() == [
        ["best_val_dice", 0.8], ["test_dice", 0.7],
    ]  # fmt: skip
    assert set(data["id"]) == {trials[0].id}


def test_all_figures_are_pictures_and_leave_nothing_behind(tmp_path):
    before = dict(mpl.rcParams), list(plt.get_fignums()), mpl.get_backend()
    drawn = figures.draw_all(*parts(tmp_path, study(seeds=2, epochs=4, failed=(1,))))
    assert [d.name for d in drawn] == ["scores", "learning_curves", "cost"]
    for drawing in drawn:
        with Image.open(io.BytesIO(drawing.png)) as picture:
            assert picture.info["dpi"][0] >= 150
            assert picture.width == round(figures.WIDTH * figures.DPI)
    assert (dict(mpl.rcParams), list(plt.get_fignums()), mpl.get_backend()) == before


def test_no_data_no_figure(tmp_path):
    assert figures.draw_all(*parts(tmp_path, [MadeTrial(0, status="planned")])) == []


def test_without_costs_the_rest_is_drawn(tmp_path):
    history = [row(e, 0.5, 0.1 * e) for e in (1, 2)]
    trial = MadeTrial(0, {"model": "u"}, history=history, summary={"best_val_dice": 0.2})
    drawn = figures.draw_all(*parts(tmp_path, [trial]))
    assert [d.name for d in drawn] == ["scores", "learning_curves"]


def test_curves_say_the_arm_s_colour_and_dashes(tmp_path):
    records, _, arms = parts(tmp_path, study(models=("unet",), seeds=2, epochs=3))
    ax = Figure().subplots()
    figures.draw_curves(ax, figures.curve_data(records, arms), arms, "val/dice")
    assert [line.get_color() for line in ax.lines] == [arm.color for arm in arms]
    assert [line.is_dashed() for line in ax.lines] == [bool(arm.dashes) for arm in arms]
    assert len(ax.collections) == len(arms)  # the bands


def test_falling_losses_over_decades_stand_on_a_log_scale(tmp_path):
    history = [row(1, 13.0, 0.5), row(2, 0.2, 0.9)]
    records, _, arms = parts(tmp_path, [MadeTrial(0, history=history)])
    data = figures.curve_data(records, arms)
    scales = []
    for metric in ("val/loss", "val/dice"):
        ax = Figure().subplots()
        figures.draw_curves(ax, data, arms, metric)
        scales.append(ax.get_yscale())
    assert scales == ["log", "linear"]


def scores_axes(root, values, baseline):
    trials = [MadeTrial(s, {"model": m}, summary={"test_dice": v, "baseline_dice": baseline})
              for m, vs in values.items() for s, v in enumerate(vs)]  # fmt: skip
    records, summary, arms = parts(root, trials)
    ax = Figure().subplots()
    figures.draw_scores(ax, figures.score_data(records, arms), summary, arms, "test_dice")
    return ax


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_value_that_is_not_finite_costs_no_figure(tmp_path, value):
    history = [row(1, 3e30, 0.5), row(2, 2.0, 0.6), row(3, 0.01, 0.9)]
    history[0]["val/loss"] = value
    trials = [MadeTrial(seed, history=history) for seed in (0, 1)]
    names = {drawn.name for drawn in figures.draw_all(*parts(tmp_path, trials))}
    assert "learning_curves" in names


def test_every_seed_is_a_point_and_the_baseline_a_line(tmp_path):
    ax = scores_axes(tmp_path, {"a": [0.8, 0.81, 0.82], "b": [0.6, 0.61, 0.62]}, 0.56)
    points = [p for scatter in ax.collections for p in scatter.get_offsets()[:, 0]]
    assert sorted(points) == pytest.approx([0.6, 0.61, 0.62, 0.8, 0.81, 0.82])
    dashed = [line for line in ax.lines if line.is_dashed()]
    assert [tuple(line.get_xdata()) for line in dashed] == [(0.56, 0.56)] * 2
    assert ax.get_xlim()[0] < 0.56


def test_a_far_baseline_is_told_instead_of_squeezing_the_arms(tmp_path):
    ax = scores_axes(tmp_path, {"a": [0.90, 0.901, 0.902]}, 0.56)
    assert ax.get_title(loc="left") == "◂ baseline 0.560"
    assert ax.get_xlim()[0] > 0.85


def test_arms_of_one_cost_stand_apart(tmp_path):
    summary = {"macs": 5e9, "test_dice": 0.8}
    trials = [MadeTrial(0, {"model": m}, summary=summary) for m in "ab"]
    _, frame, arms = parts(tmp_path, trials)
    ax = Figure().subplots()
    figures.draw_cost(ax, frame, arms, "macs", "test_dice")
    marks = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    places = [line.get_transform().transform((5e9, 0.8))[0] for line in marks]
    assert places[1] - places[0] > 5


def test_labels_with_dollars_are_not_formulas(tmp_path):
    trials = study(models=("$\\undefined$", "a_b"), augments=("none",), seeds=1, epochs=2)
    assert len(figures.draw_all(*parts(tmp_path, trials))) == 3


def test_too_many_curves_show_the_best_and_say_so(tmp_path):
    trials = [
        MadeTrial(0, {"model": f"m{i}"}, history=[row(1, 0.5, i / 20)],
                  summary={"best_val_dice": i / 20})
        for i in range(15)
    ]  # fmt: skip
    drawn = figures.draw_all(*parts(tmp_path, trials))
    caption = next(d.caption for d in drawn if d.name == "learning_curves")
    assert "Shown: the 12 best of 15 arms" in caption


def test_all_costs_are_within_the_frame(tmp_path):
    trials = [MadeTrial(0, {"model": m, "augment": a}, summary={"macs": v, "test_dice": 0.8})
              for m, v in {"small": 1e9, "large": 31e9}.items() for a in "abcdefgh"]  # fmt: skip
    _, frame, arms = parts(tmp_path, trials)
    ax = Figure(figsize=(3, 3)).subplots()
    figures.draw_cost(ax, frame, arms, "macs", "test_dice")
    assert ax.get_xscale() == "log"
    marks = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    places = [line.get_transform().transform(line.get_xydata()[0])[0] for line in marks]
    assert len(places) == 16
    assert ax.bbox.x0 < min(places)
    assert max(places) < ax.bbox.x1
