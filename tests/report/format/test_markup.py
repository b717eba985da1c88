from __future__ import annotations

from bench.analysis.leaderboard import Mark
from bench.report.format.cells import Cell, Column, Table
from bench.report.format.latex_text import latex
from bench.report.format.markup import markdown, to_latex, to_markdown

TABLE = Table(
    [
        Column("Model", "", [Cell("u_net"), Cell("a|b")], "left"),
        Column("Dice", "", [Cell("0.9", 0.9, "", "[0.8, 1.0]"), Cell("–")]),
    ]
)


def test_markdown_table():
    assert to_markdown(TABLE).splitlines() == [
        "| Model | Dice |",
        "|---|---:|",
        "| u\\_net | 0.9 \\[0.8, 1.0\\] |",
        "| a\\|b | – |",
    ]


def test_latex_table():
    assert to_latex(TABLE).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Model & Dice \\",
        r"\midrule",
        r"u\_net & 0.9 [0.8, 1.0] \\",
        r"a\textbar{}b & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_the_best_is_bold_and_ties_have_a_star():
    cells = [
        Cell("0.9", mark=Mark.BEST),
        Cell("0.8", detail="[0, 1]", mark=Mark.MAY_BE),
    ]
    table = Table([Column("Dice", "", cells)])
    assert to_markdown(table).splitlines()[2:] == ["| **0.9** ★ |", "| 0.8 ∘ \\[0, 1\\] |"]
    assert to_latex(table).splitlines()[4:6] == [
        r"\textbf{0.9}$^{\star}$ \\",
        r"0.8$^{\circ}$ [0, 1] \\",
    ]


def test_a_latex_row_is_no_argument_of_the_line_break_before_it():
    table = Table([Column("A", "", [Cell("x"), Cell("[2cm]"), Cell("*")], "left")])
    assert to_latex(table).splitlines()[4:7] == [r"x \\", r"{}[2cm] \\", r"{}* \\"]


def test_sentences_wrap():
    table = Table(
        [Column("Claim", "", [Cell("x")], "left", wide=True), Column("p", "", [Cell("1")])]
    )
    assert to_latex(table).startswith(r"\begin{tabular}{p{5cm}r}")


def test_hostile_text_stays_text():
    assert markdown("<b>&`x`\n# [y](z)") == "&lt;b&gt;&amp;\\`x\\` \\# \\[y\\](z)"
    assert latex(r"50% \input{x}_^~&") == (
        r"50\% \textbackslash{}input\{x\}\_\textasciicircum{}\textasciitilde{}\&"
    )
    assert latex("−1 ≈ 2 → 3") == r"$-$1 $\approx$ 2 $\rightarrow$ 3"
