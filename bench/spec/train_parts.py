"""What a spec can say of optimizers, schedules and samplers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from bench.registry import Custom, name_alone, part_tag
from bench.settings import Settings, added_later

OptimizerName = Literal["adam", "adamw", "sgd"]
FormulaName = Literal["constant", "cosine", "one_cycle"]
SamplerName = Literal["shuffle", "balanced"]


class CustomOptimizer(Custom):
    """An optimizer of one's own: called with parameter groups, `lr`, and what else it takes.

    `train.lr` is its learning rate; `train.weight_decay` is handed on where it has such an argument
    and is given none here.
    """


class CustomSampler(Custom):
    """A sampler of one's own, made anew for each epoch; iterating over it gives indices of images.

    It is called with its arguments and what it takes of `data_source`, `num_samples`, `labels`,
    `class_counts`, `generator`, `seed` and `epoch`.
    """


class Polynomial(Settings):
    """lr · (1 - done)^power, `done` the part of the training that is over: 0.9 in DeepLab."""

    name: Literal["polynomial"] = "polynomial"
    power: float = Field(0.9, gt=0, description="1 is a straight line to 0")


class Step(Settings):
    """The learning rate falls by a factor at certain epochs."""

    name: Literal["step"] = "step"
    every: int | None = Field(None, ge=1, description="epochs from one fall to the next")
    at: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, strict=False, min_length=1, description="or after which epochs it falls"
    )
    factor: float = Field(0.1, gt=0, lt=1, description="by which it falls each time")


class Plateau(Settings):
    """The learning rate falls by a factor when the selected metric no longer improves."""

    name: Literal["plateau"] = "plateau"
    patience: int = Field(10, ge=0, description="epochs without improvement that are waited for")
    factor: float = Field(0.1, gt=0, lt=1, description="by which it falls each time")
    min_delta: float = Field(0.0, ge=0, description="smallest change that counts as an improvement")
    min_lr: float = Field(0.0, ge=0, description="below which it does not fall")


class CustomSchedule(Custom):
    """A schedule of one's own, or a scheduler of `torch.optim.lr_scheduler`.

    Either what it makes is a function of the epochs that are done (fractions included) that gives a
    factor of `train.lr`, being called with what it takes of `epochs`; or it is a scheduler, called
    with the optimizer.
    """

    per: Literal["epoch", "step"] = added_later(
        "epoch", argument=False, description="when a scheduler of torch takes its step"
    )


_NEW = ("polynomial", "step", "plateau")


def _with_defaults(value: Any) -> Any:
    """A name alone stands for the schedule with its defaults, and `{name: cosine}` for `cosine`."""
    if isinstance(value, str) and value in _NEW:
        return {"name": value}
    named = isinstance(value, dict) and value.get("name") in _NEW
    return value if named else name_alone(value)


Optimizer = Annotated[
    Annotated[
        Annotated[OptimizerName, Tag("name")] | Annotated[CustomOptimizer, Tag("target")],
        Discriminator(part_tag),
    ],
    BeforeValidator(name_alone),
]
Sampler = Annotated[
    Annotated[
        Annotated[SamplerName, Tag("name")] | Annotated[CustomSampler, Tag("target")],
        Discriminator(part_tag),
    ],
    BeforeValidator(name_alone),
]
Schedule = Annotated[
    Annotated[
        Annotated[FormulaName, Tag("name")]
        | Annotated[Polynomial, Tag("polynomial")]
        | Annotated[Step, Tag("step")]
        | Annotated[Plateau, Tag("plateau")]
        | Annotated[CustomSchedule, Tag("target")],
        Discriminator(part_tag),
    ],
    BeforeValidator(_with_defaults),
]


class WeightAveraging(Settings):
    """Stochastic weight averaging (Izmailov et al. 2018): the mean of the epochs' weights."""

    start: float = Field(
        0.75, ge=0, lt=1, description="part of the training after which averaging begins"
    )


class GradientNoiseSettings(Settings):
    """Gaussian noise added to the gradients (Neelakantan et al. 2015), less and less of it."""

    eta: float = Field(0.01, gt=0, description="variance in the first step; 0.01, 0.3 or 1")
    gamma: float = Field(
        0.55, ge=0, description="after t steps the variance is eta / (1 + t)^gamma"
    )


def part_text(part: Any) -> str:
    """A part as messages name it: `sgd`, `polynomial`, `my_parts:Lion`."""
    if isinstance(part, str):
        return part
    return str(part.target if isinstance(part, Custom) else part.name)


def _class_weights(value: Any) -> Any:
    if value in ("none", "balanced") or isinstance(value, list | tuple):
        return value
    raise ValueError("must be none, balanced or a list of numbers, one for each class")


ClassWeights = Annotated[
    Annotated[
        Annotated[Literal["none", "balanced"], Tag("name")]
        | Annotated[
            tuple[Annotated[float, Field(ge=0)], ...],
            Field(strict=False, min_length=2),
            Tag("list"),
        ],
        Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "name"),
    ],
    BeforeValidator(_class_weights),
]
