"""Every key of a spec, from the JSON Schema that editors check specs with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bench.spec.schema import json_schema

Schema = dict[str, Any]

_HIDDEN = {"Axes", "ResolvedWeights", "ResolvedExtractor"}
"""Explained by hand, or written into records by bench itself."""
_UNIONS = ("anyOf", "oneOf", "allOf")


def spec() -> str:
    """Markdown: a part for each key of a spec, and for each mapping that it may hold."""
    return "\n".join(_SpecPage(json_schema()).lines())


class _SpecPage:
    """Walks a schema; each definition is written once, where it is met first."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        # what editors accept as short spellings too, here in its full one
        self._definitions = {
            name: next(iter(definition["anyOf"])) if "anyOf" in definition else definition
            for name, definition in schema["$defs"].items()
        }
        self._written: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """The whole page's lines."""
        required = self._schema["required"]
        yield from self._keys(self._schema["properties"], required)
        for key, value in self._schema["properties"].items():
            if inner := list(self._inside(key, value, 3)):
                yield from (f"## `{key}`", "", *inner)

    def _inside(self, path: str, value: Schema, level: int) -> Iterator[str]:
        """The mappings that may stand at `path`: what all have in common, then each one's own."""
        kinds = [
            kind
            for kind in dict.fromkeys(self._references(value))
            if kind not in self._written and self._definitions[kind].get("properties")
        ]
        shared = self._in_common(kinds) if len(kinds) > 2 else {}
        if shared:
            yield from (f"Keys of every `{path}:`", "")
            yield from self._keys(shared, self._definitions[kinds[0]].get("required", ()))
        for kind in kinds:
            self._written[kind] = path
        for kind in kinds:
            titled = len(kinds) > 1 or "." in path  # else the part has the title already
            yield from self._kind(path, kind, shared, level, titled=titled)
        for key, inner in shared.items():
            yield from self._inside(f"{path}.{key}", inner, level)

    def _kind(
        self, path: str, kind: str, shared: Schema, level: int, *, titled: bool
    ) -> Iterator[str]:
        definition = self._definitions[kind]
        own = {
            key: value
            for key, value in definition["properties"].items()
            if key not in shared and "const" not in value
        }
        inner_level = min(level + titled, 5)
        if titled:
            yield from (f"{'#' * level} {_heading(path, definition)}", "")
        yield from (_plain(definition.get("description", "")), "")
        yield from self._keys(own, definition.get("required", ()))
        if definition.get("additionalProperties") is True:
            yield from ("Any other key is an argument of what `target:` names.", "")
        for key, inner in own.items():
            yield from self._inside(f"{path}.{key}", inner, inner_level)

    def _in_common(self, kinds: Sequence[str]) -> Schema:
        first, *others = [self._definitions[kind]["properties"] for kind in kinds]
        return {
            key: value
            for key, value in first.items()
            if all(other.get(key) == value for other in others)
        }

    def _keys(self, properties: Schema, required: Sequence[str]) -> Iterator[str]:
        """A definition list: key, type, default, meaning."""
        for key, value in properties.items():
            said = [f"*{self._type(value)}*"]
            if key in required:
                said.append("**required**")
            elif (default := _set(value.get("default"))) not in (None, [], {}):
                said.append(f"default `{_inline(default)}`")
            about = _plain(value.get("description") or self._about(value))
            yield from (
                f"`{key}`",
                f": {about[:1].upper()}{about[1:]}",
                "",
                f"  {' · '.join(said)}",
                "",
            )

    def _about(self, value: Schema) -> str:
        """What a value without a description refers to."""
        for kind in self._references(value):
            return str(self._definitions[kind].get("description", "")).split("\n")[0]
        return ""

    def _references(self, value: Any) -> Iterator[str]:
        """Names of the definitions that a value may be made of, this deep and no deeper."""
        if isinstance(value, list):
            for entry in value:
                yield from self._references(entry)
        if not isinstance(value, dict):
            return
        name = value.get("$ref", "").rpartition("/")[2]
        if name and name not in _HIDDEN:
            yield name
        for key in (*_UNIONS, "items", "prefixItems", "additionalProperties"):
            yield from self._references(value.get(key))
        yield from self._references(list(value.get("properties", {}).values()))

    def _type(self, value: Schema) -> str:
        """What may stand there, in words."""
        if "$ref" in value:
            return "mapping of axes to levels" if value["$ref"].endswith("/Axes") else "mapping"
        for union in _UNIONS:
            if union in value:
                kinds = [self._type(kind) for kind in value[union] if kind.get("type") != "null"]
                return " or ".join(dict.fromkeys(kinds))
        if "const" in value:
            return f"`{_inline(value['const'])}`"
        if "enum" in value:
            return _choices(value["enum"])
        return self._simple(value)

    def _simple(self, value: Schema) -> str:
        kind = value.get("type")
        if kind == "array":
            return self._list(value)
        if kind in ("integer", "number"):
            return f"{kind}{_range(value)}"
        return {"string": "text", "boolean": "true or false", "object": "mapping"}.get(
            str(kind), "any value"
        )

    def _list(self, value: Schema) -> str:
        if "prefixItems" in value:
            return f"[{', '.join(self._type(item) for item in value['prefixItems'])}]"
        items = self._type(value["items"]) if value.get("items") else "any value"
        plural = {"mapping": "mappings", "integer": "integers", "text": "texts"}
        return f"list of {plural.get(items, items)}"


def _heading(path: str, definition: Schema) -> str:
    """`task: {name: segmentation}`, `train.freeze: {up_to: …}`."""
    properties = definition["properties"]
    name = properties.get("name", {})
    if "const" in name:
        return f"`{path}: {{name: {name['const']}}}`"
    if "target" in properties:
        return f"`{path}: {{target: …}}`"
    return f"`{path}: {{{', '.join(f'{key}: …' for key in list(properties)[:2])}}}`"


def _choices(values: Sequence[Any]) -> str:
    return " or ".join(f"`{_inline(value)}`" for value in values)


def _range(value: Schema) -> str:
    """` ≥ 1`, ` > 0 and ≤ 1`."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # a hash's or a seed's 2³² is nobody's limit
    found = [f"{s} {value[k]}" for k, s in signs.items() if k in value and value[k] < 2**32]
    return f" {' and '.join(found)}" if found else ""


def _set(value: Any) -> Any:
    """A default without what is not set in it."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _inline(value: Any) -> str:
    """A value as a spec spells it, in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_inline(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(entry) for entry in value)}]"
    return value if isinstance(value, str) else json.dumps(value)


def _plain(text: str) -> str:
    """One line, ending as a sentence."""
    line = " ".join(text.split())
    return line if not line or line[-1] in ".!?…" else f"{line}."
