from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.models import resampling


def test_the_kernels_compute_what_pytorch_does() -> None:
    pytest.importorskip("triton")
    # Triton decides when it is imported whether it interprets: a process of its own
    file = Path(__file__).with_name("interpreted_kernels.py")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "20 passed" in done.stdout


def test_what_the_kernels_do_not_do_is_left_to_pytorch() -> None:
    x = torch.zeros(1, 2, 4, 4)
    assert resampling._enlarges_little(x, torch.Size([8, 9]))
    assert not resampling._enlarges_little(x, torch.Size([3, 8]))  # smaller
    assert not resampling._enlarges_little(x[:, :, :1], torch.Size([2, 8]))  # a single row
    assert not resampling._enlarges_little(x, torch.Size([8, 24]))  # one pixel reaches too many
    assert not resampling._kernels_apply(x.double(), 4, 4)
    assert not resampling._kernels_apply(x, 4, 4)  # channels first


def test_tracing_sees_pytorchs_functions() -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(resampling._is_traced())
        return x + 1

    look(torch.zeros(1))
    torch.jit.trace(look, torch.zeros(1), check_trace=False)  # as fvcore does
    assert seen == [False, True]
