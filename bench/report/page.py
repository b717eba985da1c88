"""The report of an experiment: one HTML file, the same in Markdown, tables and figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.arm_summary import arm_summary, text_facts, texts_of, write_csvs
from bench.analysis.arms import Arm, arm_numbers, arms_of
from bench.analysis.combine import combine_experiments
from bench.analysis.environments import EnvironmentFact, environment_facts
from bench.analysis.explored import Exploration, explore
from bench.analysis.fold_pool import over_folds
from bench.analysis.hypotheses import HypothesisOutcome, outcomes, with_hypotheses
from bench.analysis.leaderboard import leaderboards_by_column, marks_by_column
from bench.analysis.learning import learning_summary
from bench.analysis.load import load
from bench.analysis.measurement_conditions import run_facts
from bench.analysis.pareto import pareto_members
from bench.analysis.records import Records
from bench.errors import StoreError
from bench.plan.comparable import loss_warnings
from bench.record.columns import Status
from bench.record.files import write_json
from bench.record.looks_file import remember_report
from bench.record.store import Store
from bench.report.figures import Drawing, ExperimentData, draw_all, write_figures
from bench.report.figures.sample_pictures import sample_pictures, write_samples
from bench.report.format.display_names import task_words, title
from bench.report.manifest import manifest_record, shown
from bench.report.narrative import headline as findings
from bench.report.narrative.definitions import definition, definition_of
from bench.report.narrative.diagnostics import diagnose
from bench.report.narrative.folds_note import folds_note
from bench.report.narrative.look_notes import look_cautions, reported_seeds
from bench.report.narrative.mark_notes import mark_notes
from bench.report.page_view import TROUBLES, page_view
from bench.report.search.figures.draw_all import draw_search
from bench.report.search.search_record import SearchRecord, read_search_record
from bench.report.search.sections import search_context, search_files, subject_records
from bench.report.tables import arms_and_trials as layout
from bench.report.tables.ablation import ablation_view
from bench.report.tables.data_sets import data_views, top_warnings
from bench.report.tables.effects import effect_tables
from bench.report.tables.files import (
    table_files,
    write_image_scores,
    write_out_of_fold,
    write_tables,
)
from bench.report.tables.learning import learning_table
from bench.report.tables.verdicts import verdict_cards, verdict_counts
from bench.report.templating import write_pages
from bench.safe_files import refuse_link_out
from bench.spec.hypotheses import Hypothesis
from bench.states import BENCH_SOURCE
from bench.texts import formula_caution
from bench.version import __version__

OF_SEARCH = "search_"  # figures of this name come first


def write_report(
    store: Store,
    experiments: Sequence[str],
    out: Path,
    hypotheses: Mapping[str, tuple[Hypothesis, ...]] | None = None,
) -> Path:
    """Write the reports of experiments under `out`.

    Args:
        store: where the records are.
        experiments: their names; each gets its own folder `out/<experiment>/`.
        out: created where it is not there.
        hypotheses: by experiment, instead of those that were planned.

    Returns:
        The path of the last experiment's report.html.

    Raises:
        StoreError: there is no such experiment, its plan cannot be read, `out` is not writable.
    """
    if not experiments:
        raise StoreError(f"{store.root}: no experiment to report on")
    pages = []
    for name in experiments:
        records = load(store, name)
        if hypotheses and name in hypotheses:
            records = with_hypotheses(records, hypotheses[name])
        search = read_search_record(store.experiment(name))
        pages.append(write_one(records, out / name, search, store))
    return pages[-1]


def write_together(store: Store, experiments: Sequence[str], name: str, out: Path) -> Path:
    """Write one report on several experiments into `out/<name>/`; returns report.html's path.

    Raises:
        StoreError: as `write_report`; or the experiments, or the name, do not go together.
    """
    store.experiment(name)  # it becomes a folder, too
    if name in store.experiments():
        raise StoreError(f"--together {name}: is an experiment, whose report lies there")
    if len(set(experiments)) < 2:
        raise StoreError("--together: name the experiments, at least two")
    records = combine_experiments([load(store, each) for each in dict.fromkeys(experiments)], name)
    return write_one(records, out / name)


def write_one(
    records: Records,
    folder: Path,
    search: SearchRecord | None = None,
    store: Store | None = None,
) -> Path:
    """Write one report into `folder` and return the path of report.html.

    `search` is what a search found, where the experiment is one. With `store` it is remembered on
    how many seeds hypotheses were tested, since each such look costs.

    Raises:
        StoreError: a part of the folder is a link that leads elsewhere, where files of an earlier
            report would be deleted.
    """
    for part in ("", "figures", "tables", "samples"):
        refuse_link_out(folder / part, folder if part else folder.parent)
    found, explored = _analysed(records, search)
    drawings = draw_all(found) if search is None else draw_search(search, found)
    context = page_context(found, explored, drawings)
    if found.records.folds is not None:
        context |= _of_all_folds(records, found.arms)
    files = table_files(found.records, found.summary, context, found.tested)
    if search is None and (problems := found.image_scores.problems):
        context["cautions"] = (*context["cautions"], findings.unused_image_scores(problems))
    if search is not None:
        context |= _of_all_trials(records) | search_context(records, search, folder)
        context["contents"] = contents(context)
        files |= search_files(search, context["search"])
    context["shown"] = view = page_view(context, found.summary, found.records, search)
    context["samples"] = write_samples(context["samples"], folder, linked=view.is_large)
    write_figures(drawings, folder / "figures")
    write_tables(files, folder / "tables")
    context["cautions"] = (*context["cautions"], *_write_numbers(records, found, search, folder))
    page = write_pages(context, folder)
    if store is not None:
        remember_report(store, records.experiment, reported_seeds(found.tested))
    return page


def _analysed(records: Records, search: SearchRecord | None) -> tuple[ExperimentData, Exploration]:
    """All that the page, its tables and figures show of an experiment.

    Arms are shown over the folds of each seed; of a search its subjects instead of all its trials.
    """
    shown = over_folds(records) if search is None else subject_records(records, search)
    tested = outcomes(shown if search is None else records)
    explored = explore(shown, tested)
    effects = effect_tables(shown, explored) if search is None else []
    ablation = ablation_view(shown, explored) if search is None else None
    summary, arms = arm_summary(shown), arms_of(shown)
    return ExperimentData(shown, summary, arms, tested, effects, ablation), explored


def _write_numbers(
    records: Records, found: ExperimentData, search: SearchRecord | None, folder: Path
) -> tuple[str, ...]:
    """Write what others read by program; returns what a reader should know of it."""
    write_csvs(records, folder)
    images = write_image_scores(records, folder)
    write_out_of_fold(records, folder)
    write_json(folder / "verdicts.json", [outcome.record() for outcome in found.tested])
    write_json(folder / "manifest.json", manifest_record(records, search))
    return () if images is None else images.cautions


def page_context(
    found: ExperimentData, explored: Exploration, drawings: Sequence[Drawing]
) -> dict[str, Any]:
    """What the templates show."""
    records, summary, arms = found.records, found.summary, found.arms
    pictures, without = sample_pictures(records, summary, arms)
    facts = _facts(records)
    numbers = arm_numbers(records, arms)
    trials = records.runs["id"].groupby(numbers).agg(list)
    context = {
        "records": records,
        "search": None,
        "arms": arms,
        "headline": findings.headline(records, summary, arms, explored),
        "cautions": _all_cautions(records, found.tested),
        "progress": findings.progress(records),
        "folds_note": folds_note(records),
        "sources": sorted({arm.source for arm in arms} - {BENCH_SOURCE}),
        "baseline": findings.baseline_check(records, summary, arms),
        "health": diagnose(records, arms),
        "mixed": findings.mixed_conditions(records, facts),
        "words": task_words(records.task),
        "task_facts": _task_facts(records),
        "scores": definition(records),
        **_verdict_parts(found),
        **_table_parts(found),
        "trials": {arm.number: trials[arm.number] for arm in arms},
        "drawings": drawings,
        "samples": pictures,
        "arms_without_samples": without,
        **_troubles(records, numbers, arms),
        "data_sets": data_views(records.data),
        "data_warnings": top_warnings(records.data),
        "facts": shown(facts),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
        "command": _command(records),
    }
    return context | {"contents": contents(context)}


def _verdict_parts(found: ExperimentData) -> dict[str, Any]:
    """The cards, how many there are of each verdict, and the ablation."""
    return {
        "cards": verdict_cards(found.records, found.tested),
        "tally": verdict_counts(found.tested) if found.tested else "",
        "ablation": found.ablation,
    }


def _table_parts(found: ExperimentData) -> dict[str, Any]:
    """The arms, the course of their training, the effects of axes, and the trials."""
    records, summary, arms = found.records, found.summary, found.arms
    boards = leaderboards_by_column(records, summary, arms, found.tested)
    marks, fronts = marks_by_column(boards), pareto_members(records, summary)
    learning = learning_summary(records, summary, arms)
    return {
        "arm_table": layout.arm_table(records, summary, marks, fronts),
        "marks": marks,
        "fronts": fronts,
        "marked": any(marks.values()),
        "mark_notes": mark_notes(boards, arms),
        "learning": learning,
        "learning_table": learning_table(records, summary, learning, marks),
        "effects": found.effects,
        "scores_of": {each.column: definition_of(records, each.column) for each in found.effects},
        "trial_table": layout.trial_table(records),
    }


def _all_cautions(records: Records, tested: Sequence[HypothesisOutcome]) -> tuple[str, ...]:
    """What to know before believing anything on the page."""
    losses = loss_warnings(records.incomparable, records.metrics, records.axes, records.design)
    formulas = formula_caution(texts_of(records))
    return (
        *losses,
        *records.cautions,
        *look_cautions(records, tested),
        *([formulas] if formulas else []),
    )


def _facts(records: Records) -> list[EnvironmentFact]:
    """Where and how the trials ran."""
    facts = environment_facts(records)
    return [*run_facts(records, {fact.name for fact in facts}), *facts]


def _of_all_folds(records: Records, arms: Sequence[Arm]) -> dict[str, Any]:
    """What a page says of single trials, where its arms are shown over the folds of each seed."""
    trials = records.runs["id"].groupby(arm_numbers(records, arms)).agg(list)
    return {
        **_of_all_trials(records),
        "health": diagnose(records, arms),
        "trials": {arm.number: trials[arm.number] for arm in arms},
    }


def _of_all_trials(records: Records) -> dict[str, Any]:
    """What a search's page says of all its trials, not only of the chosen points'."""
    arms = arms_of(records)
    facts = _facts(records)
    return {
        "records": records,
        "progress": findings.progress(records),
        "mixed": findings.mixed_conditions(records, facts),
        "trial_table": layout.trial_table(records),
        **_troubles(records, arm_numbers(records, arms), arms),
        "facts": shown(facts),
    }


def contents(context: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anchor and title of every section that the page has."""
    search = context["search"]
    figures = [(drawing.name, drawing.title, True) for drawing in context["drawings"]]
    parts = [
        ("verdicts", "Verdicts", context["cards"]),
        *(figure for figure in figures if figure[0] == "hypotheses"),
        ("findings", "At a glance", True),
        ("unlike", "What sets them apart", context["records"].setting_differences),
        ("chosen", "What was chosen", search),
        *(figure for figure in figures if figure[0].startswith(OF_SEARCH)),
        ("points", "Points", search),
        ("ablation", "Ablation", context["ablation"]),
        ("arms", search.subject if search else "Arms", True),
        ("learning", "Course of training", True),
        ("effects", "Effects of the axes", context["effects"]),
        *(f for f in figures if f[0] != "hypotheses" and not f[0].startswith(OF_SEARCH)),
        ("samples", context["words"].pictures, context["samples"]),
        ("data", "Data", context["data_sets"]),
        ("unfinished", "Failed or unfinished", any(context[name] for name in TROUBLES)),
        ("left-out", "Left out", context["records"].left_out),
        ("trials", "Trials", True),
        ("manifest", "Settings and machine", True),
    ]
    return [(anchor, heading) for anchor, heading, there in parts if there]


