"""What a spec can say of each model. Registering here is what makes a model known by name."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from bench.errors import did_you_mean
from bench.models.taps import ENCODERS, stages_of
from bench.models.weights_settings import Weights
from bench.registry import Registry
from bench.settings import Settings, excluded_from_builder

Upsample = Annotated[
    Literal["bilinear", "transposed"],
    Field(description="how the decoder enlarges: interpolation, or transposed convolutions"),
]


class ModelSettings(Settings):
    """Common to every model.

    Attributes:
        serves: names of the tasks that the model is for.
        replayable: whether its steps are known to work as CUDA graphs: nothing is read back from
            the device, or decided anew in Python at each step.
    """

    supported_tasks: ClassVar[frozenset[str]] = frozenset({"segmentation"})
    replayable: ClassVar[bool] = False
    _stages: ClassVar[tuple[str, ...]] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the encoder's stages, from the input on; empty: no encoder to freeze."""
        return self._stages

    width: float = Field(1.0, gt=0, le=8, description="multiplier on all channel counts")
    weights: Weights = excluded_from_builder(
        "none", description="to start with: none, imagenet, a file, or {experiment: …}"
    )


RESNET_STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")

MODELS: Registry[ModelSettings] = Registry("model")


@MODELS.register("bench.models.unet:UNet")
class UNetSettings(ModelSettings):
    """U-Net (Ronneberger et al. 2015) with reflect padding and BatchNorm."""

    replayable: ClassVar[bool] = True

    name: Literal["unet"] = "unet"
    upsample: Upsample = "bilinear"


@MODELS.register("bench.models.resnet_unet:ResNet34UNet")
class ResNet34UNetSettings(ModelSettings):
    """A ResNet34-shaped encoder under a U-Net decoder."""

    replayable: ClassVar[bool] = True

    name: Literal["resnet34_unet"] = "resnet34_unet"
    upsample: Upsample = "bilinear"


@MODELS.register("bench.models.resnet:ResNet")
class ResNetSettings(ModelSettings):
    """ResNet (He et al. 2015) as torchvision has it, and what its parts are good for."""

    replayable: ClassVar[bool] = True
    supported_tasks: ClassVar[frozenset[str]] = frozenset({"classification", "multi_label"})
    _stages: ClassVar[tuple[str, ...]] = RESNET_STAGES

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50, 101, 152] = Field(
        18, description="layers with weights; from 50 on blocks have three convolutions, not two"
    )
    residual: bool = Field(True, description="false: a plain net, without shortcuts")
    norm: Literal["batch", "none"] = Field(
        "batch", description="none: no normalisation, and convolutions with biases"
    )
    stride_in: Literal["v1", "v1.5"] = Field(
        "v1.5",
        description="which convolution of a three-convolution block halves the size: "
        "v1 the first 1×1, v1.5 the 3×3",
    )
    zero_init: bool = Field(
        False, description="each block's last BatchNorm starts at 0, so that shortcuts start alone"
    )

    @model_validator(mode="after")
    def _axes_agree(self) -> ResNetSettings:
        if self.stride_in == "v1" and self.depth < 50:
            raise ValueError(
                f"stride_in: v1 is for depth 50, 101 and 152; the blocks of depth {self.depth} "
                "have no first 1×1 convolution"
            )
        if self.zero_init and self.norm == "none":
            raise ValueError("zero_init: true sets BatchNorm's weights, and norm: none has none")
        if self.zero_init and not self.residual:
            raise ValueError(
                "zero_init: true needs shortcuts: without them each block's output is zero"
            )
        return self


@MODELS.register("bench.models.resnet18_unet:ResNet18UNet")
class ResNet18UNetSettings(ModelSettings):
    """torchvision's ResNet18 as the encoder of a U-Net without normalisation."""

    _stages: ClassVar[tuple[str, ...]] = RESNET_STAGES

    name: Literal["resnet18_unet"] = "resnet18_unet"


@MODELS.register("bench.models.encoder_unet:EncoderUNet")
class EncoderUNetSettings(ModelSettings):
    """A U-Net decoder on one of torchvision's networks; `width` is the decoder's alone."""

    name: Literal["encoder_unet"] = "encoder_unet"
    encoder: str = Field(description="torchvision's name: resnet50, mobilenet_v3_large, swin_t, …")
    skip: Literal["concatenate", "add"] = Field(
        "concatenate", description="how the encoder's outputs join the decoder"
    )
    norm_momentum: float | None = Field(
        None,
        gt=0,
        le=1,
        description="by which the encoder's BatchNorm moves its statistics in a step; default: "
        "torchvision's, which is 0.01 in mobilenet_v3_*: too little for short trainings",
    )

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the encoder's stages, from the input on."""
        return stages_of(self.encoder)

    @field_validator("encoder")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ENCODERS:
            raise ValueError(f"unknown encoder {value!r}{did_you_mean(value, ENCODERS)}")
        return value


@MODELS.register("bench.models.ddpm_unet:DDPMUNet")
class DDPMUNetSettings(ModelSettings):
    """U-Net with self-attention that predicts the noise in an image at a time step."""

    replayable: ClassVar[bool] = True
    supported_tasks: ClassVar[frozenset[str]] = frozenset({"diffusion"})

    name: Literal["ddpm_unet"] = "ddpm_unet"
    attention: bool = Field(True, description="self-attention after each change of size")


@MODELS.register("bench.models.resnet50_linknet:ResNet50LinkNet")
class ResNet50LinkNetSettings(ModelSettings):
    """The first half of torchvision's ResNet50 as the encoder of a diffusion U-Net."""

    supported_tasks: ClassVar[frozenset[str]] = frozenset({"diffusion"})
    _stages: ClassVar[tuple[str, ...]] = RESNET_STAGES[:3]

    name: Literal["resnet50_linknet"] = "resnet50_linknet"
    upsample: Upsample = "transposed"
