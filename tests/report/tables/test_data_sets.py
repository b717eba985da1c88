from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.combine import combine_experiments
from bench.analysis.load import load
from bench.data.survey import Survey
from bench.record.data_file import DataSetRecord
from bench.record.store import Store
from bench.report.page import write_report
from bench.report.tables.data_sets import data_views, top_warnings
from tests.builders.records import MadeTrial, study, write_experiment
from tests.builders.surveys import healthy, masks, noise, split, survey

HOSTILE = "<script>alert(1)</script>|x"


def bare(name: str = "val") -> Survey:
    """Validation has no foreground."""
    return healthy(**{name: split(name, noise(30, seed=5), masks=masks(*[{}] * 30))})


def made(root: Path, *data: DataSetRecord, name: str = "exp") -> list[MadeTrial]:
    trials = study(models=("unet",), augments=("none", "elastic"), seeds=3, epochs=3)
    write_experiment(root, name, trials)
    if data:
        everyone = {trial.id for trial in trials} | {t for d in data for t in d.trials}
        Store(root).update_data(name, data, everyone)
    return trials


def pages(root: Path, out: Path) -> tuple[str, str]:
    page = write_report(Store(root), ["exp"], out)
    return page.read_text(), page.with_name("report.md").read_text()


def test_a_serious_warning_is_the_first_thing_on_the_page(tmp_path: Path) -> None:
    made(tmp_path, DataSetRecord("", "mask", (), bare()))
    html, markdown = pages(tmp_path, tmp_path / "out")
    text = "No foreground in val: every mask is empty."
    for page, first in ((html, '<section class="headline"'), (markdown, "\n## Arms")):
        assert page.index(text) < page.index(first)
    assert html.count(text) == markdown.count(text) == 2  # and once in the section
    assert '<a href="#data">Data</a>' in html


def test_a_damaged_record_is_reported_and_ends_nothing(tmp_path: Path) -> None:
    """The section is missing then, as in records of earlier versions."""
    made(tmp_path)
    Store(tmp_path).data_path("exp").write_text("{")
    html, markdown = pages(tmp_path, tmp_path / "out")
    for page in (html, markdown):
        assert page.count("data.json: cannot be read") == 1
    assert 'id="data"' not in html
    assert "## Data" not in markdown


def test_data_sets_of_other_trials_are_left_out(tmp_path: Path) -> None:
    made(
        tmp_path,
        DataSetRecord("mine", "mask", ("gone",), bare()),
        DataSetRecord("all", "mask", (), healthy()),
    )
    assert [entry.label for entry in load(Store(tmp_path), "exp").data] == ["all"]


def test_a_healthy_data_set_has_a_section_and_no_notice(tmp_path: Path) -> None:
    """Names in it are no markup."""
    labels = np.repeat(np.arange(2), 15)
    names = ("train", "val", "test")
    splits = {n: split(n, noise(30, seed=i), labels=labels) for i, n in enumerate(names)}
    found = survey(splits, (), ("cat", HOSTILE))
    made(
        tmp_path,
        DataSetRecord(HOSTILE, "label", (), found),
        DataSetRecord("", "mask", (), healthy()),
    )
    html, markdown = pages(tmp_path, tmp_path / "out")
    assert "data-warnings" not in html
    assert "**The data.**" not in markdown
    assert '<section id="data">' in html
    assert "| cat | 15.6% in 30 | 15.6% in 30 | 15.6% in 30 |" in markdown
    assert "| cat | 15 (50.0%) | 15 (50.0%) | 15 (50.0%) |" in markdown
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert HOSTILE not in markdown


def test_a_warning_that_all_data_sets_have_stands_once_without_their_names() -> None:
    data = [DataSetRecord(label, "mask", (), bare()) for label in ("small", "large")]
    (found,) = top_warnings(data)
    assert found.where == ""
    data.append(DataSetRecord("third", "mask", (), healthy()))
    (found,) = top_warnings(data)
    assert found.where == "made.up:Data (small), made.up:Data (large)"


@pytest.mark.parametrize(
    ("target", "titles"),
    [("mask", ["Images", "Classes"]), ("label", ["Images"]), ("none", ["Images"])],
)
def test_only_what_is_learnt_is_shown(target, titles) -> None:
    (view,) = data_views([DataSetRecord("", target, (), healthy())])
    assert [table.title for table in view.tables] == titles


def test_many_classes_are_folded() -> None:
    classes = tuple(f"c{i}" for i in range(13))
    splits = {"train": split("t", noise(2), masks=masks({1: 1}, {2: 1}))}
    (view,) = data_views([DataSetRecord("", "mask", (), survey(splits, classes))])
    assert [table.folded for table in view.tables] == [False, True]
    (view,) = data_views([DataSetRecord("", "mask", (), survey(splits, classes[:12]))])
    assert [table.folded for table in view.tables] == [False, False]


def test_of_several_experiments_each_data_set_names_those_that_use_it(tmp_path: Path) -> None:
    shared, own = healthy(), replace(bare(), fingerprint="beef")
    made(tmp_path, DataSetRecord("", "mask", (), shared), name="a")
    made(tmp_path, DataSetRecord("", "mask", (), shared), name="b")
    made(tmp_path, DataSetRecord("size: 9", "mask", (), own), name="c")
    parts = {name: load(Store(tmp_path), name) for name in "abc"}
    assert [d.label for d in combine_experiments([parts["a"], parts["b"]], "all").data] == [""]
    found = combine_experiments(list(parts.values()), "all")
    assert [d.label for d in found.data] == ["a, b", "c, size: 9"]
