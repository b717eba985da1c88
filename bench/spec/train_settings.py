"""What a spec can say of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.settings import Settings


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
    batch_size: int = Field(20, ge=1, description="training images per step")
    micro_batch: MicroBatch = Field(
        "none",
        description="images of a batch that go through the model at once, with gradient "
        "accumulation: none: all; auto: halved whenever memory runs out",
    )
    val_batch_size: int | None = Field(
        None, ge=1, description="images at once in validation; default: batch_size"
    )
    loss: Literal["cross_entropy", "dice", "cross_entropy+dice", "focal", "mse"] = Field(
        "cross_entropy", description="what is minimised; default: the task's main one"
    )
    focal_gamma: float = Field(2.0, ge=0, description="focusing exponent of the focal loss")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="fraction of the label spread over all classes; classification only",
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="the optimizer")
    lr: float = Field(1e-3, gt=0, description="learning rate; the peak of schedules that have one")
    weight_decay: float = Field(0.0, ge=0, description="L2 for adam and sgd, decoupled for adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant", description="learning-rate schedule over the epochs"
    )
    warmup_epochs: float = Field(
        0.0, ge=0, description="linear warm-up, in epochs; one_cycle has its own"
    )
    clip_grad_norm: float | None = Field(
        None, gt=0, description="the gradient's L2 norm is clipped to this"
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
    def _adds_up(self) -> TrainSettings:
        if self.micro_batch == "none":
            return self
        if "dice" in self.loss:
            raise error_at(
                f"cannot be combined with loss: {self.loss}: the Dice loss of a batch is not the "
                "sum of those of its parts; use none",
                "micro_batch",
            )
        if self.compile != "none":
            raise error_at(
                f"cannot be combined with compile: {self.compile}, as only whole batches are "
                "compiled; set one of them to none",
                "micro_batch",
            )
        return self
