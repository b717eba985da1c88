"""pydantic's errors in the words of a spec: where, what is wrong, what is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bench.augment.settings import AugmentSettings
from bench.data.setting_types import CLASS_PATTERN
from bench.errors import did_you_mean
from bench.masking import masked
from bench.registry import TARGET_PATTERN
from bench.spec.schema import NAME_PATTERN
from bench.spec.yaml12 import KeyPath

Known = Callable[[KeyPath], Iterable[str]]
"""The keys that are known in the mapping at a path."""

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_PATTERNS = {
    CLASS_PATTERN: "a name on one line, without spaces before or after it",
    TARGET_PATTERN: "package.module:name",
    NAME_PATTERN: "at most 64 letters, digits, `_`, `.` and `-`, the first a letter or digit",
}
_LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


@dataclass(frozen=True)
class Problem:
    """One error: the path of the value that is wrong (or missing), the message, pydantic's type."""

    path: KeyPath
    message: str
    kind: str

    @property
    def wrong_type(self) -> bool:
        """Whether it is a mapping where a number should be, or the like."""
        return self.kind in _TYPES


def problems(error: ValidationError, tree: Any, known: Known) -> list[Problem]:
    """What is wrong with `tree`, without errors that only follow from one further inside."""
    details = error.errors(include_url=False)
    parents = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [_problem(detail, tree, known) for detail in details if detail["loc"] not in parents]


def _problem(detail: ErrorDetails, tree: Any, known: Known) -> Problem:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    path = _path(detail["loc"], tree)
    if kind == "located":
        return Problem((*path, *context["at"]), context["message"], kind)
    if kind == "missing":
        return Problem((*path, detail["loc"][-1]), "is missing", kind)
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key{did_you_mean(str(path[-1]), known(path[:-1]))}", kind)
    if kind == "union_tag_invalid":
        names = set(re.findall(r"'([^']*)'", context["expected_tags"])) - {"target"}
        section = next((key for key in path if isinstance(key, str)), "name")
        noun = "data set" if section == "data" else section
        hint = did_you_mean(context["tag"], names)
        return Problem((*path, "name"), f"unknown {noun} {context['tag']!r}{hint}", kind)
    return Problem(path, _message(kind, value, context, detail["msg"]), kind)


_CHOICE = re.compile(r"'([^']*)'|(-?\d+)")
"""Of pydantic's list of what a Literal may be: a text, or a whole number."""


def _message(kind: str, value: Any, context: dict[str, Any], text: str) -> str:
    if kind == "model_type" and context["class_name"] == AugmentSettings.__name__:
        return f"must be a list of augmentations or a mapping, not {format_value(value)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, not {format_value(value)}"
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return f"must be {words} {context[limit]:g}, not {format_value(value)}"
    if kind == "literal_error":
        choices = [text or bare for text, bare in _CHOICE.findall(context["expected"])]
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        one_of = "one of " if len(choices) > 1 else ""
        return f"must be {one_of}{', '.join(choices)}, not {format_value(value)}" + (
            hint if "mean" in hint else ""
        )
    if kind == "union_tag_not_found":
        if isinstance(value, dict):
            return "needs a `name:`"
        return f"must be a mapping with `name:`, not {format_value(value)}"
    if kind == "too_short" and not value:
        return "is empty; fill it or leave it out"
    if kind == "string_pattern_mismatch":
        wanted = _PATTERNS.get(context["pattern"], f"text that matches {context['pattern']}")
        return f"must be {wanted}, not {format_value(value)}"
    return str(context["error"]) if kind == "value_error" else text


def format_value(value: Any) -> str:
    """A value as an error message shows it: short, on one line, in YAML's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = masked(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _path(loc: KeyPath, tree: Any) -> KeyPath:
    """The part of pydantic's location that exists in the YAML.

    A location also names the kinds of parts and keys that a short spelling leaves out; of the ways
    to leave those out, the one that follows the tree longest is taken.
    """
    if not loc:
        return ()
    skipped = _path(loc[1:], tree)
    key = loc[0]
    try:
        taken = (key, *_path(loc[1:], tree[key]))
    except (KeyError, IndexError, TypeError):
        return skipped
    return taken if len(taken) >= len(skipped) else skipped
