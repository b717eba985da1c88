"""A small segmentation network that can be given what health checks look for."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    """Two convolutions and a head."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        momentum: float = 0.3,
        unused: bool = False,
        frozen: bool = False,
        dead: bool = False,
        skipped: bool = False,
    ) -> None:
        """What is asked for is wrong.

        `unused`: a head that forward leaves out, and a BatchNorm in it; `frozen`: the same, but
        meant not to be trained; `dead`: all activations are 0; `skipped`: a layer that is left out
        of every step whose batch is small.
        """
        super().__init__()
        self.dead, self.skipped = dead, skipped
        self.stem = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.norm = nn.Identity() if dead else nn.BatchNorm2d(8, momentum=momentum)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, out_channels, 1, bias=not dead)
        if unused or frozen:
            self.spare = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)).requires_grad_(unused)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(images))
        x = torch.relu(x * 0 - 1 if self.dead else x)
        if not self.dead and not (self.skipped and self.training and len(images) < 8):
            x = x + torch.relu(self.middle(x))
        scores: torch.Tensor = self.head(x)
        return scores
