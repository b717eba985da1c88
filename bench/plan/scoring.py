"""How an experiment's predictions are scored: one way for all of its arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.plan.axes import Axis
from bench.spec.load import Spec
from bench.spec.schema import TrialSettings

SCORE_DEFINING_SETTINGS = (
    "task.average",
    "task.empty_mask",
    "task.metrics",
    "task.threshold",
    "data.background",
    "data.evaluate_at",
)
"""Settings that decide which scores there are, and what Dice and IoU are a measure of."""


def scoring(settings: TrialSettings) -> dict[str, Any] | None:
    """What a report says of the scores; None where no masks are scored.

    `average` and `empty_mask` as in effect, the `classes` that are scored, and the `background`,
    the class that is not, or None; `evaluate_at` where it is not the size of the data set.
    """
    if settings.task.target_form != "mask":
        return None
    scored = settings.scored_classes
    size = {"evaluate_at": "original"} if settings.data.scores_own_size else {}
    return size | {
        "average": settings.task.average,
        "empty_mask": "missing" if len(scored) > 1 else settings.task.empty_mask,
        "background": settings.classes[0] if len(scored) < len(settings.classes) else None,
        "classes": list(scored),
    }


def refuse_mixed_scoring(
    spec: Spec, axes: Mapping[str, Axis], arms: Sequence[TrialSettings]
) -> None:
    """Arms that are scored in different ways cannot be compared.

    Raises:
        SpecError: an axis changes how they are scored; names the axis and the setting.
    """
    for setting in SCORE_DEFINING_SETTINGS:
        section, key = setting.split(".")
        values = {getattr(getattr(arm, section), key, None) for arm in arms}
        setters = [
            value
            for axis in axes.values()
            for label in axis.levels
            for value in axis.values(label)
            if f"{setting}.".startswith(f"{value.axis}.")
        ]
        if len(values) > 1 and setters:
            narrowest = max(len(value.axis) for value in setters)
            last = [value for value in setters if len(value.axis) == narrowest][-1]
            raise spec.document.error(
                last.where,
                f"{setting} decides what the scores measure, so arms that differ in it cannot be "
                "compared: give all levels the same (task.average: both records both averages)",
            )
