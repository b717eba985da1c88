"""The DDPM U-Net with self-attention (Ho et al. 2020), with the published channel counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.blocks import Upsample, require_size
from bench.models.time_embedding import EMBEDDED, TimeShift, sinusoidal

_HEADS = 4
_ENTRY, _DOWN, _BOTTOM, _UP = 64, (128, 256, 256), (512, 512, 256), (128, 64, 64)
_MIN_SIZE = 8  # three halvings leave one pixel


def _scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to what the attention's heads divide."""
    return _HEADS * max(1, round(channels * width / _HEADS))


class GroupNormDoubleConv(nn.Sequential):
    """Twice [3×3 convolution, bias → GroupNorm of one group → ReLU]; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(1, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.GroupNorm(1, out_channels),
            nn.ReLU(inplace=True),
        )


class SelfAttention(nn.Module):
    """A Transformer's layer over the pixels: attention of four heads, then two linear maps.

    It starts as `nn.MultiheadAttention` does, which the published program uses: the weights of
    queries, keys and values, one matrix, uniform after Glorot and Bengio 2010 (Xavier); biases 0,
    those of the map after the heads too.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.mixed = nn.Linear(channels, channels)
        self.after = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            nn.GELU(),
            nn.Linear(channels, channels),
        )
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.mixed.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        pixels = x.flatten(2).transpose(1, 2)  # (N, H·W, C)
        queries, keys, values = self.qkv(self.norm(pixels)).chunk(3, dim=2)
        heads = (
            part.unflatten(2, (_HEADS, -1)).transpose(1, 2) for part in (queries, keys, values)
        )
        attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        pixels = pixels + self.mixed(attended)
        pixels = pixels + self.after(pixels)
        # (N, H·W, C) is channels last; the input's own layout is kept
        # a 1×1 or one-channel map is both at once, and counts as contiguous
        channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        found: Tensor = pixels.transpose(1, 2).view(x.shape).contiguous(memory_format=layout)
        return found


class DDPMDown(nn.Module):
    """Halves the size, convolves, and adds the time."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = GroupNormDoubleConv(in_channels, out_channels)
        self.time = TimeShift(out_channels, nn.ReLU())

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, ⌊H/2⌋, ⌊W/2⌋)."""
        found: Tensor = self.time(self.body(F.max_pool2d(x, 2)), embedding)
        return found


class DDPMUp(nn.Module):
    """Goes to the skip's size, takes the skip in, convolves, and adds the time."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = Upsample("bilinear", in_channels)
        self.body = GroupNormDoubleConv(skip_channels + in_channels, out_channels)
        self.time = TimeShift(out_channels, nn.SiLU())

    def forward(self, x: Tensor, skip: Tensor, embedding: Tensor) -> Tensor:
        """(N, in_channels, h, w) and (N, skip_channels, H, W) to (N, out_channels, H, W)."""
        joined = torch.cat([skip, self.up(x, skip.shape[-2:])], dim=1)
        found: Tensor = self.time(self.body(joined), embedding)
        return found


class DDPMUNet(nn.Module):
    """A U-Net that predicts the noise in an image at a time step (Ho et al. 2020).

    `attention`: whether a self-attention layer follows each change of size. Channels are multiples
    of the four heads at every `width`.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        width: float = 1.0,
        attention: bool = True,
    ) -> None:
        super().__init__()
        skips = [_scaled(channels, width) for channels in (_ENTRY, *_DOWN[:-1])]
        down = [_scaled(channels, width) for channels in _DOWN]
        bottom = [_scaled(channels, width) for channels in _BOTTOM]
        up = [_scaled(channels, width) for channels in _UP]
        self.entry = GroupNormDoubleConv(in_channels, skips[0])
        self.down = nn.ModuleList(map(DDPMDown, skips, down))
        self.bottom = nn.Sequential(*map(GroupNormDoubleConv, [down[-1], *bottom], bottom))
        self.up = nn.ModuleList(map(DDPMUp, [bottom[-1], *up], reversed(skips), up))
        layer = SelfAttention if attention else nn.Identity
        self.attention_down = nn.ModuleList(map(layer, down))
        self.attention_up = nn.ModuleList(map(layer, up))
        self.head = nn.Conv2d(up[-1], out_channels, 1)

    def forward(self, images: Tensor, time: Tensor) -> Tensor:
        """(N, in_channels, H, W) and steps (N,) to noise (N, out_channels, H, W).

        Raises:
            SpecError: H or W is below 8 pixels.
        """
        require_size(images, _MIN_SIZE, "ddpm_unet")
        embedding = sinusoidal(time, EMBEDDED)
        skips: list[Tensor] = []
        x = self.entry(images)
        for down, attend in zip(self.down, self.attention_down, strict=True):
            skips.append(x)
            x = attend(down(x, embedding))
        x = self.bottom(x)
        for up, attend in zip(self.up, self.attention_up, strict=True):
            x = attend(up(x, skips.pop(), embedding))
        noise: Tensor = self.head(x)
        return noise
