"""Worst and most different images: by hand as data, and looked at on axes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.image_scores import PairedImages
from bench.analysis.load import load
from bench.report.figures import draw_all
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.images import (
    ImagePair,
    draw_differences,
    draw_worst,
    image_pairs,
    most_different,
    spread,
    worst_images,
)
from bench.report.figures.look import panels
from bench.report.page import write_report
from tests.builders.image_scores import build_scored, scores_of

SPEC = """\
experiment: scored
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
model: {name: unet, width: 0.05}
train: {epochs: 4, batch_size: 6}
grid: {augment: {none: [], elastic: [{elastic: {p: 0.2}}]}}
seeds: 3
hypotheses:
  - {id: h1, claim: "Elastic raises the Dice", metric: test_dice,
     a: {augment: elastic}, b: {augment: none}, expect: higher}
  - {id: h2, claim: "It costs no memory", metric: peak_memory_mb,
     a: {augment: elastic}, b: {augment: none}, expect: lower}
"""
NAMES = ("cat", "dog", "=SUM(1)", "<b>owl</b>")
NAN = math.nan


def test_the_worst_images_by_their_mean() -> None:
    values = [[0.75, 0.25, 0.5, 0.25], [0.75, 0.5, 0.25, NAN]]
    found = worst_images(values, NAMES, "max", 2)
    assert [image.name for image in found] == ["dog", "=SUM(1)"], "of equal means the first"
    assert found[0].mean == 0.375
    assert found[0].scores == (0.25, 0.5)
    assert [image.place for image in found] == [1, 2]


def test_the_worst_of_a_loss_are_the_largest() -> None:
    assert [i.name for i in worst_images([[1, 3, 2, NAN]], NAMES, "min")] == [
        "dog", "=SUM(1)", "cat",
    ]  # fmt: skip


def paired(a: list[list[float]], b: list[list[float]]) -> PairedImages:
    return PairedImages(np.array(a), np.array(b), (0, 1), NAMES, None)


def test_pairs_are_means_over_seeds_of_images_with_all_scores() -> None:
    found = image_pairs(
        paired([[0.5, 0.25, NAN, 1], [0.75, 0.25, 1, 1]], [[0.5, 0.5, 0.5, 1], [0.5, 0.25, 0.5, 1]])
    )
    assert found == [
        ImagePair("cat", 0.625, 0.5),
        ImagePair("dog", 0.25, 0.375),
        ImagePair("<b>owl</b>", 1, 1),
    ]
    assert [pair.name for pair in most_different(found)] == ["cat", "dog"]
    assert [pair.difference for pair in most_different(found, 1)] == [0.125]


def test_what_is_drawn() -> None:
    _, (ax,) = panels(1, 1, height=2)
    worst = worst_images([[0.1, 0.5, 0.3, 0.2], [0.3, 0.5, 0.3, 0.2]], NAMES, "max", 3)
    draw_worst(ax, worst, "#123456", np.array([[0.9, 0.8, 0.7, 0.6]]))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "<b>owl</b>", "=SUM(1)"]
    assert ax.yaxis_inverted()
    behind, points, mean = ax.lines[:3]
    assert list(behind.get_xdata()) == [0.9]
    assert list(points.get_xdata()) == [0.1, 0.3]
    assert list(mean.get_xdata()) == pytest.approx([0.2])

    _, (ax,) = panels(1, 1, height=2)
    pairs = [ImagePair("x", 0.75, 0.25), ImagePair("y", 0.5, 0.5)]
    draw_differences(ax, pairs, most_different(pairs))
    assert ax.get_xlim() == ax.get_ylim()
    assert [text.get_text() for text in ax.texts] == ["1"]
    assert list(ax.lines[1].get_xdata()) == [0.25, 0.5]
    assert list(ax.lines[1].get_ydata()) == [0.75, 0.5]


def test_labels_stand_apart() -> None:
    assert spread([1.0, 3.0, 2.75, 0.25], 0.5) == [1.0, 3.0, 2.5, 0.25]
    assert spread([1.0, 1.0, 1.0], 0.25) == [1.0, 0.75, 0.5]
    assert spread([], 1.0) == []


def test_equal_scores_of_one_value_can_be_drawn() -> None:
    _, (ax,) = panels(1, 1, height=2)
    draw_differences(ax, [ImagePair("x", 1, 1)], [])
    assert ax.get_xlim()[0] < 1 < ax.get_xlim()[1]


def test_the_report_has_them(tmp_path: Path) -> None:
    def scored(trial):  # type: ignore[no-untyped-def]
        elastic = "elastic" in trial.axes.values()
        return scores_of(np.array([0.9, 0.2, 0.5, 0.7]) + 0.0625 * elastic, NAMES)

    store, _ = build_scored(tmp_path, SPEC, scored)
    page = write_report(store, ["scored"], tmp_path / "reports").read_text()
    assert 'id="worst_images"' in page
    assert 'id="image_differences"' in page
    assert "The 4 of 4 test images with the worst Dice of elastic" in page
    assert "h1: a is higher on 4 of 4 images (3 seeds)." in page
    assert "h2:" not in page.split('id="image_differences"')[1].split("</figcaption>")[0]
    assert "<b>owl</b>" not in page
    table = (tmp_path / "reports" / "scored" / "image_scores.csv").read_text().splitlines()
    assert table[0] == "id,split,image,group,epoch,dice"
    assert len(table) == 1 + 6 * 8
    assert "would be run as formulas by a spreadsheet" in page


def test_a_report_without_scores_has_none(tmp_path: Path) -> None:
    store, _ = build_scored(tmp_path, SPEC, lambda _: None)
    drawings = draw_all(ExperimentData.of(load(store, "scored")))
    assert not {drawing.name for drawing in drawings} & {"worst_images", "image_differences"}
    write_report(store, ["scored"], tmp_path / "reports")
    assert not list((tmp_path / "reports" / "scored").glob("image_scores.*"))


def test_damaged_scores_are_reported_on_the_page(tmp_path: Path) -> None:
    store, plan = build_scored(tmp_path, SPEC, lambda _: scores_of([0.5, 0.25]))
    files = store.trial("scored", plan.trials[0].id)
    (files.scores / "test.npy").write_bytes(b"\x93NUMPY")
    page = write_report(store, ["scored"], tmp_path / "reports").read_text()
    assert "Scores of single images of 1 trial are not used; their other figures are:" in page
    assert "test.npy: cannot be read" in page
