"""What a spec can say of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.settings import Settings, added_later
from bench.spec.train_parts import (
    ClassWeights,
    CustomOptimizer,
    GradientNoiseSettings,
    Optimizer,
    Sampler,
    Schedule,
    Step,
    WeightAveraging,
)
from bench.tasks.loss_settings import MEANS, WEIGHTED, Loss, NamedLoss, loss_terms, loss_text


def error_at(message: str, *at: str) -> PydanticCustomError:
    """A validator's error about the value at `at` below the one that is being validated."""
    return PydanticCustomError("located", "{message}", {"message": message, "at": at})


class EarlyStopping(Settings):
    """Stop when the selected metric has not improved for `patience` epochs."""

    patience: int = Field(ge=1, description="epochs without improvement before stopping")
    min_delta: float = Field(0.0, ge=0, description="smallest change that counts as an improvement")


class FreezeUpTo(Settings):
    """Freeze the encoder from its input to one of its stages."""

    up_to: str = Field(description="the last frozen stage; the model's documentation lists them")


def _none_auto_or_count(value: Any) -> Any:
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if count or value in ("none", "auto"):
        return value
    raise ValueError("must be none, auto or how many images, at least 1")


MicroBatch = Annotated[
    Literal["none", "auto"] | Annotated[int, Field(ge=1)], BeforeValidator(_none_auto_or_count)
]


