"""The short spellings of a transform in a spec, and the JSON Schema by which editors know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bench.errors import did_you_mean
from bench.registry import Registry
from bench.settings import Settings


class ShortSpellings:
    """Annotation of a union of settings: lets a spec say `hflip` or `{elastic: {p: 0.2}}` too.

    The union's members are the registry's parts in the order of their names, then `target:`.
    """

    def __init__(self, registry: Registry[Any]) -> None:
        self._registry = registry

    def expand(self, value: Any) -> Any:
        """`hflip` → `{name: hflip}`, `{elastic: {p: 0.2}}` → `{name: elastic, p: 0.2}`.

        Raises:
            PydanticCustomError: an unknown name, or not exactly one name.
        """
        if isinstance(value, Settings):
            return value
        if isinstance(value, str):
            return {"name": self._known(value)}
        if not isinstance(value, Mapping):
            raise _error(f"expected the name of an {self._registry.kind} or a mapping")
        if "target" in value:
            return dict(value)
        if "name" in value:
            return {**value, "name": self._known(value["name"])}
        if len(value) != 1:
            found = ", ".join(map(str, value)) or "nothing"
            raise _error(
                f"expected one {self._registry.kind}, as in `elastic: {{p: 0.2}}`: {found}"
            )
        ((name, body),) = value.items()
        return self._with_body(self._known(name), body)

    def _known(self, name: Any) -> str:
        if name not in self._registry.names():
            hint = did_you_mean(str(name), self._registry.names())
            raise _error(f"unknown {self._registry.kind} {str(name)!r}{hint}")
        return str(name)

    def _with_body(self, name: str, body: Any) -> dict[str, Any]:
        if (
            isinstance(body, list | tuple)
            and "of" in self._registry.entry(name).settings.model_fields
        ):
            return {"name": name, "of": body}
        if body is None:
            return {"name": name}
        if not isinstance(body, Mapping) or "name" in body:
            raise _error(f"expected the settings of {name}, as in `{name}: {{p: 0.2}}`")
        return {**body, "name": name}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        names = self._registry.names()
        *parts, custom = handler(schema)["oneOf"]
        short = {
            name: {"anyOf": [part, {"type": "null"}]}
            for name, part in zip(names, parts, strict=True)
        }
        return {
            "anyOf": [
                {"enum": [name for name in names if not self._needs_arguments(name)]},
                {
                    "type": "object",
                    "properties": short,
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
                *({"type": "object", "required": ["name"], "allOf": [part]} for part in parts),
                custom,
            ]
        }

    def _needs_arguments(self, name: str) -> bool:
        fields = self._registry.entry(name).settings.model_fields.values()
        return any(field.is_required() for field in fields)


def object_or_list(schema: CoreSchema, handler: GetJsonSchemaHandler, field: str) -> dict[str, Any]:
    """The JSON Schema of settings for which the list in their `field` may stand alone."""
    reference = handler(schema)
    definition = handler.resolve_ref_schema(reference)
    as_object = dict(definition)
    definition.clear()
    definition["anyOf"] = [as_object, as_object["properties"][field]]
    return reference


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("augmentation", "{message}", {"message": message})
