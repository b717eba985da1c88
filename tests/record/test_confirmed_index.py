"""The cache of records that were found whole: it never answers for a record that has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import UnconfirmedError
from bench.plan.trial import digest
from bench.record import confirmed_index as module
from bench.record.confirmed_index import ConfirmedIndex, fingerprint
from bench.record.store import Store, TrialFiles
from bench.states import Status
from tests.builders.experiments import SPEC, build

SMALL = SPEC.replace("seeds: 3", "seeds: 1")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(module, "SETTLED_NS", 0)
    return build(tmp_path, SMALL)[0]


def index(store: Store) -> ConfirmedIndex:
    return ConfirmedIndex(store.experiment("built"))


def look(store: Store) -> ConfirmedIndex:
    found = index(store)
    for files in store.trials("built"):
        assert found.verified_status(files).status is Status.DONE
    found.save()
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trials whose records are read."""
    seen: list[str] = []
    real = module.verified_status

    def verified_status(files: TrialFiles, *args: object) -> object:
        seen.append(files.id)
        return real(files, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "verified_status", verified_status)
    return seen


def test_a_second_look_reads_nothing(store: Store, reads: list[str]) -> None:
    look(store)
    assert len(reads) == 4
    again = look(store)
    assert len(reads) == 4
    config = store.trials("built")[0].config()
    assert again.data_digest(config["id"]) == digest(config["settings"]["data"])


def rewrite(name: str) -> Callable[[TrialFiles], None]:
    def change(files: TrialFiles) -> None:
        path = files.folder / name
        before = path.stat()
        path.write_bytes(path.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had happened

    return change


@pytest.mark.parametrize(
    "change",
    [rewrite(name) for name in ("config.yaml", "status.json", "history.csv", "summary.json")],
    ids=["config", "status", "history", "summary"],
)
def test_what_was_written_is_read_again(
    store: Store, reads: list[str], change: Callable[[TrialFiles], None]
) -> None:
    look(store)
    files = store.trials("built")[1]
    change(files)
    del reads[:]
    look(store)
    assert reads == [files.id]


def test_an_edit_of_the_same_size_and_time_is_seen(store: Store) -> None:
    look(store)
    files = store.trials("built")[0]
    before = files.history_path.stat()
    text = files.history_path.read_text()
    last = text.rstrip()[-1]
    files.history_path.write_text(f"{text.rstrip()[:-1]}{'1' if last != '1' else '2'}\n")
    os.utime(files.history_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.history_path.stat().st_size == before.st_size
    with pytest.raises(UnconfirmedError):
        index(store).verified_status(files)


def test_a_copy_is_read_again(store: Store, tmp_path: Path, reads: list[str]) -> None:
    """Somebody else's index says nothing, whatever is in it."""
    look(store)
    del reads[:]
    shutil.copytree(store.root, tmp_path / "copied")
    look(Store(tmp_path / "copied"))
    assert len(reads) == 4


def test_exchanged_folders_are_read_again(store: Store) -> None:
    look(store)
    one, other, *_ = store.trials("built")
    one.folder.rename(one.folder.with_name("x"))
    other.folder.rename(one.folder)
    one.folder.with_name("x").rename(other.folder)
    for files in (one, other):
        with pytest.raises(UnconfirmedError):
            index(store).verified_status(files)


def test_another_program_reads_again(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(store)
    monkeypatch.setattr(module, "_program", lambda: "another")
    look(store)
    assert len(reads) == 8


def test_what_was_just_written_is_not_kept(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_NS", 10**12)
    look(store)
    assert fingerprint(store.trials("built")[0]) is None
    assert not (store.experiment("built") / ".confirmed.json").exists()
    look(store)
    assert len(reads) == 8


@pytest.mark.parametrize("content", ["", "{", "[]", '{"trials": 3}', '{"trials": {"x": 1}}'])
def test_a_damaged_index_is_none(store: Store, reads: list[str], content: str) -> None:
    look(store)
    path = store.experiment("built") / ".confirmed.json"
    path.write_text(content)
    look(store)
    assert len(reads) == 8
    assert len(json.loads(path.read_text())["trials"]) == 4


def test_entries_of_another_shape_are_passed_over(store: Store, reads: list[str]) -> None:
    look(store)
    path = store.experiment("built") / ".confirmed.json"
    record = json.loads(path.read_text())
    for entry in (None, 3, "xx", [], ["x"], [None, None], {"0": 1}):
        record["trials"] = dict.fromkeys(record["trials"], entry)
        path.write_text(json.dumps(record))
        look(store)
    assert len(reads) == 4 * 8


def test_a_folder_that_cannot_be_written_is_read_each_time(
    store: Store, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.errors import UnwritableError

    def full(*_args: object) -> None:
        raise UnwritableError("full")

    monkeypatch.setattr(module, "write_text", full)
    look(store)
    look(store)
    assert len(reads) == 8


def test_what_is_not_finished_is_read_each_time(store: Store, reads: list[str]) -> None:
    files = store.trials("built")[0]
    status = files.status()
    files.write_status(type(status)(Status.INTERRUPTED))
    found = index(store)
    for _ in range(2):
        assert found.verified_status(files).status is Status.INTERRUPTED
    assert found.data_digest(files.id) is None
