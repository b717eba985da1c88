"""What the axes change, as tables: one set for each figure of the trials."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.contrasts import ALPHA, Word
from bench.analysis.effects import main_effects
from bench.analysis.explored import DIFFERENCE, Exploration, explore
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.level_contrasts import MOST_LEVELS
from bench.analysis.power import FEWEST
from bench.analysis.records import Records
from bench.analysis.stats import Interval
from bench.report.format import numbers
from bench.report.format.cells import Cell, Column, Table, p_value_column, sort_key, text_column
from bench.report.format.display_names import title
from bench.report.narrative.contrast_notes import explored_words

TITLES = {
    "overfit_gap": "Overfitting gap",
    "epochs_to_95pct": "Epochs to 95% of the best",
    "epoch_seconds": "Seconds per epoch",
}
PAIRED = (
    "Paired by seed and by all other axes, over whose planned levels a seed is averaged; 95% "
    "interval over the seeds that have them all, and over images where these have scores; not "
    "corrected."
)


@dataclass(frozen=True)
class EffectTables:
    """What the axes change in one figure of the trials.

    Attributes:
        column: the figure, a column of runs.csv.
        heading: its name for people.
        summary: how many differences and interactions are significant, in words.
        frames: `differences`, `interactions`, `effects` as numbers, those that have rows.
        tables: the same as texts.
    """

    column: str
    heading: str
    summary: str
    frames: dict[str, pd.DataFrame]
    tables: dict[str, Table]


def all_effect_tables(
    records: Records, tested: Sequence[HypothesisOutcome] = ()
) -> list[EffectTables]:
    """`effect_tables` of what the records let explore."""
    return effect_tables(records, explore(records, tested))


def effect_tables(records: Records, explored: Exploration) -> list[EffectTables]:
    """The effects on every figure that can be compared along some axis, the selected one first.

    Differences that a hypothesis tests have its result.
    """
    found = [
        _effects_on(
            column,
            {
                "differences": differences,
                "interactions": explored.interactions[column],
                "effects": main_effects(records, column),
            },
        )
        for column, differences in explored.differences.items()
    ]
    return [each for each in found if each.frames]  # a fraction alone has none of these


def _effects_on(column: str, found: Mapping[str, pd.DataFrame]) -> EffectTables:
    """All effects on one figure."""
    frames = {name: frame for name, frame in found.items() if len(frame)}
    makers = {
        "differences": differences_table,
        "interactions": interactions_table,
        "effects": effects_table,
    }
    heading = TITLES.get(column, title(column))
    tables = {name: makers[name](frame) for name, frame in frames.items()}
    return EffectTables(column, heading, _summary(frames), frames, tables)


def differences_table(found: pd.DataFrame) -> Table:
    """The frame of `level_differences`."""
    pairs = [f"{a} − {b}" for a, b in zip(found["a"], found["b"], strict=True)]
    about = f"The later level minus the earlier one (first level only above {MOST_LEVELS} levels)."
    return Table(
        [
            text_column("Axis", "Which axis's levels are compared.", found["axis"]),
            text_column("Levels", about, pairs),
            _estimates("Difference", PAIRED, found),
            _seeds(found),
            *_tests(found),
            _conclusions(found),
        ]
    )


def interactions_table(found: pd.DataFrame) -> Table:
    """The frame of `interactions`."""
    own = found["axis"] + ": " + found["a"] + " − " + found["b"]
    others = found["other"] + ": " + found["c"] + " instead of " + found["d"]
    about = "The first difference with the one level of the second axis minus that with the other."
    return Table(
        [
            text_column("Difference", "A difference between levels of one axis.", own),
            text_column("With", "The levels of another axis between which it is compared.", others),
            _estimates("Change", f"{about} {PAIRED}", found),
            _seeds(found),
            *_tests(found),
            _conclusions(found),
        ]
    )


def effects_table(found: pd.DataFrame) -> Table:
    """The frame of `main_effects`."""
    decimals = _decimals(found)
    means = [Cell(numbers.fixed(v, decimals), sort_key(v)) for v in found["mean"]]
    about = (
        "The level's mean minus the mean of all levels of its axis, over the combinations of the "
        "other axes that are planned with all levels; 95% t-interval over the seeds that have all "
        "of these, not corrected."
    )
    return Table(
        [
            text_column("Axis", "The axis.", found["axis"]),
            text_column("Level", "The level.", found["level"]),
            Column("Mean", "Over the same combinations and seeds as the effect.", means),
            _estimates("Effect", about, found),
            _seeds(found),
        ]
    )


def together(effects: Iterable[EffectTables], name: str) -> pd.DataFrame:
    """One frame of all figures' `name`, with `figure` in front."""
    frames = [e.frames[name].assign(figure=e.column) for e in effects if name in e.frames]
    found = pd.concat(frames, ignore_index=True)
    return found[["figure", *found.columns.drop("figure")]]


