"""Number formats: where they are refused, and what they leave in fp32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.errors import DeviceError
from bench.train import checkpoint, precision
from bench.train.precision import Precision, check_precision
from bench.train.session import train_trial
from bench.train.trial_parts import build
from tests.builders.training import MemoryRecorder, Silent, make_trial

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_cpu_without_the_instructions_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(precision, "_cpu_has", lambda _name: False)
    recorder = MemoryRecorder(tmp_path)
    with pytest.raises(DeviceError, match=f"no instructions for {name}.*use auto or fp32"):
        train_trial(make_trial(train={"precision": name}), recorder, Silent())
    assert not recorder.environment  # nothing had begun


def test_what_is_never_refused() -> None:
    for name in ("auto", "fp32"):
        check_precision(name, CPU)
    check_precision("bf16", torch.device("cuda"))


@pytest.mark.parametrize(
    ("avx512", "native", "onednn", "expected"),
    [
        (True, True, True, True),
        (True, False, True, False),  # imitated, yet oneDNN says yes
        (False, False, False, False),
        (False, False, True, True),  # ARM
    ],
)
def test_bf16_by_its_instructions(
    avx512: bool, native: bool, onednn: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    assert precision._cpu_has("bf16") is expected


def test_auto_on_a_cpu_is_fp32() -> None:
    assert Precision("auto", CPU).name == "fp32"


def test_bf16_keeps_weights_and_metrics_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_has", lambda _name: True)
    recorder = MemoryRecorder(tmp_path)
    train_trial(make_trial(train={"epochs": 1, "precision": "bf16"}), recorder, Silent())
    assert recorder.facts["precision"] == "bf16"
    assert checkpoint.load(recorder.best)["model"]["head.weight"].dtype == torch.float32


def test_fp32_is_never_tf32(tmp_path: Path) -> None:
    torch.backends.cudnn.allow_tf32 = True
    recorder = MemoryRecorder(tmp_path)
    train_trial(make_trial(train={"epochs": 1}), recorder, Silent())
    assert not torch.backends.cudnn.allow_tf32
    assert recorder.environment["tf32"] is False
    assert recorder.environment["cudnn_benchmark"] is True
    build(make_trial(train={"deterministic": True}))
    assert not torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(False)
