"""Embeddings of the time step for diffusion models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMBEDDED = 128
"""Channels of the embedding in the published models, whatever their `width`."""
_LONGEST = 10_000.0  # longest wavelength / 2π, as in Vaswani et al. 2017


def sinusoidal(time: Tensor, channels: int) -> Tensor:
    """(B,) time steps → (B, channels) float32: [sin(t·f), cos(t·f)], f_i = 10000^(−2i/channels).

    Vaswani et al. 2017, with all sines before all cosines; `channels` is even.
    """
    exponents = torch.arange(0, channels, 2, device=time.device, dtype=torch.float32) / channels
    angles = time.float()[:, None] * _LONGEST**-exponents
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class TimeShift(nn.Module):
    """Adds a projection of the time embedding to every pixel of a feature map."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.project = nn.Sequential(activation, nn.Linear(EMBEDDED, channels))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, channels, H, W) and (B, 128) to (B, channels, H, W)."""
        shift: Tensor = self.project(embedding)
        return x + shift[:, :, None, None]
