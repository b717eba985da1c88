"""Which weights exactly the trials of a plan start with, and whether they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError, SpecError
from bench.models.settings import MODELS, ModelSettings
from bench.models.weights_settings import (
    TORCHVISION_MODELS,
    EarlierWeights,
    ResolvedWeights,
    torchvision_encoder,
)
from bench.plan.earlier import Earlier, Lookup, best_trial, matching, trial_of_seed
from bench.plan.plan import Plan
from bench.plan.resolving import path_in_spec, refuse_duplicates
from bench.plan.trial import Trial, canonical_json
from bench.spec.document import Document

SETTING = ("model", "weights")

TORCHVISION_TRAINED_AS: dict[str, str | int | bool | None] = {
    "data.normalize": "imagenet",
    "model.residual": True,
    "model.stride_in": "v1.5",
}


def resolve_weights(plan: Plan, lookup: Lookup) -> Plan:
    """The plan with `model.weights` of every trial settled: from then on its identity is known.

    Raises:
        SpecError: weights that there are not, or arms that these make equal; names the line.
    """
    resolver = _WeightResolver(plan.spec.document, lookup)
    trials = tuple(resolver.resolved(trial) for trial in plan.trials)
    refuse_duplicates(
        plan.spec.document,
        plan.trials,
        trials,
        lambda trial: path_in_spec(plan.spec.document, SETTING, trial.settings.model.weights),
        "start with the same weights",
    )
    further = tuple(resolver.resolved(trial) for trial in plan.further)
    return replace(plan, trials=trials, further=further)


def check_weights(plan: Plan) -> None:
    """Build each model that starts with weights, and see whether they fit.

    Needs neither network nor file for torchvision's weights.

    Raises:
        SpecError: they do not fit; names the arm and the first tensor that does not.
        DataError: a file is unreadable.
    """
    checked: set[str] = set()
    for trial in _starting(plan.trials):
        from bench.models.weights import imagenet_shapes, match_weights, read  # imports torchvision

        settings, weights = trial.settings, trial.settings.model.weights
        key = canonical_json(
            [
                settings.model.identity(),
                settings.task.name,
                settings.classes,
                settings.data.channel_count,
            ]
        )
        if key in checked:
            continue
        checked.add(key)
        encoder = _imagenet_encoder(trial)
        state = imagenet_shapes(encoder) if encoder else read(Path(weights.file), weights.owner)
        channels = settings.task.out_channels(settings.classes)
        model = MODELS.build(
            settings.model, in_channels=settings.data.channel_count, out_channels=channels
        )
        try:
            match_weights(model, state, weights)
        except BenchError as error:
            arm = ", ".join(trial.axes.values())
            raise SpecError(f"{error}{f' (arm: {arm})' if arm else ''}") from error


def fetch_weights(trials: Iterable[Trial]) -> None:
    """Download those of torchvision's weights that are not in its cache.

    Raises:
        DataError: they cannot be had; says which file to put where.
    """
    # sorted: which weights fail first must not depend on the hash of their names
    for encoder in sorted(
        {name for trial in _starting(trials) if (name := _imagenet_encoder(trial))}
    ):
        from bench.models.weights import fetch_imagenet

        fetch_imagenet(encoder)


def _starting(trials: Iterable[Trial]) -> Iterator[Trial]:
    for trial in trials:
        if isinstance(getattr(trial.settings.model, "weights", None), ResolvedWeights):
            yield trial


def _imagenet_encoder(trial: Trial) -> str | None:
    model = trial.settings.model
    return torchvision_encoder(model) if model.weights.source == "imagenet" else None


class _WeightResolver:
    """Settles the weights of one trial after the other; looks everything up once."""

    def __init__(self, document: Document, lookup: Lookup) -> None:
        self._document = document
        self._lookup = lookup
        self._files: dict[str, str] = {}
        self._experiments: dict[str, Earlier] = {}

    def resolved(self, trial: Trial) -> Trial:
        model = trial.settings.model
        if not isinstance(model, ModelSettings) or model.weights == "none":
            return trial
        try:
            weights = self._resolve(trial, model)
        except BenchError as error:
            raise self._document.error(
                path_in_spec(self._document, SETTING, model.weights), str(error)
            ) from error
        settings = trial.settings.model_copy(
            update={"model": model.model_copy(update={"weights": weights})}
        )
        return replace(trial, settings=settings)

    def _resolve(self, trial: Trial, model: ModelSettings) -> ResolvedWeights:
        wanted = model.weights
        if isinstance(wanted, ResolvedWeights):
            raise SpecError(
                "`source` is set by planning: write imagenet, a file or {experiment: …}"
            )
        if isinstance(wanted, EarlierWeights):
            return self._from_earlier(wanted, trial)
        return _from_torchvision(model) if wanted == "imagenet" else self._from_file(wanted)

    def _from_file(self, name: str) -> ResolvedWeights:
        if name not in self._files:
            try:
                self._files[name] = hashlib.sha256(Path(name).read_bytes()).hexdigest()
            except OSError as error:
                raise SpecError(
                    f"{name!r} is neither none nor imagenet, and as a file it cannot be read "
                    f"({error.strerror})"
                ) from error
        exactly = f"sha256:{self._files[name]}"
        return ResolvedWeights(source="file", exactly=exactly, file=name)

    def _from_earlier(self, wanted: EarlierWeights, trial: Trial) -> ResolvedWeights:
        if wanted.experiment == trial.experiment:
            raise SpecError("an experiment cannot start from its own trials")
        if wanted.experiment not in self._experiments:
            self._experiments[wanted.experiment] = self._lookup(wanted.experiment)
        earlier = self._experiments[wanted.experiment]
        found = matching(earlier, wanted.where)
        if wanted.pick == "best":
            chosen = best_trial(earlier, found)
            exactly = f"{earlier.name}/{chosen.id}, data {chosen.fingerprint}"
        else:
            chosen = trial_of_seed(earlier, found, trial.seed)
            # not the trial, which differs from seed to seed: the arm must be the same for all
            exactly = f"{earlier.name}, arm {chosen.arm}, same seed, data {chosen.fingerprint}"
        return ResolvedWeights(
            source="trial",
            exactly=exactly,
            file=str(chosen.checkpoint),
            trained_as=dict(chosen.trained_as),
        )


def _from_torchvision(model: ModelSettings) -> ResolvedWeights:
    encoder = torchvision_encoder(model)
    if encoder is None:
        models = ", ".join(TORCHVISION_MODELS)
        raise SpecError(
            f"torchvision has no weights for {getattr(model, 'name', 'this model')}; "
            f"it has for: {models}"
        )
    from bench.models.weights import imagenet, imagenet_file

    return ResolvedWeights(
        source="imagenet",
        exactly=str(imagenet(encoder)),
        file=str(imagenet_file(encoder)),
        trained_as=TORCHVISION_TRAINED_AS,
    )
