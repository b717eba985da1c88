"""An ablation design as the page, Markdown and LaTeX show it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.report.page import write_report
from tests.builders.designs import COMPONENTS, built

FRACTION = f"design:\n  fractional: III\n  components:\n{COMPONENTS}"


def written(folder: Path, text: str) -> Path:
    store, plan = built(folder, text)
    return write_report(store, [plan.experiment], folder / "reports").parent


def test_ticks_differences_and_verdicts_in_every_form(tmp_path: Path) -> None:
    folder = written(tmp_path, f"design:\n  add_one:\n{COMPONENTS}")
    page = (folder / "report.html").read_text()
    assert 'id="ablation"' in page
    assert "4 of the 8 configurations that a full factorial has" in page
    assert 'id="waterfall"' not in page
    markdown = (folder / "report.md").read_text()
    assert "| Configuration | flips | weight decay | average | Test Dice | Δ to base |" in markdown
    (row,) = [
        line for line in markdown.splitlines() if line.startswith("| with flips | ✓ | – | – |")
    ]
    assert row.endswith("| supported |")
    latex = (folder / "tables/ablation.tex").read_text()
    assert r"with flips & \checkmark{} & -- & -- &" in latex
    assert r"\providecommand{\checkmark}" in latex
    frame = pd.read_csv(folder / "tables/ablation.csv")
    assert list(frame["component.flips"]) == ["off", "on", "off", "off"]
    assert frame["delta"][1] == pytest.approx(0.05, abs=0.005)
    assert not (folder / "tables/ablation_effects.csv").exists()


def test_a_cumulative_design_has_a_waterfall(tmp_path: Path) -> None:
    folder = written(tmp_path, f"design:\n  cumulative:\n{COMPONENTS}")
    assert 'id="waterfall"' in (folder / "report.html").read_text()
    assert (folder / "figures/waterfall.svg").exists()
    assert "| Step | Δ to base |" in (folder / "tables/ablation.md").read_text()


def test_a_fraction_says_what_is_confounded(tmp_path: Path) -> None:
    folder = written(tmp_path, FRACTION)
    page = (folder / "report.html").read_text()
    assert "Resolution III, by average = flips × weight decay." in page
    assert "Interactions</h4>" not in page
    assert "Main effects</h4>" not in page
    assert 'id="effects"' not in page
    frame = pd.read_csv(folder / "tables/ablation_effects.csv")
    assert list(frame["effect"]) == ["flips", "weight decay", "average"]
    assert frame["confounded_with"][0] == "weight decay × average"


def test_a_grid_has_no_ablation(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", f"design:\n  add_one:\n{COMPONENTS}")
    assert (folder / "tables/ablation.md").exists()
    from tests.builders.experiments import build

    store, plan = build(tmp_path / "b")
    page = write_report(store, [plan.experiment], tmp_path / "b" / "reports")
    assert 'id="ablation"' not in page.read_text()
    assert not (page.parent / "tables/ablation.md").exists()


def test_python_has_the_table_and_the_waterfall(tmp_path: Path) -> None:
    store, plan = built(tmp_path, f"design:\n  cumulative:\n{COMPONENTS}")
    experiment = bench.load(plan.experiment, results=store.root)
    assert experiment.ablation is not None
    labels = ["base", "plus flips", "plus weight decay", "plus average"]
    assert list(experiment.ablation["configuration"]) == labels
    assert "waterfall" in experiment.figures
