"""Texts of foreign records in figures: spelt out, as on the page, and no file is spoilt by them."""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree import ElementTree

from bench.record.store import Store
from bench.report.page import write_report
from tests.builders.records import MadeTrial, write_experiment

HOSTILE = "\x1b]0;owned\x07 \u202eb\u200b $\\frac{$ --> <script>"
HIDDEN = {"\x1b", "\x07", "\u202e", "\u200b"}


def test_figures_of_labels_with_control_characters(tmp_path: Path) -> None:
    trials = [
        MadeTrial(
            seed,
            {"mo\x1bdel": label, "x": level},
            summary={"best_val_dice": 0.5 + 0.01 * seed + 0.1 * index},
        )
        for index, label in enumerate((HOSTILE, "plain", HOSTILE[::-1]))
        for seed in range(3)
        for level in ("1", "2")
    ]
    write_experiment(tmp_path / "results", "exp", trials)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph")
        page = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    files = [page, page.with_name("report.md"), *page.parent.rglob("*.svg")]
    assert len(files) > 4
    for path in files:
        text = path.read_text()
        assert not HIDDEN & set(text), path
        assert "<script>alert" not in text
        if path.suffix == ".svg":
            ElementTree.fromstring(text)
    assert any("⟨U+001B⟩" in path.read_text() for path in files[2:])
