from __future__ import annotations

from typing import Any

import pytest

from bench.errors import SpecError
from bench.spec import yaml12


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1E+2", -100.0),
        ("0o17", 15),
        ("0x1F", 31),
        ("007", 7),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("none", "none"),
        ("no", "no"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2020-01-01", "2020-01-01"),
        ("'1'", "1"),
        ('"no"', "no"),
        ("=", "="),
    ],
)
def test_scalars_mean_what_they_look_like(written: str, meant: Any) -> None:
    tree, _ = yaml12.parse(f"key: {written}\n", "file")
    assert tree == {"key": meant}
    assert type(tree["key"]) is type(meant)


def test_keys_stay_text() -> None:
    tree, _ = yaml12.parse("{1: a, 1e-3: b, none: c, true: d}", "file")
    assert list(tree) == ["1", "1e-3", "none", "true"]


def test_every_value_has_its_line() -> None:
    text = "a:\n  b: 1\n\n  # a comment\n  c:\n    - x\n    - {d: 2,\n       e: 3}\n"
    _, lines = yaml12.parse(text, "file")
    assert lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 5,
        ("a", "c", 0): 6,
        ("a", "c", 1): 7,
        ("a", "c", 1, "d"): 7,
        ("a", "c", 1, "e"): 8,
    }


def test_an_old_version_directive_changes_nothing() -> None:
    assert yaml12.parse("%YAML 1.1\n---\nkey: no\n", "file")[0] == {"key": "no"}


@pytest.mark.parametrize("written", [".nan", "-.INF", "1e999", "9" * 5000])
def test_numbers_that_cannot_be_used(written: str) -> None:
    with pytest.raises(SpecError, match=r"^file:1: key: "):
        yaml12.parse(f"key: {written}", "file")


@pytest.mark.parametrize("text", ['key: "\\ud800"', '"\\udcff": 1', 'key: ["a\\udfff"]'])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"^file:1: .*a lone surrogate, which UTF-8 cannot encode"):
        yaml12.parse(text, "file")


def test_dump_and_parse_are_inverse() -> None:
    doubtful = ["1e-3", "no", "null", "true", "~", "", "0x1f", "2020-01-01", ".inf", "a: b", "- a"]
    tree = {
        "numbers": [0.001, 1e-07, 1e22, -3, 0.1 + 0.2],
        "text": [*doubtful, "#c", "x\ny", "\t", "größe", "<<", "*a", "x y " * 60],
        "others": [None, True, {}, []],
        "1e-3": {"null": 1, "b": {"c": [{"d": 0.2}]}},
    }
    text = yaml12.dump(tree)
    again = yaml12.parse(text, "file")[0]
    assert again == tree
    assert list(again) == list(tree)


def test_dump_repeats_what_stands_twice() -> None:
    part = {"name": "unet"}
    assert yaml12.parse(yaml12.dump([part, part]), "file")[0] == [part, part]
