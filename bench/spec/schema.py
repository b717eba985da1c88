"""What a spec can say. Everything here works without importing torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag

from bench.augment.settings import AugmentSettings
from bench.data.settings import DATASETS, CustomData
from bench.models.settings import MODELS
from bench.registry import Custom, Registry
from bench.settings import Settings, local
from bench.tasks.settings import TASKS, Mode

Mistake = Literal["eval_mode_leak", "unpaired_masks", "grad_in_validation"]


def _part(registry: Registry[Any], custom: type[Custom] | None = None) -> Any:
    """The type of a field that names a part: one of the registry's, or `target:` for one's own."""

    def tag(value: Any) -> str | None:
        if isinstance(value, Settings):
            return "target" if isinstance(value, Custom) else str(value.name)  # type: ignore[attr-defined]
        if isinstance(value, dict):
            return "target" if "target" in value else str(value.get("name"))
        return None

    choices: list[Any] = [Annotated[registry.entry(n).settings, Tag(n)] for n in registry.names()]
    if custom is not None:
        choices.append(Annotated[custom, Tag("target")])
    return Annotated[Union[tuple(choices)], Discriminator(tag)]  # noqa: UP007 - built at run time


class EarlyStopping(Settings):
    """Stop when the selected metric has not improved for `patience` epochs."""

    patience: int = Field(ge=1, description="epochs")
    min_delta: float = Field(0.0, ge=0)


class TrainSettings(Settings):
    """How one trial is trained."""

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(20, ge=1)
    val_batch_size: int | None = Field(None, ge=1, description="default: batch_size")
    loss: Literal["cross_entropy", "dice", "cross_entropy+dice", "focal"] = "cross_entropy"
    focal_gamma: float = Field(2.0, ge=0)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup_epochs: float = Field(0.0, ge=0, description="linear warm-up before `cosine`, in epochs")
    clip_grad_norm: float | None = Field(None, gt=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 on a CUDA device that has it, else fp32"
    )
    channels_last: bool = True
    deterministic: bool = Field(False, description="only algorithms that give the same bits again")
    early_stopping: EarlyStopping | None = None


class Select(Settings):
    """Which epoch's checkpoint is the best."""

    metric: str = Field(pattern=r"^val/[\w]+$")
    mode: Mode


class Machine(Settings):
    """Where and how a trial runs: none of it enters a trial's identity, all of it is recorded."""

    device: Literal["auto", "cpu", "cuda"] = local("auto")
    threads: int | None = local(
        None, ge=1, description="CPU threads a trial; default: an equal share"
    )


class TrialSettings(Settings):
    """All settings of one trial but its seed."""

    task: _part(TASKS)  # type: ignore[valid-type]
    data: _part(DATASETS, CustomData)  # type: ignore[valid-type]
    model: _part(MODELS, Custom)  # type: ignore[valid-type]
    augment: AugmentSettings = AugmentSettings()
    train: TrainSettings = TrainSettings()
    select: Select
    mistakes: tuple[Mistake, ...] = Field(
        (), strict=False, description="known mistakes of published programs, made on purpose"
    )
    machine: Machine = Machine()
