"""The check runs on a CPU too, and says what a part that fails left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import check


def lines(*arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.gpu.check", "--device", "cpu", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_part_prints_json_lines(tmp_path: Path) -> None:
    found = lines("--only", "environment", "--out", str(tmp_path / "lines"))
    assert [line["part"] for line in found] == ["environment", "environment", "all"]
    assert found[0]["cores"] >= 1
    kept = (tmp_path / "lines").read_text().splitlines()
    assert [json.loads(line) for line in kept] == found


def test_a_part_without_time_is_said_to_be_left_out() -> None:
    first, last = lines("--only", "steps", "--budget", "0")
    assert first == {"part": "steps", "left_out": "no time"}
    assert last["part"] == "all"


def test_a_part_that_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "SLOWER_ON_A_CPU", 0.01)
    check.run(["steps"], "cpu", 60, None)
    failed, took, _ = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert failed["failed"] == "out of time"
    assert took["took_s"] < 30


def test_every_part_has_a_function() -> None:
    for name, part in check.PARTS.items():
        module = Path(check.__file__).with_name(f"{part.module}.py").read_text()
        assert f"def {name}(check: Check) -> None:" in module
