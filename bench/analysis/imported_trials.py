"""Trials that were logged elsewhere and imported: what a report has to know of them besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.history_row import HistoryRow
from bench.plan.recorded import is_imported
from bench.record.directions import Mode
from bench.record.summary import summarise

Member = Mapping[str, Any]


class ImportedFile(NamedTuple):
    """Where imported trials come from: their source, the file, and how many there are."""

    source: str
    file: str
    trials: int


def in_file_order(members: Iterable[Member]) -> list[Any]:
    """Our own as they come, then source by source as the trials stood in their files."""
    return sorted(
        members,
        key=lambda m: (str(m["source"]), _whole(m.get("place"))) if is_imported(m) else ("", 0),
    )


def origins(members: Iterable[Member]) -> tuple[ImportedFile, ...]:
    """The files behind the imported trials."""
    counts: dict[tuple[str, str], int] = {}
    for member in filter(is_imported, members):
        key = (str(member["source"]), str(member.get("file") or ""))
        counts[key] = counts.get(key, 0) + 1
    return tuple(ImportedFile(*key, count) for key, count in counts.items())


def imported_metrics(members: Iterable[Member]) -> dict[str, Mode]:
    """The metrics of imported trials and their directions, as their log has them."""
    found: dict[str, Mode] = {}
    for member in filter(is_imported, members):
        for name, mode in (member.get("metrics") or {}).items():
            if mode in ("min", "max"):
                found.setdefault(str(name), mode)
    return found


def imported_select(members: Iterable[Member]) -> Mapping[str, Any] | None:
    """What chose the best epoch when the first of the imported trials was recorded."""
    for member in filter(is_imported, members):
        select = member.get("select") or {}
        if isinstance(select.get("metric"), str) and select.get("mode") in ("min", "max"):
            return dict(select)
    return None


def resummarised(
    members: Iterable[Member],
    histories: Mapping[str, Sequence[HistoryRow]],
    select: str,
    metrics: Mapping[str, Mode],
) -> dict[str, dict[str, Any]]:
    """Summaries of the imported trials whose best epochs another metric than `select` chose.

    A plan that came later may select by another; its trials were never judged otherwise.
    """
    return {
        member["id"]: summarise(histories[member["id"]], select, metrics)
        for member in filter(is_imported, members)
        if histories.get(member["id"]) and (member.get("select") or {}).get("metric") != select
    }


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