def _command(records: Records) -> str:
    """The arguments of `bench report` that make this report."""
    if records.combined_from:
        return f"{' '.join(records.combined_from)} --together {records.experiment}"
    return records.experiment


def _task_facts(records: Records) -> list[tuple[str, list[str]]]:
    """What the task says of finished trials in words: each fact's name and its values."""
    known = {name: records.done[name].dropna().unique() for name in text_facts(records)}
    return [(title(name), list(values)) for name, values in known.items() if len(values)]


def _troubles(records: Records, numbers: pd.Series[int], arms: Sequence[Arm]) -> dict[str, Any]:
    """The trials that failed, that are not finished, and finished ones with a message, as tables.

    None where there are none; `failed` counts the first.
    """
    runs = records.runs[["id", "status", "failure", "message"]]
    labels = numbers.map({arm.number: arm.label for arm in arms})
    runs = runs.assign(arm=labels)
    failed, done = runs["status"] == Status.FAILED, runs["status"] == Status.DONE
    left = ~failed & ~done & (runs["status"] != Status.PRUNED)
    chosen = (failed, left, done & runs["message"].notna())
    return {
        "failed": int(failed.sum()),
        **{
            name: layout.trouble_table(runs[rows]) if rows.any() else None
            for name, rows in zip(TROUBLES, chosen, strict=True)
        },
    }
