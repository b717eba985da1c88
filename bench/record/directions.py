"""Which way metrics are better that no plan declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from bench.tasks.metric_settings import METRICS, measure_of, missing_column
from bench.tasks.settings import TASKS

Mode = Literal["min", "max"]


_MORE_IS_BETTER = frozenset(
    {
        "acc", "accuracy", "auc", "auprc", "auroc", "f1", "jaccard", "kappa", "map", "miou",
        "precision", "psnr", "recall", "sensitivity", "specificity", "ssim",
    }
)  # fmt: skip
_LESS_IS_BETTER = frozenset(
    {"fid", "hd95", "hausdorff", "lpips", "mae", "mse", "nll", "perplexity", "rmse"}
)
"""Words in the names of metrics that no task here has, as logs of other programs call them."""


def declared_directions(configs: Iterable[Mapping[str, Any]]) -> dict[str, Mode]:
    """What the settings of trials of ours say of metrics that they asked for by `task.metrics`.

    And of the scores of a task of the user's own. Columns of single classes are not among them.
    """
    found: dict[str, Mode] = {}
    for config in configs:
        task = (config.get("settings") or {}).get("task") or {}
        if not isinstance(task, Mapping):
            continue
        scores, asked = task.get("scores"), task.get("metrics")
        found |= dict(scores) if isinstance(scores, Mapping) else {}
        for metric in asked if isinstance(asked, list | tuple) else ():
            if isinstance(metric, Mapping):
                name = str(metric.get("name"))
                named = METRICS.entry(name).settings.mode if name in METRICS.names() else None
                if (mode := metric.get("mode") or named) is not None:
                    found[measure_of(metric)] = mode
    return found


def known_direction(metric: str) -> Mode | None:
    """A task's metric, also of one class (`dice_cat`); a loss or an error. None: nobody says."""
    known = _declared()
    if metric in known:
        return known[metric]
    if metric.endswith(missing_column("")):
        return "min"
    words = set(re.split(r"[_.-]", metric.lower()))
    if "loss" in metric or "error" in metric or words & _LESS_IS_BETTER:
        return "min"
    if words & _MORE_IS_BETTER:
        return "max"
    return "max" if re.fullmatch(r"top[0-9]+", metric) else known.get(metric.split("_")[0])


@cache
def _declared() -> Mapping[str, Mode]:
    """The metrics of all tasks, with two classes."""
    known: dict[str, Mode] = {}
    for name in TASKS.names():
        known |= TASKS.entry(name).settings().metric_modes(("background", "foreground"))
    return known


def direction(metric: str) -> Mode:
    """As `known_direction`; what nobody says is taken for better the higher."""
    return known_direction(metric) or "max"


def default_metric(metrics: Mapping[str, Mode]) -> str:
    """The metric that chooses the best epoch where nobody says: Dice, else the first but loss."""
    return next((name for name in ("dice", *metrics) if name in metrics and name != "loss"), "loss")
