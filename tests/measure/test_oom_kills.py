from __future__ import annotations

from pathlib import Path

from bench.measure.oom_kills import oom_kills


def kills(root: Path, membership: str) -> int | None:
    (root / "cgroup").write_text(membership)
    return oom_kills(root, root / "cgroup", root / "vmstat")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_not_reported_at_all(tmp_path: Path) -> None:
    assert kills(tmp_path, "0::/job\n") is None


def test_outside_of_groups_the_machine_counts(tmp_path: Path) -> None:
    write(tmp_path / "vmstat", "nr_free_pages 9\noom_kill 7\n")
    assert kills(tmp_path, "0::/\n") == 7


def test_version_2_tells_of_the_own_group(tmp_path: Path) -> None:
    write(tmp_path / "vmstat", "oom_kill 7\n")
    write(tmp_path / "memory.events", "low 0\noom 9\noom_kill 5\n")
    assert kills(tmp_path, "0::/job\n") == 5  # its own cannot be seen: the one above
    write(tmp_path / "job" / "memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert kills(tmp_path, "0::/job\n") == 2


def test_version_1(tmp_path: Path) -> None:
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    write(tmp_path / "memory" / "job" / "memory.oom_control", text)
    assert kills(tmp_path, "4:memory:/job\n0::/\n") == 3


def test_this_machine_is_read_without_an_error() -> None:
    assert oom_kills() is None or oom_kills() >= 0
