"""From a YAML file and overrides to a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import did_you_mean
from bench.settings import Settings
from bench.spec.design import DesignSettings, PathSettings
from bench.spec.document import Document, read_document
from bench.spec.hypotheses import Hypothesis
from bench.spec.merge import AxisValue, merged_settings
from bench.spec.messages import problems
from bench.spec.overrides import apply_overrides
from bench.spec.repeats import RepeatSettings
from bench.spec.schema import Sweep, TrialSettings
from bench.spec.search import search_keys
from bench.spec.yaml12 import KeyPath


@dataclass(frozen=True)
class Spec:
    """One spec file with its overrides.

    Attributes:
        sweep: the experiment's name and which trials there are, checked.
        document: the whole file as data with line numbers. The settings in it are checked arm by
            arm in `settings`, since what is missing in one place an axis may give.
    """

    sweep: Sweep
    document: Document

    @property
    def experiment(self) -> str:
        """The experiment's name."""
        return self.sweep.experiment

    def settings(self, axis_values: Sequence[AxisValue] = ()) -> TrialSettings:
        """The checked settings with `axis_values` applied; a SpecError names file, line and key."""
        return merged_settings(self.document, axis_values)


def load_spec(path: Path, overrides: Sequence[str] = ()) -> Spec:
    """Read a spec and apply overrides (`train.lr=3e-4`) in their order.

    Raises:
        SpecError: anything that cannot be used, as `file:line: key.path: message`.
    """
    return _checked(read_document(path), overrides)


def spec_of(tree: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Spec:
    """The spec that a mapping of plain data is; `source` is what errors call it.

    Raises:
        SpecError: as `load_spec`, without lines.
    """
    return _checked(Document(deepcopy(dict(tree)), source), overrides)


def _checked(document: Document, overrides: Sequence[str]) -> Spec:
    apply_overrides(document, overrides)
    return Spec(_sweep(document), document)


def _sweep(document: Document) -> Sweep:
    for key in document.tree:
        if key not in _KEYS:
            raise document.error((key,), f"unknown key{did_you_mean(key, _KEYS)}")
    given = {key: value for key, value in document.tree.items() if key in Sweep.model_fields}
    try:
        return Sweep.model_validate(given)
    except ValidationError as error:
        found = problems(error, given, _known)
    errors = [document.error(problem.path, problem.message) for problem in found]
    raise min(errors, key=lambda error: error.line or 0)


def _known(path: KeyPath) -> Iterable[str]:
    """The keys that the sweep knows in the mapping at `path`."""
    if path[:1] == ("search",):
        return search_keys(path[1:])
    if path[:2] == ("design", "path"):
        return PathSettings.keys()
    inside: dict[str, type[Settings]] = {
        "hypotheses": Hypothesis, "seeds": RepeatSettings, "design": DesignSettings}  # fmt: skip
    settings = inside.get(str(path[0])) if path else None
    return _KEYS if settings is None else settings.model_fields


_KEYS = (*Sweep.model_fields, *TrialSettings.model_fields)
