"""What a page says of cross-validation."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.combine import combine_experiments
from bench.analysis.fold_pool import over_folds
from bench.analysis.load import load
from bench.report.narrative.folds_note import folds_note
from tests.builders.designs import built
from tests.builders.folds import crossed


def test_experiments_without_folds_are_not_said_to_have_some(tmp_path: Path) -> None:
    store, _ = crossed(tmp_path / "folds", lambda arm, seed: [0.5 + seed / 100] * 30)
    alone = load(store, "crossed")
    assert folds_note(over_folds(alone)).startswith(
        "Cross-validation: 3 seeds × 3 folds (the same folds for all). "
    )
    store, _ = built(tmp_path / "other", "design: {add_one: {average: {train.ema: 0.9}}}\n")
    other = load(store, "ablation")
    assert folds_note(other) == ""
    both = over_folds(combine_experiments([alone, other], "both"))
    assert folds_note(both).startswith("Cross-validation: crossed: 3 seeds × 3 folds. ")
