"""Tables that the documentation takes from the program itself, made anew with every build.

A page asks for one by a line `<!-- generated: NAME -->`, NAME being a key of `TABLES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import command_pages
import record_pages
import spec_pages
import trouble_pages

TABLES: Mapping[str, Callable[[], str]] = {
    "spec": spec_pages.spec,
    "commands": command_pages.commands,
    "runs": record_pages.runs_columns,
    "history": record_pages.history_columns,
    "health": trouble_pages.health,
    "data": trouble_pages.data_warnings,
    "failures": trouble_pages.failures,
    "states": trouble_pages.states,
    "exit codes": trouble_pages.exit_codes,
}

_MARK = re.compile(r"^<!-- generated: ([a-z ]+) -->$", re.MULTILINE)


def fill(text: str) -> str:
    """The page's text with its tables; an unknown name is a KeyError, which fails the build."""
    return _MARK.sub(lambda found: TABLES[found[1]](), text)


_UNLISTED = "<!-- pages that no list names -->"


def with_unlisted_pages(index: str, docs: Path) -> str:
    """The site's index with every page that it does not list at the mark, so that none is lost."""
    listed = set(re.findall(r"^(?:.* <)?([\w/-]+?)>?$", index, re.MULTILINE))
    pages = sorted(page.stem for page in docs.glob("*.md") if page.stem != "index")
    return index.replace(_UNLISTED, "\n".join(page for page in pages if page not in listed))
