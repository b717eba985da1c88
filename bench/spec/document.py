"""A spec as data, with the place that every value of it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import SpecError
from bench.spec import yaml12
from bench.spec.yaml12 import KeyPath, dotted


@dataclass(frozen=True)
class SourceLocation:
    """A file and a line of it, or an override (which has no lines)."""

    source: str
    line: int | None = None


@dataclass
class Document:
    """A spec's tree of mappings, lists and scalars.

    Attributes:
        tree: the spec, overrides included.
        source: the file, as the user named it.
        places: where values come from, by path; what is missing lies where its parent does.
    """

    tree: dict[str, Any]
    source: str
    locations: dict[KeyPath, SourceLocation] = field(default_factory=dict)

    def location(self, path: KeyPath) -> SourceLocation:
        """Where the value at `path` comes from, or its nearest ancestor that is there."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.locations:
                return self.locations[path[:end]]
        return SourceLocation(self.source)

    def error(self, path: KeyPath, message: str) -> SpecError:
        """An error about the value at `path`: `file:line: key.path: message`."""
        location = self.location(path)
        return SpecError(
            " ".join(message.split()), source=location.source, line=location.line, key=dotted(path)
        )

    def set_source(self, path: KeyPath, location: SourceLocation) -> None:
        """Everything at and below `path` now comes from `location`."""
        for known in [known for known in self.locations if known[: len(path)] == path]:
            del self.locations[known]
        self.locations[path] = location

    def text(self) -> str:
        """The spec as YAML, overrides included."""
        return yaml12.dump(self.tree)


def read_document(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        SpecError: it is missing, not a file, not UTF-8, not YAML, empty, or not a mapping.
    """
    source = str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SpecError("no such file; name a spec (YAML)", source=source) from error
    except IsADirectoryError as error:
        raise SpecError("is a folder; name a spec (YAML) in it", source=source) from error
    except UnicodeDecodeError as error:
        raise SpecError("is not UTF-8 text; save it as UTF-8", source=source) from error
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", source=source) from error
    tree, lines = yaml12.parse(text, source)
    if tree is None:
        raise SpecError("is empty; a spec starts with `experiment:`", source=source, line=1)
    if not isinstance(tree, dict):
        raise SpecError("must be a mapping of keys to values", source=source, line=1)
    return Document(tree, source, {at: SourceLocation(source, line) for at, line in lines.items()})
