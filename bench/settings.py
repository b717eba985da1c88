"""The base of every settings class: frozen, strict about types, and refusing unknown keys."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Typed settings as they stand in a spec.

    Settings classes never import torch, so that a spec is checked in milliseconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def identity(self) -> dict[str, Any]:
        """The settings, defaults filled in, without what cannot change a result.

        A field made by `added_later` is included only where it differs from its default.
        """
        found = {
            key: _identity(getattr(self, key))
            for key, is_added, default in _identifying(type(self))
            if not (is_added and getattr(self, key) == default)
        }
        for key, value in (self.model_extra or {}).items():
            found[key] = _identity(value)
        return found


def machine_local(default: Any, **constraints: Any) -> Any:
    """A field that cannot change a result (a path, a device): not part of a trial's identity."""
    return Field(default, json_schema_extra={"x-machine-local": True}, **constraints)


def excluded_from_builder(default: Any, **constraints: Any) -> Any:
    """A field of a part's settings that is no argument of the part's builder."""
    return Field(default, json_schema_extra={"x-excluded-from-builder": True}, **constraints)


def added_later(default: Any, *, argument: bool = True, **constraints: Any) -> Any:
    """A field that is newer than recorded trials, its default being what they were made with.

    It enters a trial's identity only where it is set otherwise, so that older ids stay valid.
    Without `argument` it is no argument of the part's builder, as with `excluded_from_builder`.
    """
    extra: dict[str, Any] = {"x-added-later": True, "x-excluded-from-builder": not argument}
    return Field(default, json_schema_extra=extra, **constraints)


def is_excluded_from_builder(extra: Any) -> bool:
    """Whether a field with this `json_schema_extra` was made by `excluded_from_builder`."""
    return isinstance(extra, dict) and bool(extra.get("x-excluded-from-builder"))


@cache
def _identifying(settings: type[Settings]) -> tuple[tuple[str, bool, Any], ...]:
    """Name, whether `added_later`, and default of each field that can change a result."""
    found = []
    for key, field in settings.model_fields.items():
        marks = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if not marks.get("x-machine-local"):
            found.append((key, bool(marks.get("x-added-later")), field.default))
    return tuple(found)


_SCALARS = (str, int, float, bool, type(None))


def _identity(value: Any) -> Any:
    if type(value) in _SCALARS:  # by far the most frequent: thousands of arms are hashed
        return value
    if isinstance(value, Settings):
        return value.identity()
    if isinstance(value, list | tuple):
        return [_identity(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _identity(item) for key, item in value.items()}
    return value
