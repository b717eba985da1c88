"""Changes that nobody would make to a good input: to its bytes, its lines, or its tree."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

TOKENS = [
    "", "null", "~", "true", "no", "0", "-1", "1e-3", "1e999", ".nan", "NaN", "Infinity", "-0",
    "9" * 400, "9" * 5000, "1_000", "0x1F", "[]", "{}", "[[]]", "{a: 1}", "[1, 2, 3]", '"x"', "'",
    '"', "&a", "*a", "!!python/object:os.system x", "<<", "- ", ": ", "\t", "\n", "#", "|", ">",
    "\u00e9", "\u202e", "\U0001f600", "\x00", "\ufeff", "../../etc", "/etc/passwd", "..", "a" * 300,
    "[" * 2000, "{a: " * 200, "target: os:system", "name: unet", ",", "}", "]", "%", "@", "`",
    "2024-01-01", "1:30", "=", "mlartifacts", "CON", "x;y", "<b>", "{{ 7 * 7 }}", "$(id)",
    '"\\ud800"',
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 10**30, 10**9, 1.5, -0.0, 1e300, float("inf"), float("nan"), "",
    "x", "none", "..", "\ud800", "\udcff.png", "a" * 300, "\u00e9\x00", "9" * 30, [], {}, [None],
    [[]], [1, "a", {}],
    {"a": 1}, {"name": "unet"}, {"target": "os:getcwd"}, {"": ""}, ["x"] * 50,
]  # fmt: skip
BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}, *a{k - 1}]\n" for k in range(1, 40)
)


def bytes_of(text: bytes, draw: random.Random) -> bytes:
    """A change anywhere, or a few."""
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        text = draw.choice(_BYTE_CHANGES)(text, draw)
    return text


def _cut(text: bytes, draw: random.Random) -> bytes:
    return text[: draw.randint(0, len(text))]


def _without(text: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(text))
    return text[:start] + text[start + draw.randint(1, 40) :]


def _flipped(text: bytes, draw: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(draw.randint(1, 8) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _with_token(text: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(text))
    return text[:start] + draw.choice(TOKENS).encode() + text[start + draw.choice([0, 0, 1, 5]) :]


def _word_replaced(text: bytes, draw: random.Random) -> bytes:
    words = text.split(b" ")
    words[draw.randrange(len(words))] = draw.choice(TOKENS).encode()
    return b" ".join(words)


def _line_moved(text: bytes, draw: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    line = lines[draw.randrange(len(lines))]
    if draw.random() < 0.5:
        lines.remove(line)
    lines.insert(draw.randint(0, len(lines)), draw.choice([b"", b"  ", b"- "]) + line)
    return b"".join(lines)


_BYTE_CHANGES = [_cut, _without, _flipped, _with_token, _word_replaced, _line_moved]


def tree_of(tree: Any, draw: random.Random) -> Any:
    """A value or key changed, or a few."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        found = list(places(tree))
        if not found:
            return draw.choice(VALUES)
        node, key = draw.choice(found)
        what = draw.random()
        if what < 0.2:
            del node[key]
        elif what < 0.3 and isinstance(node, dict):
            node[draw.choice(TOKENS)] = node.pop(key)
        elif what < 0.4:
            node[key] = copy.deepcopy(draw.choice(found)[0])  # something else of the same file
        else:
            node[key] = copy.deepcopy(draw.choice(VALUES))
    return tree


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a tree with each of its keys."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def deep(draw: random.Random) -> str:
    """Nested beyond reason."""
    depth = draw.choice([40, 500, 5000])
    opening, closing = draw.choice([("[", "]"), ("{a: ", "}"), ("- ", ""), ("{? [", "]}")])
    return "experiment: x\ntask: " + opening * depth + closing * draw.choice([0, depth])
