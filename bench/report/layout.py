"""Tables as people read them, written as HTML (by the template), Markdown or LaTeX."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pandas.api.types import is_numeric_dtype

from bench.report import numbers
from bench.report.load import Records
from bench.report.table import baseline_column, interval_of, result_columns, value_of
from bench.report.wording import nice, title

Align = Literal["left", "right"]

COUNTS = ("params", "trainable_params", "macs")

COST_TITLES = {
    "params": "Params",
    "trainable_params": "Trainable",
    "macs": "MACs",
    "epoch_seconds": "Epoch",
    "peak_memory_mb": "Memory",
}


@dataclass(frozen=True)
class Cell:
    """One cell: what it shows, what it sorts by, a remark behind it, and a second, smaller line."""

    text: str
    key: float | str | None = None
    note: str = ""
    detail: str = ""

    @property
    def line(self) -> str:
        """Both lines as one."""
        return f"{self.text} {self.detail}".rstrip()


@dataclass(frozen=True)
class Column:
    """One column and its meaning."""

    title: str
    meaning: str
    cells: list[Cell]
    align: Align = "right"


@dataclass(frozen=True)
class Table:
    """Columns of equal length."""

    columns: list[Column]

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells row by row."""
        return [list(row) for row in zip(*(c.cells for c in self.columns), strict=True)]


def metric_decimals(summary: pd.DataFrame, column: str) -> int:
    """Decimals for a metric's column of `arm_summary`."""
    half = (summary[f"{column}_high"] - summary[f"{column}_low"]) / 2
    return numbers.decimals_for(summary[column], half)


def arm_table(records: Records, summary: pd.DataFrame) -> Table:
    """The summary per arm: labels, seeds, results with intervals, baseline, costs."""
    columns = _label_columns(records, summary)
    columns.append(_seeds_column(summary))
    for name in result_columns(records):
        if summary[name].notna().any():
            columns.append(_metric_column(summary, name))
    columns += _baseline_columns(records, summary)
    columns += _cost_columns(summary)
    return Table(columns)


def trial_table(records: Records) -> Table:
    """Every trial with its outcome: what the numbers per arm are made of."""
    runs = records.runs
    metric = records.select.metric
    columns = [_text("Trial", "The trial's id: its folder under results/.", runs["id"])]
    columns.append(_integers("Seed", "Root of every random stream of the trial.", runs["seed"]))
    columns.append(_text("Status", "How far it has come.", runs["status"]))
    columns.append(_integers("Epochs", "Epochs trained.", runs["epochs"]))
    columns.append(
        _integers("Best epoch", f"The epoch with the best val {nice(metric)}.", runs["best_epoch"])
    )
    names = [f"best_val_{metric}", f"test_{metric}", "best_val_loss", "overfit_gap"]
    for name in dict.fromkeys([*names, *records.closing]):
        if name in runs and runs[name].notna().any():
            columns.append(_result(name, runs[name]))
    times = runs["train_seconds"]
    cells = [Cell(numbers.seconds(v), _key(v)) for v in times]
    columns.append(Column("Training", MEANINGS["train_seconds"], cells))
    return Table(columns)


def to_markdown(table: Table) -> str:
    """A GitHub table."""
    head = "| " + " | ".join(markdown(c.title) for c in table.columns) + " |"
    rule = "|" + "|".join("---:" if c.align == "right" else "---" for c in table.columns) + "|"
    body = ["| " + " | ".join(markdown(cell.line) for cell in row) + " |" for row in table.rows]
    return "\n".join([head, rule, *body])


