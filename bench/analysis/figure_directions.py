"""Whether less or more of a figure is better, as far as anybody says."""

from __future__ import annotations

from bench.analysis.records import Records
from bench.metric_columns import FIGURES, MetricColumn, MetricKind
from bench.record.directions import Mode
from bench.spec.hypotheses import figures

_LESS_IS_BETTER = frozenset(
    {
        "params", "trainable_params", "macs", "final_train_loss", "overfit_gap",
        "epochs_to_95pct", "seconds_to_95pct", "epoch_seconds", "train_seconds", "compile_seconds",
        "peak_memory_mb", "frechet", "train/loss",
    }
)  # fmt: skip


def figure_direction(records: Records, metric: str) -> Mode | None:
    """Of a hypothesis's metric; None where neither is better, as of a difference of two figures."""
    terms = figures(metric)
    if len(terms) > 1:
        return None
    column = terms[0].column
    if column in _LESS_IS_BETTER:
        return "min"
    parsed = MetricColumn.parse(column)
    if parsed is None or parsed.kind not in (*FIGURES, MetricKind.CURVE):
        return None
    return records.metrics.get(parsed.metric)
