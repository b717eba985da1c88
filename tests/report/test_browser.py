"""The page in a real browser; its pictures stay in build/pages to be looked at."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.record.store import Store
from bench.report.page import write_report
from tests.builders.designs import COMPONENTS, built
from tests.builders.records import study, write_experiment, write_samples
from tests.report.browser import Browser, chromium

PICTURES = Path(__file__).parents[2] / "build" / "pages"
HYPOTHESES = [
    {"id": "same", "claim": "Elastic deformation does not change the Dice", "expect": "equivalent",
     "margin": 0.02, "metric": "best_val_dice", "a": {"augment": "elastic"},
     "b": {"augment": "none"}},
    {"id": "larger", "claim": "ResNet34-UNet has more parameters", "expect": "higher",
     "metric": "params", "a": {"model": "resnet34_unet"}, "b": {"model": "unet"}},
]  # fmt: skip
COLUMN = """[...document.querySelector('#arms table').tBodies[0].rows]
    .filter((row) => !row.hidden).map((row) => row.cells[%d].dataset.key)"""
HEADS = "[...document.querySelectorAll('#arms th')].map((head) => head.innerText.trim())"

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with everything on it: 32 arms, verdicts, failures, pictures."""
    root = tmp_path_factory.mktemp("browser")
    augments = ("none", "elastic", *(f"crop_{i}" for i in range(14)))
    trials = study(augments=augments, seeds=3, epochs=2, failed=(4,))
    write_experiment(root / "results", "exp", trials, hypotheses=HYPOTHESES)
    for trial in trials[:6]:
        write_samples(root / "results" / "exp" / trial.id, count=1)
    return write_report(Store(root / "results"), ["exp"], root / "reports")


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of this file."""
    program = chromium()
    assert program is not None
    found = Browser(program)
    yield found
    found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 420])
def test_it_opens_without_an_error_or_a_request(browser, page, scheme, width):
    browser.open(page, scheme, width)
    browser.shoot(PICTURES / f"{scheme}_{width}.png")
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.as_uri()]
    assert browser.run("document.documentElement.scrollWidth") == width  # nothing sticks out


def test_an_ablation_fits_a_narrow_screen(browser, tmp_path):
    """Without ticks and p-values, of which it tells; a wide one has them."""
    store, plan = built(tmp_path, f"design:\n  add_one:\n{COMPONENTS}")
    page = write_report(store, [plan.experiment], tmp_path / "reports")
    wider = """[...document.querySelectorAll('#ablation .scroll')]
        .filter((each) => each.scrollWidth > each.clientWidth).length"""
    ticks = "document.querySelector('#ablation th.spare').getBoundingClientRect().width > 0"
    browser.open(page, width=420)
    assert browser.run(wider) == 0
    assert not browser.run(ticks)
    assert "weight decay" in browser.run("document.querySelector('#ablation .narrow').innerText")
    browser.open(page, width=1280)
    assert browser.run(ticks)


def test_every_figure_is_there(browser, page):
    browser.open(page)
    browser.run("for (const folded of document.querySelectorAll('details')) folded.open = true")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    drawn = browser.run("""[...document.images].map((image) =>
        image.complete && image.naturalWidth > 0 && image.getBoundingClientRect().width > 100)""")
    assert len(drawn) >= len(list(page.parent.glob("figures/*.png"))) + 2
    assert all(drawn)


def test_sorting(browser, page):
    browser.open(page)
    browser.run("document.querySelector('#arms .tools button').click()")  # all rows
    column = browser.run(HEADS).index("Best val Dice")
    for order, turned in (("ascending", False), ("descending", True)):
        browser.run(f"document.querySelectorAll('#arms th button')[{column}].click()")
        keys = [float(key) for key in browser.run(COLUMN % column)]
        assert keys == sorted(keys, reverse=turned)
        assert len(keys) == 32
        head = browser.run(f"document.querySelectorAll('#arms th')[{column}].ariaSort")
        assert head == order


def test_long_tables_fold_and_can_be_filtered(browser, page):
    browser.open(page)
    assert len(browser.run(COLUMN % 1)) == 30
    assert browser.run("document.querySelector('#arms .tools span').innerText") == "30 of 32 rows"
    browser.run("""{ const field = document.querySelector('#arms .tools input');
        field.value = 'resnet elastic'; field.dispatchEvent(new Event('input')); }""")
    assert browser.run(COLUMN % 1) == ["elastic"]


def test_a_link_to_a_folded_row_opens_it(browser, page):
    browser.open(page)
    last = "document.querySelector('#trials tbody').lastElementChild"
    assert browser.run(f"{last}.checkVisibility()") is False
    browser.run(f"location.hash = '#' + {last}.id")
    browser.run("new Promise((done) => setTimeout(done, 50))")
    assert browser.run(f"{last}.checkVisibility()") is True


def test_contents_lead_to_every_section(browser, page):
    browser.open(page)
    anchors = browser.run("[...document.querySelectorAll('nav a')].map((a) => a.hash.slice(1))")
    sections = browser.run("[...document.querySelectorAll('section[id]')].map((s) => s.id)")
    assert set(anchors) <= set(sections)
    assert anchors[0] == "verdicts"
    assert browser.run("document.querySelector('nav a[aria-current]')?.hash") == "#verdicts"


def test_verdicts_are_reported_without_colour(browser, page):
    browser.open(page)
    badges = browser.run("[...document.querySelectorAll('.badge')].map((b) => b.innerText)")
    found = [entry["verdict"] for entry in json.loads(page.with_name("verdicts.json").read_text())]
    signs = {"supported": "✓", "refuted": "✗", "equivalent": "≈", "inconclusive": "?"}
    assert len(found) == 2
    assert [re.sub(r"\s+", " ", b) for b in badges] == [f"{signs[v]} {v}" for v in found]


def test_printing(browser, page):
    """All rows and all that is folded are on paper; no more pages than that needs."""
    browser.open(page)
    assert browser.print(PICTURES / "page.pdf") >= 6
    browser.send("Emulation.setEmulatedMedia", media="print")
    shown = browser.run("[...document.querySelectorAll('#arms tbody tr')].map((row) => "
                        "getComputedStyle(row).display)")  # fmt: skip
    assert shown == ["table-row"] * 32
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
