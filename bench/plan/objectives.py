"""What a search optimises, checked: figures of validation or costs, and their directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.errors import SpecError, did_you_mean
from bench.metric_columns import (
    BASELINES,
    MetricColumn,
    MetricKind,
    best_val,
    curve_metric,
    val_curve,
)
from bench.plan.comparable import LOSS_DEFINING_SETTINGS
from bench.plan.scoring import SCORE_DEFINING_SETTINGS
from bench.plan.space import Space
from bench.spec.hypotheses import COLUMNS
from bench.spec.search_parts import Asha, Hyperband, Median, NoPruning, Wilcoxon
from bench.spec.yaml12 import KeyPath
from bench.tasks.settings import Mode

TIMED_METRICS = ("epoch_seconds",)
"""Known from the second epoch on only."""
_VALIDATION = (MetricKind.BEST, MetricKind.FINAL)
_LOSS_METRICS = ("overfit_gap", "final_train_loss")


@dataclass(frozen=True)
class Objective:
    """One objective.

    Attributes:
        metric: a column of summary.json.
        mode: which values are better.
    """

    metric: str
    mode: Mode

    @property
    def curve(self) -> str | None:
        """The column of history.csv that it is taken from: `val/dice`; None for a cost."""
        column = MetricColumn.parse(self.metric)
        return val_curve(column.metric) if column and column.kind in _VALIDATION else None

    @property
    def best_so_far(self) -> bool:
        """Whether an earlier epoch's value counts where it was better."""
        return self.metric.startswith("best_")

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is."""
        return a > b if self.mode == "max" else a < b


def read_objectives(space: Space) -> tuple[Objective, ...]:
    """The objectives of a space's search.

    Raises:
        SpecError: no such figure, one of the test split, one whose meaning a dimension changes, or
            a direction that is not its own; names its line.
    """
    settings = space.settings(space.samples()[0])
    metrics = settings.metrics
    given = space.search.objectives
    if not given:
        objectives = [
            Objective(best_val(curve_metric(settings.select.metric)), settings.select.mode)
        ]
        locations: list[KeyPath] = [("search",)]
    else:
        modes = [_direction(space, i, metrics) for i in range(len(given))]
        objectives = [Objective(item.metric, mode) for item, mode in zip(given, modes, strict=True)]
        locations = [_location(space, i) for i in range(len(given))]
    names = [objective.metric for objective in objectives]
    for i, (objective, location) in enumerate(zip(objectives, locations, strict=True)):
        if objective.metric in names[:i]:
            raise _error(space, location, f"{objective.metric} appears twice; remove one")
        _check_meaning(space, objective, location)
    return tuple(objectives)


def pruning_objective(space: Space, objectives: Sequence[Objective]) -> Objective | None:
    """The curve by which epochs are judged: the objective's, or the one that the pruner names.

    Raises:
        SpecError: there is none, or several and none is named.
    """
    pruner = space.search.pruner
    if isinstance(pruner, NoPruning | Wilcoxon):
        return None
    where: KeyPath = ("search", "pruner")
    curves = {objective.curve: objective for objective in objectives if objective.curve is not None}
    wanted = None if isinstance(pruner, Hyperband) else pruner.metric
    if wanted is None:
        if len(objectives) == 1 and curves:
            return objectives[0]
        if len(objectives) == 1:
            message = f"{objectives[0].metric} has no curve over the epochs to prune by; use none"
            raise _error(space, where, message)
        hint = f": {next(iter(curves))}, for example" if curves else ""
        raise _error(space, where, f"with several objectives it needs a `metric:`{hint}")
    assert isinstance(pruner, Median | Asha)
    if len(objectives) == 1:
        message = "is for several objectives; with one, its own curve decides"
        raise _error(space, (*where, "metric"), message)
    settings = space.settings(space.samples()[0])
    known: dict[str, Mode] = {val_curve(name): mode for name, mode in settings.metrics.items()}
    if wanted not in known:
        message = f"unknown curve {wanted!r}{did_you_mean(wanted, known)}"
        raise _error(space, (*where, "metric"), message)
    return Objective(best_val(curve_metric(wanted)), known[wanted])


def _direction(space: Space, index: int, metrics: Mapping[str, Mode]) -> Mode:
    """The figure's own direction; what the spec says must be that."""
    item, location = space.search.objectives[index], _location(space, index)
    own: dict[str, Mode] = dict.fromkeys(COLUMNS, "min")
    own |= {kind.column(name): mode for kind in _VALIDATION for name, mode in metrics.items()}
    if item.metric.startswith((MetricKind.TEST, *BASELINES, "frechet")):
        message = (
            f"{item.metric} comes from the test split, which is reserved for the chosen points; "
            "use a validation metric: best_val_…"
        )
        raise _error(space, location, message)
    if item.metric not in own:
        raise _error(
            space, location, f"unknown metric {item.metric!r}{did_you_mean(item.metric, own)}"
        )
    mode = own[item.metric]
    if item.direction not in (None, mode):
        better = "higher: use max" if mode == "max" else "lower: use min"
        at = ("search", "objectives", index, "direction")
        raise _error(space, at, f"{item.metric} is better {better}")
    return mode


def _check_meaning(space: Space, objective: Objective, location: KeyPath) -> None:
    curve = objective.curve or ""
    of_loss = curve.startswith("val/loss") or objective.metric in _LOSS_METRICS
    for name in space.names:
        changes_loss = any(
            f"{setting}.".startswith(f"{name}.") for setting in LOSS_DEFINING_SETTINGS
        )
        if (of_loss and changes_loss) or (curve and name in SCORE_DEFINING_SETTINGS):
            message = (
                f"{objective.metric} is not comparable across values of {name}; use another "
                "metric, or remove it from the space"
            )
            raise _error(space, location, message)
    if objective.metric in TIMED_METRICS:
        epochs = min(space.settings(point).train.epochs for point in space.samples())
        if epochs < 2:
            raise _error(
                space, location, f"{objective.metric} is only known from the second epoch on"
            )


def _location(space: Space, index: int) -> KeyPath:
    at: KeyPath = ("search", "objectives", index)
    tree = space.spec.document.tree["search"]["objectives"][index]
    return (*at, "metric") if isinstance(tree, dict) else at


def _error(space: Space, where: KeyPath, message: str) -> SpecError:
    return space.spec.document.error(where, message)
