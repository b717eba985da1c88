"""What the fork server imports before the first trial, so that no trial imports it.

Importing only: no operator runs here, since a fork after torch's threads have started can hang.
"""

import signal
from pathlib import Path

from bench.interruption import SIGNALS, ignore_signals

# Signals to the whole group reach the parent, which asks every worker to stop. Ignored before the
# long imports; workers inherit it. The parent had them blocked until here.
ignore_signals()
signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

import numpy.ma  # by the first sorting of samples
import torch
import torch._dynamo  # by the first optimizer: 1 to 2 s
import torch.utils.serialization.config  # by the first checkpoint
import torchvision.datasets  # by the pets: 2 s
from PIL import Image

import bench.run.worker
import bench.train.session
from bench.augment.settings import AUGMENTATIONS
from bench.data.settings import DATASETS
from bench.measure.environment import installation
from bench.models.settings import MODELS
from bench.registry import load_target
from bench.tasks.settings import TASKS

__all__ = ["bench", "numpy", "torch", "torchvision"]

installation(Path.cwd())
Image.preinit()  # imports Pillow's common formats
for registry in (MODELS, DATASETS, TASKS, AUGMENTATIONS):
    for name in registry.names():
        load_target(registry.entry(name).target)