def to_latex(table: Table) -> str:
    """A `tabular` for the package booktabs."""
    layout = "".join("r" if column.align == "right" else "l" for column in table.columns)
    head = " & ".join(latex(c.title) for c in table.columns) + r" \\"
    body = [" & ".join(latex(cell.line) for cell in row) + r" \\" for row in table.rows]
    lines = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def markdown(text: str) -> str:
    """`text` as it is, on one line, whatever Markdown or HTML would make of its characters."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + c if c in r"\`*_[]|#~$!" else c for c in line)


def latex(text: str) -> str:
    """`text` with LaTeX's own characters escaped."""
    special = {
        **{c: "\\" + c for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "−": "$-$",
        "±": r"$\pm$",
        "·": r"$\cdot$",
        "∞": r"$\infty$",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
    return "".join(special.get(c, c) for c in " ".join(str(text).split()))


MEANINGS = {
    "params": "Parameters of the model, trainable or not.",
    "trainable_params": "Parameters that an optimizer step changes; the others are frozen.",
    "frechet": "Fréchet distance of generated from test images, with the best epoch's checkpoint, "
    "in the features that frechet_extractor names; lower is better, and comparable only with the "
    "same extractor and numbers of images.",
    "macs": "Multiply-adds of one forward pass on one image, counted by fvcore (one "
    "multiply-add = 1); median over seeds.",
    "epoch_seconds": "Seconds of training per epoch: median over the epochs after the first, "
    "without validation, device synchronised; median over seeds.",
    "peak_memory_mb": "Peak memory in MB (10⁶ bytes): the allocator's on CUDA, resident set on a "
    "CPU; median over seeds.",
    "train_seconds": "Time of training and validation together.",
    "overfit_gap": "Final minus lowest validation loss.",
}


def meaning(name: str) -> str:
    """What a column of results means."""
    if name in MEANINGS:
        return MEANINGS[name]
    for prefix, text in (
        ("baseline_val_", "{} of the trivial prediction on the validation split."),
        ("baseline_", "{} of the trivial prediction on the test split."),
        ("best_val_", "Best validation {} over the epochs."),
        ("final_val_", "Validation {} after the last epoch."),
        ("test_", "{} on the test split, with the checkpoint of the best epoch."),
    ):
        if name.startswith(prefix):
            return text.format(nice(name.removeprefix(prefix)))
    return nice(name)


def _label_columns(records: Records, summary: pd.DataFrame) -> list[Column]:
    columns = [
        _text(title(axis), f"Level of the axis {axis}.", summary[f"axis.{axis}"])
        for axis in records.axes
    ]
    if not columns:
        columns.append(_text("Arm", "The only arm: the spec has no axis.", summary["arm"]))
    if summary["source"].nunique() > 1:
        columns.append(_text("Source", "Where the histories were logged.", summary["source"]))
    return columns


def _seeds_column(summary: pd.DataFrame) -> Column:
    """How many trials the numbers are made of, and how many are missing from them."""
    cells = []
    for counts in summary[["n_done", "n_failed", "n_missing"]].itertuples(index=False):
        done, failed, missing = map(int, counts)
        told = [f"{failed} failed"] * (failed > 0) + [f"{missing} missing"] * (missing > 0)
        cells.append(Cell(str(done), done, detail=f"({', '.join(told)})" if told else ""))
    about = (
        "Finished trials, the seeds that the numbers are means over; beside them those that failed "
        "or are missing (planned, running, interrupted), which no number has."
    )
    return Column("Seeds", about, cells)


def _metric_column(summary: pd.DataFrame, name: str) -> Column:
    decimals = metric_decimals(summary, name)
    cells = []
    for number in summary.index:
        found = interval_of(summary, number, name)
        detail = numbers.bounds(found, decimals)
        if 0 < found.n < value_of(summary, number, "n_done"):
            detail = f"{detail} (n = {found.n})".lstrip()
        text = numbers.fixed(found.mean, decimals)
        cells.append(Cell(text, _key(found.mean), f"n = {found.n}", detail))
    return Column(title(name), f"{meaning(name)} Mean over seeds [95% t-interval].", cells)


def _baseline_columns(records: Records, summary: pd.DataFrame) -> list[Column]:
    metric = records.select.metric
    names = [baseline_column(f"{prefix}_{metric}") for prefix in ("test", "best_val")]
    found = next((n for n in names if n in summary and summary[n].notna().any()), None)
    if found is None:
        return []
    decimals = numbers.decimals_for(summary[found])
    cells = [Cell(numbers.fixed(v, decimals), _key(v)) for v in summary[found]]
    return [Column(f"Baseline {nice(metric)}", meaning(found), cells)]


def _cost_columns(summary: pd.DataFrame) -> list[Column]:
    columns = []
    for name, heading in COST_TITLES.items():
        values = summary[name]
        if name == "trainable_params" and not (values < summary["params"]).any():
            continue  # nothing is frozen
        if values.notna().any():
            cells = [Cell(cost_text(name, v), _key(v), _exact(name, v)) for v in values]
            columns.append(Column(heading, MEANINGS[name], cells))
    return columns


def cost_text(name: str, value: float) -> str:
    """A cost with its unit."""
    if name == "epoch_seconds":
        return numbers.seconds(value)
    if name == "peak_memory_mb":
        return numbers.scaled(value * 1e6, "B")
    return numbers.scaled(value)


def _exact(name: str, value: float) -> str:
    return numbers.exact(value) if name in COUNTS and math.isfinite(value) else ""


def _plain_metric(name: str, values: pd.Series[float]) -> Column:
    decimals = numbers.decimals_for(values)
    cells = [Cell(numbers.fixed(v, decimals), _key(v), repr(float(v))) for v in values]
    return Column(title(name), meaning(name), cells)


def _result(name: str, values: pd.Series[Any]) -> Column:
    """A column of figures, or of texts where the task says something in words."""
    if is_numeric_dtype(values):
        return _plain_metric(name, values)
    return _text(title(name), meaning(name), values)


def _integers(heading: str, about: str, values: pd.Series[int]) -> Column:
    cells = [
        Cell(numbers.MISSING) if pd.isna(value) else Cell(str(int(value)), float(value))
        for value in values
    ]
    return Column(heading, about, cells)


def _text(heading: str, about: str, values: pd.Series[str]) -> Column:
    cells = [
        Cell(numbers.MISSING) if pd.isna(value) else Cell(str(value), str(value))
        for value in values
    ]
    return Column(heading, about, cells, "left")


def _key(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
