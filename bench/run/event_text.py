"""What is said of a run's events, in a terminal and elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from bench.metric_columns import curve_metric
from bench.run.events import Decided, Ended, Event, Lost, Retried
from bench.states import Status

MetricRow = Mapping[str, float | int | None]

STARTING = "Starting: loading the libraries, then the data."


def metric_texts(row: MetricRow, metric: str) -> list[str]:
    """One epoch's losses, selected metric and memory, each in a few words."""
    shown = {
        "train/loss": ("loss", ".4f"),
        metric: (curve_metric(metric), ".4f"),
        "val/loss": ("val loss", ".4f"),
        "epoch_seconds": ("s/epoch", ".2f"),
        "peak_memory_mb": ("MB", ".0f"),
    }
    values = [(name, row.get(column), form) for column, (name, form) in shown.items()]
    return [f"{name} {value:{form}}" for name, value, form in values if value is not None]


def describe_epoch(row: MetricRow, metric: str) -> str:
    """One epoch in a few words."""
    return "  ".join(metric_texts(row, metric))


def describe_end(event: Ended) -> str:
    """How a trial ended, in a line."""
    whose = " by another run" if event.elsewhere else ""
    if event.status is Status.FAILED:
        return f"{event.trial}: failed{whose} ({event.failure}): {event.message}"
    if event.status is Status.PRUNED:
        return f"{event.trial}: {event.message}{whose}"
    return f"{event.trial}: {event.status}{whose}"


def notices(event: Event) -> list[str]:
    """What is said of an event whatever the display, a line each."""
    match event:
        case Retried():
            return [describe_retry(event)]
        case Lost():
            return [describe_takeover(event)]
        case Decided(lines):
            return list(lines)
    return []


def describe_retry(event: Retried) -> str:
    """That a trial starts again, in a line."""
    return (
        f"{event.trial}: {event.message}; goes on from its last epoch, retry {event.retry} of "
        f"{event.most}"
    )


def describe_takeover(event: Lost) -> str:
    """That another run has a trial now, in a line."""
    return f"{event.trial}: taken over by another run, which had not heard of this one for too long"
