"""Any text as LaTeX that compiles with pdfLaTeX in its default encoding, LuaLaTeX and XeLaTeX."""

from __future__ import annotations

import re
import unicodedata

from bench.texts import visible

UNICODE_CHARACTER = r"\unicodechar"
DEFINITION = (
    r"\providecommand{\unicodechar}[2]{\ifdefined\Umathchar#1\else\texttt{#2}\fi}"
    " % pdfLaTeX has no such characters: it shows their numbers"
)
"""What a file needs in which `UNICODE_CHARACTER` stands."""
CHECK_MARK = r"\checkmark"
CHECK_MARK_DEFINITION = r"\providecommand{\checkmark}{$\surd$} % amssymb has a true one"
"""What a file needs in which `CHECK_MARK` stands."""

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu",
    "ξ": "xi", "π": "pi", "ρ": "rho", "ς": "varsigma", "σ": "sigma", "τ": "tau", "υ": "upsilon",
    "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "ϑ": "vartheta", "ϕ": "phi",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Υ": "Upsilon", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega", "\N{MICRO SIGN}": "mu",
}  # fmt: skip
_MATH = {
    "±": "pm", "×": "times", "·": "cdot", "∞": "infty", "≈": "approx", "→": "rightarrow",
    "←": "leftarrow", "↔": "leftrightarrow", "↑": "uparrow", "↓": "downarrow",
    "⇒": "Rightarrow", "⇔": "Leftrightarrow", "≤": "le", "≥": "ge", "≠": "ne", "≡": "equiv",
    "≪": "ll", "≫": "gg", "∼": "sim", "∝": "propto", "∈": "in", "∂": "partial", "∇": "nabla",
    "∑": "sum", "∏": "prod", "√": "surd", "∘": "circ", "÷": "div", "⋅": "cdot", "∩": "cap",
    "∪": "cup", "∧": "wedge", "∨": "vee", "¬": "neg", "★": "star", "☆": "star", "•": "bullet",
    "⟨": "langle", "⟩": "rangle", "«": "ll", "»": "gg", "⊕": "oplus", "⊗": "otimes",
    "†": "dagger", "‡": "ddagger", "ℓ": "ell", "∥": "parallel", "…": "ldots", "∅": "emptyset",
}  # fmt: skip
_UP, _DOWN = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "₀₁₂₃₄₅₆₇₈₉₊₋"
_LETTERS = {
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "ı": "i", "§": "S", "¶": "P", "©": "copyright", "£": "pounds",
}  # fmt: skip
_SPECIAL = {
    **{c: "\\" + c for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",  # in German and other languages of babel, " begins a command
    "`": r"\`{}",
    "–": "--",
    "—": "---",
    "‐": "-",
    "‑": "-",
    "−": "$-$",
    "“": "``",
    "”": "''",
    "„": ",,",
    "‘": "`",
    "’": "'",
    "°": r"$^{\circ}$",
    "\N{REPLACEMENT CHARACTER}": r"$\diamond$",  # LuaTeX takes it for a broken file
    "′": r"$'$",
    "¼": "1/4",
    "½": "1/2",
    "¾": "3/4",
    "✓": r"\checkmark{}",
    **{c: rf"$\{name}$" for c, name in (_GREEK | _MATH).items()},
    **{c: rf"\{name}{{}}" for c, name in _LETTERS.items()},
    **{c: f"$^{{{x}}}$" for c, x in zip(_UP, "0123456789+-n", strict=True)},
    **{c: f"$_{{{x}}}$" for c, x in zip(_DOWN, "0123456789+-", strict=True)},
}
# The ogonek is missing on purpose: pdfLaTeX's default encoding has none.
_ACCENTS = {
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING DOT BELOW}": "d",
    "\N{COMBINING MACRON BELOW}": "b",
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CARON}": "v",
}
_DOTLESS = {"i": r"\i", "j": r"\j"}
_LIGATURES = frozenset("-,'`")  # two of them would be another character
_CLUSTER = re.compile("(.)([\u0300-\u036f\u1ab0-\u1aff\u20d0-\u20ff\ufe00-\ufe0f]*)", re.DOTALL)


def latex(text: str) -> str:
    """`text` on one line, without a meaning for LaTeX.

    A character that pdfLaTeX cannot set stands in `UNICODE_CHARACTER`, beside its number.
    """
    line = unicodedata.normalize("NFC", visible(" ".join(str(text).split())))
    found = ""
    for base, marks in _CLUSTER.findall(line):
        piece = _piece(base, marks)
        if found and found[-1] == piece[0] and piece[0] in _LIGATURES:
            found += "{}"
        found += piece
    return found


def _piece(base: str, marks: str) -> str:
    """A character with the accents on it."""
    if not marks and base in _SPECIAL:
        return _SPECIAL[base]
    if not marks and base.isascii():
        return base
    decomposed = unicodedata.normalize("NFD", base + marks)
    letter, accents = decomposed[0], decomposed[1:]
    if accents and letter.isascii() and letter.isalpha() and _ACCENTS.keys() >= set(accents):
        found = _DOTLESS.get(letter, letter)
        for accent in accents:
            found = rf"\{_ACCENTS[accent]}{{{found}}}"
        return found
    numbers = " ".join(f"U+{ord(c):04X}" for c in base + marks)
    shown = _SPECIAL.get(base, base) + marks
    return rf"{UNICODE_CHARACTER}{{{shown}}}{{{numbers}}}"
