"""What the machine has."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sysconfig
from pathlib import Path

import torch

from bench.measure.devices import cpu_count, driver_version, visible_gpus
from bench.models.resampling import kernels_work
from tests.gpu.common import Check

_PEERS = ("lightning", "albumentations", "triton", "fvcore", "mlflow")


def environment(check: Check) -> None:
    """Versions, the card, what compiling needs."""
    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cores": cpu_count(),
        "missing": [name for name in _PEERS if importlib.util.find_spec(name) is None],
        "c_compiler": shutil.which(os.environ.get("CC", "gcc")),
        "headers": Path(sysconfig.get_path("include"), "Python.h").exists(),
        "gpus": visible_gpus(),
        "driver": driver_version(),
    }
    if check.cuda:
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "memory_mb": round(torch.cuda.mem_get_info()[1] / 1e6),
            "cudnn": torch.backends.cudnn.version(),
            "kernels_work": kernels_work(),
        }
    check.emit("environment", **found)
