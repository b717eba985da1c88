"""An ablation design as papers show it: ticks, scores, differences and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench.analysis.ablation import ablation_column, configurations
from bench.analysis.explored import Exploration
from bench.analysis.path_round import StepState
from bench.analysis.path_words import path_frame, path_lines
from bench.analysis.records import Records
from bench.analysis.stats import Interval
from bench.plan.design import ON, TO, Design, DesignKind
from bench.plan.fraction import Fraction, effect_name
from bench.report.format import numbers
from bench.report.format.cells import Cell, Column, Table, p_value_column, sort_key, text_column
from bench.report.format.display_names import title
from bench.report.narrative.contrast_notes import explored_words

TICK, NO_TICK = "✓", "–"
_ABOUT = {
    DesignKind.LEAVE_ONE_OUT: "The full configuration, and what is left without each component.",
    DesignKind.ADD_ONE: "The base, and the base with each component alone.",
    DesignKind.CUMULATIVE: "The base, to which one component after the other is added.",
    DesignKind.ONE_AT_A_TIME: "The base, and each alternative to one of its parts.",
    DesignKind.PATH: (
        "An ablation path (Fawcett and Hoos 2016): in each step the component is taken whose best "
        "validation score is the best on average; the other candidates of a step stand below."
    ),
    DesignKind.FRACTIONAL: (
        "A fraction of all combinations: an effect is the mean of the half of the runs that has a "
        "component minus that of the other half."
    ),
}


@dataclass(frozen=True)
class AblationView:
    """A design on the page.

    Attributes:
        column: the figure, of runs.csv.
        about: what is shown, a sentence each.
        frame, table: the configurations, as numbers and as texts.
        effects_frame, effects_table: of a fraction, its effects; else None.
        aliases: of a fraction, what is confounded with what.
        steps: of a path, what each of its steps took and how that came about.
        path_frame, path_table: of a path, the candidates of all steps; else None.
    """

    column: str
    about: list[str]
    frame: pd.DataFrame
    table: Table
    effects_frame: pd.DataFrame | None = None
    effects_table: Table | None = None
    aliases: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    path_frame: pd.DataFrame | None = None
    path_table: Table | None = None

    @property
    def spare(self) -> str:
        """The headings of the columns that a narrow screen leaves out."""
        return ", ".join(column.title for column in self.table.columns if column.spare)

    @property
    def heading(self) -> str:
        """The figure's name for people."""
        return title(self.column)


def ablation_view(records: Records, explored: Exploration) -> AblationView | None:
    """What the page shows of a design; None where the experiment has none."""
    design = records.design
    if design is None or "configuration" not in records.axes:
        return None
    column = ablation_column(records)
    frame = configurations(records, explored, column)
    effects = explored.components.get(column)
    return AblationView(
        column,
        [_ABOUT[design.kind], _size(design, len(frame)), *_how_tested(design)],
        frame,
        tick_table(design, frame, column),
        effects,
        None if effects is None else fraction_table(effects),
        () if design.fraction is None else alias_lines(design.fraction),
        tuple(path_lines(records)),
        path := path_frame(records) if records.path else None,
        None if path is None else path_table(path, records.selection_column),
    )


def tick_table(design: Design, frame: pd.DataFrame, column: str) -> Table:
    """A row for each configuration, a tick for each component that it has."""
    about = "How the trials are called in the other tables."
    columns = [text_column("Configuration", about, frame["configuration"])]
    columns += [_ticks(design, name, frame) for name in design.components]
    columns += _scores(frame, column)
    if design.reference is not None:
        columns += _comparisons(design, frame)
    return Table(columns)


def fraction_table(found: pd.DataFrame) -> Table:
    """The effects of a fraction: components first, then interactions."""
    aliases = [text or "nothing" for text in found["confounded_with"]]
    decimals = _decimals(found["estimate"], found["low"], found["high"])
    return Table(
        [
            text_column("Effect", "A component, or an interaction of two.", found["effect"]),
            Column(
                "Difference",
                "The mean of one half of the runs minus that of the other [95% interval, not "
                "corrected]; of an interaction half the difference of differences.",
                [_amount(row, decimals) for row in found.to_dict("records")],
            ),
            *_tests(found.to_dict("records")),
            replace(
                text_column(
                    "Confounded with",
                    "What has the same estimate, of components and interactions of two: the "
                    "difference is the sum of their effects.",
                    aliases,
                    wide=True,
                ),
                spare=True,
            ),
        ]
    )


def path_table(found: pd.DataFrame, column: str) -> Table:
    """The candidates of every step of a path, and which was taken."""
    rows = found.to_dict("records")
    decimals = numbers.decimals_for(found["mean"], found["mean"] * math.nan)
    return Table(
        [
            Column("Step", "In order.", [Cell(str(row["step"]), row["step"]) for row in rows]),
            text_column("Component", "A candidate.", found["component"]),
            Column(
                title(column),
                "Mean over the seeds that it was compared on.",
                [Cell(numbers.fixed(row["mean"], decimals), sort_key(row["mean"])) for row in rows],
            ),
            Column("Seeds", "How many it was given.", [_count(row["seeds"]) for row in rows]),
            Column(
                "Taken",
                "Whether the step took it, and whether its race was settled.",
                [Cell(_taken(row), row["taken"]) for row in rows],
                "left",
            ),
        ]
    )


def _count(value: Any) -> Cell:
    return Cell("") if pd.isna(value) else Cell(str(value), int(value))


