from __future__ import annotations

import re

import pytest
from matplotlib.figure import Figure

from bench.report.figures import look
from bench.report.figures.arm_style import arm_color
from tests.builders.records import MadeTrial
from tests.builders.studies import study_of


def many(models, augments):
    return [MadeTrial(0, {"model": m, "augment": a}) for m in models for a in augments]


def test_no_two_levels_share_a_colour_while_there_are_colours(tmp_path):
    study = study_of(tmp_path, many("ab", "xyz"))
    found = look.level_colors(study.records, study.arms)
    colors = [color for levels in found.values() for color in levels.values()]
    assert len(set(colors)) == 5
    plain = {
        arm.levels["model"]: arm_color(arm) for arm in study.arms if arm.levels["augment"] == "x"
    }
    assert found["model"] == plain  # arms' colours are those of their model


def test_only_what_was_logged_elsewhere_is_dashed(tmp_path):
    trials = [*many("ab", "xy"), MadeTrial(None, {"model": "a", "augment": "x"}, source="A, 2024")]
    study = study_of(tmp_path, trials)
    assert [bool(look.dashes(arm)) for arm in study.arms] == [False] * 4 + [True]


def test_a_dark_page_gets_light_inks_and_a_file_does_not():
    figure = Figure(figsize=(2, 2))
    figure.subplots().set_title("x", color=look.INK)
    found = look.picture(figure)
    assert b"prefers-color-scheme" not in found.svg
    assert f"fill: {look.INK}".encode() in found.svg
    assert re.search(rb'\[style\*="fill: #222222"\]\{fill:#\w{6}!important\}', found.adaptive)
    assert found.png.startswith(b"\x89PNG")


def test_the_same_figure_gives_the_same_bytes():
    with look.theme():
        first, second = (look.picture(Figure(figsize=(1, 1))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("short", "short"),
        ("two words", "two\nwords"),
        ("three whole words", "three\nwhole …"),
        ("x" * 30, "xxxxxxxx\n…"),
    ],
)
def test_labels_fit_two_lines(label, shown):
    assert look.fitted(label, 8) == shown


def test_pages_have_names():
    page = look.RenderedFigure(b"", b"")
    assert list(look.Drawing("a", "", "", (page, page, page)).files) == ["a", "a_2", "a_3"]
