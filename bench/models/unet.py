"""U-Net (Ronneberger et al. 2015) as the published comparison built it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.blocks import ReflectDoubleConv, Upsample, UpsampleKind, require_size, scaled

_CHANNELS = (64, 128, 256, 512, 1024)
_MIN_SIZE = 32  # four halvings leave 2 pixels, the fewest that reflect padding of 1 can pad


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with reflect padding and BatchNorm.

    Bilinear upsampling keeps the channels, so every level below the first decodes to half as many
    as it has with transposed convolutions, which halve them themselves.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 2,
        width: float = 1.0,
        upsample: UpsampleKind = "bilinear",
    ) -> None:
        super().__init__()
        halving = 2 if upsample == "bilinear" else 1
        skips = [scaled(channels, width) for channels in _CHANNELS[:-1]]
        bottom = scaled(_CHANNELS[-1] // halving, width)
        decoded = [scaled(channels // halving, width) for channels in _CHANNELS[-2:0:-1]]
        self.encoder = nn.ModuleList(
            ReflectDoubleConv(before, after)
            for before, after in zip([in_channels, *skips], [*skips, bottom], strict=True)
        )
        self.upsamplers = nn.ModuleList()
        self.decoder = nn.ModuleList()
        outputs = [*decoded, skips[0]]
        for before, skip, after in zip([bottom, *decoded], skips[::-1], outputs, strict=True):
            up = Upsample(upsample, before, transposed_channels=skip)
            self.upsamplers.append(up)
            self.decoder.append(ReflectDoubleConv(skip + up.out_channels, after))
        self.head = nn.Conv2d(skips[0], out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to scores (N, out_channels, H, W).

        Raises:
            SpecError: H or W is below 32 pixels.
        """
        require_size(images, _MIN_SIZE, "unet")
        skips: list[Tensor] = []
        x = images
        for level, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for up, block in zip(self.upsamplers, self.decoder, strict=True):
            skip = skips.pop()
            x = block(torch.cat([skip, up(x, skip.shape[-2:])], dim=1))
        scores: Tensor = self.head(x)
        return scores
