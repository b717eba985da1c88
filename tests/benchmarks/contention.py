"""Augmentation next to programs that keep cores busy: threads that wait, and threads that do not.

`PYTHONPATH=. python tests/benchmarks/contention.py --threads 2 --busy 1`. Samples spread over
threads (as trials have it), operators cut over OpenMP's threads (as torch does by itself), and a
single thread take turns; medians. A core that a neighbour takes half of should cost no more than
that half: images per second then hang on how the system shares out its cores, and images per second
of CPU time tell what is lost by waiting. `OMP_WAIT_POLICY=PASSIVE` is what trials are given;
without it OpenMP's threads spin while they wait.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bench.augment import pipeline, resample
from bench.augment.threads import call_on_one_thread
from tests.benchmarks.augmentation import ours, pictures
from tests.benchmarks.timing import Line, alternate, table


def inline(jobs: list[Callable[[], object]], _device: object = None) -> None:
    """Jobs one by one: their operators are cut over OpenMP's threads."""
    for job in jobs:
        job()


def alone(function: Callable[[], object], _device: object = None) -> object:
    """In the calling thread, OpenMP's others helping."""
    return function()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that never rest."""
    command = [sys.executable, "-c", "while True: pass"]
    # a session of their own: Linux shares cores out between sessions first
    neighbours = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", type=int, default=1, help="processes that never rest")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=10, help="in each round")
    given = parser.parse_args()
    augment = ours(*pictures(given.batch, given.size))
    spread = resample.run_jobs
    on_cpu: dict[str, list[float]] = {}

    def run(name: str, threads: int, jobs: Callable[..., None]) -> Callable[[], object]:
        def batches() -> None:
            began = time.process_time()
            torch.set_num_threads(threads)
            resample.run_jobs = pipeline.run_jobs = jobs
            pipeline.call_on_one_thread = call_on_one_thread if jobs is spread else alone
            for _ in range(given.batches):
                augment()
            on_cpu.setdefault(name, []).append(time.process_time() - began)

        return batches

    ways = {
        "one thread": (1, spread),
        f"{given.threads} threads, samples spread": (given.threads, spread),
        f"{given.threads} threads, operators cut": (given.threads, inline),
    }
    runs = {name: run(name, *way) for name, way in ways.items()}
    with busy(given.busy):
        time.sleep(1)
        medians = alternate(runs, given.rounds, warmup=1)
    load, policy = os.getloadavg()[0], os.environ.get("OMP_WAIT_POLICY", "default")
    print(f"{given.busy} busy neighbours, {os.cpu_count()} cores, load {load:.1f}, wait: {policy}")
    one, images = medians["one thread"], given.batch * given.batches
    table(
        Line(
            name,
            f"{images / median:8.1f} images/s, {images / statistics.median(on_cpu[name]):8.1f} per "
            "CPU second",
            median / one,
        )
        for name, median in medians.items()
    )


if __name__ == "__main__":
    main()
