"""The machine and the versions a trial ran with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.measure.devices import cpu_count, driver_version, visible_gpus
from bench.version import __version__

if TYPE_CHECKING:
    import torch

DEPENDENCIES = (
    "alembic", "filelock", "fvcore", "jinja2", "MarkupSafe", "matplotlib", "mlflow", "numpy",
    "nvidia-ml-py", "optuna", "pandas", "pillow", "psutil", "pyarrow", "pydantic",
    "pydantic-core", "pyDOE3", "PyYAML", "rich", "ruamel.yaml", "scipy", "seaborn", "SQLAlchemy",
    "tifffile", "torch", "torchvision", "tqdm", "typer",
)  # fmt: skip
# Only what changes results or speed: other variables may hold secrets.
_RECORDED_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_JIT",
    "PYTORCH_NVML_BASED_CUDA_CHECK",
)


def environment(device: torch.device | str) -> dict[str, Any]:
    """A manifest that can be written as JSON; what there is none of (a GPU, a commit) is None.

    `threads` and the `gpu…` entries but `gpu_count` are this process's; MB = 10^6 bytes.
    """
    return {
        "bench": __version__,
        "python": platform.python_version(),
        "hostname": socket.gethostname(),
        "cpu": cpu_model(),
        "cores": cpu_count(),
        "ram_mb": round(psutil.virtual_memory().total / 1e6),
        **_torch(device),
        **installation(Path.cwd()),
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if name in _RECORDED_VARIABLES
        },
    }


@cache
def installation(folder: Path) -> Mapping[str, Any]:
    """The system, the commit in `folder` and the packages' versions, looked up once.

    A fork inherits them with the code that they describe, and saves 0.03 s.
    """
    return {
        "platform": platform.platform(),
        **git_state(folder),
        "packages": {name: _version(name) for name in DEPENDENCIES},
    }


def cpu_model() -> str | None:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def git_state(folder: Path) -> dict[str, Any]:
    """`git_commit` and `git_dirty` (tracked files changed) of the repository `folder` is in.

    Both are None where there is no git, no repository or no commit.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = commit and _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    # a foreign repository's own settings may name programs: no monitor, no hooks, no writing
    safe = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
    command = [git, *safe, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)  # noqa: S603 - git, as found on PATH
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _torch(device: torch.device | str) -> dict[str, Any]:
    import torch
    import torchvision
    from torch.backends import cudnn

    device = torch.device(device)
    on_cuda = device.type == "cuda"
    gpu = torch.cuda.get_device_properties(device) if on_cuda else None
    return {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "gpu": gpu.name if gpu else None,
        "gpu_memory_mb": round(gpu.total_memory / 1e6) if gpu else None,
        "gpu_driver": driver_version(),
        "gpu_count": len(visible_gpus()),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "cuda": torch.version.cuda,
        "cudnn": cudnn.version() if on_cuda else None,  # type: ignore[no-untyped-call]  # torch's has no types
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
