"""The page's templates: where they are, and what they may call."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bench.record.files import write_text
from bench.report.figures.arm_style import arm_color
from bench.report.format import markup as formats
from bench.report.format.folding import FoldedTable
from bench.texts import visible

TEMPLATES = Path(__file__).parent / "templates"


def write_pages(context: Mapping[str, Any], folder: Path) -> Path:
    """Write report.md and report.html; returns the path of the latter."""
    templates = _templates()
    write_text(folder / "report.md", templates.get_template("report.md.j2").render(context))
    page = folder / "report.html"
    write_text(page, templates.get_template("report.html.j2").render(context))
    return page


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"], default=False),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "arm_color": arm_color,
        "data_uri": _data_uri,
        "md": formats.markdown,
        "md_table": formats.to_markdown,
        "md_fold": _folded,
        "fenced": _fenced,
    }
    return environment


def _shown(value: object) -> object:
    """What an expression of a template gives, with characters that are not seen spelt out."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _folded(fold: FoldedTable) -> str:
    """A table in Markdown, with what it shows above it where that is not all."""
    above = f"{formats.markdown(fold.note)} [{fold.file}]({fold.file}) has all.\n\n"
    return (above if fold.note else "") + formats.to_markdown(fold.table)


def _fenced(text: str) -> str:
    """A Markdown code block that the text cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}yaml\n{text.rstrip()}\n{fence}"
