"""Which keys a spec knows at a given place, read off the settings' JSON Schema."""

from __future__ import annotations

from functools import cache
from typing import Any

from bench.spec.jsonschema import Schema, alternatives
from bench.spec.schema import TrialSettings
from bench.spec.yaml12 import KeyPath


@cache
def settings_schema() -> Schema:
    """The JSON Schema of one trial's settings. It is shared: copy it before changing it."""
    return TrialSettings.model_json_schema()


def known_keys(path: KeyPath, tree: Any) -> set[str]:
    """The keys that the settings know in the mapping at `path` of `tree`; none if it is none.

    Where a part can be of several kinds, its `name` in `tree` decides, or all kinds count.
    """
    schema = settings_schema()
    found = list(alternatives(schema, schema["$defs"]))
    for key in path:
        found = [
            alternative
            for parent in _of_kind(found, tree)
            if (child := _child(parent, key)) is not None
            for alternative in alternatives(child, schema["$defs"])
        ]
        tree = _below(tree, key)
    return {
        key for alternative in _of_kind(found, tree) for key in alternative.get("properties", ())
    }


def _of_kind(kinds: list[Schema], tree: Any) -> list[Schema]:
    """The options that are of the kind which `tree` names, or all where it names none of them."""
    if not isinstance(tree, dict):
        return kinds
    if "target" in tree:
        chosen = [kind for kind in kinds if "target" in kind.get("properties", {})]
    else:
        name = tree.get("name", object())  # without a name, equal to none
        names = [kind.get("properties", {}).get("name", {}).get("const") for kind in kinds]
        chosen = [kind for kind, known in zip(kinds, names, strict=True) if known == name]
    return chosen or kinds


def _child(schema: Schema, key: str | int) -> Schema | None:
    found = schema.get("items") if isinstance(key, int) else schema.get("properties", {}).get(key)
    return found if isinstance(found, dict) else None


def _below(tree: Any, key: str | int) -> Any:
    if isinstance(tree, dict):
        return tree.get(key)
    if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return None
