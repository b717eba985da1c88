"""A diffusion U-Net whose encoder is torchvision's ResNet50 up to layer2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from bench.models.blocks import BatchNorm, Upsample, UpsampleKind, require_size, scaled
from bench.models.time_embedding import EMBEDDED, TimeShift, sinusoidal

_STEM, _DECODED = 64, (256, 128, 64)
_LAYERS = ((64, 3, 1), (128, 4, 2))  # channels inside a block, blocks, stride
_MIN_SIZE = 8  # three halvings leave one pixel


class HalfResNet50(nn.Module):
    """ResNet50 up to layer2, of torchvision's blocks and with its names, so that its weights load.

    `channels` says how many the stem and the two layers give.
    """

    def __init__(self, in_channels: int, width: float) -> None:
        super().__init__()
        inside = [scaled(channels, width) for channels, _, _ in _LAYERS]
        self.channels = [scaled(_STEM, width), *(count * Bottleneck.expansion for count in inside)]
        self.conv1 = nn.Conv2d(in_channels, self.channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm(self.channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2 = (
            _layer(before, count, blocks, stride)
            for before, count, (_, blocks, stride) in zip(
                self.channels, inside, _LAYERS, strict=False
            )
        )
        for module in self.modules():  # as torchvision starts its own
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, channels[0], ⌈H/2⌉, ⌈W/2⌉)."""
        found: Tensor = self.relu(self.bn1(self.conv1(images)))
        return found


def _layer(in_channels: int, inside: int, blocks: int, stride: int) -> nn.Sequential:
    channels = inside * Bottleneck.expansion
    shortcut = nn.Sequential(
        nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), BatchNorm(channels)
    )
    first = Bottleneck(in_channels, inside, stride, shortcut, norm_layer=BatchNorm)
    rest = (Bottleneck(channels, inside, norm_layer=BatchNorm) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class ZeroPaddedDoubleConv(nn.Sequential):
    """Twice [3×3 convolution, bias → BatchNorm → ReLU]; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
        )


class LinkNetUp(nn.Module):
    """Goes to the skip's size, takes the skip in, convolves, and adds the time."""

    def __init__(self, kind: UpsampleKind, in_channels: int, skip: int, out_channels: int) -> None:
        super().__init__()
        self.up = Upsample(kind, in_channels, transposed_channels=out_channels)
        # bilinear interpolation keeps the channels, which a transposed convolution halves itself
        same = self.up.out_channels == out_channels
        self.fewer = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        self.body = ZeroPaddedDoubleConv(out_channels + skip, out_channels)
        self.time = TimeShift(out_channels, nn.SiLU())

    def forward(self, x: Tensor, skip: Tensor, embedding: Tensor) -> Tensor:
        """(N, in_channels, h, w) and (N, skip, H, W) to (N, out_channels, H, W)."""
        joined = torch.cat([self.fewer(self.up(x, skip.shape[-2:])), skip], dim=1)
        found: Tensor = self.time(self.body(joined), embedding)
        return found


class ResNet50LinkNet(nn.Module):
    """A diffusion U-Net whose encoder is torchvision's ResNet50 up to layer2."""

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        width: float = 1.0,
        upsample: UpsampleKind = "transposed",
    ) -> None:
        super().__init__()
        self.encoder = HalfResNet50(in_channels, width)
        stem, middle, last = self.encoder.channels
        decoded = [scaled(channels, width) for channels in _DECODED]
        self.embed = nn.Sequential(nn.Linear(EMBEDDED, EMBEDDED), nn.ReLU())
        self.time1 = TimeShift(middle, nn.ReLU())
        self.time2 = TimeShift(last, nn.ReLU())
        self.bridge = ZeroPaddedDoubleConv(last, last)
        skips = (middle, stem, in_channels)
        self.up = nn.ModuleList(
            LinkNetUp(upsample, before, skip, after)
            for before, skip, after in zip([last, *decoded], skips, decoded, strict=False)
        )
        self.head = nn.Conv2d(decoded[-1], out_channels, 1)

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        """The encoder's modules by stage, from the input on."""
        encoder = self.encoder
        stem: list[nn.Module] = [encoder.conv1, encoder.bn1]
        return {"stem": stem, "layer1": [encoder.layer1], "layer2": [encoder.layer2]}

    def forward(self, images: Tensor, time: Tensor) -> Tensor:
        """(N, in_channels, H, W) and steps (N,) to noise (N, out_channels, H, W).

        Raises:
            SpecError: H or W is below 8 pixels.
        """
        require_size(images, _MIN_SIZE, "resnet50_linknet")
        embedding = self.embed(sinusoidal(time, EMBEDDED))
        stem = self.encoder.stem(images)
        middle = self.time1(self.encoder.layer1(self.encoder.maxpool(stem)), embedding)
        x = self.bridge(self.time2(self.encoder.layer2(middle), embedding))
        for up, skip in zip(self.up, (middle, stem, images), strict=True):
            x = up(x, skip, embedding)
        noise: Tensor = self.head(x)
        return noise
