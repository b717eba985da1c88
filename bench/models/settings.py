"""What a spec can say of each model. Registering here is what makes a model known by name."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from bench.registry import Registry
from bench.settings import Settings

Upsample = Literal["bilinear", "transposed"]


class ModelSettings(Settings):
    """Common to every model.

    Attributes:
        serves: names of the tasks that the model is for.
        stages: names of its encoder's stages, from the input on; empty: no encoder to freeze.
    """

    serves: ClassVar[frozenset[str]] = frozenset({"segmentation"})
    stages: ClassVar[tuple[str, ...]] = ()

    width: float = Field(1.0, gt=0, le=8, description="multiplier on all channel counts")


MODELS: Registry[ModelSettings] = Registry("model")


@MODELS.register("bench.models.unet:UNet")
class UNetSettings(ModelSettings):
    """U-Net (Ronneberger et al. 2015) with reflect padding and BatchNorm."""

    name: Literal["unet"] = "unet"
    upsample: Upsample = "bilinear"


@MODELS.register("bench.models.resnet_unet:ResNet34UNet")
class ResNet34UNetSettings(ModelSettings):
    """A ResNet34-shaped encoder under a U-Net decoder."""

    name: Literal["resnet34_unet"] = "resnet34_unet"
    upsample: Upsample = "bilinear"
