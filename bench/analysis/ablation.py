"""The configurations of an ablation design: their scores, and what each is compared with."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.effects import grid, summarized
from bench.analysis.explored import Exploration
from bench.analysis.records import NO_LABEL, Records
from bench.metric_columns import on_test
from bench.plan.design import CONFIGURATION, Design, DesignKind
from bench.record.columns import Status

MOST_STRATA = 4
"""Combinations of the other axes that have a mean of their own."""
COMPARED = (
    "against", "delta", "low", "high", "n_pairs", "over", "p", "p_corrected", "conclusion",
    "hypothesis", "verdict",
)  # fmt: skip
"""What `configurations` has of the comparison with one other configuration."""


def ablation_column(records: Records) -> str:
    """The figure in which the components of a design are compared: a column of runs.csv."""
    asked = records.design.metric if records.design is not None else None
    wanted = (asked, on_test(records.select.metric), records.best_column)
    known = [name for name in wanted if name is not None and name in records.runs]
    with_values = [name for name in known if records.done[name].notna().any()]
    return (with_values or known)[0]


def configurations(records: Records, explored: Exploration, column: str) -> pd.DataFrame:
    """A row for each configuration, those built upon each other first.

    Columns: `configuration`; `component.<name>`, its level; `mean`, `mean_low`, `mean_high`, `n`:
    the score over the complete seeds; `mean.<levels>` by the other axes, where these have few
    combinations; `COMPARED`: what tests the component, against the reference or, along a sequence,
    against the configuration before; and along a sequence `from_reference` with `_low` and `_high`.
    """
    design = records.design
    assert design is not None
    known = set(records.axes[CONFIGURATION])
    sequence = [label for label in design.sequence if label in known]
    labels = [*sequence, *(c for c in design.configurations if c in known and c not in sequence)]
    frame = pd.DataFrame({"configuration": labels})
    for name in design.components:
        frame[f"component.{name}"] = [design.configurations[label][name] for label in labels]
    frame = frame.join(_scores(records, column, labels))
    against = _compared_with(design, sequence)
    differences = explored.differences.get(column)
    rows = [_difference(differences, label, against.get(label)) for label in labels]
    frame = frame.join(pd.DataFrame(rows, columns=list(COMPARED)))
    if sequence:
        whole = [_difference(differences, label, design.reference) for label in labels]
        names = {"delta": "from_reference", "low": "from_reference_low",
                 "high": "from_reference_high"}  # fmt: skip
        frame = frame.join(pd.DataFrame(whole)[list(names)].rename(columns=names))
    return frame


def steps(frame: pd.DataFrame, design: Design) -> pd.DataFrame:
    """The sequence of a cumulative design or a path as steps from one score to the next.

    Columns: `label` (the component; the ends are configurations), `kind` (`end` or `step`),
    `start`, `end`, `low`, `high` (of the step's difference, NaN for the ends), `conclusion`. Empty
    where the design has no sequence or none of it is known.
    """
    columns = ["label", "kind", "start", "end", "low", "high", "conclusion"]
    known = frame.set_index("configuration")
    sequence = [label for label in design.sequence if label in known.index]
    order = design.steps if design.kind is DesignKind.PATH else design.components
    if len(sequence) < 2 or known.loc[sequence, "mean"].isna().any():
        return pd.DataFrame(columns=columns)
    means = known["mean"]
    first, last = means[sequence[0]], means[sequence[-1]]
    rows: list[tuple[Any, ...]] = [(sequence[0], "end", np.nan, first, np.nan, np.nan, "")]
    for component, (before, label) in zip(order, itertools.pairwise(sequence), strict=False):
        row = known.loc[label]
        rows.append((component, "step", means[before], means[label], row["low"], row["high"],
                     row["conclusion"]))  # fmt: skip
    name = "all components" if design.kind is DesignKind.CUMULATIVE else sequence[-1]
    rows.append((name, "end", np.nan, last, np.nan, np.nan, ""))
    return pd.DataFrame(rows, columns=columns)


def _compared_with(design: Design, sequence: list[str]) -> dict[str, str]:
    """By configuration, the one that its component is tested against."""
    if design.reference is None:
        return {}
    found = dict.fromkeys(design.configurations, design.reference)
    found.pop(design.reference)
    return found | {after: before for before, after in itertools.pairwise(sequence)}


def _difference(differences: pd.DataFrame | None, a: str, b: str | None) -> dict[str, Any]:
    """What the table of differences says of a − b; missing where there is none."""
    if differences is None or b is None:
        return _none(b)
    found = differences[
        (differences["axis"] == CONFIGURATION) & (differences["a"] == a) & (differences["b"] == b)
    ]
    if found.empty:
        return _none(b)
    row = found.to_dict("records")[0]
    own = {"against": b, "delta": row["estimate"], "n_pairs": row["n"]}
    return own | {name: row[name] for name in COMPARED if name not in own}


def _none(b: str | None) -> dict[str, Any]:
    texts = dict.fromkeys(("over", "conclusion", "hypothesis", "verdict"), "")
    numbers = dict.fromkeys(("delta", "low", "high", "n_pairs", "p", "p_corrected"), np.nan)
    return {"against": b or "", **numbers, **texts}


def _scores(records: Records, column: str, labels: list[str]) -> pd.DataFrame:
    """Means over the planned combinations of the other axes, with 95% t-intervals over seeds."""
    levels = records.axes[CONFIGURATION]
    cells = np.array([[levels.index(label)] for label in labels])
    means = summarized(*grid(records, column, [CONFIGURATION]).contrasts(cells, (1,)))
    means = means[["estimate", "low", "high", "n"]]
    names = {"estimate": "mean", "low": "mean_low", "high": "mean_high"}
    return means.rename(columns=names).join(_by_stratum(records, column, labels))


def _by_stratum(records: Records, column: str, labels: list[str]) -> pd.DataFrame:
    """A column of means for each combination of the other axes; none where they are one or many."""
    others = [a for a, found in records.axes.items() if a != CONFIGURATION and len(found) > 1]
    runs = records.runs[records.runs["source"] == records.protocol]
    runs = runs[(runs["status"] == Status.DONE) & records.is_planned[runs.index]]
    found = pd.DataFrame(index=range(len(labels)))
    if not others:
        return found
    strata = runs[[f"axis.{axis}" for axis in others]].fillna(NO_LABEL).agg(" · ".join, axis=1)
    if not 1 < strata.nunique() <= MOST_STRATA:
        return found
    table = runs[column].groupby([runs[f"axis.{CONFIGURATION}"], strata], sort=False).mean()
    for stratum in dict.fromkeys(strata):
        found[f"mean.{stratum}"] = [table.get((label, stratum), np.nan) for label in labels]
    return found
