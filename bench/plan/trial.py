"""One trial: an arm with one seed (and fold), and the identity that all its records hang on."""

from __future__ import annotations

import hashlib
import json
import re
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from bench.spec.schema import TrialSettings

NO_LEVEL = "–"
"""The label of an axis that has no level in a trial: a search's dimension under its `when`."""
_FIRST_AXES = ("model", "augment")
_DIGITS = 8
"""Of a hash, hexadecimal, in an id."""
_MAX_LABELS = 150  # characters of an id: with seed and hash it must fit a file name


@dataclass(frozen=True)
class Trial:
    """An arm (one level of every axis) with one seed.

    Attributes:
        experiment: the experiment's name.
        seed: the root of every random stream of this trial.
        axes: the label of this trial's level on each axis, in the spec's order.
        settings: everything else.
        fold: the one that validates it, from 0, where its data are cross-validated. A part of its
            identity and never an axis: it is a trial more of the same arm and seed.
        revised: whether it is of this version; False: of the first release, whose ids were hashes
            of what `TrialSettings.identity` gives without revisions.
        varied: settings, as dotted paths, that a design varies besides those its axes name.
    """

    experiment: str
    seed: int
    axes: Mapping[str, str]
    settings: TrialSettings
    revised: bool = True
    fold: int | None = None
    varied: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", MappingProxyType(dict(self.axes)))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The canonical configuration: defaults filled in, without what cannot change a result."""
        fold = {} if self.fold is None else {"fold": self.fold}
        return self._settings | {"seed": self.seed} | fold

    @cached_property
    def id(self) -> str:
        """For example `unet-elastic-s0-1a2b3c4d`: labels, seed, and a hash of the identity.

        With folds `unet-elastic-s0-f2-1a2b3c4d`. Labels stand in a fixed order (model, augment,
        then by the axis's name), so that the order of axes in the spec does not matter.
        """
        return _join_id(self.axes, repeat_name(self.seed, self.fold), self.identity_sha256)

    @cached_property
    def identity_sha256(self) -> str:
        """Hash of the identity, whole: its first eight digits are `digest(self.identity)`.

        Eight would make two of 20,000 trials equal by chance in one plan of twenty.
        """
        return self._canonical.sha256(self.seed, self.fold)

    @property
    def arm(self) -> str:
        """Hash of the identity without seed and fold: trials that share it repeat each other."""
        return self._canonical.arm_sha256[:_DIGITS]

    @property
    def arm_sha256(self) -> str:
        """The same hash, whole."""
        return self._canonical.arm_sha256

    @cached_property
    def fixed_settings(self) -> dict[str, Any]:
        """The settings that no axis touches, without what cannot change a result."""
        return fixed_settings_of(self._settings, (*self.axes, *self.varied))

    @property
    def common(self) -> str:
        """Hash of the settings that no axis touches: trials that share it belong in one table."""
        return self._canonical.common

    @property
    def _settings(self) -> dict[str, Any]:
        return self.settings.identity(revised=self.revised)

    @property
    def _canonical(self) -> _Canonical:
        return _canonical_of(self.settings, tuple(self.axes), self.revised, self.varied)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its fields: read-only mappings cannot be."""
        return Trial, (
            self.experiment,
            self.seed,
            dict(self.axes),
            self.settings,
            self.revised,
            self.fold,
            self.varied,
        )


def repeat_name(seed: int, fold: int | None = None) -> str:
    """What an id says of a repeat: `s0`, of cross-validation `s0-f2`."""
    return f"s{seed}" if fold is None else f"s{seed}-f{fold}"


def fixed_settings_of(settings: Mapping[str, Any], axes: Iterable[str]) -> dict[str, Any]:
    """The settings (as `Settings.identity` gives them) that none of the axes touches."""
    fixed_settings = dict(settings)
    for axis in axes:
        path = axis.split(".")
        # a part's name decides which other settings the part has
        fixed_settings = drop_path(
            fixed_settings, path[:-1] if path[-1] in {"name", "target"} else path
        )
    return fixed_settings


def hash_common(fixed_settings: Mapping[str, Any], axes: Iterable[str]) -> str:
    """Hash of what `fixed_settings_of` gives, and of which axes there are."""
    return digest({"settings": fixed_settings, "axes": sorted(axes)})


def make_id(axes: Mapping[str, str], kind: str, identity: Any) -> str:
    """`<labels>-<kind>-<hash of the identity>`: the name of a trial, and of its folder."""
    return _join_id(axes, kind, digest(identity))


def _join_id(axes: Mapping[str, str], kind: str, identity_hash: str) -> str:
    # by name: the order of axes in the spec must not change an id
    ordered = sorted(axes, key=lambda axis: (*(axis != first for first in _FIRST_AXES), axis))
    levels = [axes[axis] for axis in ordered if axes[axis] != NO_LEVEL]
    labels = "-".join(map(_slug, levels))[:_MAX_LABELS]
    return "-".join([*filter(None, [labels]), kind, identity_hash[:_DIGITS]])


def digest(value: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return _sha256(canonical_json(value))[:_DIGITS]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """The same text for equal values: keys are sorted, and 1 and 1.0 (but not true) are one."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class _Canonical:
    """What a trial's id is made of but its seed and fold: the same for all repeats of an arm.

    Attributes:
        texts: canonical JSON of each section of the settings.
        arm_sha256: see `Trial.arm_sha256`.
        common: see `Trial.common`.
    """

    texts: Mapping[str, str]
    arm_sha256: str
    common: str

    def sha256(self, seed: int, fold: int | None) -> str:
        """See `Trial.identity_sha256`."""
        repeat = {"seed": seed} if fold is None else {"seed": seed, "fold": fold}
        return _sha256(_joined({**self.texts, **{k: canonical_json(v) for k, v in repeat.items()}}))


