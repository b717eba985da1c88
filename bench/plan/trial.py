"""One trial: an arm with one seed, and the identity that everything recorded of it hangs on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from bench.spec.schema import TrialSettings

_FIRST_AXES = ("model", "augment")


@dataclass(frozen=True)
class Trial:
    """An arm (one level of every axis) with one seed.

    Attributes:
        experiment: the experiment's name.
        seed: the root of every random stream of this trial.
        axes: the label of this trial's level on each axis, in the spec's order.
        settings: everything else.
    """

    experiment: str
    seed: int
    axes: Mapping[str, str]
    settings: TrialSettings

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The canonical configuration: defaults filled in, without what cannot change a result."""
        return self.settings.identity() | {"seed": self.seed}

    @cached_property
    def id(self) -> str:
        """For example `unet-elastic-s0-1a2b3c4d`: labels, seed, and a hash of the identity.

        Labels stand in a fixed order (model, augment, then by the axis's name), so that the order
        of axes in the spec does not matter.
        """
        axes = sorted(self.axes, key=lambda axis: (*(axis != first for first in _FIRST_AXES), axis))
        labels = [_slug(self.axes[axis]) for axis in axes]
        return "-".join([*labels, f"s{self.seed}", digest(self.identity)])

    @cached_property
    def common(self) -> str:
        """Hash of the settings that no axis touches: trials that share it belong in one table."""
        settings = self.settings.identity()
        for axis in self.axes:
            _remove(settings, axis.split("."))
        return digest({"settings": settings, "axes": sorted(self.axes)})


def digest(value: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "_", label)[:24].strip("._") or "x"


def _remove(tree: dict[str, Any], path: list[str]) -> None:
    """Delete the entry at `path`, where there is one."""
    *parents, last = path
    for parent in parents:
        found = tree.get(parent)
        if not isinstance(found, dict):
            return
        tree = found
    tree.pop(last, None)


def frozen_axes(axes: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """A read-only mapping of axis to label, in order."""
    return MappingProxyType(dict(axes))
