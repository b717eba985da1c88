"""Specs and overrides as Python has them: dicts, numbers and paths instead of YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import SpecError
from bench.spec.load import Spec, load_spec, spec_of

SpecLike = str | Path | Mapping[str, Any]
SOURCE = "spec"
"""What errors call a spec that is no file."""


def read_spec(spec: SpecLike, overrides: Mapping[str, Any]) -> Spec:
    """The checked spec of a file or of a mapping, with overrides applied.

    Args:
        spec: a YAML file's path, or what would stand in one.
        overrides: by dotted path, `train.lr`; as a keyword, `train__lr` stands for that.

    Raises:
        SpecError: anything that cannot be used, with the key and, of a file, the line.
    """
    changes = [
        f"{name}={json.dumps(plain(value, name))}"
        for name, value in ((key.replace("__", "."), value) for key, value in overrides.items())
    ]
    if isinstance(spec, Mapping):
        return spec_of(plain(spec, ""), SOURCE, changes)
    if not isinstance(spec, str | Path):
        raise SpecError(f"a spec is the path of a YAML file or a dict, not {type(spec).__name__}")
    return load_spec(Path(spec), changes)


def plain(value: Any, key_path: str) -> Any:
    """A value as YAML can have it: numpy's scalars become numbers, paths text, tuples lists.

    Raises:
        SpecError: it is something else; names where it stands.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {
            _key(key, key_path): plain(v, f"{key_path}.{key}".lstrip("."))
            for key, v in value.items()
        }
    if isinstance(value, list | tuple | range):
        return [plain(item, f"{key_path}.{i}") for i, item in enumerate(value)]
    if callable(getattr(value, "tolist", None)):  # numpy's and torch's numbers and arrays
        return plain(value.tolist(), key_path)
    raise SpecError(
        f"is a {type(value).__name__}; use numbers, texts, lists and dicts, and for code of your "
        "own {'target': 'package.module:name'}",
        source=SOURCE,
        key=key_path,
    )


def _key(key: Any, key_path: str) -> str | int:
    if isinstance(key, str | int):
        return key
    raise SpecError(f"the key {key!r} is neither text nor a number", source=SOURCE, key=key_path)
