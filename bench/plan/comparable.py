"""Which metrics do not measure the same in all arms, so that arms cannot be compared by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.metric_columns import val_curve
from bench.plan.design import CONFIGURATION, Design
from bench.plan.trial import Trial
from bench.registry import Custom

LOSS_DEFINING_SETTINGS = ("train.loss", "train.focal_gamma", "task.noise", "task.steps")
"""Settings that decide what the validation loss is a measure of.

Under another noise schedule other noise is to be predicted from other images. Label smoothing is
not among them: it is left out in validation.
"""


def incomparable(metrics: Iterable[str], trials: Sequence[Trial]) -> dict[str, tuple[str, ...]]:
    """Each metric (`loss`) that an axis changes the meaning of, and the axes that do."""
    # what an axis or a component of a design sets, and the axis that varies it
    paths = {axis: axis for axis in trials[0].axes} if trials else {}
    paths |= dict.fromkeys(trials[0].varied if trials else (), CONFIGURATION)
    found = [paths[path] for path in paths if path.startswith("task.") and _is_own(trials)]
    for setting in LOSS_DEFINING_SETTINGS:
        setters = [path for path in paths if f"{setting}.".startswith(f"{path}.")]
        path = max(setters, key=len, default=None)  # the narrowest is put in last
        # an axis of a whole section need not vary this setting of it
        varies = len({_at(trial.settings, setting) for trial in trials}) > 1
        if path == setting or (path is not None and varies):
            found.append(paths[path])
    axes = tuple(dict.fromkeys(found))
    return {name: axes for name in metrics if axes and name.split("_")[0] == "loss"}


def loss_warnings(
    incomparable: Mapping[str, Sequence[str]],
    metrics: Iterable[str],
    several: Iterable[str],
    design: Design | None = None,
) -> tuple[str, ...]:
    """What has to be known before comparing arms by loss, in a sentence, or nothing.

    Args:
        incomparable: as the function of this name gives it.
        metrics: all metrics.
        several: the axes that have several levels.
        design: whose components are named instead of its axis.
    """
    axes = [axis for axis in incomparable.get("loss", ()) if axis in set(several)]
    if design is not None and design.losses and CONFIGURATION in axes:
        axes = [*(axis for axis in axes if axis != CONFIGURATION), *design.losses]
    others = [val_curve(name) for name in metrics if name not in incomparable]
    if not axes:
        return ()
    instead = ", ".join(others) or "pictures and a Fréchet distance (task.frechet)"
    return (
        f"val/loss is not comparable across the levels of {', '.join(axes)}: compare them by "
        f"{instead}",
    )


def _is_own(trials: Sequence[Trial]) -> bool:
    """Whether the task is the user's: any argument of it may change what its loss measures."""
    return isinstance(trials[0].settings.task, Custom)


def _at(settings: Any, path: str) -> Any:
    """The setting at a dotted path; None where there is none."""
    for key in path.split("."):
        settings = getattr(settings, key, None)
    return settings
