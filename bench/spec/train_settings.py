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
    min_delta: float = Field(0.0, ge=0, description="what counts as an improvement, at least")


class FreezeUpTo(Settings):
    """Freeze the encoder from its input to one of its stages."""

    up_to: str = Field(description="the last stage that is frozen; which there are: see the model")


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
    batch_size: int = Field(20, ge=1, description="training images a step")
    micro_batch: MicroBatch = Field(
        "none",
        description="how many images of a batch go through the model at once, its gradient being "
        "summed up: none: all; auto: half as many as often as memory runs out",
    )
    val_batch_size: int | None = Field(
        None, ge=1, description="images at once in validation; default: batch_size"
    )
    loss: Literal["cross_entropy", "dice", "cross_entropy+dice", "focal", "mse"] = Field(
        "cross_entropy", description="what is minimised; default: the task's main one"
    )
    focal_gamma: float = Field(2.0, ge=0, description="focusing exponent of the focal loss")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the label spread over all classes; classification"
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="how steps are taken")
    lr: float = Field(1e-3, gt=0, description="learning rate, the peak where a schedule has one")
    weight_decay: float = Field(0.0, ge=0, description="L2 for adam and sgd, decoupled for adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant", description="the learning rate's course over the epochs"
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
        description="so many steps whose loss or gradient is not finite are passed over in all; "
        "one more, and the trial has diverged",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="auto: bf16 on a CUDA device that has it, else fp32, which never means TF32",
    )
    channels_last: bool = Field(True, description="memory format; changes the last bits")
    deterministic: bool = Field(False, description="only algorithms that give the same bits again")
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = Field(
        "none",
        description="a mode of torch.compile for full training batches; reduce-overhead: with "
        "CUDA graphs",
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="stop before the last epoch when nothing improves any more"
    )
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay of a moving average of the weights, which is validated"
    )
    freeze: Literal["none", "encoder"] | FreezeUpTo = Field(
        "none",
        description="what is not trained: nothing, the encoder, or {up_to: STAGE} of it; its "
        "dropout and stochastic depth are off",
    )
    freeze_statistics: bool = Field(
        True, description="whether BatchNorm's running statistics are held where weights are frozen"
    )
    unfreeze_epoch: int | None = Field(
        None, ge=2, description="from this epoch on nothing is frozen any more"
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
                f"cannot go with loss: {self.loss}: the Dice loss of a batch is not the sum of "
                "those of its parts; use none",
                "micro_batch",
            )
        if self.compile != "none":
            raise error_at(
                f"cannot go with compile: {self.compile}, as only whole batches are compiled; "
                "use none for one of them",
                "micro_batch",
            )
        return self
