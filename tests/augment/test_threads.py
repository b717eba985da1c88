"""Samples spread over threads: every job once, the same bits, errors handed on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from bench.augment.threads import run_jobs
from tests.augment.conformance import noise, pipeline, run


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_each_job_is_called_once_where_torch_has_one_thread():
    seen: list[tuple[int, int]] = []
    run_jobs([lambda i=i: seen.append((i, torch.get_num_threads())) for i in range(50)])
    assert sorted(seen) == [(i, 1) for i in range(50)]
    assert torch.get_num_threads() == 3
    others: list[int] = []
    thread = threading.Thread(target=lambda: others.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert others == [3], "threads of others keep their number"


@pytest.mark.usefixtures("three_threads")
def test_jobs_run_at_the_same_time():
    together = threading.Barrier(3, timeout=30)
    run_jobs([together.wait] * 3)  # a single thread would wait for ever


@pytest.mark.usefixtures("three_threads")
def test_an_error_ends_all_and_the_threads_go_on_afterwards():
    def fail() -> None:
        raise IndexError("of a job")

    done: list[int] = []
    with pytest.raises(IndexError, match="of a job"):
        run_jobs([fail, *(lambda: done.append(1) for _ in range(10_000))])
    assert len(done) < 10_000
    run_jobs([lambda: done.clear()] * 4)
    assert not done


def test_a_device_is_fed_by_the_calling_thread():
    names: set[str] = set()
    jobs = [lambda: names.add(threading.current_thread().name)] * 5
    run_jobs(jobs, torch.device("meta"))
    assert names == {threading.current_thread().name}


def test_the_number_of_threads_changes_no_bit():
    images, masks = noise(7, 200, 320)
    pipe = pipeline(
        {"elastic": {"p": 0.6}}, {"rotate": {"p": 0.5}}, {"blur": {"p": 0.5}}, {"noise": {"p": 0.5}}
    )
    before, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(run(pipe, images, masks))
    torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
