"""How much a plan's trials will write, from the sizes of their models."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from bench.models.settings import MODELS
from bench.plan.cost import apply_freeze, model_identity, model_name, num_outputs
from bench.plan.trial import Trial, digest
from bench.spec.schema import TrialSettings
from bench.spec.train_settings import TrainSettings

RECORDS = 15_000
"""Bytes of a trial's YAML, JSON and log, measured."""
EPOCH_RECORDS = 1_500
"""Bytes of an epoch in history.csv, finished.pt and MLflow's database, measured."""
TENSOR = 250
"""Bytes that a checkpoint has for each tensor besides its values, measured."""
ASSUMED_IMAGES = {"val": 800, "test": 4_000}
"""As in Oxford-IIIT Pet, where the settings do not say how many images a split has."""
PICTURES = 4
PICTURE_PIXEL = 2.6
"""Bytes a pixel of an image in a sample picture: input, truth and prediction as PNG, measured."""
STATES = 3
"""last.pt, previous.pt, and the next last.pt while it is being written."""


@dataclass(frozen=True)
class DiskUse:
    """What a trial writes, in bytes.

    Attributes:
        best: best.pt: the model's weights and buffers.
        state: last.pt: these, the optimizer's state and, where there is one, the average.
        records: all else.
    """

    best: int
    state: int
    records: int

    def kept(self, *, keep_last: bool = False) -> int:
        """What is there when the trial is finished."""
        return self.best + self.records + (2 * self.state if keep_last else 0)

    @property
    def running(self) -> int:
        """What is there at most while it runs."""
        return self.best + self.records + STATES * self.state


def disk_use(trials: Iterable[Trial]) -> tuple[dict[str, DiskUse], dict[str, str]]:
    """By trial id what each will write; and by the model's name why that is not known of some.

    Models are built on torch's `meta` device, without memory for their weights, each distinct one
    once; one of the user's own may not be able to.
    """
    sizes: dict[str, tuple[int, int] | None] = {}
    arms: dict[int, DiskUse | None] = {}  # by the settings object, which all seeds of an arm share
    found: dict[str, DiskUse] = {}
    unknown: dict[str, str] = {}
    for trial in trials:
        arm = id(trial.settings)
        if arm not in arms:
            key = digest(model_identity(trial.settings))
            if key not in sizes:
                sizes[key] = _model_bytes(trial, unknown)
            arms[arm] = _arm_use(trial.settings, sizes[key])
        if (use := arms[arm]) is not None:
            found[trial.id] = use
    return found, unknown


def _model_bytes(trial: Trial, unknown: dict[str, str]) -> tuple[int, int] | None:
    """Bytes of a model's weights and buffers, and of those weights that are trained in the end."""
    import torch

    try:
        with torch.device("meta"), warnings.catch_warnings():
            # torch says so of weights that a model of the user's own loads when it is built
            warnings.filterwarnings("ignore", ".*which is a no-op", UserWarning)
            model = MODELS.build(
                trial.settings.model,
                in_channels=trial.settings.data.channel_count,
                out_channels=num_outputs(trial),
            )
        apply_freeze(model, trial)
        whole = sum(tensor.nbytes + TENSOR for tensor in model.state_dict().values())
        trained = sum(p.nbytes + TENSOR for p in model.parameters() if p.requires_grad)
    except Exception as error:  # a model of the user's own may raise anything
        unknown[model_name(trial)] = str(error).splitlines()[0] if str(error) else repr(error)
        return None
    return whole, trained


def _arm_use(settings: TrialSettings, size: tuple[int, int] | None) -> DiskUse | None:
    if size is None:
        return None
    whole, trained = size
    averages = 0 if settings.train.ema is None else 1
    kept_scores, scores = _score_bytes(settings)
    state = whole * (1 + averages) + optimizer_copies(settings.train) * trained + kept_scores
    pictures = int(PICTURES * PICTURE_PIXEL * math.prod(settings.data.size))
    records = RECORDS + EPOCH_RECORDS * settings.train.epochs + pictures + kept_scores + scores
    return DiskUse(whole, state, records)


def _score_bytes(settings: TrialSettings) -> tuple[int, int]:
    """Of scores by image: in each state and `finished.pt`, and in the files of `scores/`.

    Four bytes for each image and metric at the selected and the last epoch, two for each image and
    epoch. A state has no scores of the test split at the selected epoch.
    """
    val, test = (
        count if isinstance(count := getattr(settings.data, split, None), int) else assumed
        for split, assumed in ASSUMED_IMAGES.items()
    )
    one = 4 * len(settings.metrics)
    epochs = 2 * settings.train.epochs * val
    return one * (2 * val + test) + epochs, 2 * one * (val + test) + epochs


def optimizer_copies(train: TrainSettings) -> int:
    """How many numbers the optimizer keeps for each weight that it trains."""
    return 2 if train.optimizer != "sgd" else int(train.momentum > 0)
