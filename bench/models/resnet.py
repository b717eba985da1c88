"""ResNet: torchvision's class, with blocks that can do without shortcuts or normalisation.

At its defaults the state dict has torchvision's keys and shapes. Every axis draws the same initial
weights from one seed, in the layers that its levels share.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

from bench.models.blocks import BatchNorm, scaled

Depth = Literal[18, 34, 50, 101, 152]

_STEM = 64
_BLOCKS: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_LAYERS = ("layer1", "layer2", "layer3", "layer4")


class PlainBasicBlock(torchvision_resnet.BasicBlock):  # type: ignore[misc]  # torchvision has no types
    """Two 3×3 convolutions without a shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, planes, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = self.relu(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(x)))


class PlainBottleneck(torchvision_resnet.Bottleneck):  # type: ignore[misc]  # torchvision has no types
    """1×1, 3×3 and 1×1 convolution without a shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 4·planes, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return torch.relu_(self.bn3(self.conv3(x)))


class StrideFirst(torchvision_resnet.Bottleneck):  # type: ignore[misc]  # torchvision has no types
    """The block of He et al. 2015 ("v1"): its first 1×1 convolution carries the stride."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class PlainStrideFirst(PlainBottleneck, StrideFirst):
    """ "v1" without a shortcut."""


def _block(depth: int, residual: bool, stride_in: str) -> type[nn.Module]:
    if depth < 50:
        return torchvision_resnet.BasicBlock if residual else PlainBasicBlock
    if stride_in == "v1":
        return StrideFirst if residual else PlainStrideFirst
    return torchvision_resnet.Bottleneck if residual else PlainBottleneck


class ResNet(torchvision_resnet.ResNet):  # type: ignore[misc]  # torchvision has no types
    """ResNet of 18, 34, 50, 101 or 152 layers that classifies images.

    The attribute `channels` says how many each stage gives. Without normalisation every block with
    a shortcut about doubles the variance, so deep nets of `norm: none` may overflow in training.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 1000,
        width: float = 1.0,
        depth: Depth = 18,
        residual: bool = True,
        norm: Literal["batch", "none"] = "batch",
        stride_in: Literal["v1", "v1.5"] = "v1.5",
        zero_init: bool = False,
    ) -> None:
        self._in_channels, self._width = in_channels, width  # `_make_layer` needs them
        super().__init__(
            _block(depth, residual, stride_in),
            list(_BLOCKS[depth]),
            zero_init_residual=zero_init,
            norm_layer=BatchNorm if norm == "batch" else nn.Identity,
        )
        self.fc = nn.Linear(self.inplanes, out_channels)
        if not residual:  # now that the initial weights are drawn as with shortcuts
            for name in _LAYERS:
                for block in getattr(self, name):
                    block.downsample = None
        if norm == "none":  # nothing else shifts what a convolution gives
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    module.bias = nn.Parameter(module.weight.new_zeros(module.out_channels))

    def _make_layer(
        self,
        block: type[nn.Module],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> nn.Sequential:
        """torchvision's with the channels scaled; the first call scales the stem as well."""
        if planes == _STEM:
            self.inplanes = scaled(_STEM, self._width)
            self.conv1 = nn.Conv2d(self._in_channels, self.inplanes, 7, 2, padding=3, bias=False)
            self.bn1 = self._norm_layer(self.inplanes)
            self.channels = [self.inplanes]
        layer: nn.Sequential = super()._make_layer(
            block, scaled(planes, self._width), blocks, stride, dilate
        )
        self.channels.append(self.inplanes)
        return layer

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to scores (N, out_channels)."""
        scores: Tensor = super().forward(images)
        return scores

    def stage_outputs(self, images: Tensor) -> list[Tensor]:
        """What each stage gives: maps of 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, rounded up."""
        outputs = [images]
        for modules in self.encoder_parts().values():
            x = outputs[-1]
            for module in modules:
                x = module(x)
            outputs.append(x)
        return outputs[1:]

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        """The modules of every stage, in order from the input: all but pooling and classifier."""
        return {
            "stem": [self.conv1, self.bn1, self.relu],
            "layer1": [self.maxpool, self.layer1],
            **{name: [getattr(self, name)] for name in _LAYERS[1:]},
        }


class ResNetEncoder(ResNet):
    """A ResNet without pooling and classifier. Its keys are torchvision's without `fc`."""

    def __init__(self, *, in_channels: int = 3, width: float = 1.0, depth: Depth = 18) -> None:
        super().__init__(in_channels=in_channels, out_channels=1, width=width, depth=depth)
        del self.avgpool, self.fc

    def forward(self, images: Tensor) -> list[Tensor]:  # type: ignore[override]  # of a network without its classifier
        """(N, in_channels, H, W) to every stage's output."""
        return self.stage_outputs(images)
