from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure

from bench.report.figures import pairs
from bench.report.figures.arm_style import PALETTE, arm_color
from bench.report.figures.look import level_colors
from tests.builders.records import MadeTrial, study
from tests.builders.studies import study_of


def freezing(seeds=3, **changes):
    """Two models, frozen or not: frozen is worse by 0.1, and 0.2 with the last seed."""
    return [
        MadeTrial(s, {"model": m, "train.freeze": f}, summary={
            "params": 10 if m == "a" else 20, "trainable_params": 4 if f == "encoder" else
            (10 if m == "a" else 20),
            "best_val_dice": 0.8 - (0.2 if s == 2 else 0.1) * (f == "encoder"),
            "epoch_seconds": 2.0,
        } | changes)
        for m in "ab" for f in ("none", "encoder") for s in range(seeds)
    ]  # fmt: skip


def test_the_axis_that_freezes_is_found(tmp_path):
    study = study_of(tmp_path, freezing())
    assert pairs.frozen_axes(study) == [pairs.Frozen("train.freeze", ["none"], ["encoder"])]


def test_another_model_is_not_a_frozen_one(tmp_path):
    trials = [
        MadeTrial(0, {"model": m}, summary={"params": p, "trainable_params": 4, "best_val_dice": 1})
        for m, p in (("a", 4), ("b", 10))
    ]
    assert pairs.frozen_axes(study_of(tmp_path, trials)) == []


def test_pairs_by_hand(tmp_path):
    trials = freezing()
    trials[0].status = "failed"  # a, none, seed 0
    study = study_of(tmp_path, trials)
    table = pairs.level_pairs(study, "train.freeze", ["none", "encoder"], "best_val_dice")
    assert list(table.columns) == ["none", "encoder"]
    assert len(table) == 5
    found = pairs.pair_difference(study, "best_val_dice", "train.freeze", "none", "encoder")
    assert found.mean == pytest.approx((-0.1 - 0.2) / 2)  # seed 0 lacks the pair of a
    assert found.n == 2


def test_pairs_have_their_model_s_colour(tmp_path):
    study = study_of(tmp_path, freezing())
    drawing = pairs.frozen_pairs(study)[0]
    assert drawing.name == "frozen_train_freeze"
    assert "encoder minus none" in drawing.caption
    table = pairs.level_pairs(study, "train.freeze", ["none", "encoder"], "best_val_dice")
    colors = level_colors(study.records, study.arms)["model"]
    ax = Figure().subplots()
    pairs.draw_pairs(ax, table, colors, "model")
    assert [line.get_color() for line in ax.lines] == [
        c.lower() for c in PALETTE[:2] for _ in range(3)
    ]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["none", "encoder"]


def two(root, failed=()):
    """b's Dice is higher than a's by 0.1 with x and by 0.2 with y."""
    gain = {"x": 0.1, "y": 0.2}
    trials = [
        MadeTrial(s, {"model": m, "augment": g},
                  summary={"best_val_dice": 0.5 + s / 100 + (m == "b") * gain[g]})
        for m in "ab" for g in "xy" for s in range(3)
    ]  # fmt: skip
    for index in failed:
        trials[index].status = "failed"
    return study_of(root, trials)


def test_two_axes_by_hand(tmp_path):
    study = two(tmp_path, failed=(0,))
    values = pairs.two_axes(study, "best_val_dice", "model", "augment")
    means = values.groupby(["one", "other"])["value"].mean()
    assert means.to_dict() == pytest.approx(
        {("a", "x"): 0.515, ("a", "y"): 0.51, ("b", "x"): 0.61, ("b", "y"): 0.71}
    )
    found = pairs.contrasts(study, "best_val_dice", "model", "augment")
    assert found["other"].tolist() == ["x", "y"]
    assert found["estimate"].tolist() == pytest.approx([0.1, 0.2])
    assert found["n"].tolist() == [2, 3]


def test_one_colour_for_a_level_in_two_figures(tmp_path):
    study = two(tmp_path)
    drawing = pairs.by_two(study)[0]
    assert (drawing.name, drawing.title) == ("model_by_augment", "Model by augment")
    assert "b minus a" in drawing.caption
    values = pairs.two_axes(study, "best_val_dice", "model", "augment")
    colors = level_colors(study.records, study.arms)["model"]
    ax = Figure().subplots()
    pairs.draw_levels(ax, values, ["a", "b"], ["x", "y"], colors)
    by_label = {line.get_label(): line.get_color() for line in ax.lines}
    assert {label: by_label[label] for label in "ab"} == {
        arm.levels["model"]: arm_color(arm) for arm in study.arms if arm.levels["augment"] == "x"
    }


def test_an_empty_field_is_not_drawn_as_zero(tmp_path):
    trials = study(models=[f"m{i}" for i in range(7)], seeds=1, epochs=2)[1:]
    found = study_of(tmp_path, trials)
    values = pairs.two_axes(found, "best_val_dice", "model", "augment")
    assert (values["value"] > 0.1).all()
    assert len(values) == 20
    drawing = pairs.by_two(found)[0]
    assert "an empty field has no finished trial" in drawing.caption


def test_one_axis_alone_has_no_second(tmp_path):
    trials = [MadeTrial(0, {"model": m}, summary={"best_val_dice": 0.5}) for m in "ab"]
    assert pairs.by_two(study_of(tmp_path, trials)) == []
    study = study_of(tmp_path / "b", trials)
    assert math.isnan(pairs.pair_difference(study, "test_dice", "model", "a", "b").mean)