def _taken(row: Mapping[Any, Any]) -> str:
    if not row["taken"]:
        return ""
    return TICK if row["state"] in ("", StepState.SETTLED) else f"{TICK} ({row['state']})"


def alias_lines(fraction: Fraction) -> tuple[str, ...]:
    """How a fraction was made, and what is confounded with what."""
    generators = fraction.generators
    made = f"Resolution {fraction.resolution}, by {'; '.join(generators)}." if generators else ""
    sets = [
        " = ".join(effect_name(effect) for effect in each)
        for each in fraction.alias_sets
        if len(each) > 1
    ]
    if not sets:
        return (made, "No component or interaction of two is confounded with another.")
    return (made, f"Confounded with each other: {'; '.join(sets)}.")


def _size(design: Design, shown: int) -> str:
    return f"{shown} of the {design.combinations} configurations that a full factorial has."


def _how_tested(design: Design) -> list[str]:
    if design.kind is DesignKind.PATH:
        return [
            "The differences are of the test score, the choices of the validation score: but both "
            "are of the same trials, so a chosen step is rather overstated."
        ]
    return []


def _ticks(design: Design, name: str, frame: pd.DataFrame) -> Column:
    """A tick where it is on; of alternatives the one that is taken, the base's own left blank."""
    levels = frame[f"component.{name}"]
    if design.kind is DesignKind.ONE_AT_A_TIME:
        first = design.levels[name][0]
        cells = [Cell("·" if level == first else level, str(level)) for level in levels]
        cells = [Cell(first, first), *cells[1:]] if len(cells) else cells
        about = "The alternative that is taken; · as in the base."
        return Column(name, about, cells, "left", spare=True)
    present = (ON, TO)
    cells = [Cell(TICK, 1.0) if level in present else Cell(NO_TICK, 0.0) for level in levels]
    end = "as at the path's end" if design.kind is DesignKind.PATH else "on"
    return Column(name, f"{TICK} {end}", cells, "left", spare=True)


def _scores(frame: pd.DataFrame, column: str) -> list[Column]:
    decimals = _decimals(frame["mean"], frame["mean_low"], frame["mean_high"])
    cells = []
    for mean, low, high, n in frame[["mean", "mean_low", "mean_high", "n"]].itertuples(index=False):
        interval = Interval(mean, low, high, int(n))
        cells.append(
            Cell(
                numbers.fixed(mean, decimals),
                sort_key(mean),
                "",
                numbers.bounds(interval, decimals),
            )
        )
    about = (
        "Mean over the complete seeds [95% t-interval], and over the combinations of other axes."
    )
    found = [Column(title(column), about, cells)]
    for name in frame.columns:
        if name.startswith("mean."):
            levels = name.removeprefix("mean.")
            own = [Cell(numbers.fixed(v, decimals), sort_key(v)) for v in frame[name]]
            about = f"Mean with {levels}, over its finished seeds."
            found.append(Column(levels, about, own, spare=True))
    return found


def _comparisons(design: Design, frame: pd.DataFrame) -> list[Column]:
    """Of each row with what it is tested against; along a sequence also with its beginning."""
    rows = frame.to_dict("records")
    decimals = _decimals(frame["delta"], frame["low"], frame["high"])
    in_sequence = "from_reference" in frame
    named = "Step" if in_sequence else f"Δ to {design.reference}"
    about = (
        "Minus the configuration before it (others: minus the first)"
        if in_sequence
        else f"Minus {design.reference}"
    )
    found = [
        Column(
            named,
            f"{about}, paired by seed and by all other axes [95% interval, not corrected].",
            [_amount({**row, "estimate": row["delta"]}, decimals) for row in rows],
        )
    ]
    if in_sequence:
        cells = [
            _amount(
                {
                    "estimate": row["from_reference"],
                    "low": row["from_reference_low"],
                    "high": row["from_reference_high"],
                },
                decimals,
            )
            for row in rows
        ]
        about = f"Minus {design.reference} [95% interval, not corrected]."
        found.append(Column(f"Δ to {design.reference}", about, cells, spare=True))
    return [*found, *_tests(rows)]


def _tests(rows: list[dict[Any, Any]]) -> list[Column]:
    p_values = p_value_column(
        "p (Holm)",
        "Of the hypothesis, corrected over all hypotheses; else over all explored differences.",
        [row["p_corrected"] for row in rows],
    )
    return [
        replace(p_values, spare=True),
        Column(
            "Verdict",
            "Of the hypothesis that tests it; clear or not where none does.",
            [_conclusion(row) for row in rows],
            "left",
        ),
    ]


def _conclusion(row: Mapping[Any, Any]) -> Cell:
    """The verdict, with the id of its hypothesis as a remark; else whether it is clear."""
    if row["hypothesis"]:
        return Cell(row["verdict"], row["verdict"], f"tested as the hypothesis {row['hypothesis']}")
    text = explored_words(row["conclusion"]) if row["conclusion"] else ""
    return Cell(text, text or None)


def _amount(row: Mapping[Any, Any], decimals: int) -> Cell:
    mean, low, high = row["estimate"], row["low"], row["high"]
    if math.isnan(mean):
        return Cell("")
    interval = Interval(mean, low, high, 0)
    return Cell(
        numbers.signed(mean, decimals), sort_key(mean), "", numbers.bounds(interval, decimals)
    )


def _decimals(means: pd.Series[Any], low: pd.Series[Any], high: pd.Series[Any]) -> int:
    return numbers.decimals_for(means.astype(float), ((high - low) / 2).astype(float))
