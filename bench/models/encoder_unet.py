"""A U-Net decoder on any of torchvision's networks."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.models.blocks import BatchNorm, ReflectDoubleConv, Upsample, require_size, scaled
from bench.models.encoders import Taps, build_encoder, tap_channels

Skip = Literal["concatenate", "add"]

_BOTTOM = 32
_LEVELS = {16: 256, 8: 128, 4: 64, 2: 32, 1: 16}  # the decoder's channels by stride
_MIN_SIZE = 17  # the fewest pixels of which stride 16 leaves 2, which reflect padding of 1 can pad


class EncoderUNet(nn.Module):
    """An encoder of torchvision's under a U-Net decoder.

    A decoder level doubles the size, joins the encoder's tap of that stride where there is one,
    and convolves twice. Images whose size the encoder would cut are padded with their last row
    and column, and the scores are cut to the images' size.

    Attributes:
        encoder: the encoder; its state dict is part of that of torchvision's whole network (but
            for the first convolution, where `in_channels` is not 3).
        torchvision_name: torchvision's name of that network.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 2,
        width: float = 1.0,
        encoder: str = "resnet18",
        skip: Skip = "concatenate",
        norm_momentum: float | None = None,
    ) -> None:
        """`width` scales the decoder's channels: an encoder of torchvision's has but one width.

        `norm_momentum` is the encoder's BatchNorm's; None leaves torchvision's own.

        Raises:
            SpecError: no such encoder.
        """
        super().__init__()
        self.torchvision_name = encoder
        self.encoder = build_encoder(encoder, in_channels)
        if norm_momentum is not None:
            for module in self.encoder.modules():
                if isinstance(module, _BatchNorm):
                    module.momentum = norm_momentum
        channels = tap_channels(self.encoder, in_channels)
        self.pyramid: SimplePyramid | None = None
        if self.encoder.family.layout == "tokens":
            self.pyramid = SimplePyramid(channels[16], width)
            channels = self.pyramid.channels
        before = channels[_BOTTOM]
        self.decoder = nn.ModuleList()
        for stride, count in _LEVELS.items():
            after = scaled(count, width)
            self.decoder.append(_Level(before, channels.get(stride, 0), after, skip))
            before = after
        self.head = nn.Conv2d(before, out_channels, 1)

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        """The encoder's modules by stage, in order from the input."""
        return self.encoder.parts()

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to scores (N, out_channels, H, W).

        Raises:
            SpecError: H or W is below 17 pixels.
        """
        require_size(images, _MIN_SIZE, "encoder_unet")
        height, width = images.shape[-2:]
        padded = _padded(images, self.encoder.family.multiple)
        taps = self.encoder(padded)
        if self.pyramid is not None:
            taps = self.pyramid(taps)
        x = taps[_BOTTOM]
        for stride, level in zip(_LEVELS, self.decoder, strict=True):
            size = torch.Size(-(-side // stride) for side in padded.shape[-2:])
            x = level(x, taps.get(stride), size)
        scores: Tensor = self.head(x)
        return scores[..., :height, :width]


def _padded(images: Tensor, multiple: int) -> Tensor:
    """Images whose sides are multiples of `multiple`: the last row and column are repeated."""
    height, width = images.shape[-2:]
    if height % multiple == 0 and width % multiple == 0:
        return images
    return F.pad(images, [0, -width % multiple, 0, -height % multiple], mode="replicate")


class _Level(nn.Module):
    """One level of the decoder; `skip_channels` is 0 where the encoder has no tap."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, skip: Skip) -> None:
        super().__init__()
        self.up = Upsample("bilinear", in_channels)
        self.project: nn.Conv2d | None = None
        joined = in_channels + skip_channels
        if skip == "add":
            joined = in_channels
            if skip_channels:
                self.project = nn.Conv2d(skip_channels, in_channels, 1)
        self.convolve = ReflectDoubleConv(joined, out_channels)

    def forward(self, x: Tensor, tap: Tensor | None, size: torch.Size) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, *size) to (N, out_channels, *size)."""
        x = self.up(x, size)
        if self.project is not None:
            x = x + self.project(tap)
        elif tap is not None:
            x = torch.cat([tap, x], dim=1)
        joined: Tensor = self.convolve(x)
        return joined


class SimplePyramid(nn.Module):
    """Strides 4 to 32 from a map of stride 16, as in ViTDet (Li et al. 2022), with BatchNorm.

    Attributes:
        channels: of its maps, by stride.
    """

    def __init__(self, in_channels: int, width: float) -> None:
        super().__init__()
        half, quarter = (scaled(in_channels // part, width) for part in (2, 4))
        self.channels = {4: quarter, 8: half, 16: in_channels, 32: in_channels}
        self.to_4 = nn.Sequential(
            nn.ConvTranspose2d(in_channels, half, 2, stride=2),
            BatchNorm(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
        self.to_8 = nn.ConvTranspose2d(in_channels, half, 2, stride=2)

    def forward(self, taps: Taps) -> Taps:
        """{16: (N, C, h, w)} to maps of strides 4, 8, 16 and 32."""
        x = taps[16]
        halved = F.max_pool2d(x, 2, ceil_mode=True)
        return {4: self.to_4(x), 8: self.to_8(x), 16: x, 32: halved}
