from __future__ import annotations

import gc
import mmap
import sys
import threading
import time

import pytest
import torch

from bench.measure import memory
from bench.measure.memory import PeakMemory


def allocate(megabytes: int) -> mmap.mmap:
    """Fill so much memory, fresh from the system: the heap may have some left over."""
    found = mmap.mmap(-1, megabytes * 1_000_000)
    for _ in range(megabytes):
        found.write(bytes(1_000_000))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps VmHWM")
def test_the_kernels_peak_starts_anew_with_each_trial() -> None:
    allocate(300).close()
    peak = PeakMemory("cpu")
    assert peak.kind == "resident"
    before = peak.megabytes()
    allocate(100).close()
    after = peak.megabytes()
    assert before is not None
    assert after is not None
    assert 95 < after - before < 120
    assert after - PeakMemory("cpu").megabytes() > 80  # type: ignore[operator]


def test_sampling_where_the_kernel_keeps_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_reset_high_water_mark", lambda: False)
    threads = threading.active_count()
    peak = PeakMemory("cpu")
    before = peak.megabytes()
    held = allocate(100)
    time.sleep(0.2)
    held.close()
    after = peak.megabytes()
    assert before is not None
    assert after is not None
    assert 95 < after - before < 120
    del peak
    gc.collect()
    time.sleep(0.2)
    assert threading.active_count() == threads


def test_no_proc_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(memory, "_CLEAR", memory.Path("no") / "such" / "file")
    assert not memory._reset_high_water_mark()


def test_cuda_tells_the_allocators_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3_500_000)
    peak = PeakMemory("cuda:0")
    assert (peak.kind, peak.megabytes()) == ("allocated", 3.5)
    assert reset == [torch.device("cuda:0")]
