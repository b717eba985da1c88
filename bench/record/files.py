"""Text, JSON and YAML files: written as a whole or not at all, read with clear errors."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bench.atomic_files import write_bytes
from bench.errors import DamagedError, StoreError
from bench.record import quick_yaml
from bench.safe_files import open_plain

Kinds = type | tuple[type, ...]

_LEFTOVER = re.compile(r"\.(\d+)(-\w+\.tmp)?$")  # .history.csv.<pid>-x.tmp, .best.pt.<pid>


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace the file's content, UTF-8."""
    write_bytes(path, _utf8_safe(text).encode(), durable=durable)


def write_json(path: Path, record: Any, *, durable: bool = False) -> None:
    """Replace the file's content by JSON for any reader: NaN and infinities become null."""
    text = json.dumps(_plain(record), indent=2, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n", durable=durable)


def write_yaml(path: Path, record: Mapping[str, Any]) -> None:
    """Replace the file's content by YAML 1.2 in block style, keys in the given order."""
    yaml = YAML(typ="safe", pure=True)  # the C library behind the impure one speaks YAML 1.1
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel declares None
    yaml.width = 100
    text = io.StringIO()
    yaml.dump(_plain(record, strict=False), text)
    write_text(path, text.getvalue())


def read_text(path: Path) -> str | None:
    """The file's content, or None where there is no such file.

    Raises:
        DamagedError: the file is there and is no text.
        StoreError: the system does not let it be read.
    """
    try:
        with io.TextIOWrapper(open_plain(path), encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{path}: cannot be read ({reason}): check its owner") from error
    except UnicodeDecodeError as error:
        raise damaged(path, error) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file; else as `read_text`."""
    return _read_mapping(path, _parse_json)


def read_yaml(path: Path) -> dict[str, Any] | None:
    """The YAML 1.2 mapping in a file, or None where there is no such file; else as `read_text`."""
    return _read_mapping(path, _parse_yaml)


def remove_leftovers(folder: Path) -> None:
    """Delete what writers that were killed left among the files of `folder`."""
    for path in folder.glob(".*"):
        writer = _LEFTOVER.search(path.name)
        if writer and not psutil.pid_exists(int(writer[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def damaged(
    path: Path,
    reason: object,
    remedy: str = "restore it, or `bench run` its spec, which makes it anew",
) -> DamagedError:
    """The error for a record that is there and cannot be used."""
    line = str(reason).strip().splitlines()
    return DamagedError(f"{path}: cannot be read ({line[0][:200] if line else 'empty'}): {remedy}")


def check(path: Path, record: Mapping[str, Any], kinds: Mapping[str, Kinds]) -> None:
    """Refuse a record in which one of the keys in `kinds` is of another kind; it may lack some.

    Raises:
        DamagedError: names the key.
    """
    for key, kind in kinds.items():
        value = record.get(key)
        if key in record and (not isinstance(value, kind) or isinstance(value, bool)):
            raise damaged(path, f"its {key} is {'null' if value is None else repr(value)}")


def _read_mapping(path: Path, parse: Callable[[str], Any]) -> dict[str, Any] | None:
    text = read_text(path)
    if text is None:
        return None
    try:
        record = parse(text)
    except (ValueError, YAMLError, RecursionError) as error:
        raise damaged(path, getattr(error, "problem", None) or error) from error
    if not isinstance(record, dict):
        raise damaged(path, "not a mapping")
    return record


def _plain(value: Any, *, strict: bool = True) -> Any:
    """Only what JSON and YAML know; with `strict`, numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {_utf8_safe(str(key)): _plain(item, strict=strict) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, strict=strict) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) or not strict else None
    return _utf8_safe(str(value))  # texts, paths, enums, times


def _utf8_safe(text: str) -> str:
    r"""What UTF-8 cannot say, bytes of file names that are no text among it, as `\udcff`."""
    return text.encode(errors="backslashreplace").decode()


def _parse_yaml(text: str) -> Any:
    try:
        return quick_yaml.load(text)
    except quick_yaml.NotPlainError:
        found = YAML(typ="safe", pure=True).load(text)
        return _plain(found, strict=False) if "\\u" in text else found  # halves of a character


def _parse_json(text: str) -> Any:
    found = json.loads(text)
    return _plain(found, strict=False) if "\\u" in text else found
