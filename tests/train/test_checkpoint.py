"""Checkpoints hold data only and are never half there."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from bench.errors import StoreError
from bench.train import checkpoint


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
    with pytest.raises(Exception, match="pickle"):
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
