"""The report's tables as files: exact numbers as CSV, texts as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis.arm_summary import write_csv
from bench.analysis.hypotheses import HypothesisOutcome, verdict_frame
from bench.analysis.image_frame import MOST_ROWS, image_frame, out_of_fold_frame
from bench.analysis.records import Records
from bench.atomic_files import replacing
from bench.record.columns import Status
from bench.record.files import write_text
from bench.report.format.cells import Table
from bench.report.format.markup import markdown, to_latex, to_markdown
from bench.report.tables.ablation import AblationView
from bench.report.tables.effects import EffectTables, table_together, together
from bench.report.tables.verdicts import verdict_table
from bench.texts import formula_caution

NAMES = ("arms", "learning", "verdicts", "differences", "interactions", "effects", "failures")
OF_SEARCH = ("chosen", "points")
OF_DESIGN = ("ablation", "ablation_effects", "path")
_NESTED = frozenset({"strata", "shortages", "trials", "failures", "statements", "components"})
"""What verdicts.json has of a hypothesis and a row of verdicts.csv cannot."""


class TableFile(NamedTuple):
    """One table: its numbers, how people read it, and what stands below it."""

    frame: pd.DataFrame
    table: Table
    notes: Sequence[str] = ()


def table_files(
    records: Records,
    summary: pd.DataFrame,
    context: Mapping[str, Any],
    tested: Sequence[HypothesisOutcome],
) -> dict[str, TableFile]:
    """The tables that the records have, by name; `context` is the page's."""
    effects: Sequence[EffectTables] = context["effects"]
    fronts = context["fronts"].add_prefix("pareto_")
    marks = pd.DataFrame(
        {f"{c}_standing": pd.Series(found, dtype="str") for c, found in context["marks"].items()},
        index=summary.index,
    )
    numbers = summary.join([fronts, marks])
    found = {"arms": TableFile(numbers, context["arm_table"], context["mark_notes"])}
    found["learning"] = TableFile(context["learning"], context["learning_table"])
    if tested:
        frame = verdict_frame(tested).drop(columns=sorted(_NESTED))
        found["verdicts"] = TableFile(frame, verdict_table(tested))
    for name in ("differences", "interactions", "effects"):
        if any(name in each.frames for each in effects):
            found[name] = TableFile(together(effects, name), table_together(effects, name))
    ablation: AblationView | None = context["ablation"]
    if ablation is not None:
        notes = [*ablation.about, *ablation.aliases]
        found["ablation"] = TableFile(ablation.frame, ablation.table, ablation.about)
        if ablation.effects_frame is not None and ablation.effects_table is not None:
            found["ablation_effects"] = TableFile(
                ablation.effects_frame, ablation.effects_table, notes
            )
        if ablation.path_frame is not None and ablation.path_table is not None:
            found["path"] = TableFile(ablation.path_frame, ablation.path_table, ablation.steps)
    if context["failures"]:
        runs = records.trial_records.runs
        failed = runs[runs["status"] == Status.FAILED]
        repeat = [name for name in ("seed", "fold") if name in runs]
        columns = ["id", *repeat, *(f"axis.{axis}" for axis in records.axes), "failure", "message"]
        found["failures"] = TableFile(failed[columns], context["failures"])
    return found


class ImageScoresFile(NamedTuple):
    """The file of scores of single images: its name, and what to know of the report."""

    name: str
    cautions: tuple[str, ...]


def write_image_scores(records: Records, folder: Path) -> ImageScoresFile | None:
    """Write the scores of single images as `image_scores.csv`, or `.parquet`.

    As Parquet where there are so many rows that a spreadsheet would not open them. None, and
    nothing of an earlier report stays, where there are no scores.
    """
    return _write_scores(image_frame(records), folder, "image_scores")


def write_out_of_fold(records: Records, folder: Path) -> ImageScoresFile | None:
    """The same of out-of-fold scores, as `oof_val.csv`: a row per arm, seed and image."""
    return _write_scores(out_of_fold_frame(records), folder, "oof_val")


def _write_scores(frame: pd.DataFrame, folder: Path, name: str) -> ImageScoresFile | None:
    form = None if frame.empty else "csv" if len(frame) <= MOST_ROWS else "parquet"
    paths = {ending: folder / f"{name}.{ending}" for ending in ("csv", "parquet")}
    for ending, path in paths.items():
        if ending != form:
            path.unlink(missing_ok=True)
    if form is None:
        return None
    if form == "parquet":
        with replacing(paths[form]) as beside:
            frame.to_parquet(beside, index=False)
        return ImageScoresFile(paths[form].name, ())
    write_csv(frame, paths[form])
    texts = [text for column in ("image", "group") for text in frame[column].cat.categories]
    formulas = formula_caution(texts)
    return ImageScoresFile(paths[form].name, () if formulas is None else (formulas,))


def write_tables(files: Mapping[str, TableFile], folder: Path) -> None:
    """Write each as .csv, .md and .tex, and remove those of an earlier report that are gone."""
    for name in (*NAMES, *OF_SEARCH, *OF_DESIGN):
        paths = {ending: folder / f"{name}.{ending}" for ending in ("csv", "md", "tex")}
        if name in files:
            write_csv(files[name].frame, paths["csv"])
            notes = files[name].notes
            below = "".join(f"\n{markdown(note)}\n" for note in notes)
            write_text(paths["md"], to_markdown(files[name].table) + "\n" + below)
            comments = "".join(f"% {' '.join(note.split())}\n" for note in notes)
            write_text(paths["tex"], to_latex(files[name].table) + comments)
        else:
            for path in paths.values():
                path.unlink(missing_ok=True)
