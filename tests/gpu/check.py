"""Everything that needs a GPU, in order of value, as JSON lines.

    python -m tests.gpu.check [--device cuda|cpu] [--budget 400] [--out FILE] [--only PART,…]

Each part is a process of its own with a time limit, so that one that fails or hangs loses no other.
Parts about right results run side by side, then those that measure one by one. `--device cpu` does
the same at small sizes, to see that the check itself works. See docs/gpu.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

AT_ONCE = 6
SLOWER_ON_A_CPU = 12
_PRINTING = threading.Lock()


class Part(NamedTuple):
    """Where a part's function is, how long it may take on a GPU, whether it measures time."""

    module: str
    seconds: int
    alone: bool


PARTS = {
    "environment": Part("environment", 60, alone=False),
    "graphs": Part("correctness", 90, alone=False),
    "resumed": Part("correctness", 90, alone=False),
    "deterministic": Part("correctness", 90, alone=False),
    "waits": Part("correctness", 90, alone=False),
    "suite": Part("speed", 240, alone=False),
    "many": Part("runs", 120, alone=False),
    "steps": Part("speed", 90, alone=True),
    "augmented": Part("speed", 30, alone=True),
    "lightning": Part("speed", 150, alone=True),
    "memory": Part("runs", 90, alone=True),
    "checkpoints": Part("speed", 30, alone=True),
    "compiled": Part("speed", 300, alone=True),
}


class Run:
    """One run of the check: what is printed, and when it has to end."""

    def __init__(self, device: str, budget: float, out: Path | None) -> None:
        self.device, self.out = device, out
        self.end = time.monotonic() + budget
        self.cache = tempfile.mkdtemp()

    def tell(self, line: str) -> None:
        """Print a line, and keep it in the file that was asked for."""
        with _PRINTING:
            print(line, flush=True)
            if self.out is not None:
                with self.out.open("a") as file:
                    file.write(line + "\n")

    def part(self, name: str) -> None:
        """Run a part in a process of its own."""
        slower = SLOWER_ON_A_CPU if self.device == "cpu" else 1
        limit = min(PARTS[name].seconds * slower, self.end - time.monotonic())
        if limit <= 0:
            self.tell(json.dumps({"part": name, "left_out": "no time"}))
            return
        command = [sys.executable, "-m", "tests.gpu.check", "--part", name, "--device", self.device]
        environment = {"BENCH_CACHE": self.cache, "NO_ALBUMENTATIONS_UPDATE": "1", **os.environ}
        begun = time.monotonic()
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, env=environment,
        )  # fmt: skip
        timer = threading.Timer(limit, lambda: os.killpg(child.pid, signal.SIGKILL))
        timer.start()
        rest = self._forwarded(child)
        code = child.wait()
        timer.cancel()
        taken = round(time.monotonic() - begun, 1)
        if code:
            why = "out of time" if code == -signal.SIGKILL else f"ended with {code}"
            self.tell(json.dumps({"part": name, "failed": why, "tail": rest[-12:]}))
        self.tell(json.dumps({"part": name, "took_s": taken}))

    def _forwarded(self, child: subprocess.Popen[str]) -> list[str]:
        """Print the part's JSON lines as they come; the last of its others."""
        rest: list[str] = []
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith('{"part"'):
                self.tell(line.rstrip("\n"))
            else:
                rest = [*rest[-30:], line.rstrip("\n")[:300]]
        return rest


def run(names: Sequence[str], device: str, budget: float, out: Path | None) -> None:
    """All these parts."""
    begun = time.monotonic()
    current = Run(device, budget, out)
    together = [name for name in names if not PARTS[name].alone]
    with ThreadPoolExecutor(AT_ONCE if device == "cuda" else 1) as pool:
        list(pool.map(current.part, together))
    for name in names:
        if PARTS[name].alone:
            current.part(name)
    current.tell(json.dumps({"part": "all", "seconds": round(time.monotonic() - begun, 1)}))


def one(name: str, device: str) -> None:
    """One part, in this process."""
    from tests.gpu.common import Check

    function: Callable[[Check], None]
    function = getattr(importlib.import_module(f"tests.gpu.{PARTS[name].module}"), name)
    function(Check(device))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--budget", type=float, default=400, help="seconds for all parts")
    parser.add_argument("--out", type=Path, help="a file that takes the lines as well")
    parser.add_argument("--only", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        one(given.part, given.device)
        return
    names = given.only.split(",") if given.only else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    run(names, given.device, given.budget, given.out)


if __name__ == "__main__":
    main()
