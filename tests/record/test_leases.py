"""Who may work on what, without locks, without clocks that agree, and with processes that die."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BenchError, StoreError
from bench.record.leases import Lease, Leases, LostLeaseError, holders
from bench.record.owners import Owner

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".leases"


def claimed(leases: Leases, name: str = "a") -> Lease:
    found = leases.claim(name)
    assert isinstance(found, Lease)
    return found


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def leave_behind(folder: Path, **changes: object) -> Owner:
    """A lease on `a` and a card of an owner elsewhere who says nothing from now on."""
    facts: dict[str, object] = {"machine_id": "elsewhere", "host": "far", "pid": 7, "expiry": 0.4}
    owner = replace(Owner.here(60), **(facts | changes))  # type: ignore[arg-type]
    for path in (folder / "runs" / owner.token, folder / "a" / "0"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(owner.record()))
    return owner


def test_one_has_it_until_it_is_given_back(folder: Path) -> None:
    with Leases(folder) as ours, Leases(folder) as theirs:
        lease = claimed(ours)
        assert theirs.claim("a") == ours.owner
        assert isinstance(theirs.claim("b"), Lease)  # another thing is free
        assert lease.held()
        lease.check()
        assert pickle.loads(pickle.dumps(lease)) == lease
        assert ours.release(lease)
        assert not lease.held()
        again = claimed(theirs)
        assert again.generation == lease.generation + 1
        with pytest.raises(LostLeaseError, match="a: another process has taken over"):
            lease.check()
        assert ours.others() == [theirs.owner]
    assert holders(folder) == {}
    assert list((folder / "runs").iterdir()) == []


def test_leaving_gives_everything_back(folder: Path) -> None:
    with Leases(folder) as ours:
        claimed(ours, "a")
        claimed(ours, "b")
        assert holders(folder).keys() == {"a", "b"}
    with Leases(folder) as others:
        assert others.others() == []
        claimed(others, "a")


def test_few_files_are_left_and_no_number_comes_twice(folder: Path) -> None:
    with Leases(folder) as ours:
        for generation in range(6):
            lease = claimed(ours)
            assert lease.generation == generation
            ours.release(lease)
    assert sorted(path.name for path in (folder / "a").iterdir()) == ["4", "5"]


def test_who_looked_long_ago_does_not_take_a_number_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and creating, others took the lease, gave it back, and tidied up."""
    with Leases(folder) as ours, Leases(folder) as theirs:
        ours.release(claimed(ours))
        looks = Leases._create
        times = []

        def late(self: Leases, lease: Lease) -> bool:
            if not times:
                times.append(lease.generation)
                for _ in range(3):
                    theirs.release(claimed(theirs))
            return looks(self, lease)

        monkeypatch.setattr(Leases, "_create", late)
        lease = claimed(ours)
        assert times == [1]
        assert lease.generation == 4
        assert lease.held()


HOLD = """
import sys, time
from pathlib import Path
from bench.record.leases import Leases
leases = Leases(Path(sys.argv[1]), float(sys.argv[2]))
leases.__enter__()
lease = leases.claim("a")
print("held", flush=True)
while sys.stdin.readline():
    print(lease.held(), flush=True)
"""


def holder(folder: Path, expiry: float = 60) -> subprocess.Popen[str]:
    """Another process that holds `a`, and says on each line whether it still does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(expiry)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_killed_process_is_dead_at_once_even_unburied(folder: Path) -> None:
    process = holder(folder)
    with Leases(folder) as ours:
        found = ours.claim("a")
        assert str(found).startswith(f"process {process.pid} on ")
        assert holders(folder).keys() == {"a"}
        process.kill()
        until(lambda: isinstance(ours.claim("a"), Lease), 20)  # nobody has waited for it: a zombie
        process.communicate()
    with Leases(folder):
        assert len(list((folder / "runs").iterdir())) == 1  # its card is gone, too


def test_another_process_with_the_same_number_is_another_process(folder: Path) -> None:
    here = Owner.here(60)
    assert not here.is_dead()
    assert here.process_start is not None
    leave_behind(
        folder, machine_id=here.machine_id, pid=here.pid, process_start=here.process_start - 1
    )
    with Leases(folder) as ours:
        claimed(ours)


def test_a_number_means_nothing_elsewhere(folder: Path) -> None:
    """In another container, or on another machine of the same name, it is another process."""
    owner = leave_behind(folder, pid=2**22, expiry=60)
    assert not owner.is_dead()
    with Leases(folder) as ours:
        assert ours.claim("a") == owner


def test_a_stopped_process_loses_its_lease_and_knows_it_when_woken(folder: Path) -> None:
    process = holder(folder, expiry=0.6)
    assert says(process) == "True"
    process.send_signal(signal.SIGSTOP)
    with Leases(folder, 0.6) as ours:
        assert isinstance(ours.claim("a"), Owner)
        until(lambda: isinstance(ours.claim("a"), Lease))
        process.send_signal(signal.SIGCONT)
        assert says(process) == "False"
        until(lambda: len(ours.others()) == 1)  # it lives, and may take others
    process.kill()
    process.communicate()


def test_a_living_process_keeps_its_lease_for_much_longer_than_its_expiry(folder: Path) -> None:
    process = holder(folder, expiry=1.5)  # not less: the machine may be busy
    with Leases(folder, 1.5) as ours:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert isinstance(ours.claim("a"), Owner)
            time.sleep(0.02)
    assert says(process) == "True"
    process.kill()
    process.communicate()


def test_silence_from_elsewhere_is_death_after_its_expiry(folder: Path) -> None:
    owner = leave_behind(folder)
    with Leases(folder, 0.4) as ours:
        start = time.monotonic()
        assert ours.claim("a") == owner
        until(lambda: isinstance(ours.claim("a"), Lease))
        assert time.monotonic() - start >= 0.4
        assert ours.others() == []


@pytest.mark.parametrize("offset", [-1e7, 1e7])
def test_clocks_that_jump_or_differ_do_no_harm(
    folder: Path, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat is a change, to whatever time."""
    owner = leave_behind(folder)
    card = folder / "runs" / owner.token
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with Leases(folder, 0.4) as ours:
        for beat in range(20):
            os.utime(card, (1e9 + offset + beat, 1e9 + offset - 3 * beat))
            assert ours.claim("a") == owner
            time.sleep(0.04)