_Key = tuple[int, tuple[str, ...], bool, tuple[str, ...]]
_known: dict[_Key, tuple[weakref.ref[TrialSettings], _Canonical]] = {}
"""By `id` of the settings, which cannot keep it: copying and comparing take in all fields."""


def _canonical_of(
    settings: TrialSettings, axes: tuple[str, ...], revised: bool, varied: tuple[str, ...]
) -> _Canonical:
    """Made once for all trials that share one settings object, as the seeds of an arm do."""
    key = id(settings), axes, revised, varied
    if (known := _known.get(key)) is not None and known[0]() is settings:
        return known[1]
    sections = settings.identity(revised=revised)
    texts = {name: canonical_json(value) for name, value in sections.items()}
    touched = {path.split(".")[0] for path in (*axes, *varied)}
    fixed_settings = {
        name: canonical_json(value) if name in touched else texts[name]
        for name, value in fixed_settings_of(sections, (*axes, *varied)).items()
    }
    common = _joined({"settings": _joined(fixed_settings), "axes": canonical_json(sorted(axes))})
    found = _Canonical(texts, _sha256(_joined(texts)), _sha256(common)[:_DIGITS])
    _known[key] = weakref.ref(settings, lambda _: _known.pop(key, None)), found
    return found


def _joined(texts: Mapping[str, str]) -> str:
    """The canonical JSON of a mapping whose values' canonical JSON is given."""
    return "{" + ",".join(f"{json.dumps(key)}:{texts[key]}" for key in sorted(texts)) + "}"


def _slug(label: str) -> str:
    """A label in characters that every file system takes; `-` stays in exponents (1e-5) only."""
    text = re.sub(r"(?<![0-9]e)-|[^A-Za-z0-9._-]+", "_", label)
    return text[:24].strip("._-") or "x"  # one long label must not hide the others


def drop_path(tree: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """`tree` without the entry at `path`, where there is one; what is in it is not changed."""
    first, *rest = path
    if not rest:
        return {key: value for key, value in tree.items() if key != first}
    below = tree.get(first)
    return {**tree, first: drop_path(below, rest)} if isinstance(below, Mapping) else dict(tree)
