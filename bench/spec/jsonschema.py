"""JSON Schemas as plain data: walking them, and the one that editors check a spec file with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

Schema = dict[str, Any]


def alternatives(schema: Schema, definitions: Schema) -> Iterator[Schema]:
    """The objects and lists, without choices and references, that `schema` may stand for."""
    if "$ref" in schema:
        yield from alternatives(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for several in ("anyOf", "oneOf", "allOf"):
        for alternative in schema.get(several, ()):
            yield from alternatives(alternative, definitions)
    if "properties" in schema or "items" in schema:
        yield schema


def spec_schema(settings: Schema, sweep: Schema, roots: Sequence[str]) -> Schema:
    """The schema of a spec file from those of its settings and its sweep.

    It asks for less than planning does, since an axis may give what is missing in the settings.

    Args:
        settings: of one trial; sections that name a part are a choice (`oneOf`).
        sweep: which trials there are.
        roots: the sections in which axes can be.
    """
    settings, sweep = copy.deepcopy(settings), copy.deepcopy(sweep)
    definitions, sections = settings["$defs"] | sweep.pop("$defs", {}), settings["properties"]
    del definitions["SelectSettings"]["required"]  # the task has defaults
    for section in sections.values():
        section.pop("default", None)
        if "oneOf" in section:  # without a name several kinds may fit
            section["anyOf"] = section.pop("oneOf")
    kinds = alternatives(sections["task"], definitions)
    names = [{"const": _const_name(kind)} for kind in kinds if "name" in kind["properties"]]
    sections["task"]["anyOf"] += names
    own = sweep["properties"]
    definitions["Axes"] = _axes(sections, definitions, roots)
    axes = {"$ref": "#/$defs/Axes"}
    own["grid"] = axes | {"description": own["grid"]["description"]}
    own["zip"] = _any_of(axes, _array_of(axes)) | {"description": own["zip"]["description"]}
    about = own["seeds"].pop("description")
    own["seeds"] = _any_of({"type": "integer", "minimum": 1}, own["seeds"]) | {"description": about}
    _add_short_spellings(definitions["SearchSettings"]["properties"], definitions)
    _add_names_of_parts(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A spec of bench",
        "type": "object",
        "properties": {"experiment": own.pop("experiment"), **sections, **own},
        "required": ["experiment", "task"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _add_short_spellings(search: Schema, definitions: Schema) -> None:
    """What a search takes besides: a part's name for the part, a metric, how many seeds."""
    for part in ("sampler", "pruner"):
        names = [{"const": _const_name(kind)} for kind in alternatives(search[part], definitions)]
        kinds = search[part].pop("oneOf", None) or search[part].pop("anyOf")
        search[part]["anyOf"] = [*kinds, *names]
    listed = search["objectives"]
    listed["items"] = _any_of({"type": "string"}, listed["items"])
    seeds = search["confirm_seeds"]
    about = {key: seeds.pop(key) for key in ("description", "default")}
    search["confirm_seeds"] = _any_of({"type": "integer", "minimum": 0}, seeds) | about


def _add_names_of_parts(definitions: Schema) -> None:
    """A part's name stands for the part with its defaults: schedules, losses, metrics."""
    train = definitions["TrainSettings"]["properties"]
    listed = [kind for kind in train["loss"]["oneOf"] if "items" in kind]
    places = [train["schedule"], *(kind["items"] for kind in listed)]
    places += [
        properties["metrics"]["items"]
        for definition in definitions.values()
        if "oneOf"
        in (properties := definition.get("properties", {})).get("metrics", {}).get("items", {})
    ]
    for place in places:
        names = [
            name
            for kind in alternatives(place, definitions)
            if (said := kind.get("properties", {}).get("name"))
            for name in said.get("enum", [said.get("const")])
        ]
        place["oneOf"].append({"enum": names, "type": "string"})


def _axes(sections: Schema, definitions: Schema, roots: Sequence[str]) -> Schema:
    """The schema of a mapping of axes to levels."""
    found: dict[str, list[Schema]] = {}
    for root in roots:
        for path, schema in _settings(root, sections[root], definitions):
            kinds = found.setdefault(path, [])
            if schema not in kinds:
                kinds.append(schema)
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {path: _levels(_any_of(*kinds)) for path, kinds in found.items()},
        # arguments of parts of the user's own
        "patternProperties": {
            r"^(task|data|model|train\.(loss|optimizer|sampler|schedule))\.": _levels({})
        },
        "additionalProperties": False,
    }


def _settings(path: str, schema: Schema, definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """A setting and all settings inside it, by dotted path."""
    yield path, schema
    for alternative in alternatives(schema, definitions):
        for key, inner in alternative.get("properties", {}).items():
            yield from _settings(f"{path}.{key}", inner, definitions)


def _levels(value: Schema) -> Schema:
    labelled = {"type": "object", "minProperties": 1, "additionalProperties": value}
    return _any_of(labelled, _array_of(value))


def _array_of(item: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": item}


def _any_of(*schemas: Schema) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _const_name(kind: Schema) -> Any:
    return kind["properties"]["name"]["const"]
