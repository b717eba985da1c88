"""What the data sets of a spec are like: whole for `bench data`, in lines for `run` and `plan`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.data.base import Progress, Splits
from bench.data.check_splits import check_splits
from bench.data.folds import first_fold
from bench.data.settings import DATASETS, CustomData, DataSettings
from bench.data.survey import Survey, data_set_name
from bench.data.survey_cache import kept_survey, look
from bench.data.survey_tables import FactTable, tables
from bench.errors import BenchError, DataError, NotDownloadedError, describe_exception
from bench.experiment.surveys import data_set_record, survey_lines
from bench.plan.data_sets import DataSetUse, data_set_uses
from bench.plan.expand import check_targets, make_plan
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.data_file import DataSetRecord
from bench.spec.load import load_spec

if TYPE_CHECKING:
    from bench.data.survey_warnings import DataWarning

PATIENCE = 10.0
"""Seconds that `plan` gives to decoding; where it looks like more, `bench data` has to be asked."""
MOST_BYTES = 2_000_000_000
"""Of images that `plan` counts by itself: a few seconds."""
_FIRST_GUESS = 2.0
_NAME_WIDTH = 30


class _TooLongError(Exception):
    """Decoding or counting would take longer than is reasonable for a plan; says which."""


def data_sets_of(spec: Path, overrides: Sequence[str]) -> dict[str, DataSetUse]:
    """The data sets of a spec, of a search's too, by their keys.

    Raises:
        SpecError: it cannot be planned.
    """
    return data_set_uses(_trials(spec, overrides))


def _trials(spec: Path, overrides: Sequence[str]) -> Sequence[Trial]:
    loaded = load_spec(spec, overrides)
    if loaded.sweep.search is not None:
        from bench.plan.space import read_space

        trials = read_space(loaded).sample_trials()
        check_targets(Plan(loaded, {}, trials))
        return trials
    plan = make_plan(loaded)
    check_targets(plan)
    return plan.trials


def look_at(uses: Mapping[str, DataSetUse], console: Console) -> list[DataSetRecord]:
    """Read and describe data sets; how far it is is shown on a terminal.

    Raises:
        DataError: one cannot be read.
    """
    from rich.progress import Progress as Bar

    found = []
    for use in uses.values():
        with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"data {data_set_name(use.settings)}", total=None)

            def progress(done: int, total: int, bar: Bar = bar, task: Any = task) -> None:
                bar.update(task, completed=done, total=total)

            survey = look(_read(use.settings, progress), use.settings)
        found.append(data_set_record(use, survey))
    return found


def _read(settings: DataSettings, progress: Progress | None) -> Splits:
    try:
        splits: Splits = DATASETS.build(settings).prepare(progress)
        check_splits(splits, settings.size, settings.channel_count)
        splits = first_fold(splits, settings, seed=0)
    except (BenchError, _TooLongError):
        raise
    except Exception as error:  # a data set of the user's own may raise anything
        raise DataError(f"data {data_set_name(settings)}: {describe_exception(error)}") from error
    return splits


def plan_lines(plan: Plan, spec: Path) -> list[str]:
    """The same for `plan`, which neither downloads nor decodes for long, nor fails over data."""
    found: list[DataSetRecord] = []
    unread: list[str] = []
    for use in data_set_uses(plan.trials).values():
        name, command = data_set_name(use.settings), f"`bench data {spec}`"
        if isinstance(use.settings, CustomData):
            unread.append(f"Data {name}: {command} reads and describes it.")
            continue
        settings = _without_download(use.settings)
        try:
            survey = _quick_look(_read(settings, _patience()), use.settings)
        except _TooLongError as error:
            unread.append(f"Data {name}: {error}; {command} does that and describes it.")
        except DataError as error:
            if isinstance(error, NotDownloadedError) and settings != use.settings:
                unread.append(f"Data {name}: not downloaded yet; {command} or `bench run` does it.")
            else:
                unread.append(f"Warning: the data cannot be read now: {error}.")
        else:
            found.append(data_set_record(use, survey))
    return [*survey_lines(found, f"bench data {spec}"), *dict.fromkeys(unread)]


def _quick_look(splits: Splits, settings: DataSettings) -> Survey:
    if (found := kept_survey(splits, settings)) is not None:
        return found
    if sum(split.images.nbytes for split in splits.splits.values()) > MOST_BYTES:
        raise _TooLongError("not counted yet")
    return look(splits, settings)


def _without_download(settings: DataSettings) -> DataSettings:
    known = "download" in type(settings).model_fields
    return settings.model_copy(update={"download": False}) if known else settings


def _patience() -> Progress:
    """A progress that ends decoding by a _TooLongError as soon as it will clearly take long."""
    start: float | None = None

    def progress(done: int, total: int) -> None:
        nonlocal start
        now = time.monotonic()
        start = start or now  # not before: what is imported until then is no decoding
        seconds = now - start
        if seconds > _FIRST_GUESS and seconds * total > PATIENCE * max(done, 1):
            raise _TooLongError("not decoded yet")

    return progress


def whole(found: Sequence[DataSetRecord]) -> Group:
    """Everything about data sets, for a terminal or a log."""
    return Group(*(part for entry in found for part in _parts(entry)))


def _parts(entry: DataSetRecord) -> list[Any]:
    parts: list[Any] = [Text(entry.title, style="bold"), Text()]
    for _, table in tables(entry.survey):
        parts += [_table(table), *([Text(table.about, style="dim")] if table.about else []), Text()]
    for note in entry.survey.notes:
        parts.append(Text(f"Note: {note}."))
    for warning in entry.warnings():
        parts.append(_paragraph(warning))
    parts.append(Text(f"Fingerprint of the content: {entry.survey.fingerprint}", style="dim"))
    return [*parts, Text()]


def _table(found: FactTable) -> Padding:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", max_width=_NAME_WIDTH, overflow="fold")
    for split in found.splits:
        table.add_column(Text(split), justify="right", overflow="fold")
    for name, cells in found.rows:
        table.add_row(Text(name), *map(Text, cells))
    return Padding(table, (0, 0, 0, 2))


def _paragraph(warning: DataWarning) -> Text:
    head = ("Warning: ", "bold red") if warning.serious else ("Remark: ", "bold")
    return Text.assemble(head, f"{warning.title} {warning.advice}")
