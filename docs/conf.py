"""How the documentation is built, by `python -m sphinx -W docs site`. Nothing is fetched."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_site"), str(DOCS.parent)]

import generated  # noqa: E402 - the path first

from bench.version import __version__  # noqa: E402

project = "bench"
author = "The bench contributors"
copyright = "the bench contributors, Apache-2.0"
version = release = __version__
html_title = "bench"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_site", "_build"]
root_doc = "index"
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
# pages of the example reports, which are copied into the site as they are
myst_url_schemes = {"http": None, "https": None, "mailto": None, "site": {"url": "{{path}}"}}
myst_enable_extensions = ["colon_fence", "deflist"]
# a fenced block says its language; an indented one is a terminal's or a spec's
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]  # `elastic: {p: …}`: an ellipsis is no YAML

autodoc_typehints = "description"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True

html_theme = "furo"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
templates_path: list[str] = []


_REPORT = re.compile(r"(?<!!)\[([^]]*)\]\(\.\./reports/examples/([^)]*)\)")
_ELSEWHERE = re.compile(r"\[([^]]*)\]\(\.\./(results/[^)]*|[A-Z]+\.md)\)")  # only in a clone


def _fill(_app: Sphinx, page: str, source: list[str]) -> None:
    """Generated tables stand where a page asks for them, and links out of docs/ lead to copies."""
    source[0] = generated.fill(source[0])
    if page == root_doc:
        source[0] = generated.with_unlisted_pages(source[0], DOCS)
    source[0] = _ELSEWHERE.sub(r"\1 (`\2`)", source[0])
    source[0] = _REPORT.sub(r"[\1](site:reports/\2)", source[0])


_FETCHED = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*", re.I
)


def _refuse_what_is_fetched(app: Sphinx, error: Exception | None) -> None:
    """The site works without a network: no page loads fonts, styles or scripts from elsewhere."""
    if error is None:
        for page in Path(app.outdir).rglob("*.html"):
            if found := _FETCHED.search(page.read_text()):
                raise ExtensionError(f"{page}: is fetched from elsewhere: {found[0]}")


def _copy_reports(app: Sphinx, error: Exception | None) -> None:
    """The example reports, beside the pages that link to them."""
    if error is None:
        examples = DOCS.parent / "reports" / "examples"
        shutil.copytree(examples, Path(app.outdir) / "reports", dirs_exist_ok=True)


def _read_anew(_app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Pages whose text follows from the program, or from which pages there are."""
    asking = [page for page in env.found_docs if "<!-- " in Path(env.doc2path(page)).read_text()]
    return sorted(asking)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("env-get-outdated", _read_anew)
    app.connect("source-read", _fill)
    app.connect("build-finished", _copy_reports)
    app.connect("build-finished", _refuse_what_is_fetched)
