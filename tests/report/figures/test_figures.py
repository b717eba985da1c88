"""The whole set of figures."""

from __future__ import annotations

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
from PIL import Image

from bench.report import figures
from bench.report.figures.look import DPI, WIDTH
from tests.builders.records import MadeTrial, study
from tests.builders.studies import row, study_of

ALL = [
    "scores", "differences", "model_by_augment", "learning_curves", "pareto", "convergence",
    "overfitting", "equal_budgets", "budgets", "throughput",
]  # fmt: skip


def names(drawn):
    return [drawing.name for drawing in drawn]


def test_all_figures_are_pictures_and_leave_nothing_behind(tmp_path):
    before = dict(mpl.rcParams), list(plt.get_fignums()), mpl.get_backend()
    drawn = figures.draw_all(study_of(tmp_path, study(seeds=2, epochs=4, failed=(1,))))
    assert names(drawn) == ALL
    for drawing in drawn:
        with Image.open(io.BytesIO(drawing.pages[0].png)) as picture:
            assert picture.info["dpi"][0] >= 149
            assert picture.width == round(WIDTH * DPI)
        assert drawing.pages[0].svg.startswith(b"<?xml")
        assert drawing.caption.endswith(".")
    assert (dict(mpl.rcParams), list(plt.get_fignums()), mpl.get_backend()) == before


def test_no_data_no_figure(tmp_path):
    assert figures.draw_all(study_of(tmp_path, [MadeTrial(0, status="planned")])) == []


def test_what_is_not_known_has_no_figure(tmp_path):
    history = [row(e, 0.5, 0.1 * e) for e in (1, 2)]
    trial = MadeTrial(0, {"model": "u"}, history=history, summary={"best_val_dice": 0.2})
    drawn = figures.draw_all(study_of(tmp_path, [trial]))
    assert names(drawn) == ["scores", "learning_curves", "budgets"]


def test_labels_with_dollars_are_not_formulas(tmp_path):
    trials = [MadeTrial(0, {"model": m}, summary={"best_val_dice": 0.5}) for m in ("$\\no$", "b")]
    assert "scores" in names(figures.draw_all(study_of(tmp_path, trials)))


def test_sources_are_reported(tmp_path):
    own = {"summary": {"best_val_dice": 0.5}}
    trials = [MadeTrial(0, {"model": "a"}, **own)]
    trials.append(MadeTrial(None, {"model": "a"}, source="A, 2024", **own))
    drawing, *_ = figures.draw_all(study_of(tmp_path, trials))
    assert "Dashed or hollow: logged elsewhere (A, 2024)" in drawing.caption


def test_files_of_an_earlier_report_go(tmp_path):
    page = figures.RenderedFigure(b"png", b"svg")
    figures.write_figures([figures.Drawing("old", "", "", (page, page))], tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"old.png", "old.svg", "old_2.png", "old_2.svg"}
    figures.write_figures([figures.Drawing("new", "", "", (page,))], tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"new.png", "new.svg"}
