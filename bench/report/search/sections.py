"""What the page of a search has instead of tables and tests of arms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.arms import arms_of
from bench.analysis.records import Records
from bench.errors import StoreError
from bench.record.files import read_text
from bench.report.format.cells import Table
from bench.report.narrative.diagnostics import diagnose
from bench.report.search.search_record import SearchRecord, known_facts
from bench.report.search.tables import (
    chosen_frame,
    chosen_table,
    point_frame,
    point_table,
    state_table,
)
from bench.report.search.words import param_text, search_headline, states_words
from bench.report.tables.files import TableFile


@dataclass(frozen=True)
class Chosen:
    """One chosen point: its values by dimension, and its ready spec where that is there."""

    number: int
    params: list[tuple[str, str]]
    file: str
    spec: str | None


@dataclass(frozen=True)
class SearchView:
    """What the templates show of a search.

    Attributes:
        subject: what the tables of arms are about.
        about: that in a sentence.
        states_words: how many points are in which state.
        health: how many of all its trials have faults; of the chosen the page tells them.
        facts: how was searched.
    """

    subject: str
    about: str
    states_words: str
    health: str
    chosen: list[Chosen]
    chosen_table: Table | None
    state_table: Table
    point_table: Table
    facts: Mapping[str, str]


def search_view(records: Records, search: SearchRecord, folder: Path) -> SearchView:
    """All of it; `folder` is the report's, where ready specs lie."""
    subject, about, _ = _subject(records, search)
    return SearchView(
        subject=subject,
        about=about,
        states_words=states_words(search),
        health=_health(records),
        chosen=[_chosen(search, place, folder) for place in range(len(search.chosen))],
        chosen_table=chosen_table(search),
        state_table=state_table(search),
        point_table=point_table(search),
        facts=known_facts(search),
    )


def search_context(records: Records, search: SearchRecord, folder: Path) -> dict[str, Any]:
    """What the page says otherwise than of other experiments."""
    view = search_view(records, search, folder)
    return {"search": view, "headline": search_headline(search)}


def search_files(search: SearchRecord, view: SearchView) -> dict[str, TableFile]:
    """The tables as files."""
    found = {"points": TableFile(point_frame(search), view.point_table)}
    if view.chosen_table is not None:
        found["chosen"] = TableFile(chosen_frame(search), view.chosen_table)
    return found


def subject_records(records: Records, search: SearchRecord) -> Records:
    """The trials that tables of arms and curves can say something of: the chosen's, fresh seeds.

    The seeds of the search are not among them: by them the chosen were chosen.
    """
    _, _, ids = _subject(records, search)
    return restricted(records, ids)


def _subject(records: Records, search: SearchRecord) -> tuple[str, str, set[str]]:
    done = set(records.done["id"])
    fresh = {i for c in search.confirmations for i in c.ids}
    if fresh & done:
        about = "Only fresh seeds: the search’s own, by which points were chosen, are not in it."
        return "The chosen, with fresh seeds", about, fresh
    own = {i for n in search.chosen or search.front for i in search.by_number[n].ids}
    if own & done:
        what = "The chosen" if search.chosen else "The best so far"
        about = "With the seeds by which they were chosen, so their figures are lucky in part."
        return f"{what}, as searched", about, own
    about = "Every point as an arm; nothing is chosen yet."
    return "The points", about, set(records.runs["id"])


def restricted(records: Records, ids: Iterable[str]) -> Records:
    """The records of these trials alone, with the levels that they have."""
    wanted = set(ids)
    runs = records.runs[records.runs["id"].isin(wanted)].reset_index(drop=True)
    history = records.history[records.history["id"].isin(wanted)].reset_index(drop=True)
    axes = {
        axis: [level for level in levels if (runs[f"axis.{axis}"] == level).any()]
        for axis, levels in records.axes.items()
    }
    incomparable = {
        metric: tuple(axis for axis in names if len(axes.get(axis, ())) > 1)
        for metric, names in records.incomparable.items()
    }
    return dataclasses.replace(
        records,
        axes=axes,
        incomparable={metric: names for metric, names in incomparable.items() if names},
        runs=runs,
        history=history,
        left_out=(),
        folders={name: path for name, path in records.folders.items() if name in wanted},
        findings={name: found for name, found in records.findings.items() if name in wanted},
    )


def _health(records: Records) -> str:
    found = diagnose(records, arms_of(records))
    if found is None:
        return ""
    text = f"Of all the search’s trials: {found.text[:1].lower()}{found.text[1:]}"
    return text + (" Some points are bad: a search is to find out which." if found.faults else "")


def _chosen(search: SearchRecord, place: int, folder: Path) -> Chosen:
    number = search.chosen[place]
    point = search.by_number[number]
    file = "best.yaml" if place == 0 else f"best_{place + 1}.yaml"
    try:
        spec = read_text(folder / file)
    except StoreError:
        spec = None
    absent = [name for name in search.space if name not in point.params]
    params = [(name, param_text(value)) for name, value in point.params.items()]
    return Chosen(number, [*params, *((name, "not there") for name in absent)], file, spec)
