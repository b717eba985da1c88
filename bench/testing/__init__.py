"""Tests of parts of one's own, two lines each.

    from bench.testing import loss_conforms

    test_my_loss = loss_conforms("my_losses:BoundaryLoss", alpha=0.3)

Each function gives a test for pytest, a case for each duty of the part; what it is given is what
stands in a spec. Without pytest the test, called, runs all cases.
"""

from bench.testing.augmentations import augmentation_conforms
from bench.testing.losses import loss_conforms
from bench.testing.metrics import metric_conforms
from bench.testing.models import model_conforms
from bench.testing.optimizers import optimizer_conforms
from bench.testing.samplers import sampler_conforms
from bench.testing.schedules import schedule_conforms
from bench.testing.tasks import task_conforms

__all__ = [
    "augmentation_conforms",
    "loss_conforms",
    "metric_conforms",
    "model_conforms",
    "optimizer_conforms",
    "sampler_conforms",
    "schedule_conforms",
    "task_conforms",
]
