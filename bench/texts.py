"""Texts of users and of records: which ones are accepted, and how those of foreign files are shown.

Control and format characters (line ends, bidirectional overrides, zero-width characters, …) make
two different labels look alike, or turn a line of a table around. What a user writes must not have
them; what is recorded may, and is shown with them escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST_LABEL = 100
"""Characters of a label, of an axis's or of a metric's name."""

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})  # Unicode's categories
_FORMULA = tuple("=+-@" + "＝＋－＠")


def fault_of(text: str, most: int = LONGEST_LABEL) -> str | None:
    """Why a text is no label, claim or name, and what to do; None: it is one."""
    for character in text:
        if not character.isprintable():
            return f"has the character {named(character)}, which cannot be seen; remove it"
    if not text.strip():
        return "is empty; write at least one visible character"
    if len(text) > most:
        return f"has {len(text)} characters; at most {most} are possible, so shorten it"
    return None


def named(character: str) -> str:
    """`U+202E RIGHT-TO-LEFT OVERRIDE`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def visible(text: str) -> str:
    """`text` with every character that is not seen escaped, as `⟨U+202E⟩`; line ends stay."""
    if text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if c not in "\n\t" and unicodedata.category(c) in _HIDDEN else c
        for c in text
    )


def is_formula(text: str) -> bool:
    """Whether a spreadsheet that opens a CSV file takes the cell as a formula: not numbers."""
    if not text.lstrip().startswith(_FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return len(text.strip()) > 1  # a sign alone is text
    return False


def formula_caution(texts: Iterable[str]) -> str | None:
    """A sentence on the cells of CSV files that spreadsheets take as formulas; None: no such one.

    The cells stay what they are: an apostrophe before them would be a part of the label for every
    program that reads the file.
    """
    found = list(dict.fromkeys(filter(is_formula, texts)))
    if not found:
        return None
    first = found[0] if len(found[0]) <= 40 else f"{found[0][:39]}…"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"{visible(first)!r}{more} in the CSV files would be run as formulas by a spreadsheet: "
        "import these columns as text"
    )
