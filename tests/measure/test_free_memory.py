from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bench.measure.free_memory import free_host_memory


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine's memory, 1000 bytes are free."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))


def group(folder: Path, limit: str, used: int, cached: int, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cached}\n")


def free(root: Path, membership: str) -> int:
    (root / "cgroup").write_text(membership)
    return free_host_memory(root, root / "cgroup")


def test_without_groups_it_is_the_machines(tmp_path: Path) -> None:
    assert free_host_memory(tmp_path, tmp_path / "nothing") == 1000
    assert free(tmp_path, "0::/job\n") == 1000


def test_the_tightest_limit_counts_and_cached_files_are_free(tmp_path: Path) -> None:
    group(tmp_path, "900", 500, 0)
    group(tmp_path / "job", "max", 300, 0)
    group(tmp_path / "job" / "step", "600", 350, 40)
    assert free(tmp_path, "0::/job/step\n") == 290  # 600 - 350 + 40, within 900 - 500
    group(tmp_path, "900", 700, 0)
    assert free(tmp_path, "0::/job/step\n") == 200


def test_version_1(tmp_path: Path) -> None:
    group(tmp_path / "memory", str(2**63 - 4096), 10, 0, version=1)
    group(tmp_path / "memory" / "job", "400", 300, 50, version=1)
    assert free(tmp_path, "9:cpu,cpuacct:/other\n4:memory:/job\n") == 150


def test_a_group_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    group(tmp_path, "100", 150, 0)
    assert free(tmp_path, "0::/\n") == 0
