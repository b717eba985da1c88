"""What `bench plan` says of the disk."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from bench.commands.disk import disk_lines, size_text
from bench.plan.disk import disk_use
from tests.builders.experiments import planned

Usage = namedtuple("Usage", "total used free")


def test_the_line_is_of_all_trials(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (line,) = disk_lines(plan, tmp_path / "results")
    found, _ = disk_use(plan.trials)
    assert len(found) == 12
    kept = size_text(sum(use.kept() for use in found.values()))
    assert line.startswith(f"Disk: {kept} for 12 trials (")
    assert line.endswith(" more with --keep-last.")


def test_too_little_space_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(9, 9, 1_000))
    _, warning = disk_lines(planned(tmp_path), tmp_path / "not" / "there" / "results")
    assert warning == f"Warning: 1 kB are free where {tmp_path}/not/there/results is."
