from __future__ import annotations

import csv
import re

import pandas as pd
import pytest

from bench.record.store import Store
from bench.report.format.cells import Cell, Column, Table, text_column
from bench.report.page import write_report
from bench.report.tables.files import NAMES, TableFile, write_tables
from tests.builders.records import study, write_experiment

OF_GRIDS = [name for name in NAMES if not name.startswith("ablation")]
HOSTILE = r"50%_of \x & {y} [z]"
CLAIM = {
    "id": "h", "claim": HOSTILE, "metric": "best_val_dice", "expect": "higher",
    "a": {"augment": HOSTILE}, "b": {"augment": "none"},
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tables' folder of a study with every kind of table."""
    root = tmp_path_factory.mktemp("tables")
    trials = study(augments=("none", HOSTILE), seeds=3, epochs=2, failed=(2,))
    write_experiment(root / "results", "exp", trials, hypotheses=[CLAIM])
    return write_report(Store(root / "results"), ["exp"], root / "reports").parent / "tables"


def test_every_table_in_three_forms(tables):
    assert {path.name for path in tables.iterdir()} == {
        f"{name}.{ending}" for name in OF_GRIDS for ending in ("csv", "md", "tex")
    }


def without_comments(path):
    return [line for line in path.read_text().splitlines() if not line.startswith("%")]


@pytest.mark.parametrize("name", OF_GRIDS)
def test_forms_have_the_same_rows(tables, name):
    with (tables / f"{name}.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(rows[0])}
    markdown = (tables / f"{name}.md").read_text().split("\n\n")[0].splitlines()
    assert len(markdown) - 2 == len(rows) - 1 > 0
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown}) == 1
    latex = without_comments(tables / f"{name}.tex")
    assert len(latex) - 6 == len(rows) - 1
    assert (latex[1], latex[3], latex[-2]) == (r"\toprule", r"\midrule", r"\bottomrule")


@pytest.mark.parametrize("name", OF_GRIDS)
def test_latex_is_well_formed(tables, name):
    lines = without_comments(tables / f"{name}.tex")
    (layout,) = re.fullmatch(r"\\begin\{tabular\}\{(.+)\}", lines[0]).groups()
    columns = len(re.sub(r"p\{5cm\}", "p", layout))
    for line in [lines[2], *lines[4:-2]]:
        assert line.endswith(r" \\")
        cells = re.split(r"(?<!\\)&", line)
        assert len(cells) == columns
        assert line.count("$") % 2 == line.count(r"\$") % 2
        bare = re.sub(r"\\[{}]", "", line)
        assert bare.count("{") == bare.count("}")
        assert not re.search(r"(?<!\\)[%#]|(?<![\\$^])_", line)


def test_numbers_are_exact_in_csv(tables):
    with (tables / "verdicts.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["claim"] == HOSTILE
    assert len(row["estimate"]) > 12
    assert row["needs_seeds"] == "" or row["needs_seeds"].isdigit()


def test_tables_of_an_earlier_report_do_not_stay(tmp_path):
    one = TableFile(pd.DataFrame({"a": [1]}), Table([Column("A", "", [Cell("1")])]))
    write_tables({"arms": one, "failures": one}, tmp_path)
    write_tables({"arms": one}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"arms.csv", "arms.md", "arms.tex"}


def test_notes_stand_below_a_table(tmp_path):
    table = Table([text_column("Arm", "Its name.", ["a"])])
    notes = ["best val Dice: 100% of it"]
    write_tables({"arms": TableFile(pd.DataFrame({"arm": ["a"]}), table, notes)}, tmp_path)
    assert (tmp_path / "arms.md").read_text().endswith("|\n\nbest val Dice: 100% of it\n")
    assert (tmp_path / "arms.tex").read_text().endswith("{tabular}\n% best val Dice: 100% of it\n")
