"""The documentation says everything: keys, columns, states, findings; and README stays short."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bench.cli.app import app
from bench.data.survey_kinds import Kind
from bench.health import HealthIssue
from bench.record.columns import HISTORY, RUNS
from bench.spec.schema import json_schema
from bench.states import Failure, Status

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_site"))

import command_pages  # noqa: E402 - the path first
import generated  # noqa: E402
import record_pages  # noqa: E402
import spec_pages  # noqa: E402

OF_RECORDS = {"ResolvedWeights", "ResolvedExtractor"}
"""Definitions that bench itself writes into records: no spec has them."""


def _properties(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every key of the schema with what is said of it."""
    if isinstance(value, list):
        for entry in value:
            yield from _properties(entry, place)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "properties" and "title" in value:
            for name, said in inner.items():
                yield f"{place}.{name}", said
        elif key not in ("$defs", "default", "enum", "const", "required"):
            yield from _properties(inner, place)


def test_every_key_of_a_spec_is_described() -> None:
    schema = json_schema()
    definitions = {k: v for k, v in schema["$defs"].items() if k not in {"Axes", *OF_RECORDS}}
    silent = [
        place
        for name, definition in definitions.items()
        for place, said in _properties(definition, name)
        if not said.get("description") and "const" not in said
    ]
    assert not silent, "give these fields a description"


def test_every_key_of_a_spec_is_on_its_page() -> None:
    page, schema = spec_pages.spec(), json_schema()
    for name, definition in schema["$defs"].items():
        if name in {"Axes", *OF_RECORDS}:
            continue
        for place, said in _properties(definition, name):
            key = place.rpartition(".")[2]
            assert "const" in said or f"\n`{key}`\n" in page, place
    assert "`{name: unet}`" not in page
    assert "### `model: {name: unet}`" in page
    assert "`lr`\n: Learning rate" in page
    assert "*number > 0* · default `0.001`" in page


def test_every_command_and_option_is_on_its_page() -> None:
    page = command_pages.commands()
    for command in ("run", "search", "plan", "report", "predict", "doctor", "schema"):
        assert f"## {command}\n" in page
    assert "`--device auto|cpu|cuda`" in page
    assert "`-j, --jobs VALUE`" in page
    assert "Default: `30m`." in page


def test_every_column_is_described() -> None:
    assert list(record_pages.ABOUT_HISTORY) == list(HISTORY)
    assert list(record_pages.ABOUT_RUNS) == list(RUNS)


@pytest.mark.parametrize("kinds", [HealthIssue, Kind, Failure, Status])
def test_everything_that_can_go_wrong_is_on_the_page(kinds: Any) -> None:
    page = generated.fill((ROOT / "docs/troubleshooting.md").read_text())
    for kind in kinds:
        said = re.search(rf"^`{kind}`\n: (.+)$", page, re.MULTILINE)
        assert said is not None, kind
        assert len(said[1]) > 40


def test_a_table_that_is_not_there_fails_the_build() -> None:
    with pytest.raises(KeyError):
        generated.fill("<!-- generated: no such table -->")


def test_a_page_that_no_list_names_is_listed(tmp_path: Path) -> None:
    for name in ("index", "start", "cluster"):
        (tmp_path / f"{name}.md").touch()
    index = "```{toctree}\nstart\n<!-- pages that no list names -->\n```"
    found = generated.with_unlisted_pages(index, tmp_path)
    assert found == "```{toctree}\nstart\ncluster\n```"


def test_readme_is_short() -> None:
    words = len((ROOT / "README.md").read_text().split())
    assert words <= 900, f"{words} words: what is longer belongs into docs/"


def test_links_of_pages_outside_the_site_lead_to_files() -> None:
    """The strict build checks those of docs/; here are README and the like."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"):
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor:
                assert anchor in _anchors(target.read_text()), f"{page.name}: {link}"


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


def test_help_fits_a_terminal_of_80_columns_by_24_lines() -> None:
    """Each command's first sentence is whole in the list of commands."""
    group: Any = typer.main.get_command(app)
    assert len(group.commands) <= 19
    for name, command in group.commands.items():
        first = re.split(r"(?<=\.)\s", command.help.strip())[0]
        assert "\n" not in first, name
        assert len(first) <= 64, name
