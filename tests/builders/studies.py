"""Studies of made-up records."""

from __future__ import annotations

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.figures import ExperimentData
from bench.report.tables.effects import all_effect_tables
from tests.builders.records import write_experiment


def study_of(root, trials, **changes):
    """The trials written and read again, with what was found out about them."""
    write_experiment(root, "exp", trials, **changes)
    records = load(Store(root), "exp")
    plain = ExperimentData.of(records)
    return ExperimentData(
        records, plain.summary, plain.arms, outcomes(records), all_effect_tables(records)
    )


def row(epoch, loss, dice, **more):
    """One epoch."""
    return {"epoch": epoch, "train/loss": loss, "val/loss": loss, "val/dice": dice, **more}
