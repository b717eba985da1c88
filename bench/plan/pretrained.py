"""Which weights exactly the trials of a plan start with, and whether they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench.errors import BenchError, SpecError, nearest
from bench.models.settings import MODELS, ModelSettings
from bench.models.weights_settings import (
    TORCHVISION_MODELS,
    EarlierWeights,
    SettledWeights,
    torchvision_encoder,
)
from bench.plan.axes import label_of
from bench.plan.expand import Plan
from bench.plan.trial import Trial, canonical_json, digest
from bench.spec.document import Document
from bench.spec.yaml12 import KeyPath


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier experiment.

    Attributes:
        score: the selected metric's best value; None where it is not finished.
        checkpoint: the best epoch's.
        fingerprint: of the data that it was trained on, which its id does not tell.
    """

    id: str
    seed: int | None
    axes: Mapping[str, str]
    arm: str
    score: float | None
    checkpoint: Path
    fingerprint: str | None = None


@dataclass(frozen=True)
class Earlier:
    """An earlier experiment: its trials, and the direction in which it scores them."""

    name: str
    mode: Literal["min", "max"]
    trials: tuple[EarlierTrial, ...]


Lookup = Callable[[str], Earlier]
"""An experiment's records by its name; a BenchError where there are none."""


def settle_weights(plan: Plan, lookup: Lookup) -> Plan:
    """The plan with `model.weights` of every trial settled: from then on its identity is known.

    Raises:
        SpecError: weights that there are not, or arms that these make equal; names the line.
    """
    settler = _Settler(plan.spec.document, lookup)
    trials = tuple(settler.settled(trial) for trial in plan.trials)
    _refuse_twins(plan.spec.document, plan.trials, trials)
    return replace(plan, trials=trials)


def check_weights(plan: Plan) -> None:
    """Build each model that starts with weights, and see whether they fit.

    Needs neither network nor file for torchvision's weights.

    Raises:
        SpecError: they do not fit; names the arm and the first tensor that does not.
        DataError: a file is unreadable.
    """
    seen: set[str] = set()
    for trial in _starting(plan.trials):
        settings = trial.settings
        key = canonical_json(
            [settings.model.identity(), settings.task.identity(), settings.classes]
        )
        if key not in seen:
            seen.add(key)
            _check(trial)


def fetch_weights(trials: Iterable[Trial]) -> None:
    """Download those of torchvision's weights that are not in its cache.

    Raises:
        DataError: they cannot be had; says which file to put where.
    """
    for encoder in sorted(
        {name for trial in _starting(trials) if (name := _imagenet_encoder(trial))}
    ):
        from bench.models.weights import fetch_imagenet

        fetch_imagenet(encoder)


def _starting(trials: Iterable[Trial]) -> Iterator[Trial]:
    for trial in trials:
        if isinstance(getattr(trial.settings.model, "weights", None), SettledWeights):
            yield trial


def _imagenet_encoder(trial: Trial) -> str | None:
    model = trial.settings.model
    return torchvision_encoder(model) if model.weights.source == "imagenet" else None


def _check(trial: Trial) -> None:
    from bench.models.weights import imagenet_shapes, matched, read

    settings = trial.settings
    weights, encoder = settings.model.weights, _imagenet_encoder(trial)
    found = read(Path(weights.file)) if encoder is None else imagenet_shapes(encoder)
    channels = settings.task.out_channels(settings.classes)
    model = MODELS.build(settings.model, in_channels=3, out_channels=channels)
    try:
        matched(model, found, weights)
    except BenchError as error:
        arm = ", ".join(trial.axes.values())
        raise SpecError(f"{error}{f' (arm: {arm})' if arm else ''}") from error


class _Settler:
    """Settles the weights of one trial after the other; looks everything up once."""

    def __init__(self, document: Document, lookup: Lookup) -> None:
        self._document = document
        self._lookup = lookup
        self._files: dict[str, str] = {}
        self._experiments: dict[str, Earlier] = {}

    def settled(self, trial: Trial) -> Trial:
        model = trial.settings.model
        if not isinstance(model, ModelSettings) or model.weights == "none":
            return trial
        try:
            weights = self._settle(trial, model)
        except BenchError as error:
            raise self._document.error(
                _written(self._document, model.weights), str(error)
            ) from error
        settings = trial.settings.model_copy(
            update={"model": model.model_copy(update={"weights": weights})}
        )
        return replace(trial, settings=settings)

    def _settle(self, trial: Trial, model: ModelSettings) -> SettledWeights:
        wanted = model.weights
        if isinstance(wanted, SettledWeights):
            raise SpecError(
                "`source` is planning's word: write imagenet, a file or {experiment: …}"
            )
        if isinstance(wanted, EarlierWeights):
            return self._from_earlier(wanted, trial)
        return _from_torchvision(model) if wanted == "imagenet" else self._from_file(wanted)

    def _from_file(self, name: str) -> SettledWeights:
        if name not in self._files:
            try:
                self._files[name] = hashlib.sha256(Path(name).read_bytes()).hexdigest()
            except OSError as error:
                raise SpecError(
                    f"{name!r} is neither none nor imagenet, and as a file it cannot be read "
                    f"({error.strerror})"
                ) from error
        exactly = f"sha256:{self._files[name]}"
        return SettledWeights(source="file", exactly=exactly, file=name)

    def _from_earlier(self, wanted: EarlierWeights, trial: Trial) -> SettledWeights:
        if wanted.experiment == trial.experiment:
            raise SpecError("an experiment cannot start from its own trials")
        if wanted.experiment not in self._experiments:
            self._experiments[wanted.experiment] = self._lookup(wanted.experiment)
        earlier = self._experiments[wanted.experiment]
        matching = _matching(earlier, wanted)
        if wanted.pick == "best":
            chosen = _best(earlier, matching)
            exactly = f"{earlier.name}/{chosen.id}, data {chosen.fingerprint}"
        else:
            chosen = _of_seed(earlier, matching, trial.seed)
            # not the trial, which differs from seed to seed: the arm must be the same for all
            exactly = f"{earlier.name}, arm {chosen.arm}, same seed, data {chosen.fingerprint}"
        return SettledWeights(source="trial", exactly=exactly, file=str(chosen.checkpoint))


