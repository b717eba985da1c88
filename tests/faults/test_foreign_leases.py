"""`.leases` from somebody else: nothing is written elsewhere, nobody is waited for by a trick."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.errors import StoreError
from bench.record.leases import Lease, Leases, holders
from bench.record.owners import Owner


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the user's, with files whose names are numbers."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for number in range(5):
        (folder / str(number)).write_text("mine")
    return folder


def is_untouched(folder: Path) -> bool:
    return {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        map(str, range(5)), "mine"
    )


@pytest.mark.parametrize("part", ["", "runs", "trial"])
def test_leases_are_not_taken_through_a_link(tmp_path: Path, elsewhere: Path, part: str) -> None:
    folder = tmp_path / "results" / ".leases"
    folder.parent.mkdir()
    if part:
        folder.mkdir()
    (folder / part).symlink_to(elsewhere)

    def claim() -> None:
        with Leases(folder, expiry=0.2) as leases:
            leases.claim("trial")

    with pytest.raises(StoreError, match="is a link that leads out of"):
        claim()
    assert is_untouched(elsewhere)


def in_time(work: Any) -> Any:
    """What `work` gives; fails where it waits for ever."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "waits for ever"
    return found[0]


def signed(folder: Path, **changes: Any) -> None:
    """Somebody else's lease on `trial`."""
    owner = Owner("a" * 32, 1, "host", "another place", None, "2026-01-01T00:00:00Z", 0.2)
    (folder / "trial").mkdir(parents=True)
    (folder / "runs").mkdir()
    (folder / "trial" / "0").write_text(json.dumps(owner.record() | changes) + "\n")


def test_a_heartbeat_file_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / ".leases"
    signed(folder)
    os.mkfifo(folder / "runs" / ("a" * 32))

    def work() -> object:
        assert holders(folder) == {}
        with Leases(folder, expiry=0.2) as leases:
            while not isinstance(found := leases.claim("trial"), Lease):
                pass
            return found

    assert in_time(work)


@pytest.mark.parametrize("token", ["../../{name}", "{path}", "../trial/0", "a\nb", "."])
def test_a_token_that_leads_elsewhere_is_nobody_s(tmp_path: Path, token: str) -> None:
    """It is a file's name: another file's times would say who is alive, and dead ones' go."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    folder = tmp_path / "results" / ".leases"
    signed(folder, token=token.format(name=fifo.name, path=fifo))
    assert in_time(lambda: holders(folder)) == {}

    def work() -> object:
        with Leases(folder, expiry=0.2) as leases:
            while not isinstance(found := leases.claim("trial"), Lease):
                pass
            return found

    assert in_time(work)
    assert fifo.exists()


def test_a_copied_folder_s_leases_are_free_at_once_or_after_their_time(tmp_path: Path) -> None:
    """A killed run's folder, copied to another machine: its heartbeat does not change any more."""
    folder = tmp_path / ".leases"
    signed(folder)
    (folder / "runs" / ("a" * 32)).write_text("{}")
    shutil.copytree(folder, tmp_path / "copied" / ".leases")
    copied = tmp_path / "copied" / ".leases"
    with Leases(copied, expiry=0.2) as leases, leases.hold("trial", timeout=20):
        assert holders(copied).keys() == {"trial"}
