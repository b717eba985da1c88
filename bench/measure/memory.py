"""The peak of memory during a trial. MB = 10^6 bytes."""

from __future__ import annotations

import re
import threading
import time
import weakref
from pathlib import Path
from typing import Literal

import psutil
import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_OUT_OF_MEMORY_PATTERN = re.compile(
    "|".join((
        "can't allocate memory",  # PyTorch on a CPU
        r"CUDA[^:\n]*: out of memory",  # the runtime, the driver, Triton
        r"(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_ALLOC_FAILED",
        "CUFFT_ALLOC_FAILED",
        r"CUDNN_STATUS_INTERNAL_ERROR_(DEVICE|HOST)_ALLOCATION_FAILED",
        # no algorithm's workspace could be had
        "unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
    )),
    re.IGNORECASE,
)  # fmt: skip
_INTERVAL = 0.02  # seconds between two samples where the kernel does not keep the peak


class PeakMemory:
    """The peak since this object was made; make one per trial, in the trial's own process.

    `kind` says what is measured:

    * `allocated` (CUDA): the peak of the bytes PyTorch's allocator has given out on the device,
      workspaces that cuDNN tried included. What it holds of the device is more: `reserved`.
    * `resident` (else): the peak of the process's resident set, libraries and data included. On
      Linux it is the kernel's own high-water mark (VmHWM), put back to the present size at the
      start. `ru_maxrss` would not do: after fork and exec it carries the parent's peak and cannot
      be put back. Where there is no such mark, a thread samples the resident set.
    """

    kind: Literal["allocated", "resident"]

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._sampler: _Sampler | None = None
        if self._device.type == "cuda":
            self.kind = "allocated"
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self.kind = "resident"
            if not _reset_high_water_mark():
                self._sampler = _Sampler()

    def megabytes(self) -> float | None:
        """The peak so far in MB, or None where the system does not tell."""
        if self.kind == "allocated":
            return torch.cuda.max_memory_allocated(self._device) / 1e6
        peak = self._sampler.peak() if self._sampler else _high_water_mark()
        return None if peak is None else peak / 1e6

    def reserved(self) -> float | None:
        """The peak of what PyTorch's allocator held of the device, in MB; None on a CPU."""
        if self.kind != "allocated":
            return None
        return torch.cuda.max_memory_reserved(self._device) / 1e6


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, on a GPU or in the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # on a CPU torch has no error of its own for this, and CUDA's libraries have theirs
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY_PATTERN.search(str(error)) is not None


def _reset_high_water_mark() -> bool:
    """Put VmHWM back to the resident set's present size; False where that cannot be done."""
    try:
        _CLEAR.write_text("5")  # see proc_pid_clear_refs(5)
    except OSError:
        return False
    return _high_water_mark() is not None


def _high_water_mark() -> int | None:
    """Bytes."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


class _Sampler:
    """The highest resident set seen by a thread that ends with this object."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._peak: int | None = None
        self.sample()
        threading.Thread(target=_keep_sampling, args=(weakref.ref(self),), daemon=True).start()

    def sample(self) -> None:
        try:
            resident = self._process.memory_info().rss
        except psutil.Error:
            return
        self._peak = max(resident, self._peak or 0)

    def peak(self) -> int | None:
        """Bytes, or None where the system does not tell."""
        self.sample()
        return self._peak


def _keep_sampling(reference: weakref.ref[_Sampler]) -> None:
    while (sampler := reference()) is not None:
        sampler.sample()
        del sampler
        time.sleep(_INTERVAL)
