"""The page of a large study: light, and everything that it does not show is in a file it links."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from bench.record.store import Store
from bench.report.page import write_report
from tests.builders.records import study, write_experiment, write_samples
from tests.builders.search_records import ADAM, point, record, write
from tests.report.browser import Browser, chromium
from tests.report.test_page import Page

ARMS, SEEDS, EPOCHS = 150, 2, 2
CLAIM = {
    "id": "better", "claim": "The second augmentation is better", "expect": "higher",
    "metric": "best_val_dice", "a": {"augment": "a_1"}, "b": {"augment": "a_0"},
}  # fmt: skip


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """150 arms, all finished; some trials have pictures."""
    root = tmp_path_factory.mktemp("large")
    models, augments = ([f"{kind}_{i}" for i in range(n)] for kind, n in (("m", 50), ("a", 3)))
    trials = study(models, augments, seeds=SEEDS, epochs=EPOCHS)
    assert len(trials) == ARMS * SEEDS
    write_experiment(root / "results", "large", trials, hypotheses=[CLAIM])
    for trial in trials:
        write_samples(root / "results" / "large" / trial.id, count=1, size=24)
    page = write_report(Store(root / "results"), ["large"], root / "reports")
    return page, Page(page.read_text())


def test_the_page_is_light(large):
    assert large[0].stat().st_size < 3e6


def test_tables_show_the_best_and_the_worst(large):
    path = large[0]
    arms = pd.read_csv(path.parent / "tables" / "arms.csv").sort_values("test_dice")
    assert len(arms) == ARMS
    text = path.read_text()
    shown = text.split('<section id="arms">')[1].split("</section>")[0]
    rows = re.findall(r"<tr", shown.split("</table>")[0])
    assert len(rows) == 1 + 100
    assert "the 50 best and the 50 worst of 150 arms, by test Dice; 50 are not" in shown
    levels = zip(arms["axis.model"], arms["axis.augment"], strict=True)
    there = [re.search(rf"</span>{m}</td>\s*<td[^>]*>{a}<", shown) is not None for m, a in levels]
    assert there == [True] * 50 + [False] * 50 + [True] * 50


def test_files_are_whole(large):
    folder = large[0].parent
    assert len(pd.read_csv(folder / "runs.csv")) == ARMS * SEEDS
    assert len(pd.read_csv(folder / "history.csv")) == ARMS * SEEDS * EPOCHS
    for ending in ("tex", "md"):
        text = (folder / "tables" / f"arms.{ending}").read_text()
        assert all(f"m_{i}".replace("_", r"\_") in text for i in range(50))


def test_every_link_leads_somewhere(large):
    path, page = large
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = [v for v in page.attributes("src", "href") if not v.startswith("data:")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    files = {link for link in links if not link.startswith("#")}
    assert {"tables/arms.csv", "runs.csv"} <= files
    assert any(name.startswith("samples/") for name in files)
    for name in files:
        assert (path.parent / name).is_file(), name


def test_figures_say_what_they_do_not_show(large):
    text = large[0].read_text()
    assert "the 20 best and, below the line, the 20 worst of 150 arms" in text
    assert "others, at equal steps of the ranking down to the worst; 42 are not shown" in text


def test_markdown_folds_too(large):
    text = large[0].with_name("report.md").read_text()
    assert text.count("the 50 best and the 50 worst of 150 arms") == 2
    assert "[tables/arms.csv](tables/arms.csv) has all" in text


def test_a_small_report_after_a_large_one_leaves_no_pictures_behind(large, tmp_path):
    results, out = tmp_path / "results", tmp_path / "reports"
    (out / "small" / "samples").mkdir(parents=True)
    (out / "small" / "samples" / "old_1.jpg").write_bytes(b"")
    write_experiment(results, "small", study(("unet",), ("none",), seeds=1, epochs=1))
    page = write_report(Store(results), ["small"], out)
    assert not list((out / "small" / "samples").iterdir())
    assert "file:" not in page.read_text().split("<title>")[0]


@pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_finds_the_linked_pictures(large, scheme):
    browser = Browser(chromium())
    try:
        browser.open(large[0], scheme)
        browser.run("for (const box of document.querySelectorAll('details')) box.open = true")
        browser.run("for (const image of document.images) image.loading = 'eager'")
        browser.run("new Promise((done) => setTimeout(done, 500))")
        assert browser.problems == []
        asked = [url for url in browser.requests if not url.startswith("data:")]
        assert all(url.startswith(large[0].parent.as_uri()) for url in asked)
        assert browser.run("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
        assert browser.run("document.documentElement.scrollWidth") <= 1440
    finally:
        browser.close()


def test_a_search_of_hundreds_of_points(tmp_path):
    """The best and the worst of 300 points, and the chosen one, which is neither."""
    points = [
        point(i, value=0.5 + i / 1000, params=ADAM | {"train.lr": 1e-4 + i * 1e-6})
        for i in range(300)
    ]
    results = tmp_path / "results"
    write_experiment(results, "exp", study(("unet",), ("none",), seeds=1, epochs=1))
    write(results / "exp", record(trials=points, front=[150], chosen=[150], confirmations=[]))
    path = write_report(Store(results), ["exp"], tmp_path / "reports")
    assert path.stat().st_size < 3e6
    text = path.read_text().split('<section id="points">')[1].split("</section>")[0]
    numbers = re.findall(r'data-key="(\d+)" title="p\d+-s0"', text)
    assert [int(n) for n in numbers] == [*range(299, 249, -1), 150, *range(49, -1, -1)]
    assert "the 50 best and the 50 worst and 1 more of 300 points" in text
    assert len(pd.read_csv(path.parent / "tables" / "points.csv")) == 300
