"""Checkpoints hold data only and are never half there."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.errors import DamagedError, StoreError
from bench.train import checkpoint
from bench.train.checkpoint import RotatingCheckpoint


def test_round_trip(tmp_path: Path) -> None:
    state = {
        "model": {"w": torch.randn(3)},
        "history": [{"epoch": 1, "val/dice": None}],
        "best": 0.5,
    }
    checkpoint.save(tmp_path / "new" / "last.pt", state)
    found = checkpoint.load(tmp_path / "new" / "last.pt")
    assert torch.equal(found["model"]["w"], state["model"]["w"])
    assert found["history"] == state["history"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.pt"]


def test_a_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"best": 1})
    with pytest.raises(Exception, match="local object"):  # Python 3.13 says no longer "pickle"
        checkpoint.save(path, {"best": lambda: None})
    assert checkpoint.load(path) == {"best": 1}
    assert len(list(tmp_path.iterdir())) == 1


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code ran",))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", pickle.dumps(Evil(), 2)])
def test_damaged_or_hostile_files_are_refused_by_name(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"best\.pt: not a readable checkpoint") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)
    assert "code ran" not in capsys.readouterr().out


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no checkpoint there"):
        checkpoint.load(tmp_path / "best.pt")


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    """torch itself reads a changed weight without a word."""
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"w": torch.arange(8.0)})
    whole = path.read_bytes()
    offset_of_weights = whole.index(torch.arange(8.0).numpy().tobytes())
    for offset in range(32):
        changed = bytearray(whole)
        changed[offset_of_weights + offset] ^= 1
        path.write_bytes(changed)
        assert torch.load(path, weights_only=True)["w"].shape == (8,)
        with pytest.raises(DamagedError, match="wrong checksum"):
            checkpoint.load(path)


def test_cut_anywhere_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"w": torch.arange(8.0)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match="not a readable checkpoint"):
            checkpoint.load(path)


def test_equal_states_are_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever process writes them: torch puts the file's name into the file."""
    files = [tmp_path / name / "best.pt" for name in ("a", "b")]
    for path, process in zip(files, (7, 12345), strict=True):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        checkpoint.save(path, {"w": torch.arange(8.0), "epoch": 3})
    assert files[0].read_bytes() == files[1].read_bytes()


FULL = """
import resource, signal, sys, torch
from pathlib import Path
from bench.errors import StoreError
from bench.train import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(Path(sys.argv[1]), {"w": torch.zeros(10**6)})
except StoreError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"best": 1})
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout == (
        f"{path}: cannot be written (File too large): free space or make the folder writable\n"
    )
    assert checkpoint.load(path) == {"best": 1}
    assert len(list(tmp_path.iterdir())) == 1


class Disk:
    """What `RotatingCheckpoint` asks the system for, and how long it takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.now, self.seconds, self.forced = 0.0, seconds, 0
        monkeypatch.setattr(checkpoint.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(os, "fsync", self.force)

    def force(self, _: int) -> None:
        self.now += self.seconds
        self.forced += 1


def epochs_of(*paths: Path) -> list[int | None]:
    return [checkpoint.load(path)["epoch"] if path.exists() else None for path in paths]


def test_the_last_two_are_kept_where_the_disk_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, seconds=0.1)
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    states = RotatingCheckpoint(last, previous)
    for epoch in (1, 2, 3):
        states.save({"epoch": epoch})
        assert epochs_of(last, previous) == [epoch, epoch - 1 or None]
        disk.now += 6.0  # 0.1 s is less than 2% of it
    assert disk.forced == 3


def test_waiting_for_a_slow_disk_takes_two_percent_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has not reached the disk never replaces what has: `previous` is always durable."""
    disk = Disk(monkeypatch, seconds=1.0)
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    states = RotatingCheckpoint(last, previous)
    found = []
    for epoch in range(1, 13):
        states.save({"epoch": epoch})
        found.append(epochs_of(previous)[0])
        disk.now += 10.0
    # forced: 1, then when 50 s have passed: 6 and 11; each becomes previous at the next save
    assert disk.forced == 3
    assert found == [None, 1, 1, 1, 1, 1, 6, 6, 6, 6, 6, 11]


def test_another_process_s_last_is_not_taken_for_durable(tmp_path: Path) -> None:
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    RotatingCheckpoint(last, previous).save({"epoch": 1})
    RotatingCheckpoint(last, previous).save({"epoch": 2})
    assert epochs_of(last, previous) == [2, None]


KILLED = """
import sys, torch
from pathlib import Path
from bench.train.checkpoint import RotatingCheckpoint
folder = Path(sys.argv[1])
states = RotatingCheckpoint(folder / "last.pt", folder / "previous.pt")
for epoch in range(1, 100_000):
    states.save({"epoch": epoch, "w": torch.full((20_000,), float(epoch))})
    print(epoch, flush=True)
"""


def test_killed_at_any_instant_one_state_is_whole(tmp_path: Path) -> None:
    last, previous = tmp_path / "last.pt", tmp_path / "previous.pt"
    for lines in (1, 60):
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        last_written = [int(writer.stdout.readline()) for _ in range(lines)][-1]
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        found = [checkpoint.load(path) for path in (last, previous) if path.exists()]
        assert found[0]["epoch"] >= last_written - 1
        assert all(bool((state["w"] == state["epoch"]).all()) for state in found)


def test_what_is_not_ours_any_more_is_not_put_into_place(tmp_path: Path) -> None:
    def lost() -> None:
        raise StoreError("another process has it")

    path = tmp_path / "best.pt"
    checkpoint.save(path, {"epoch": 1})
    with pytest.raises(StoreError, match="another process"):
        checkpoint.save(path, {"epoch": 2}, check=lost)
    states = RotatingCheckpoint(tmp_path / "last.pt", tmp_path / "previous.pt", lost)
    with pytest.raises(StoreError, match="another process"):
        states.save({"epoch": 2})
    assert checkpoint.load(path)["epoch"] == 1
    assert list(tmp_path.iterdir()) == [path]
