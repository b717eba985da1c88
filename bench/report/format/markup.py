"""Tables as Markdown and as LaTeX; the page's template writes them as HTML."""

from __future__ import annotations

from bench.analysis.leaderboard import Mark
from bench.report.format.cells import Cell, Column, Table
from bench.report.format.latex_text import (
    CHECK_MARK,
    CHECK_MARK_DEFINITION,
    DEFINITION,
    UNICODE_CHARACTER,
    latex,
)
from bench.texts import visible

_MARKDOWN = {Mark.BEST: "**{}** ★", Mark.MAY_BE: "{} ∘"}
_LATEX = {
    Mark.BEST: r"\textbf{{{}}}$^{{\star}}$",
    Mark.MAY_BE: r"{}$^{{\circ}}$",
}


def to_markdown(table: Table) -> str:
    """A GitHub table."""
    head = "| " + " | ".join(markdown(c.title) for c in table.columns) + " |"
    rule = "|" + "|".join("---:" if c.align == "right" else "---" for c in table.columns) + "|"
    body = ["| " + " | ".join(map(_markdown_cell, row)) + " |" for row in table.rows]
    return "\n".join([head, rule, *body])


def to_latex(table: Table) -> str:
    """A `tabular` for the package booktabs, which compiles whatever its texts are."""
    layout = "".join(_layout(column) for column in table.columns)
    head = _latex_row([latex(column.title) for column in table.columns])
    body = [_latex_row(list(map(_latex_cell, row))) for row in table.rows]
    needed = {UNICODE_CHARACTER: DEFINITION, CHECK_MARK: CHECK_MARK_DEFINITION}
    definition = [text for name, text in needed.items() if name in "".join([head, *body])]
    begin = [*definition, rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines = [*begin, head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def markdown(text: str) -> str:
    """`text` as it is, on one line, whatever Markdown or HTML would make of its characters."""
    line = visible(" ".join(str(text).split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + c if c in r"\`*_[]|#~$!" else c for c in line)


def _layout(column: Column) -> str:
    if column.wide:
        return "p{5cm}"
    return "r" if column.align == "right" else "l"


def _markdown_cell(cell: Cell) -> str:
    text = markdown(cell.text)
    marked = _MARKDOWN[cell.mark].format(text) if cell.mark else text
    return f"{marked} {markdown(cell.detail)}".rstrip()


def _latex_cell(cell: Cell) -> str:
    text = latex(cell.text)
    marked = _LATEX[cell.mark].format(text) if cell.mark else text
    return f"{marked} {latex(cell.detail)}".rstrip()


def _latex_row(cells: list[str]) -> str:
    """A row; one that begins with [ or * would be an argument of the line break before it."""
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"
