"""Names to parts: what `name:` and `target:` in a spec mean, without importing the part itself."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union

from pydantic import ConfigDict, Discriminator, Field, Tag

from bench.errors import SpecError, did_you_mean, first_line
from bench.settings import Settings, is_excluded_from_builder

TARGET_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


class Custom(Settings):
    """A part of the user's own: `target: package.module:name`, with its arguments."""

    model_config = ConfigDict(extra="allow")

    target: str = Field(pattern=TARGET_PATTERN, description="package.module:name")


P = TypeVar("P", bound=Settings)
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Entry(Generic[P]):
    """One known part: its settings class and where its code is (`module:name`)."""

    settings: type[P]
    target: str


class Registry(Generic[P]):
    """The parts of one kind (models, data sets, …), by name.

    A settings class registers itself with where its builder is; the builder's module, and
    torch with it, is imported when the first such part is built.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[P]] = {}

    def register(self, target: str) -> Callable[[type[S]], type[S]]:
        """Class decorator for a settings class whose field `name` is a `Literal` with a default."""

        def add(settings: type[S]) -> type[S]:
            name = settings.model_fields["name"].default
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = Entry(settings, target)  # type: ignore[arg-type]  # P by convention
            return settings

        return add

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted(self._entries)

    def entry(self, name: str) -> Entry[P]:
        """The part called `name`; an unknown name is a SpecError with the nearest known one."""
        if name not in self._entries:
            raise SpecError(f"unknown {self.kind} {name!r}{did_you_mean(name, self._entries)}")
        return self._entries[name]

    def build(self, settings: Settings, **context: Any) -> Any:
        """Build the part: its settings as keywords, and what of `context` its builder accepts."""
        kinds = type(settings).model_fields
        fields = {
            key: value
            for key, value in settings
            if key not in kinds or not is_excluded_from_builder(kinds[key].json_schema_extra)
        }
        name, target = fields.pop("name", None), fields.pop("target", None)
        builder = load_target(target or self.entry(str(name)).target)
        names, takes_any = _parameters(builder)
        if target and not takes_any:  # one's own need not take what all of its kind have in common
            fields = {k: v for k, v in fields.items() if k not in kinds or k in names}
        return builder(**({k: v for k, v in context.items() if k in names} | fields))


def part_tag(value: Any) -> str | None:
    """Which kind of spelling of a part this is, to discriminate a union by.

    `target` of one's own, `list` of several; of a mapping and of settings the name, None where it
    has none; `name` of a name alone.
    """
    if isinstance(value, Custom) or (isinstance(value, dict) and "target" in value):
        return "target"
    if isinstance(value, list | tuple):
        return "list"
    if isinstance(value, dict):
        return str(value["name"]) if "name" in value else None
    return str(value.name) if isinstance(value, Settings) else "name"  # type: ignore[attr-defined]  # settings of every part have one


def part_type(registry: Registry[Any], custom: type[Custom]) -> Any:
    """The type of a field that names a part: one of the registry's, or `target:` for one's own."""

    def tag(value: Any) -> str | None:
        return part_tag(value) if isinstance(value, dict | Settings) else None

    choices: list[Any] = [Annotated[registry.entry(n).settings, Tag(n)] for n in registry.names()]
    choices.append(Annotated[custom, Tag("target")])
    return Annotated[Union[tuple(choices)], Discriminator(tag)]  # noqa: UP007 - built at run time


def name_alone(value: Any) -> Any:
    """`sgd` for `{name: sgd}`: a validator that gives one spelling to a part without settings."""
    return value["name"] if isinstance(value, dict) and set(value) == {"name"} else value


def name_as_mapping(value: Any) -> Any:
    """`{name: hd95}` for `hd95`: a validator that lets a part's name stand for its defaults."""
    return {"name": value} if isinstance(value, str) else value


def load_target(target: str) -> Callable[..., Any]:
    """Import `package.module:name`, which may lie in the working folder.

    That folder is searched last: nothing in it shadows an installed module.

    Raises:
        SpecError: it is not there, or cannot be called.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    module_name, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SpecError(f"target {target!r} cannot be imported: {error}") from error
    except Exception as error:  # a module of the user's own may raise anything
        why = f"{type(error).__name__}: {error}"
        raise SpecError(f"target {target!r} cannot be imported: {why}") from error
    if not callable(found):
        raise SpecError(f"target {target!r} is not callable")
    builder: Callable[..., Any] = found
    return builder


def accepted(builder: Callable[..., Any], context: dict[str, Any]) -> dict[str, Any]:
    """What of `context` a builder has arguments for by name."""
    names, _ = _parameters(builder)
    return {key: value for key, value in context.items() if key in names}


def build_custom(settings: Custom, part_lacks: int = 2, **context: Any) -> Any:
    """Build a part that has a `target:`: its arguments as they are, and of `context` what it takes.

    Arguments that have a `target:` themselves are built first: a loss around a loss. A function
    that lacks `part_lacks` arguments or more is the part itself (a loss of predictions and
    targets), its other arguments being given: what makes a part needs no more than its arguments.

    Raises:
        SpecError: it is not there, or refuses its arguments.
    """
    builder = load_target(settings.target)
    arguments = {k: _built(v, context) for k, v in (settings.model_extra or {}).items()}
    arguments = accepted(builder, context) | arguments
    if not inspect.isclass(builder) and _lacks(builder, arguments) >= part_lacks:
        return partial(builder, **arguments) if arguments else builder
    try:
        return builder(**arguments)
    except SpecError:
        raise
    except Exception as error:  # code of others may raise anything
        raise SpecError(f"{settings.target!r} cannot be built: {first_line(error)}") from error


def _built(value: Any, context: dict[str, Any]) -> Any:
    if isinstance(value, dict) and "target" in value:
        return build_custom(Custom.model_validate(value), **context)
    if isinstance(value, list):
        return [_built(item, context) for item in value]
    return value


def _lacks(builder: Callable[..., Any], arguments: dict[str, Any]) -> int:
    """How many arguments a function still needs; one in C that does not say takes two."""
    try:
        parameters = inspect.signature(builder).parameters.values()
    except ValueError:
        return 2
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return sum(p.default is p.empty and p.name not in arguments for p in plain)


def _parameters(builder: Callable[..., Any]) -> tuple[set[str], bool]:
    """Names of a builder's arguments, and whether it takes any others as `**kwargs`.

    A class that takes `**kwargs` is supposed to hand them on, so its bases' names are its own too.
    A function with `**kwargs` does not say what it would do with others.
    """
    bases = inspect.getmro(builder) if inspect.isclass(builder) else ()
    names: set[str] = set()
    for source in (builder, *(vars(c)["__init__"] for c in bases if "__init__" in vars(c))):
        try:
            parameters = inspect.signature(source).parameters.values()
        except ValueError:  # in C, and does not say
            return names, False
        names |= {p.name for p in parameters}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names, False
    return names, True
