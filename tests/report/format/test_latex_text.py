"""Any text as LaTeX: escapes, characters that pdfLaTeX lacks, and whether tables compile."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from bench.report.format.cells import Cell, Column, Table
from bench.report.format.latex_text import _SPECIAL, DEFINITION, latex
from bench.report.format.markup import to_latex

ASCII = "".join(map(chr, range(32, 127)))
LABELS = [
    ASCII,
    "café naïve Łódź über façade Ångström Čapek Nguyễn ñ ő ș í ĵ",
    "σ = 0.1 μm, µ ≤ 3·10⁻⁴, x₀ → y ± ∞, 45°, ½",
    "ą ę đ þ « guillemets » „quotes“ ‘single’ — dash – … − ‐",
    "漢字 かな 한국어 عربي नमस्ते 🐱 👩\u200d💻 ✓ ❤\ufe0f",
    "x\u0304 e\u0301 {\u0328 \u0301alone _\u0304 &\u20dd",
    "right\u202eto left, zero\u200bwidth, nul\0, bell\a, next\x85line\u2028\u2029",
    "\ud7ff \ue000 \ufffd \U0010fffd",
    "--- --- '' ,, ?` !` <<>> ``",
    r"\input{/etc/passwd} \end{tabular} ^^M ^^5c %comment",
    "[2cm]",
    "*",
    "",
]
HEAD = r"\documentclass{article}\newcommand\toprule{\hline}\newcommand\midrule{\hline}"
HEAD += r"\newcommand\bottomrule{\hline}\begin{document}" + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("é ï ñ å ő ş ẹ", r"\'{e} \"{\i} \~{n} \r{a} \H{o} \c{s} \d{e}"),
        ("e\u0301", r"\'{e}"),
        ("ế", r"\'{\^{e}}"),
        ("μµ", r"$\mu$$\mu$"),
        ("ß – — →", r"\ss{} -- --- $\rightarrow$"),
        ("10⁻⁴", "10$^{-}$$^{4}$"),
        ('a"b', "a''b"),
        ("a`b", r"a\`{}b"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("a–-b", "a--{}-b"),
        ("猫", r"\unicodechar{猫}{U+732B}"),
        ("ą", r"\unicodechar{ą}{U+0105}"),
        ("{\u0328", "\\unicodechar{\\{\u0328}{U+007B U+0328}"),
        ("a\u202eb", r"a$\langle$U+202E$\rangle$b"),
        ("a\nb\x85c\u2028d\0", r"a b c d$\langle$U+0000$\rangle$"),
    ],
)
def test_one_text(text: str, expected: str) -> None:
    assert latex(text) == expected


def test_a_table_defines_what_it_uses() -> None:
    assert "unicodechar" not in to_latex(Table([Column("A", "", [Cell("é μ")])]))
    assert to_latex(Table([Column("A", "", [Cell("猫")])])).startswith(DEFINITION + "\n")


def test_braces_balance_and_no_special_character_is_left() -> None:
    others = random.Random(0).sample(range(0x3000, sys.maxunicode + 1), 5000)
    for character in map(chr, [*range(0x3000), *others]):
        found = latex(f"a{character}b")
        assert "\n" not in found
        bare = found.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
    for character in "&%$#_{}~^\\":
        assert latex(character) != character


@pytest.mark.parametrize("program", ["pdflatex", "lualatex", "xelatex"])
def test_tables_compile(program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    draw = random.Random(1)
    anything = [chr(n) for n in range(sys.maxunicode) if unicodedata.category(chr(n)) != "Cs"]
    drawn = ["".join(draw.choices(anything, k=20)) for _ in range(50)]
    texts = [*LABELS, "".join(_SPECIAL), *drawn]
    columns = [
        Column("Label [µ]", "", [Cell(text) for text in texts], "left"),
        Column("Claim", "", [Cell(text, detail="[0, 1]") for text in texts], "left", wide=True),
    ]
    parts = [
        to_latex(Table([Column(c.title, "", [c.cells[i]], c.align, wide=c.wide) for c in columns]))
        for i in range(len(texts))
    ]
    file = tmp_path / "table.tex"
    file.write_text(HEAD + "\n\n".join([*parts, to_latex(Table(columns))]) + "\\end{document}\n")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", file.name],
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert file.with_suffix(".pdf").stat().st_size > 1000
