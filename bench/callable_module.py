"""Packages that can be called: `bench.run(spec)` as well as `import bench.run.worker`.

Python sets `bench.run` to the package as soon as anything in it is imported, so that a function of
that name would not last.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module which, called, passes everything on to a function of `bench.api.running`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function of the module's own name."""
        return self.__wrapped__(*arguments, **named)

    @property
    def __wrapped__(self) -> Any:
        """The function; `inspect.signature` and notebooks' help follow it."""
        running = importlib.import_module("bench.api.running")
        return getattr(running, self.__name__.rpartition(".")[2])


def make_callable(name: str) -> None:
    """Let the module of this name be called, wherever it is known already."""
    sys.modules[name].__class__ = CallableModule
