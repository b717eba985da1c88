"""Surveys of an experiment's data sets: put on record, and summarised in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.data.survey import Survey
from bench.data.survey_tables import summary_lines
from bench.plan.data_sets import DataSetUse, data_set_uses
from bench.plan.plan import Plan
from bench.record.data_file import DataSetRecord, shared_warnings
from bench.record.store import Store


def keep_surveys(
    store: Store, plan: Plan, surveys: Mapping[str, Survey], *, search: bool = False
) -> list[str]:
    """Put what was found on record; returns the lines that tell of it.

    A search's plan is of samples, so that its data sets are on record without trials.
    """
    uses = data_set_uses(plan.trials)
    found = [data_set_record(use, surveys[key]) for key, use in uses.items() if key in surveys]
    if search:
        found = [replace(entry, trials=()) for entry in found]
    store.update_data(plan.experiment, found, {trial.id for trial in plan.trials})
    return survey_lines(found, "bench data SPEC")


def data_set_record(use: DataSetUse, survey: Survey) -> DataSetRecord:
    """A data set's entry in data.json."""
    return DataSetRecord(use.label, use.target, use.trials, survey)


def survey_lines(found: Sequence[DataSetRecord], more: str) -> list[str]:
    """A few lines: what each data set is, and what is serious; `more` tells the rest."""
    lines = [line for entry in found for line in summary_lines(entry.survey, entry.title)]
    remarks = 0
    for shared in shared_warnings(found):
        if shared.warning.serious:
            where = f"{shared.where}: " if shared.where else ""
            lines.append(f"Warning: {where}{shared.warning.line()}.")
        else:
            remarks += 1
    if remarks:
        what = "1 remark" if remarks == 1 else f"{remarks} remarks"
        lines.append(f"{what} on the data: `{more}` shows all.")
    return lines