def _from_torchvision(model: ModelSettings) -> SettledWeights:
    encoder = torchvision_encoder(model)
    if encoder is None:
        models = ", ".join(TORCHVISION_MODELS)
        raise SpecError(
            f"torchvision has no weights for {getattr(model, 'name', 'this model')}; "
            f"it has for: {models}"
        )
    from bench.models.weights import imagenet, imagenet_file

    return SettledWeights(
        source="imagenet", exactly=str(imagenet(encoder)), file=str(imagenet_file(encoder))
    )


def _matching(earlier: Earlier, wanted: EarlierWeights) -> list[EarlierTrial]:
    """The trials on the levels that are wanted.

    Raises:
        SpecError: an axis or a level that the experiment does not have, or no such arm.
    """
    labels: dict[str, set[str]] = {}
    for trial in earlier.trials:
        for axis, label in trial.axes.items():
            labels.setdefault(axis, set()).add(label)
    where = {axis: label_of(label) for axis, label in wanted.where.items()}
    for axis, label in where.items():
        if axis not in labels:
            raise SpecError(
                f"experiment {earlier.name!r} has no axis {axis!r}{nearest(axis, labels)}"
            )
        if label not in labels[axis]:
            hint = nearest(label, labels[axis])
            raise SpecError(f"axis {axis} of {earlier.name!r} has no level {label!r}{hint}")
    found = [trial for trial in earlier.trials if where.items() <= dict(trial.axes).items()]
    if not found:
        raise SpecError(f"experiment {earlier.name!r} has no such arm")
    return found


def _best(earlier: Earlier, trials: list[EarlierTrial]) -> EarlierTrial:
    scored = [(trial.score, trial) for trial in trials if trial.score is not None]
    if not scored:
        raise _unfinished(earlier, f"none of {len(trials)} trials is finished")
    best = max if earlier.mode == "max" else min  # both give the first of several
    ordered = sorted(scored, key=lambda item: (item[1].seed or 0, item[1].id))
    return best(ordered, key=lambda item: item[0])[1]


def _of_seed(earlier: Earlier, trials: list[EarlierTrial], seed: int) -> EarlierTrial:
    if len({trial.arm for trial in trials}) > 1:
        raise SpecError(f"pick: same_seed needs one arm of {earlier.name!r}; name it with `where`")
    found = next((trial for trial in trials if trial.seed == seed), None)
    if found is None:
        raise SpecError(f"experiment {earlier.name!r} has no trial of seed {seed}")
    if found.score is None:
        raise _unfinished(earlier, f"its trial of seed {seed} is not finished")
    return found


def _unfinished(earlier: Earlier, what: str) -> SpecError:
    return SpecError(f"experiment {earlier.name!r}: {what}: `bench run` its spec first")


def _refuse_twins(document: Document, before: tuple[Trial, ...], after: tuple[Trial, ...]) -> None:
    """No two arms may have become the same: they would be one trial under two names."""
    first: dict[str, Trial] = {}
    for asked, trial in zip(before, after, strict=True):
        twin = first.setdefault(digest(trial.identity), trial)
        if twin is not trial:
            raise document.error(
                _written(document, asked.settings.model.weights),
                f"the arms ({', '.join(twin.axes.values())}) and ({', '.join(trial.axes.values())})"
                " start with the same weights and have the same settings; remove one",
            )


def _written(document: Document, weights: Any) -> KeyPath:
    """Where in the spec these weights stand."""
    value = weights if isinstance(weights, str) else weights.model_dump(exclude_unset=True)
    return next(
        (path for path in _places(document.tree, ()) if _at(document.tree, path) == value),
        ("model", "weights"),
    )


def _places(tree: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Every place at or below a key `weights` or an axis `model.weights`."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        here = (*path, key)
        if any(str(part).rpartition(".")[2] == "weights" for part in here):
            yield here
        if isinstance(value, dict | list):
            yield from _places(value, here)


def _at(tree: Any, path: KeyPath) -> Any:
    for key in path:
        tree = tree[key]
    return tree
