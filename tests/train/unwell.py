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
        passes: int = 0,
        passes_momentum: float | None = None,
    ) -> None:
        """What is asked for is wrong.

        `unused`: a head that forward leaves out, and a BatchNorm in it; `frozen`: the same, but
        meant not to be trained; `dead`: all activations are 0; `skipped`: a layer that is left out
        of every step whose batch is small; `passes`: it runs so often in its constructor, BatchNorm
        with `passes_momentum`.
        """
        super().__init__()
        self.dead, self.skipped = dead, skipped
        self.stem = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.norm = nn.Identity() if dead else nn.BatchNorm2d(8, momentum=momentum)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, out_channels, 1, bias=not dead)
        if unused or frozen:
            self.spare = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)).requires_grad_(unused)
        if passes:
            self.norm.momentum = passes_momentum
            with torch.no_grad():
                for _ in range(passes):
                    self(torch.randn(8, in_channels, 16, 16))
            self.norm.momentum = momentum

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(images))
        x = torch.relu(x * 0 - 1 if self.dead else x)
        if not self.dead and not (self.skipped and self.training and len(images) < 8):
            x = x + torch.relu(self.middle(x))
        scores: torch.Tensor = self.head(x)
        return scores
