"""YAML 1.2 as this package writes it, parsed by libyaml: some twenty times faster than ruamel.yaml.

Only libyaml's parser is used; what a plain scalar means (`no` is text, `1e-3` a number) is decided
by ruamel.yaml's YAML 1.2 rules. Whatever this module does not understand is left to ruamel.yaml.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

_MAX_DEPTH = 32


class NotPlainError(Exception):
    """Not plain data as this package writes it, or not YAML: parse it with ruamel.yaml."""


def load(text: str) -> Any:
    """The one document in `text`: mappings, lists and scalars.

    Raises:
        NotPlainError: an anchor, a tag, a duplicate key, a second document, broken YAML, deep
            nesting; or libyaml is not there.
    """
    loader = getattr(yaml, "CBaseLoader", None)
    if loader is None:
        raise NotPlainError
    try:
        return _tree(loader(text))
    except (yaml.YAMLError, ValueError, YAMLError) as error:
        _reader.cache_clear()  # it may have stopped half-way
        raise NotPlainError from error


def _tree(parser: Any) -> Any:
    """The value of the one document that is parsed, built without recursion."""
    parents: list[Any] = []
    keys: list[Any] = []  # of every open mapping: the key whose value comes next
    whole: list[Any] = []  # the documents
    kind: type | None = None
    while kind is not yaml.StreamEndEvent:
        event = parser.get_event()
        kind = type(event)
        if kind is yaml.ScalarEvent:
            if event.anchor is not None or event.tag is not None:
                raise NotPlainError
            value = _scalar(event.value) if event.implicit[0] else event.value
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.anchor is not None or event.tag is not None or len(parents) == _MAX_DEPTH:
                raise NotPlainError
            parents.append({} if kind is yaml.MappingStartEvent else [])
            keys.append(_NONE)
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            value = parents.pop()
            keys.pop()
        elif kind is yaml.AliasEvent or (kind is yaml.DocumentStartEvent and event.version):
            raise NotPlainError
        else:
            continue  # where the stream and its documents begin and end
        if not parents:
            whole.append(value)
        elif isinstance(parents[-1], list):
            parents[-1].append(value)
        elif keys[-1] is _NONE:
            keys[-1] = _key(value, parents[-1])
        else:
            parents[-1][keys[-1]] = value
            keys[-1] = _NONE
    if len(whole) != 1:
        raise NotPlainError
    return whole[0]


_NONE = object()


def _key(value: Any, mapping: dict[Any, Any]) -> Any:
    """`value` as a new key of the mapping."""
    if isinstance(value, dict | list) or value in mapping or value == "<<":
        raise NotPlainError
    return value


@lru_cache(maxsize=1 << 14)
def _scalar(text: str) -> Any:
    """What a plain scalar means in YAML 1.2."""
    reader = _reader()
    tag = reader.resolver.resolve(ScalarNode, text, (True, False))
    return reader.constructor.construct_document(ScalarNode(tag, text))


@cache
def _reader() -> YAML:
    return YAML(typ="safe", pure=True)
