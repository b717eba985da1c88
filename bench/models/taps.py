"""Where each of torchvision's networks is cut to be an encoder; nothing here imports torch.

A network is a chain of modules under torchvision's own names, cut into stages `stem`, `stage1` …
`stage4`. A stage's output is a tap unless the next one has the same stride.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.errors import SpecError, did_you_mean


@dataclass(frozen=True)
class Stage:
    """A piece of an encoder.

    Attributes:
        stride: input pixels per pixel of its output.
        modules: torchvision's names of the modules that are called one after another.
    """

    stride: int
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """Networks that are cut alike.

    Attributes:
        stages: by name, in order from the input.
        multiple: pixels; images are padded to a multiple of it, because less would be cut off.
        layout: how its maps run through it: (N, C, H, W), (N, H, W, C), or tokens (N, H·W, C).
        unpadded: modules whose 3×3 windows do without padding in torchvision.
        options: arguments of torchvision's builder.
    """

    stages: dict[str, Stage]
    multiple: int = 1
    layout: Literal["nchw", "nhwc", "tokens"] = "nchw"
    unpadded: frozenset[str] = frozenset()
    options: tuple[tuple[str, bool], ...] = ()


def _features(strides: Iterable[int], counts: Iterable[int]) -> dict[str, Stage]:
    """Stages of `counts` modules each out of torchvision's `features`."""
    stages: dict[str, Stage] = {}
    start = 0
    for number, (stride, count) in enumerate(zip(strides, counts, strict=True)):
        modules = tuple(f"features.{index}" for index in range(start, start + count))
        stages[f"stage{number}" if number else "stem"] = Stage(stride, modules)
        start += count
    return stages


_HALVING = (2, 4, 8, 16, 32)
_PATCHES = (4, 4, 8, 16, 32)  # stem and first stage have one stride: only the latter is a tap

_RESNET = Family(
    {
        "stem": Stage(2, ("conv1", "bn1", "relu")),
        "stage1": Stage(4, ("maxpool", "layer1")),
        "stage2": Stage(8, ("layer2",)),
        "stage3": Stage(16, ("layer3",)),
        "stage4": Stage(32, ("layer4",)),
    }
)

# The 1×1 convolution at the end of `features` widens for the classifier, and is left out here.
_MOBILENET_SMALL = Family(_features(_HALVING, (1, 1, 2, 5, 3)))
_MOBILENET_LARGE = Family(_features(_HALVING, (2, 2, 3, 6, 3)))
_EFFICIENTNET = Family(_features(_HALVING, (2, 1, 1, 2, 2)))
_EFFICIENTNET_V2_S = Family(_features(_HALVING, (2, 1, 1, 2, 1)))

_CONVNEXT = Family(_features(_PATCHES, (1, 1, 2, 2, 2)), multiple=32)

_SWIN_STAGES = _features(_PATCHES, (1, 1, 2, 2, 2))
_SWIN = Family(
    _SWIN_STAGES | {"stage4": Stage(32, (*_SWIN_STAGES["stage4"].modules, "norm"))},
    multiple=4,
    layout="nhwc",
)

_UNPADDED_MIXED = ("Mixed_6a", "Mixed_7a")
_INCEPTION = Family(
    {
        "stem": Stage(2, ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")),
        "stage1": Stage(4, ("maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3")),
        "stage2": Stage(8, ("maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d")),
        "stage3": Stage(16, tuple(f"Mixed_6{letter}" for letter in "abcde")),
        "stage4": Stage(32, ("Mixed_7a", "Mixed_7b", "Mixed_7c")),
    },
    unpadded=frozenset(
        (
            "Conv2d_1a_3x3",
            "Conv2d_2a_3x3",
            "maxpool1",
            "Conv2d_4a_3x3",
            "maxpool2",
            *_UNPADDED_MIXED,
        )
    ),
    # aux_logits: a classifier half-way; init_weights: slow, and BatchNorm undoes its scale
    options=(("aux_logits", False), ("init_weights", False)),
)


def _vit(layers: int) -> Family:
    """A plain Vision Transformer with patches of 16 pixels, its blocks in four equal stages."""
    quarter = layers // 4
    stages = {
        f"stage{number + 1}": Stage(
            16,
            tuple(
                f"encoder.layers.encoder_layer_{index}"
                for index in range(number * quarter, (number + 1) * quarter)
            )
            + (("encoder.ln",) if number == 3 else ()),
        )
        for number in range(4)
    }
    stem = Stage(16, ("conv_proj", "encoder.dropout"))
    return Family({"stem": stem} | stages, multiple=16, layout="tokens")


FAMILIES: dict[str, Family] = {
    **{f"resnet{depth}": _RESNET for depth in (18, 34, 50, 101, 152)},
    **{f"resnext{kind}": _RESNET for kind in ("50_32x4d", "101_32x8d", "101_64x4d")},
    **{f"wide_resnet{depth}_2": _RESNET for depth in (50, 101)},
    "mobilenet_v3_small": _MOBILENET_SMALL,
    "mobilenet_v3_large": _MOBILENET_LARGE,
    **{f"efficientnet_b{number}": _EFFICIENTNET for number in range(8)},
    "efficientnet_v2_s": _EFFICIENTNET_V2_S,
    "efficientnet_v2_m": _EFFICIENTNET,
    "efficientnet_v2_l": _EFFICIENTNET,
    **{f"convnext_{size}": _CONVNEXT for size in ("tiny", "small", "base", "large")},
    "inception_v3": _INCEPTION,
    **{f"swin_{size}": _SWIN for size in "tsb"},
    **{f"swin_v2_{size}": _SWIN for size in "tsb"},
    "vit_b_16": _vit(12),
    "vit_l_16": _vit(24),
}

ENCODERS: tuple[str, ...] = tuple(FAMILIES)
"""Names of all encoders: torchvision's own."""


def family_of(encoder: str) -> Family:
    """How `encoder` is cut.

    Raises:
        SpecError: no such encoder; it names the nearest.
    """
    if encoder not in FAMILIES:
        raise SpecError(
            f"unknown encoder {encoder!r}{did_you_mean(encoder, ENCODERS)}", key="encoder"
        )
    return FAMILIES[encoder]


def stages_of(encoder: str) -> tuple[str, ...]:
    """Names of an encoder's stages, in order from the input.

    Raises:
        SpecError: no such encoder; it names the nearest.
    """
    return tuple(family_of(encoder).stages)
