"""Several processes with one study: every trial once, and nothing lost with a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.search.storages import open_storage
from tests.search import postgres

ROOT = Path(__file__).parents[2]
TRIALS, EPOCHS = 6, 3


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    if (reason := postgres.missing()) is not None:
        pytest.skip(reason)
    # pytest's own folders may be closed to the server's user
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with postgres.server(Path(folder) / "server") as url:
            yield url


def start(folder: Path, storage: str, *hangs: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.sharer", str(folder), storage, str(TRIALS), *hangs],
        cwd=ROOT, env=os.environ | {"BENCH_LEASE_SECONDS": "5"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def to_the_end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What else it prints; `communicate` would lose lines that a `readline` has buffered."""
    assert process.stdout is not None
    assert process.stderr is not None
    printed = process.stdout.read(), process.stderr.read()
    process.wait(timeout=120)
    return printed


def epochs(printed: str) -> list[tuple[str, int]]:
    """What was trained: ids and epochs."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("[")]
    return [(trial, epoch) for trial, epoch in lines]


def check(folder: Path, storage: str) -> dict[str, Any]:
    """The study has what was asked for, each point once; gives search.json."""
    study_storage = open_storage(storage, folder / "results")
    study = optuna.load_study(study_name="made", storage=study_storage.storage)
    assert [trial.number for trial in study.trials] == list(range(TRIALS))
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    ids = [name for trial in study.trials for name in trial.user_attrs["bench:trials"]]
    assert len(set(ids)) == TRIALS
    record: dict[str, Any] = json.loads((folder / "results/made/search.json").read_text())
    assert [trial["number"] for trial in record["trials"]] == list(range(TRIALS))
    assert len(record["confirmations"][0]["confirmed"]) == 2
    return record


def test_two_processes_on_a_journal(tmp_path: Path) -> None:
    both = [start(tmp_path, "journal") for _ in range(2)]
    printed = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    did = Counter(epoch for out, _ in printed for epoch in epochs(out))
    assert set(did.values()) == {1}
    assert len(did) == (TRIALS + 2) * EPOCHS
    check(tmp_path, "journal")


def test_two_machines_on_postgresql_and_a_process_that_is_killed(
    tmp_path: Path, database: str
) -> None:
    """Two processes share a folder, one of them dies; a third one has a folder of its own."""
    here, there = tmp_path / "here", tmp_path / "there"
    victim = start(here, database, str(EPOCHS + 1))  # in the midst of its second point
    assert victim.stdout is not None
    seen = [victim.stdout.readline() for _ in range(EPOCHS + 1)]
    near, far = start(here, database), start(there, database)
    assert near.stdout is not None
    seen.append(near.stdout.readline())  # both are in the study
    victim.kill()
    rest = victim.stdout.read()
    assert victim.wait() != 0
    output = [to_the_end(process) for process in (near, far)]
    assert [near.returncode, far.returncode] == [0, 0], output
    records = [check(folder, database) for folder in (here, there)]
    assert records[0]["trials"] == records[1]["trials"]
    assert any(f"process {victim.pid} on " in errors for _, errors in output)
    out = "".join(["".join(seen), rest, *(out for out, _ in output)])
    did = Counter(epoch for epoch in epochs(out) if "-s0-" in epoch[0])
    assert len(did) == TRIALS * EPOCHS
    assert sum(did.values()) <= len(did) + EPOCHS  # at most the point that was cut, elsewhere
    written = [path for path in tmp_path.rglob("results/**/*") if path.is_file()]
    assert written
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
