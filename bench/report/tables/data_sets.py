"""The data sets behind an experiment, and what is suspicious in them: a section and a notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.survey_tables import FactTable, class_table, fact_table, label_table
from bench.data.survey_warnings import DataWarning
from bench.record.data_file import DataSetRecord, SharedWarning, shared_warnings

MOST_ROWS = 12
"""A table of more classes than this is folded."""


@dataclass(frozen=True)
class DataTable:
    """One table of a data set.

    Attributes:
        title: of what it is.
        facts: a row per fact or class, a column per split.
        folded: whether it is too long to be open.
    """

    title: str
    facts: FactTable
    folded: bool


@dataclass(frozen=True)
class DataSetView:
    """One data set as the page shows it.

    Attributes:
        title: its name, and what tells it from the others.
        fingerprint: of its content.
        tables: of its images, and of the classes that are learnt.
        warnings: everything suspicious, the serious things first.
    """

    title: str
    fingerprint: str
    tables: list[DataTable]
    warnings: list[DataWarning]


def data_views(data: Sequence[DataSetRecord]) -> list[DataSetView]:
    """Every data set."""
    return [
        DataSetView(entry.title, entry.survey.fingerprint, _tables(entry), entry.warnings())
        for entry in data
    ]


def top_warnings(data: Sequence[DataSetRecord]) -> list[SharedWarning]:
    """The serious ones, for the top of the page."""
    return [found for found in shared_warnings(data) if found.warning.serious]


def _tables(entry: DataSetRecord) -> list[DataTable]:
    wanted = {
        "Images": fact_table(entry.survey),
        "Classes": class_table(entry.survey) if entry.target == "mask" else None,
        "Labels": label_table(entry.survey) if entry.target == "label" else None,
    }
    return [
        DataTable(title, facts, len(facts.rows) > MOST_ROWS and title != "Images")
        for title, facts in wanted.items()
        if facts
    ]
