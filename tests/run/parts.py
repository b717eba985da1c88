"""Models that misbehave, named by `target:` in tests."""

from __future__ import annotations

import os
import signal
import time

import torch
from torch import nn


class Tiny(nn.Module):
    """One convolution; what goes wrong with it is up to its subclasses."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(images)
        return scores


class Crashing(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the model broke\nover two lines")


class CrashingInTraining(Tiny):
    """Survives having its cost measured."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("the model broke")
        return super().forward(images)


class OutOfMemory(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB.")


class OutOfMainMemory(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images) + torch.empty(10**15)[0]


class Killed(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)


class Slow(Tiny):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        print("one step", flush=True)
        time.sleep(0.05)
        return super().forward(images)
