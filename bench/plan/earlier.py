"""Choosing a trial of an earlier experiment, which another one starts from or is scored with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.errors import SpecError, did_you_mean
from bench.plan.axes import format_label

LOST_BEST = (
    "its best.pt is missing (`bench clean --keep none` deletes it): delete this folder, and "
    "`bench run` its spec trains the trial anew"
)
"""Of a finished trial."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier experiment.

    Attributes:
        score: the selected metric's best value; None where it is not finished.
        checkpoint: the best epoch's.
        kept: whether it is there.
        fingerprint: of the data that it was trained on, which its id does not tell.
        trained_as: see `bench.models.weights_settings.ResolvedWeights`.
    """

    id: str
    seed: int | None
    axes: Mapping[str, str]
    arm: str
    score: float | None
    checkpoint: Path
    fingerprint: str | None = None
    trained_as: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    kept: bool = True


@dataclass(frozen=True)
class Earlier:
    """An earlier experiment: its trials, and the direction in which it scores them."""

    name: str
    mode: Literal["min", "max"]
    trials: tuple[EarlierTrial, ...]


Lookup = Callable[[str], Earlier]
"""An experiment's records by its name; a BenchError where there are none."""


def matching(
    earlier: Earlier, where: Mapping[str, str | float | bool | None]
) -> list[EarlierTrial]:
    """The trials on the levels that are wanted.

    Raises:
        SpecError: an axis or a level that the experiment does not have, or no such arm.
    """
    labels: dict[str, set[str]] = {}
    for trial in earlier.trials:
        for axis, label in trial.axes.items():
            labels.setdefault(axis, set()).add(label)
    wanted = {axis: format_label(label) for axis, label in where.items()}
    for axis, label in wanted.items():
        if axis not in labels:
            raise SpecError(
                f"experiment {earlier.name!r} has no axis {axis!r}{did_you_mean(axis, labels)}"
            )
        if label not in labels[axis]:
            hint = did_you_mean(label, labels[axis])
            raise SpecError(f"axis {axis} of {earlier.name!r} has no level {label!r}{hint}")
    found = [trial for trial in earlier.trials if wanted.items() <= dict(trial.axes).items()]
    if not found:
        raise SpecError(f"experiment {earlier.name!r} has no such arm")
    return found


def best_trial(earlier: Earlier, trials: Sequence[EarlierTrial]) -> EarlierTrial:
    """The best finished one of the trials; of equal ones that of the lowest seed.

    Raises:
        SpecError: none is finished, or the checkpoint of the best one is missing.
    """
    scored = [
        (trial.score, trial)
        for trial in trials
        if trial.score is not None and math.isfinite(trial.score)
    ]
    if not scored:
        raise _unfinished_error(earlier, f"none of {len(trials)} trials is finished")
    better = max if earlier.mode == "max" else min  # both give the first of several
    ordered = sorted(scored, key=lambda item: (item[1].seed or 0, item[1].id))
    return _kept(better(ordered, key=lambda item: item[0])[1])


def trial_of_seed(earlier: Earlier, trials: Sequence[EarlierTrial], seed: int) -> EarlierTrial:
    """The finished trial of a seed, all trials being of one arm.

    Raises:
        SpecError: they are of several arms, or the trial is not there or not finished.
    """
    if len({trial.arm for trial in trials}) > 1:
        raise SpecError(f"pick: same_seed needs one arm of {earlier.name!r}; name it with `where`")
    of_seed = [trial for trial in trials if trial.seed == seed]
    if not of_seed:
        raise SpecError(f"experiment {earlier.name!r} has no trial of seed {seed}")
    if len(of_seed) > 1:
        raise SpecError(
            f"pick: same_seed needs one trial of each seed, and {earlier.name!r} has "
            f"{len(of_seed)} folds; use pick: best"
        )
    found = of_seed[0]
    if found.score is None:
        raise _unfinished_error(earlier, f"its trial of seed {seed} is not finished")
    return _kept(found)


def _kept(trial: EarlierTrial) -> EarlierTrial:
    """Another one in its place would be another experiment."""
    if not trial.kept:
        raise SpecError(f"{trial.checkpoint.parent}: {LOST_BEST}")
    return trial


def _unfinished_error(earlier: Earlier, what: str) -> SpecError:
    return SpecError(f"experiment {earlier.name!r}: {what}: `bench run` its spec first")
