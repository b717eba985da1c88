"""torch.compile of a model's training steps, and how long compiling takes."""

from __future__ import annotations

import os
import shutil
import sysconfig
import threading
import time
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from bench.errors import DeviceError, SpecError
from bench.spec.train_settings import TrainSettings

_REMEDY = "install it, or set train.compile: none"


def check_compiler(mode: str, device: torch.device) -> None:
    """Refuse to compile where the tools are missing; `mode` is `train.compile`.

    Raises:
        DeviceError: it says what is missing.
    """
    if mode == "none":
        return
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise DeviceError(f"train.compile: {mode} needs Python's headers (Python.h): {_REMEDY}")
    missing = _missing_triton() if device.type == "cuda" else _missing_cpp_compiler()
    if missing is not None:
        raise DeviceError(f"train.compile: {mode} needs {missing}: {_REMEDY}")


def check_batches(settings: TrainSettings, images: int) -> None:
    """Refuse to compile for full batches where `images` to train on do not make one.

    Raises:
        SpecError: they do not.
    """
    if settings.compile != "none" and images < settings.batch_size:
        raise SpecError(
            f"only full batches are compiled, and {images} training images do not make one of "
            f"{settings.batch_size}: a smaller train.batch_size helps",
            key="train.compile",
        )


def _missing_cpp_compiler() -> str | None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "a C++ compiler, and found none (g++, or the one that CXX names)"
    return None


def _missing_triton() -> str | None:
    from torch.utils._triton import has_triton_package

    if not has_triton_package():
        return "the package triton"
    compilers = (os.environ.get("CC"), "gcc", "clang")  # triton's own order
    if not any(name and shutil.which(name) for name in compilers):
        return "a C compiler, and found none (gcc, clang, or the one that CC names)"
    return None


def compile_model(model: nn.Module, mode: str) -> nn.Module:
    """`model` compiled for one shape of input; it shares its parameters and its mode.

    The plain model is the one to save, freeze, average and count: its state has its own names. What
    cannot be compiled raises instead of running uncompiled.
    """
    from torch._dynamo import config
    from tqdm import tqdm  # type: ignore[import-untyped]  # tqdm has no types

    # torch.fx shows its progress by tqdm, whose own lock is one between processes, which a worker
    # that ends at once would leave behind
    tqdm.set_lock(threading.RLock())
    config.fail_on_recompile_limit_hit = True
    found: nn.Module = torch.compile(model, mode=mode, dynamic=False)  # type: ignore[assignment]  # a module stays one
    return found


class CompileClock:
    """Seconds that torch spent compiling within `with` blocks, of whatever in them compiles.

    Backward passes are compiled at the first backward step and CUDA graphs recorded later still;
    both count.

    Attributes:
        seconds: in all blocks so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def __enter__(self) -> Self:
        from torch._dynamo.callback import callback_handler

        callback_handler.register_start_callback(self._start)
        callback_handler.register_end_callback(self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        from torch._dynamo.callback import callback_handler

        callback_handler.remove_start_callback(self._start)
        callback_handler.remove_end_callback(self._stop)

    def _start(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def _stop(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self._started