def test_time_in_which_nobody_looked_is_no_silence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine slept for an hour, and the other one has not beaten yet since we woke."""
    owner = leave_behind(folder, expiry=10)
    leases = Leases(folder, 10)  # not entered: nothing but ourselves looks
    (folder / "runs").mkdir(exist_ok=True)
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    for passed in (1, 1, 3600):
        assert leases.claim("a") == owner
        clock += passed
    assert leases.claim("a") == owner
    looks = 0
    while leases.claim("a") == owner:
        clock += 1
        looks += 1
    assert 4 <= looks <= 9


def test_created_by_a_process_that_died_before_it_could_sign(folder: Path) -> None:
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "0").touch()
    with Leases(folder, 0.4) as ours:
        assert isinstance(ours.claim("a"), Owner)
        until(lambda: isinstance(ours.claim("a"), Lease))


def test_of_many_threads_one_takes_over(folder: Path) -> None:
    leave_behind(folder, machine_id=Owner.here(60).machine_id, process_start=-1.0)
    runs = [Leases(folder) for _ in range(16)]
    start = threading.Barrier(len(runs))

    def take(leases: Leases) -> list[Lease | Owner]:
        start.wait()
        return [leases.claim(name) for name in ("a", "b", "c", "d")]

    for leases in runs:
        leases.__enter__()
    with ThreadPoolExecutor(len(runs)) as pool:
        found = list(pool.map(take, runs))
    for column in zip(*found, strict=True):
        assert sum(isinstance(one, Lease) for one in column) == 1
    for leases in runs:
        leases.__exit__(None, None, None)


RACE = """
import sys
from pathlib import Path
from bench.record.leases import Lease, Leases
won = []
with Leases(Path(sys.argv[1])) as leases:
    print("ready", flush=True)
    sys.stdin.readline()
    for name in range(200):
        if isinstance(leases.claim(f"t{name}"), Lease):
            won.append(name)
    print(*won, flush=True)
    sys.stdin.readline()
"""


def test_of_several_processes_one_takes_each(folder: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    won = [*map(int, " ".join(says(process) for process in processes).split())]
    assert sorted(won) == list(range(200))
    for process in processes:
        process.communicate("\n")


def test_waiting_for_one(folder: Path) -> None:
    reported: list[Owner] = []
    with Leases(folder) as ours, Leases(folder) as theirs:
        lease = claimed(theirs)
        with pytest.raises(TimeoutError, match="a is held by process"), ours.hold("a", timeout=0.1):
            pass
        threading.Timer(0.2, theirs.release, [lease]).start()
        with ours.hold("a", reported.append, timeout=10):
            assert isinstance(theirs.claim("a"), Owner)
        assert reported == [theirs.owner]
        claimed(theirs)


def test_certain_others_are_those_who_give_a_sign(folder: Path) -> None:
    silent, near = leave_behind(folder), holder(folder)
    with Leases(folder, 0.6) as ours:
        assert silent in ours.others()
        (certain,) = ours.certain_others()
        assert certain.pid == near.pid
    near.kill()
    near.communicate()


def test_at_one_look_from_another_machine(folder: Path) -> None:
    owner = leave_behind(folder)
    assert holders(folder).keys() == {"a"}
    long_ago = time.time() - 100
    os.utime(folder / "runs" / owner.token, (long_ago, long_ago))
    assert holders(folder) == {}
    assert holders(folder / "nowhere") == {}


def test_a_card_that_somebody_tidied_up_is_written_again(folder: Path) -> None:
    with Leases(folder, 0.3) as ours:
        card = folder / "runs" / ours.owner.token
        card.unlink()
        until(card.exists)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with (
        pytest.raises(StoreError, match="choose another --results folder"),
        Leases(tmp_path / "results" / ".leases"),
    ):
        pass


def test_expiry_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_LEASE_SECONDS", "7.5")
    assert Leases(folder).owner.expiry == 7.5
    for wrong in ("soon", "0", "-1", "inf", "nan"):
        monkeypatch.setenv("BENCH_LEASE_SECONDS", wrong)
        with pytest.raises(BenchError, match="above 0"):
            Leases(folder)


@pytest.mark.parametrize("change", [{"expiry": None}, {"pid": "7"}, {"host": 1}, {"token": []}])
def test_a_card_that_says_nothing_we_know_is_nobodys(change: dict[str, object]) -> None:
    assert Owner.read(Owner.here(60).record() | change) is None


def test_a_foreign_card_does_not_silence_us(folder: Path) -> None:
    other = leave_behind(folder)
    card = folder / "runs" / other.token
    card.write_text(json.dumps(other.record() | {"expiry": None}))
    with Leases(folder) as ours:
        assert isinstance(ours.claim("b"), Lease)
        assert ours.others() == []
