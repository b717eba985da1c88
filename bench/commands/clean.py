"""`bench clean`: its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast, get_args

from bench.commands.disk import size_text
from bench.errors import BenchError
from bench.record.clean import Cleaned, Keep


def clean_lines(found: Sequence[Cleaned], *, dry_run: bool) -> Iterator[str]:
    """What was done, a line each: what was left alone, each experiment, and all together."""
    done = "would be freed" if dry_run else "freed"
    for one in found:
        for line in one.left:
            yield f"{one.experiment}: {line}"
        trials = f"{one.trials} of {one.total} trials"
        yield f"{one.experiment}: {size_text(one.size)} {done}, of {trials}"
    if len(found) > 1:
        yield f"Together: {size_text(sum(one.size for one in found))} {done}."
    if not found:
        yield "There are no trials."


def keep_of(text: str) -> Keep:
    """`--keep` as it was written; a BenchError names the choices."""
    if text in get_args(Keep):
        return cast("Keep", text)
    raise BenchError(f"--keep {text}: use best or none")
