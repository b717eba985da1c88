"""What trials name by other experiments and files: where it is written, and what it makes equal."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from bench.plan.trial import Trial
from bench.settings import Settings
from bench.spec.document import Document
from bench.spec.yaml12 import KeyPath


def path_in_spec(document: Document, setting: KeyPath, value: Any) -> KeyPath:
    """Where in the spec a setting's value stands: in the settings, or on some axis.

    `setting` is its path in the settings, which is taken where the value is not found.
    """
    if isinstance(value, Settings):
        value = value.model_dump(exclude_unset=True)
    locations = _candidate_paths(document.tree, (), str(setting[-1]))
    return next((path for path in locations if _at(document.tree, path) == value), setting)


def refuse_duplicates(
    document: Document,
    before: tuple[Trial, ...],
    after: tuple[Trial, ...],
    location: Callable[[Trial], KeyPath],
    what: str,
) -> None:
    """No two arms may have become the same: they would be one trial under two names.

    Args:
        document: the spec.
        before: the trials as the spec has them.
        after: the same ones, settled.
        place: where the spec says of a trial what made it equal to another.
        what: they have in common.

    Raises:
        SpecError: two have; names the second's line.
    """
    if all(map(operator.is_, before, after)):
        return  # nothing was settled, and `make_plan` has compared them
    first: dict[str, Trial] = {}
    for asked, trial in zip(before, after, strict=True):
        duplicate = first.setdefault(trial.identity_sha256, trial)
        if duplicate is not trial:
            raise document.error(
                location(asked),
                f"the arms ({', '.join(duplicate.axes.values())}) and "
                f"({', '.join(trial.axes.values())}) {what} and have the same settings; remove one",
            )


def _candidate_paths(tree: Any, path: KeyPath, name: str) -> Iterator[KeyPath]:
    """Every place at or below a key `name` or an axis that ends in it."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        here = (*path, key)
        if any(str(part).rpartition(".")[2] == name for part in here):
            yield here
        if isinstance(value, dict | list):
            yield from _candidate_paths(value, here, name)


def _at(tree: Any, path: KeyPath) -> Any:
    for key in path:
        tree = tree[key]
    return tree
