"""What the fork server imports before the first trial. Importing only: no operator runs here."""

import signal

# Signals to the whole group reach the parent, which asks every worker to stop: Ctrl-C, and a
# scheduler's SIGTERM. Ignored before the long imports; workers inherit it.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)

import torch
import torch._dynamo  # the first optimizer imports it: 1 to 2 s that no trial should pay
import torchvision.datasets  # 2 s more that no trial should pay

import bench.run.worker
import bench.train.session

__all__ = ["bench", "torch", "torchvision"]
