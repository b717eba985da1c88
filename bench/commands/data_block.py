"""`bench data FOLDER`: the `data:` section that reads a folder never seen before."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data.annotation_proposal import Proposal
from bench.data.proposal import proposals

_WIDTH = 100


def folder_text(folder: Path) -> tuple[str, bool]:
    """What to write into a spec for a folder, and whether that can be decided.

    Raises:
        DataError: there is no way to read it.
    """
    found = proposals(folder)
    if len(found) == 1:
        return data_block(found[0]), True
    head = (
        f"# It cannot be decided which of these {len(found)} readings is meant: "
        "use the one that says what you want to learn.\n"
    )
    return head + "\n".join(map(data_block, found)), False


def data_block(proposal: Proposal) -> str:
    """A proposal as lines of a spec, with what was seen as comments."""
    notes = "".join(f"# {note}\n" for note in proposal.notes)
    lines = "".join(f"  {key}: {yaml_text(value)}\n" for key, value in proposal.settings.items())
    return f"{notes}task: {proposal.task}\ndata:\n{lines}"


def yaml_text(value: Any) -> str:
    """A value on one line; a text without quotes where YAML reads it as the same text."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./-]*", value):
        return value if not _is_a_word_of_yaml(value) else json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{_listed(map(yaml_text, value))}]"
    if isinstance(value, dict):
        return f"{{{_listed(f'{yaml_text(k)}: {yaml_text(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _listed(parts: Any) -> str:
    """Parts with commas, on several lines where they are many."""
    texts: Sequence[str] = list(parts)
    lines, line = [], ""
    for i, text in enumerate(texts):
        part = text + (", " if i < len(texts) - 1 else "")
        if line and len(line) + len(part) > _WIDTH - 8:
            lines.append(line.rstrip())
            line = ""
        line += part
    return "\n    ".join([*lines, line])


def _is_a_word_of_yaml(text: str) -> bool:
    words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    return text.lower() in words or text in (".", "..") or text.lower() in (".nan", ".inf")