def table_together(effects: Iterable[EffectTables], name: str) -> Table:
    """One table of all figures' `name`, with the figure in front."""
    chosen = [e for e in effects if name in e.tables]
    headings = [e.heading for e in chosen for _ in e.tables[name].rows]
    columns = [text_column("Figure", "What is compared.", headings)]
    for parts in zip(*(e.tables[name].columns for e in chosen), strict=True):
        cells = [cell for part in parts for cell in part.cells]
        columns.append(Column(parts[0].title, parts[0].meaning, cells, parts[0].align))
    return Table(columns)


def _decimals(found: pd.DataFrame) -> int:
    return numbers.decimals_for(found["estimate"], (found["high"] - found["low"]) / 2)


def _estimates(heading: str, about: str, found: pd.DataFrame) -> Column:
    """Signed, with the interval beneath."""
    decimals = _decimals(found)
    cells = []
    for row in found[["estimate", "low", "high", "n"]].itertuples(index=False):
        interval = Interval(*row)
        text = numbers.signed(interval.mean, decimals)
        cells.append(Cell(text, sort_key(interval.mean), "", numbers.bounds(interval, decimals)))
    return Column(heading, about, cells)


def _seeds(found: pd.DataFrame) -> Column:
    cells = []
    for n, seeds, lost in found[["n", "seeds", "lost"]].itertuples(index=False):
        lacking = [f"of {seeds}"] * (n < seeds) + [f"{lost} lost"] * (lost > 0)
        cells.append(Cell(str(n), int(n), detail=f"({', '.join(lacking)})" if lacking else ""))
    about = (
        "Complete seeds: those with all planned combinations of the other axes; lost: planned "
        "pairs that lack a figure on one side, or whose time was measured under other conditions."
    )
    return Column("Seeds", about, cells)


def _tests(found: pd.DataFrame) -> list[Column]:
    about = (
        "Corrected by Holm over all explored differences and interactions of the report; of a "
        "hypothesis, over all hypotheses."
    )
    return [
        p_value_column(
            "p",
            "Two-sided test over new seeds and, where single images have scores, new images; of a "
            "hypothesis, its own test.",
            found["p"],
        ),
        p_value_column("p (Holm)", about, found["p_corrected"]),
    ]


def _conclusions(found: pd.DataFrame) -> Column:
    """What the corrected test says, in words; where a hypothesis tests it, its verdict."""
    cells = []
    for row in found.to_dict("records"):
        text = conclusion_words(row)
        note = f"tested as the hypothesis {row['hypothesis']}" if row["hypothesis"] else ""
        cells.append(Cell(text, text, note, _why_no_test(row)))
    about = (
        f"Explored: clear or not at {ALPHA:.0%} after Holm's correction. A difference that a "
        "hypothesis tests has its verdict, with the hypothesis's id, and is left out of that "
        "correction."
    )
    return Column("Conclusion", about, cells, "left")


def conclusion_words(row: Mapping[Hashable, Any]) -> str:
    """`supported (unet_better)` of a hypothesis; explored, `clear` or `not clear (explored)`."""
    if row["hypothesis"]:
        return f"{row['verdict']} ({row['hypothesis']})"
    return explored_words(row["conclusion"])


def _why_no_test(row: Mapping[Hashable, Any]) -> str:
    if row["hypothesis"] or not pd.isna(row["p"]) or row["conclusion"] == Word.CLEAR:
        return ""
    return f"no test: under {FEWEST} seeds" if row["n"] < FEWEST else "no test"


def _summary(frames: dict[str, pd.DataFrame]) -> str:
    """`2 of 6 differences clear; 1 is tested as a hypothesis; 0 of 6 interactions …`."""
    parts = []
    for name, frame in frames.items():
        if name == "effects":
            continue
        found = frame[frame["hypothesis"] == ""]
        count = len(frame.drop_duplicates(list(DIFFERENCE))) - len(found)
        if len(found):
            clear = int((found["conclusion"] == Word.CLEAR).sum())
            counted = numbers.plural(len(found), name.removesuffix("s"))
            parts.append(f"{clear} of {counted} clear")
            if found["p"].isna().all() and not clear:
                parts[-1] = (
                    f"{counted}, none testable" if len(found) > 1 else f"{counted}, not testable"
                )
        if count > 0 and name == "differences":
            verb = "is tested as a hypothesis" if count == 1 else "are tested as hypotheses"
            counted = str(count) if len(found) else numbers.plural(count, "difference")
            parts.append(f"{counted} {verb}")
    return "; ".join(parts)
