"""What a spec can say of the weights that a model starts with; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from bench.settings import Settings, machine_local

Label = str | int | float | bool | None


class EarlierWeights(Settings):
    """The checkpoint of a trial of an earlier experiment."""

    experiment: str = Field(min_length=1, description="the earlier experiment's name")
    where: dict[str, Label] = Field(
        {}, description="axis: label; which of its arms; default: all of them"
    )
    pick: Literal["best", "same_seed"] = Field(
        "best",
        description="best: one trial for all seeds, the best finished one by that experiment's "
        "own metric; same_seed: for each seed the trial of that seed",
    )


class ResolvedWeights(Settings):
    """What planning makes of the other spellings: exactly which weights, and where they lie.

    `exactly` is torchvision's full name, a file's SHA-256, or a trial; where it is an arm of an
    earlier experiment, the seed says which of its trials. `trained_as` has those settings of their
    training, by dotted path, under which the same weights are another function.
    """

    source: Literal["imagenet", "file", "trial"]
    exactly: str
    file: str = machine_local(...)
    trained_as: dict[str, str | int | bool | None] = machine_local({})

    @property
    def owner(self) -> str | None:
        """The hash at the end of the earlier trial's id, which its checkpoint has to have."""
        return Path(self.file).parent.name.rpartition("-")[2] if self.source == "trial" else None


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    if isinstance(value, ResolvedWeights) or (isinstance(value, dict) and "source" in value):
        return "settled"
    return "earlier" if isinstance(value, EarlierWeights | dict) else None


Weights = Annotated[
    Annotated[str, Field(min_length=1), Tag("text")]
    | Annotated[EarlierWeights, Tag("earlier")]
    | Annotated[ResolvedWeights, Tag("settled")],
    Discriminator(
        _kind,
        custom_error_type="weights",
        custom_error_message="must be none, imagenet, a file, or {experiment: …}",
    ),
]
"""`none`, `imagenet`, a file, or an earlier experiment's; once planned, `ResolvedWeights`."""


def torchvision_encoder(model: Any) -> str | None:
    """torchvision's name of the network whose weights fit the encoder of a model's settings."""
    fixed = {"resnet18_unet": "resnet18", "resnet50_linknet": "resnet50"}
    match getattr(model, "name", None):
        case "resnet":
            return f"resnet{model.depth}"
        case "encoder_unet":
            return str(model.encoder)
        case name:
            return fixed.get(name) if isinstance(name, str) else None


TORCHVISION_MODELS = ("encoder_unet", "resnet", "resnet18_unet", "resnet50_linknet")
"""Names of the models with an encoder that torchvision has weights for."""
