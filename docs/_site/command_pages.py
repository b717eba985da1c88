"""Every command with its arguments and options, from typer."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer.main

from bench.cli.app import app


def commands() -> str:
    """Markdown: a part for each command, in the order of `bench --help`."""
    group: Any = typer.main.get_command(app)
    return "\n".join(line for command in group.commands.values() for line in _command(command))


def _command(command: Any) -> Iterator[str]:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join(["python -m bench", command.name, *(_usage(p) for p in arguments)])
    yield from (f"## {command.name}", "", f"    {usage}{' [OPTIONS]' if options else ''}", "")
    yield from (_sentences(command.help), "")
    for argument in arguments:
        yield from (f"`{argument.name.upper()}`", f": {_about(argument)}", "")
    for option in options:
        names = ", ".join([*option.opts, *option.secondary_opts])
        kind = "" if option.is_flag else f" {_kind(option)}"
        yield from (f"`{names}{kind}`", f": {_about(option)}", "")


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _kind(option: Any) -> str:
    """The values that an option takes: those of an enumeration, else any."""
    described = getattr(option, "type_descriptor", None)
    kind = getattr(described, "annotation", None)
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return "VALUE"
    return "|".join(str(member.value) for member in kind)


def _about(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split())
    default = parameter.default
    if callable(default) or default in (None, False, "", ()) or parameter.required:
        return text or "Required."
    shown = getattr(default, "value", default)
    return f"{text} Default: `{shown}`."


def _sentences(text: str | None) -> str:
    return " ".join((text or "").split())
