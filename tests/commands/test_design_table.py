"""`bench plan` of a design: ticks, and the number of runs beside a full factorial's."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.api.running import Planned
from bench.commands.design_table import design_lines, design_table
from bench.plan.plan import Plan
from tests.builders.designs import COMPONENTS, HEAD
from tests.builders.experiments import SPEC, planned


def text_of(plan: Plan) -> list[str]:
    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(design_table(plan))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_for_each_configuration(tmp_path: Path) -> None:
    plan = planned(tmp_path, f"{HEAD}design:\n  cumulative:\n{COMPONENTS}")
    assert text_of(plan) == [
        "configuration flips weight decay average",
        "base – – –",
        "plus flips ✓ – –",
        "plus weight decay ✓ ✓ –",
        "plus average ✓ ✓ ✓",
    ]
    assert design_lines(plan) == [
        "Design cumulative: 16 trials of 4 configurations; a full factorial of the 3 components "
        "has 8, which would be 32 trials."
    ]


def test_alternatives_stand_where_they_are_taken(tmp_path: Path) -> None:
    text = "design: {one_at_a_time: {train.lr: [0.1], train.ema: [0.9]}}\n"
    plan = planned(tmp_path, HEAD + text)
    assert text_of(plan)[1:] == ["base 0.001 base", "train.lr: 0.1 0.1 ·", "train.ema: 0.9 · 0.9"]


def test_a_path_says_how_far_it_may_go(tmp_path: Path) -> None:
    inner = COMPONENTS.replace("    ", "      ")
    plan = planned(tmp_path, f"{HEAD}design:\n  path:\n    to:\n{inner}")
    assert "with all rounds it has 7 configurations, 28 trials." in design_lines(plan)[1]


def test_a_fraction_names_what_is_confounded(tmp_path: Path) -> None:
    plan = planned(tmp_path, f"{HEAD}design:\n  fractional: III\n  components:\n{COMPONENTS}")
    lines = design_lines(plan)
    assert lines[1] == "Resolution III, by average = flips × weight decay."
    assert lines[2] == "Confounded: flips = weight decay × average."
    assert len(lines) == 5


def test_a_grid_has_no_design(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC)
    assert design_table(plan) is None
    assert design_lines(plan) == []
    assert Planned(plan).design is None


def test_python_has_the_levels_as_a_frame(tmp_path: Path) -> None:
    plan = Planned(planned(tmp_path, f"{HEAD}design:\n  add_one:\n{COMPONENTS}"))
    assert plan.design is not None
    assert plan.design.loc["with flips"].to_dict() == {
        "flips": "on", "weight decay": "off", "average": "off",
    }  # fmt: skip


MODELS = "grid: {model: {a: {name: unet, width: 0.1}, b: {name: unet}}}\n"


@pytest.mark.parametrize("grid", ["", MODELS])
def test_runs_count_all_strata_and_seeds(grid: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, f"{HEAD}{grid}design:\n  add_one:\n{COMPONENTS}")
    trials = 32 if grid else 16
    assert design_lines(plan)[0].startswith(f"Design add one: {trials} trials of 4 configurations;")


def test_excluded_arms_are_not_counted(tmp_path: Path) -> None:
    exclude = "exclude: [{configuration: base, model: b}]\n"
    plan = planned(tmp_path, f"{HEAD}{MODELS}{exclude}design:\n  add_one:\n{COMPONENTS}")
    assert design_lines(plan)[0] == (
        "Design add one: 28 trials of 4 configurations; a full factorial of the 3 components has "
        "8, which would be 64 trials."
    )


def test_a_path_of_one_component_has_one_round(tmp_path: Path) -> None:
    plan = planned(tmp_path, f"{HEAD}design: {{path: {{to: {{train.ema: 0.9}}}}}}\n")
    (line,) = design_lines(plan)
    assert "a full factorial of the 1 component has 2" in line
