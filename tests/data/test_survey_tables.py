from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.data.base import FileFacts
from bench.data.survey import WindowSurvey
from bench.data.survey_files import FilesSurvey, files_survey
from bench.data.survey_tables import class_table, fact_table, label_table, summary_lines
from bench.data.survey_words import listed, number, percent, span
from tests.builders.surveys import IGNORED, healthy, masks, noise, split, survey, with_files

FACTS = [
    FileFacts(40, 30, "RGB", 8, 1, 1, 0, 250, "uint8"),
    FileFacts(30, 40, "RGB", 8, 6, 1, 3, 255, "uint8"),
    FileFacts(400, 300, "L", 16, 3, 7, 9, 4000, "uint16"),
    FileFacts(40, 30, "RGB", 8, 6, 1, 0, 200, "uint8"),
]


def test_files_are_counted() -> None:
    assert files_survey(FACTS) == FilesSurvey(
        count=4,
        smallest=(30, 40),
        median=(40, 35),
        largest=(400, 300),
        sizes=((40, 30, 2), (30, 40, 1), (400, 300, 1)),
        distinct_sizes=3,
        modes={"RGB": 3, "L": 1},
        bits={"8": 3, "16": 1},
        orientations={"6": 2, "3": 1},
        pages={"7": 1},
        low=0,
        high=4000,
    )
    assert files_survey([]) is None


def test_facts_that_are_not_known_have_no_row() -> None:
    table = fact_table(healthy())
    assert table.splits == ("train", "val", "test")
    assert [name for name, _ in table.rows] == [
        "images", "trained at", "values used", "99.8% of them in", "grey images", "empty masks",
    ]  # fmt: skip
    rows = dict(table.rows)
    assert rows["images"] == ("30", "30", "30")
    assert rows["trained at"] == ("16×16",) * 3
    assert rows["empty masks"] == ("0 (0%)",) * 3


def test_facts_of_files_and_dashes_where_a_split_has_none() -> None:
    rows = dict(fact_table(with_files(healthy(), train=files_survey(FACTS))).rows)
    assert rows["stored at"] == ("40×35 (median)", "–", "–")
    assert rows["smallest"] == ("30×40", "–", "–")
    assert rows["largest"][0] == "400×300"
    assert rows["different sizes"][0] == "3"
    assert rows["kind of pixels"][0] == "RGB: 3, L: 1"
    assert rows["bits"][0] == "8: 3, 16: 1"
    assert rows["stored values"][0] == "0–4,000 (12 bits)"
    assert rows["EXIF orientation"][0] == "2 (90°), 1 (180°)"
    assert rows["several pages"][0] == "1 (7)"


def test_files_of_one_size() -> None:
    rows = dict(fact_table(with_files(healthy(), train=files_survey(FACTS[:1]))).rows)
    assert rows["stored at"][0] == "40×30"
    assert not {"smallest", "largest", "different sizes"} & rows.keys()
    assert (rows["kind of pixels"][0], rows["bits"][0]) == ("RGB", "8")
    assert rows["stored values"][0] == "0–250"
    assert (rows["EXIF orientation"][0], rows["several pages"][0]) == ("0", "0")


def test_classes_and_what_is_ignored() -> None:
    truth = masks({}, {1: 64}, {2: 128, IGNORED: 128}, {IGNORED: 256})
    table = class_table(survey({"train": split("t", noise(4), masks=truth)}))
    assert table
    assert table.rows == (
        ("background", ("43.8% in 2",)),
        ("cat", ("6.2% in 1",)),
        ("dog", ("12.5% in 1",)),
        ("(ignored)", ("37.5%",)),
    )
    assert class_table(survey({"train": split("t", noise(4))})) is None


def test_labels() -> None:
    labels = np.array([0, 2, 2, 2])
    found = survey({"train": split("t", noise(4), labels=labels)}, (), ("a", "b", "c"))
    table = label_table(found)
    assert table
    assert table.rows == (("a", ("1 (25.0%)",)), ("b", ("0 (0%)",)), ("c", ("3 (75.0%)",)))
    assert label_table(healthy()) is None


def test_the_summary_names_counts_sizes_and_depth() -> None:
    assert summary_lines(healthy(), "made") == [
        "Data made: 30 train, 30 val and 30 test images, 16×16, values 0–255.",
        "Pixels of train: cat 15.6%, dog 7.8%.",
    ]
    first, _ = summary_lines(with_files(healthy(), train=files_survey(FACTS)), "made")
    assert "16×16, stored 30×40 to 400×300, 8 and 16 bit, values 0–255." in first


def test_the_summary_tells_of_empty_masks_and_of_what_is_ignored() -> None:
    truth = masks({}, {1: 64, IGNORED: 64})
    found = survey({"train": split("t", noise(2), masks=truth)})
    assert summary_lines(found, "x")[1] == (
        "Pixels of train: cat 12.5%, dog 0%, 1 of 2 masks are empty, 12.5% ignored."
    )
    assert len(summary_lines(survey({"train": split("t", noise(2))}), "x")) == 1


def test_the_summary_without_background_names_class_0_too() -> None:
    found = replace(healthy(), background=False)
    assert summary_lines(found, "x")[1].startswith("Pixels of train: background 76.6%, cat 15.6%")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"), (1, "100%"), (0.068, "6.8%"), (0.0004, "<0.1%"), (0.9996, ">99.9%"),
        (0.001, "0.1%"), (0.999, "99.9%"), (None, "–"),
    ],
)  # fmt: skip
def test_percent_never_rounds_to_nothing_or_all(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_listed() -> None:
    assert [listed(n) for n in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "", "a", "a and b", "a, b and c",
    ]  # fmt: skip


def test_numbers_and_ranges() -> None:
    assert [number(n) for n in (4080, 0.5, -1, 12345.678)] == ["4,080", "0.5", "-1", "12,345.7"]
    assert [span(0, 4080), span(-1, 1)] == ["0–4,080", "-1 to 1"]


def test_what_becomes_black_and_white_is_said_where_it_is_not_0_to_255() -> None:
    assert fact_table(healthy()).about == ""
    found = replace(healthy(), window=WindowSurvey(0, 4095, "auto"))
    assert fact_table(found).about == "Values 0–4,095 become black to white (data.window: auto)."
