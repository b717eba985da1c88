"""A search whose PostgreSQL server goes away and comes back, or whose spec is mended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.plan.trial import Trial
from tests.builders.searches import Lab, PretendedBackend, bowl
from tests.search import postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    if (missing := postgres.missing()) is not None:
        pytest.skip(missing)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "server") as found:
            yield found


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch, study_storage=None)


def told_of(lab: Lab, words: str) -> list[str]:
    return [line for line in lab.said if words in line]


def test_a_server_that_is_restarted_in_mid_search(lab: Lab, server: postgres.Server) -> None:
    epochs = 0

    def dice(trial: Trial, epoch: int) -> float:
        nonlocal epochs
        epochs += 1
        if epochs in (5, 10):
            server.stop()
            threading.Timer(1.0, server.start).start()
        return bowl(trial, epoch)

    storage = f"search.storage={server.url}"
    code, ran = lab.search(dice, storage, "experiment=restarted", "search.confirm_seeds=1")
    assert code is ExitCode.OK, lab.said
    assert len(ran.log) == len(set(ran.log)) == 7
    record = lab.record("restarted")
    assert [trial["state"] for trial in record["trials"]] == ["complete"] * 6
    assert len(told_of(lab, "Training goes on, but no new points begin")) == 2, lab.said
    assert len(told_of(lab, "is back after")) == 2
    assert not told_of(lab, "hunter2")


def searching(folder: Path, url: str, seconds: str) -> subprocess.Popen[str]:
    """A process with a study of six points; it says each epoch that it has trained."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.sharer", str(folder), url, "6"],
        cwd=ROOT, env=os.environ | {"BENCH_STUDY_SECONDS": seconds},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def trained(printed: str) -> list[tuple[str, int]]:
    return [tuple(json.loads(line)) for line in printed.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("how", ["stays away", "Ctrl-C", "killed"])
def test_the_same_command_goes_on_once_the_server_is_back(
    tmp_path: Path, server: postgres.Server, how: str
) -> None:
    with postgres.database(server, f"goes_on_{how[0].lower()}") as url:
        first = searching(tmp_path, url, "1" if how == "stays away" else "600")
        assert first.stdout is not None
        seen = "".join(first.stdout.readline() for _ in range(5))
        server.stop("immediate")
        try:
            if how != "stays away":
                seen += first.stdout.readline()  # it trains on
                time.sleep(0.5)
                first.send_signal(signal.SIGINT if how == "Ctrl-C" else signal.SIGKILL)
            out, said = first.communicate(timeout=60)
            assert first.returncode == {"killed": -9}.get(how, ExitCode.INTERRUPTED), said
            if how != "killed":  # which says nothing any more
                assert said.count("Training goes on, but no new points begin") == 1, said
            assert "Traceback" not in said
            if how == "stays away":
                (line,) = [line for line in said.splitlines() if line.startswith("Interrupted: ")]
                assert re.search(r"could not be reached for [1-9]\d* s", line), (
                    line
                )  # longer on a busy machine
                assert line.endswith("Once it is back, the same command goes on from here.")
                refused = searching(tmp_path, url, "1")  # nothing is begun without it
                _, output = refused.communicate(timeout=60)
                assert "cannot be used (" in output
            assert "hunter2" not in said
        finally:
            server.start()
        again = searching(tmp_path, url, "600")
        rest, said = again.communicate(timeout=120)
        assert again.returncode == ExitCode.OK, said
        record = json.loads((tmp_path / "results/made/search.json").read_text())
        assert [trial["state"] for trial in record["trials"]] == ["complete"] * 6
        did = Counter(epoch for epoch in trained(seen + out + rest))
        assert len(did) == (6 + 2) * 3
        assert sum(did.values()) <= len(did) + (1 if how == "killed" else 0)  # nothing twice


@pytest.mark.parametrize("storage", ["sqlite", "journal", "postgresql"])
def test_a_search_that_is_refused_leaves_nothing_that_blocks_the_mended_spec(
    lab: Lab, server: postgres.Server, storage: str
) -> None:
    where = f"search.storage={server.url if storage == 'postgresql' else storage}"
    name = f"experiment=refused-{storage}"

    def refuse(*_: object, **__: object) -> None:
        raise BenchError("data.root: not there")

    def refused(*overrides: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PretendedBackend, "prepare", refuse)
            with pytest.raises(BenchError, match=r"data\.root"):
                lab.search(bowl, where, name, *overrides)

    refused()
    refused("search.objectives=[macs, best_val_dice]", "train.epochs=2")
    code, ran = lab.search(bowl, where, name, "train.epochs=4", "search.trials=2")
    assert code is ExitCode.OK
    assert len(ran.log) == 2
    with pytest.raises(BenchError, match="was begun with another search"):  # now it has points
        lab.search(bowl, where, name, "train.epochs=5", "search.trials=2")
