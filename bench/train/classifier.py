"""A classifier that an earlier trial has trained, for its features."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from bench.data.normalize import scale_and_offset
from bench.errors import BenchError, DataError, describe_exception
from bench.models.settings import MODELS
from bench.plan.extractor import classifier_of
from bench.plan.trial import Trial, digest
from bench.tasks.frechet import Extractor, WithPreprocessing, check_unchanged
from bench.tasks.frechet_settings import FrechetSettings, ResolvedExtractor
from bench.tasks.settings import DiffusionSettings

_RETRAIN = "train it again with --force"


def load_classifier(resolved: ResolvedExtractor) -> WithPreprocessing:
    """The best network of the classification trial that planning settled, taking images in 0…1.

    Raises:
        DataError: the trial is not the one that was settled, or its weights do not fit its model.
        SpecError: its model cannot be built.
    """
    from bench.models.weights import read  # imports torchvision, which few trials need

    trial, file = classifier_of(Path(resolved.file)), Path(resolved.file)
    if digest(trial.identity) != resolved.exactly:
        raise DataError(f"{file}: its trial has changed since this one was planned")
    settings = trial.settings
    if settings.data.channel_count != 3:
        raise DataError(f"{file}: its images have {settings.data.channel_count} channels, not 3")
    outputs = settings.task.out_channels(settings.classes)
    model: nn.Module = MODELS.build(
        settings.model, in_channels=settings.data.channel_count, out_channels=outputs
    )
    try:
        model.load_state_dict(read(file, resolved.exactly))
    except DataError as error:
        raise DataError(f"{error}: {_RETRAIN}") from error
    except RuntimeError as error:
        differences = " ".join(str(error).split())[:200]  # torch's are a line for every tensor
        raise DataError(f"{file} is of another model ({differences}…): {_RETRAIN}") from error
    scale, offset = scale_and_offset(settings.data.normalize)
    return WithPreprocessing(model, settings.data.size, [255 * factor for factor in scale], offset)


def check_extractor_works(settings: FrechetSettings) -> None:
    """See whether a settled extractor gives features; of Inception, whether its file is there.

    Raises:
        BenchError: it does not; names the file or the trial.
    """
    resolved = check_unchanged(settings)
    if resolved.source == "inception":
        return
    try:
        network = load_classifier(resolved).eval()
        with torch.inference_mode():
            Extractor(resolved.name, network).features(torch.zeros(1, 3, *network.size))
    except Exception as error:  # a model of the user's own may raise anything
        reason = str(error) if isinstance(error, BenchError) else describe_exception(error)
        raise DataError(f"{resolved.name} cannot be used: {reason}; or name another") from error


def check_extractor(trial: Trial) -> None:
    """See whether a trial's feature extractor, if it has one, still is what planning settled.

    It is needed only after training, which would be in vain without it.

    Raises:
        DataError: its file is gone or another one.
        SpecError: planning has settled none.
    """
    task = trial.settings.task
    if isinstance(task, DiffusionSettings) and task.frechet is not None:
        check_unchanged(task.frechet)
