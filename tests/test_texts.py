"""Which texts are accepted, how others are shown, and which cells a spreadsheet would run."""

from __future__ import annotations

import pytest

from bench.texts import fault_of, formula_caution, is_formula, visible


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a\nb", "U+000A"),
        ("a\x1b[31m", "U+001B"),
        ("a\x85b", "U+0085"),
        ("a\u2028b", "U+2028 LINE SEPARATOR"),
        ("a\u2029b", "U+2029 PARAGRAPH SEPARATOR"),
        ("a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2066b", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("a\ufeffb", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("a\u00a0b", "U+00A0 NO-BREAK SPACE"),
        ("a\ue000b", "U+E000"),
    ],
)
def test_characters_that_are_not_seen_are_named(text: str, name: str) -> None:
    fault = fault_of(text)
    assert fault is not None
    assert name in fault
    assert fault.isprintable()


@pytest.mark.parametrize(
    "text", ["unet", "−1", "é", "e\u0301", "μ → 漢字 🐱", "❤\ufe0f", "a|b `c`", "=1+1", "x" * 100]
)
def test_all_others_are_accepted(text: str) -> None:
    assert fault_of(text) is None
    assert visible(text) == text


def test_empty_and_long_texts() -> None:
    assert "is empty" in str(fault_of("  "))
    assert "has 101 characters; at most 100" in str(fault_of("x" * 101))
    assert fault_of("x" * 101, 200) is None


def test_what_is_not_seen_is_escaped() -> None:
    assert visible("a\u202eb\x1bc\u200d\x85") == "a⟨U+202E⟩b⟨U+001B⟩c⟨U+200D⟩⟨U+0085⟩"
    assert visible("a\n\tb\u00a0") == "a\n\tb\u00a0"


@pytest.mark.parametrize(
    "text", ["=1+1", "@SUM(A1)", "+mixup", "-flip", "-2+3+cmd|' /C calc'!A0", " =1", "＝1+1"]
)
def test_formulas(text: str) -> None:
    assert is_formula(text)


@pytest.mark.parametrize("text", ["-1", "+3", "-0.5", "1e-3", "-inf", "-", "a=b", "", "unet"])
def test_no_formulas(text: str) -> None:
    assert not is_formula(text)


def test_formulas_are_reported_in_one_sentence() -> None:
    assert formula_caution(["-1", "unet"]) is None
    assert formula_caution(["=1", "x", "=1", "+a"]) == (
        "'=1' and 1 more in the CSV files would be run as formulas by a spreadsheet: import these "
        "columns as text"
    )
    long = str(formula_caution(["=" + "x" * 500]))
    assert len(long) < 150
