"""The published example studies: reports follow from records, and docs say what reports say.

After a change to what a report says:

    python -m bench report --results results/examples --out reports/examples
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from bench.analysis.load import load
from bench.cli.app import app
from bench.record.files import read_json, read_yaml
from bench.record.machine_traces import hosts_in, keys_of_paths
from bench.record.store import Store

ROOT = Path(__file__).parents[1]
RESULTS, REPORTS = ROOT / "results/examples", ROOT / "reports/examples"
STUDIES = ("example_encoders", "example_models", "example_recipe")
LARGEST = 8_000_000
LOOSE = 1e-4  # relative: other versions of scipy integrate and search to other last digits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All reports, made by one command from the published records, which stay as they are."""
    out = tmp_path_factory.mktemp("reports")
    before = contents(RESULTS)
    done = CliRunner().invoke(
        app, ["report", "--results", str(RESULTS), "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert contents(RESULTS) == before
    return out


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_studies_are_published() -> None:
    assert tuple(Store(RESULTS).experiments()) == STUDIES


@pytest.mark.parametrize("study", STUDIES)
def test_every_record_counts(study: str) -> None:
    records = load(Store(RESULTS), study)
    assert records.left_out == ()
    assert records.cautions == ()
    assert len(records.done) == len(records.runs) >= 15


@pytest.mark.parametrize("study", STUDIES)
def test_verdicts_follow_from_the_records(study: str, remade: Path) -> None:
    made, kept = (
        json.loads((folder / study / "verdicts.json").read_text()) for folder in (remade, REPORTS)
    )
    found, expected = plain(made), plain(kept)
    for key, value in expected.items():  # a later version may say more
        is_number = isinstance(value, float)
        assert found[key] == (pytest.approx(value, rel=LOOSE) if is_number else value), key


def plain(tree: Any, key: str = "") -> dict[str, Any]:
    """Nested data as one mapping from keys to single values."""
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        parts = [plain(value, f"{key}/{name}") for name, value in items]
        return {name: value for part in parts for name, value in part.items()}
    return {key: tree}


@pytest.mark.parametrize("study", STUDIES)
def test_tables_follow_from_the_records(study: str, remade: Path) -> None:
    def tables(folder: Path) -> dict[str, Path]:
        found = [*(folder / study / "tables").glob("*.csv"), folder / study / "runs.csv"]
        return {path.name: path for path in found}

    made, kept = tables(remade), tables(REPORTS)
    assert made.keys() == kept.keys()
    for name, path in kept.items():
        expected = pd.read_csv(path)
        found = pd.read_csv(made[name])[list(expected.columns)]  # a later version may say more
        assert_frame_equal(found, expected, rtol=LOOSE)


@pytest.mark.parametrize("study", STUDIES)
def test_the_page_and_its_figures_are_there(study: str, remade: Path) -> None:
    for name in ("report.html", "manifest.json"):
        assert (REPORTS / study / name).is_file()
    assert (REPORTS / study / "figures/hypotheses.png").is_file()
    assert (remade / study / "figures/hypotheses.png").is_file()


def test_together_they_are_small() -> None:
    published = [
        path
        for folder in (RESULTS, REPORTS)
        for path in folder.rglob("*")
        if path.is_file() and not _ignored(path)
    ]
    assert {path.suffix for path in published} <= {
        ".json", ".yaml", ".csv", ".npy", ".html", ".md", ".tex", ".png"
    }  # fmt: skip
    assert sum(path.stat().st_size for path in published) < LARGEST


def _ignored(path: Path) -> bool:
    """As .gitignore has it: what can be made again and need not be kept."""
    derived = path.name in ("image_scores.csv", "history.csv", "report.md")
    drawn = path.parent.name == "figures" and path.name != "hypotheses.png"
    return (REPORTS in path.parents and (derived or drawn)) or path.name.startswith(".")


def test_nothing_tells_of_the_machine_they_were_trained_on() -> None:
    for path in RESULTS.rglob("*"):
        if path.suffix in (".json", ".yaml"):
            record = read_json(path) if path.suffix == ".json" else read_yaml(path)
            assert keys_of_paths(record) == [], path
            assert hosts_in(record) == set(), path
    folders = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work|opt|mnt|media|var|srv)/")
    for path in REPORTS.rglob("*"):
        if path.suffix in (".json", ".csv", ".md", ".html", ".tex"):
            assert not folders.search(path.read_text("utf-8")), path


@pytest.mark.parametrize("study", STUDIES)
def test_the_documentation_has_every_verdict(study: str) -> None:
    rows = [line for line in (ROOT / "docs/examples.md").read_text().splitlines() if "|" in line]
    for verdict in json.loads((REPORTS / study / "verdicts.json").read_text()):
        claim = verdict["claim"].replace("test_dice", "test Dice")
        (row,) = [line for line in rows if claim in line]
        assert f"| {verdict['verdict'].partition(' ')[0]}" in row
        assert number(verdict["estimate"]) in row
        if verdict["components"]:
            (sizes,) = [line for line in rows if line.startswith(f"| `{verdict['id']}`")]
            for name in ("sd_seeds", "sd_images", "sd_interaction"):
                assert f"| {verdict['components'][name]:.3f} " in sizes


def number(value: float) -> str:
    """A difference as the documentation has it, with its sign."""
    text = f"{value:+.3f}" if abs(value) < 10 else f"{value:+.0f}"
    return text.replace("-", "−")
