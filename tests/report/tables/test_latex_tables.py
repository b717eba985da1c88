"""LaTeX tables of real pages: what a compiler would stumble over, as far as can be seen."""

from __future__ import annotations

import re
from pathlib import Path

from bench.report.page import write_report
from tests.builders.designs import COMPONENTS, built

NASTY = COMPONENTS.replace("flips:", '"50% a_b & {c} #1 ~ $x^2$":').replace(
    "average:", '"[ema] ≥ 0,9\\\\":'
)
FRACTION = f"design:\n  fractional: III\n  components:\n{NASTY}"
_ESCAPED = re.compile(r"\\\\|\\[%&_#${}]")


def faults(text: str) -> list[str]:
    """What is wrong with a file that holds one `tabular`."""
    found = []
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    bare = _ESCAPED.sub("", "\n".join(lines))
    if bare.count("{") != bare.count("}"):
        found.append(f"{bare.count('{')} braces open and {bare.count('}')} close")
    if bare.count("$") % 2:
        found.append("a formula does not end")
    if rest := re.findall(r"(?<!\\)[#%]|[^\x00-\x7f]", re.sub(r"%.*", "", bare)):
        found.append(f"characters as they are: {rest}")
    (layout,) = re.findall(r"\\begin\{tabular\}\{(.*)\}", text)
    columns = len(re.sub(r"p\{[^}]*\}", "p", layout))
    begin, end = lines.index(r"\midrule"), lines.index(r"\bottomrule")
    for line in (lines[begin - 1], *lines[begin + 1 : end]):
        cells = len(re.findall(r"(?<!\\)&", line)) + 1
        if cells != columns or not line.endswith(r"\\"):
            found.append(f"{cells} cells in {columns} columns: {line}")
    return found


def test_tables_of_a_design_have_equal_rows_and_closed_groups(tmp_path: Path) -> None:
    store, plan = built(tmp_path, FRACTION)
    page = write_report(store, [plan.experiment], tmp_path / "reports")
    files = sorted((page.parent / "tables").glob("*.tex"))
    assert {"ablation.tex", "ablation_effects.tex", "arms.tex", "verdicts.tex"} <= {
        path.name for path in files
    }
    assert {path.name: faults(path.read_text()) for path in files} == {
        path.name: [] for path in files
    }


def test_what_is_wrong_is_found() -> None:
    head = "\\begin{tabular}{lp{5cm}}\n\\toprule\na & b \\\\\n\\midrule\n"
    table = head + "%s\n\\bottomrule\n\\end{tabular}"
    assert faults(table % r"50\% \& more & {}x \\") == []
    assert len(faults(table % r"a & b & c \\")) == 1
    assert len(faults(table % r"{a & b \\")) == 1
    assert len(faults(table % r"$a & b \\")) == 1
    assert len(faults(table % r"a & b")) == 1
    assert len(faults(table % r"≥ & b \\")) == 1