class TrainSettings(Settings):
    """How one trial is trained."""

    epochs: int = Field(100, ge=1, description="passes over the training images")
    steps: int | None = added_later(
        None,
        ge=1,
        description="optimizer steps in all, in equal parts over the epochs, each of which ends "
        "with a validation; default: each epoch is a pass over the training images",
    )
    batch_size: int = Field(20, ge=1, description="training images per step")
    devices: int = added_later(
        1,
        ge=1,
        description="devices of one machine that train a trial together, each of which takes its "
        "part of every batch; results are those of one device, to rounding",
    )
    sync_batch_norm: bool = added_later(
        True,
        description="whether BatchNorm takes its statistics from the whole batch where several "
        "devices share it; without, from the part of each",
    )
    micro_batch: MicroBatch = Field(
        "none",
        description="images of a batch that go through the model at once, with gradient "
        "accumulation: none: all; auto: halved whenever memory runs out",
    )
    val_batch_size: int | None = Field(
        None, ge=1, description="images at once in validation; default: batch_size"
    )
    loss: Loss = Field(
        "cross_entropy",
        description="what is minimised: a name, `target:` for one's own with its arguments, or a "
        "list of these with `weight:`; default: the task's main one",
    )
    focal_gamma: float = Field(2.0, ge=0, description="focusing exponent of the focal loss")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="fraction of the label spread over all classes; classification only",
    )
    class_weights: ClassWeights = added_later(
        "none",
        description="of the classes in cross-entropy and focal loss; balanced: inverse to how "
        "often each is in the training split; validation's loss is not weighted",
    )
    head_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = added_later(
        None,
        strict=False,
        min_length=1,
        description="of the outputs in the loss, where the model gives several (deep "
        "supervision), the main one first; default: 1, 1/2, 1/4, …",
    )
    sampler: Sampler = added_later(
        "shuffle",
        description="which images an epoch has: shuffle: each once; balanced: drawn so that "
        "classes are equally frequent; `target:` for one's own",
    )
    optimizer: Optimizer = Field(
        "adam", description="the optimizer: a name, or `target:` for one's own with its arguments"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate; the peak of schedules that have one")
    weight_decay: float = Field(0.0, ge=0, description="L2 for adam and sgd, decoupled for adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: Schedule = Field(
        "constant",
        description="learning-rate schedule over the epochs: a name, a mapping with `name:` and "
        "its settings, or `target:` for one's own",
    )
    warmup_epochs: float = Field(
        0.0, ge=0, description="linear warm-up, in epochs; one_cycle has its own"
    )
    clip_grad_norm: float | None = Field(
        None, gt=0, description="the gradient's L2 norm is clipped to this"
    )
    gradient_noise: GradientNoiseSettings | None = added_later(
        None, description="noise that is added to the gradients, after clipping; default: none"
    )
    bad_steps: int = Field(
        0,
        ge=0,
        description="steps with a non-finite loss or gradient that are skipped in total; one "
        "more, and the trial has diverged",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="auto: bf16 on a CUDA device that has it, else fp32, which never means TF32",
    )
    channels_last: bool = Field(
        True, description="channels-last memory format; changes the last bits of results"
    )
    deterministic: bool = Field(False, description="use deterministic algorithms only")
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = Field(
        "none",
        description="a mode of torch.compile for full training batches; reduce-overhead: with "
        "CUDA graphs",
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="stop when the selected metric no longer improves"
    )
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay of a moving average of the weights, which is validated"
    )
    swa: WeightAveraging | None = added_later(
        None,
        description="stochastic weight averaging: validation and test use the mean of the weights "
        "at the ends of the epochs after `start`",
    )
    freeze: Literal["none", "encoder"] | FreezeUpTo = Field(
        "none",
        description="what is not trained: nothing, the encoder, or {up_to: STAGE} of it; dropout "
        "and stochastic depth are off there",
    )
    freeze_statistics: bool = Field(
        True,
        description="whether BatchNorm's running statistics are fixed where weights are frozen",
    )
    unfreeze_epoch: int | None = Field(
        None, ge=2, description="the epoch from which nothing is frozen"
    )
    encoder_lr: float | None = Field(
        None, gt=0, description="the encoder's own learning rate, on the same schedule"
    )

    def identity(self) -> dict[str, Any]:
        """See `Settings.identity`. Several devices change nothing, or BatchNorm's statistics."""
        found = super().identity()
        if self.devices == 1 or self.sync_batch_norm:
            for name in ("devices", "sync_batch_norm"):
                found.pop(name, None)
        return found

    @field_validator("freeze_statistics")
    @classmethod
    def _held_where_frozen(cls, value: bool, info: ValidationInfo) -> bool:
        # where nothing is frozen they move, whichever was said: one arm, not two
        return value or info.data.get("freeze") == "none"

    @model_validator(mode="after")
    def _fits_epochs(self) -> TrainSettings:
        if self.warmup_epochs >= self.epochs:
            raise error_at(
                f"must be less than epochs ({self.epochs}), not {self.warmup_epochs:g}",
                "warmup_epochs",
            )
        if self.early_stopping is not None and self.early_stopping.patience >= self.epochs:
            raise error_at(
                f"must be less than epochs ({self.epochs}), not {self.early_stopping.patience}, "
                "or training never stops early",
                "early_stopping",
                "patience",
            )
        if self.unfreeze_epoch is not None and self.unfreeze_epoch > self.epochs:
            raise error_at(
                f"must be at most epochs ({self.epochs}), not {self.unfreeze_epoch}, "
                "or nothing is ever unfrozen",
                "unfreeze_epoch",
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainSettings:
        chosen = self.optimizer
        if isinstance(chosen, CustomOptimizer) and "lr" in (chosen.model_extra or {}):
            raise error_at("is train.lr: set it there", "optimizer", "lr")
        if isinstance(self.schedule, Step) and (self.schedule.every is None) == (
            self.schedule.at is None
        ):
            raise error_at("needs every: EPOCHS or at: [EPOCHS, …], one of them", "schedule")
        if self.swa is not None and self.ema is not None:
            raise error_at("cannot be combined with ema: leave out one of the averages", "swa")
        if self.steps is not None and self.steps < self.epochs:
            raise error_at(f"must be at least epochs ({self.epochs}), not {self.steps}", "steps")
        if self.class_weights != "none" and not any(
            isinstance(term, NamedLoss) and term.name in WEIGHTED for term in loss_terms(self.loss)
        ):
            raise error_at(
                f"cannot be combined with loss: {loss_text(self.loss)}: cross-entropy and focal "
                "loss weight classes; give a loss of one's own its argument, weight: […]",
                "class_weights",
            )
        return self

    @model_validator(mode="after")
    def _fits_devices(self) -> TrainSettings:
        if self.devices == 1:
            return self
        if self.batch_size < self.devices:
            raise error_at(f"must be at most batch_size ({self.batch_size})", "devices")
        if self.compile != "none":
            raise error_at(
                f"cannot be combined with compile: {self.compile}: use 1, or compile: none",
                "devices",
            )
        if self.micro_batch == "auto":
            raise error_at(
                "cannot be combined with micro_batch: auto, which each device would decide for "
                "itself: give how many images, or none",
                "devices",
            )
        return self

    @model_validator(mode="after")
    def _adds_up(self) -> TrainSettings:
        if self.micro_batch == "none":
            return self
        terms = loss_terms(self.loss)
        if not all(isinstance(term, NamedLoss) and term.name in MEANS for term in terms):
            what = "Dice loss" if "dice" in loss_text(self.loss) else "loss"
            raise error_at(
                f"cannot be combined with loss: {loss_text(self.loss)}: the {what} of a batch is "
                "not the sum of those of its parts; use none",
                "micro_batch",
            )
        if self.compile != "none":
            raise error_at(
                f"cannot be combined with compile: {self.compile}, as only whole batches are "
                "compiled; set one of them to none",
                "micro_batch",
            )
        return self
