"""CPU seconds of commands that train nothing, or one trivial trial, against an earlier commit.

`PYTHONPATH=. python tests/benchmarks/starting.py --before COMMIT`. A finished study of 1,920 trials
of 100 epochs is made up once; `run` finds nothing to do there, once without and twice with what it
keeps of the first time. `plan` has 20,000 trials. A fresh `run` trains one epoch of one trivial
trial into an empty folder, to its report. Both programs take turns; figures are medians of user and
system time, since a busy machine stretches wall time.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.benchmarks.studies import write_spec
from tests.benchmarks.timing import Line, every_round, table

_ADOPT_ORPHANS = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)."""
ROOT = Path(__file__).resolve().parents[2]
TRIVIAL = """
experiment: trivial
task: segmentation
data: {name: shapes, train: 8, val: 4, test: 4, image_size: 32}
model: {name: unet, width: 0.0625}
train: {epochs: 1, batch_size: 4}
machine: {device: cpu, threads: 1}
"""


def cpu(program: Path, folder: Path, *arguments: str) -> float:
    """User and system seconds of a command and of all processes that it has started."""
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)  # the fork server outlives the command
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(program), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
    with suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fresh(program: Path, folder: Path) -> float:
    """`run` of one trivial trial into an empty folder."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        (Path(place) / "trivial.yaml").write_text(TRIVIAL)
        return cpu(program, Path(place), "run", "trivial.yaml")


def nothing(program: Path, folder: Path, *, cold: bool) -> float:
    """`run` of a finished study; `cold`: without what an earlier call has kept."""
    if cold:
        (folder / "results" / "many" / ".confirmed.json").unlink(missing_ok=True)
    return cpu(program, folder, "run", "many.yaml")


def study(program: Path, folder: Path, trials: int) -> Path:
    """A finished study of a program's own, whose ids another version's may not be, and its report.

    The report's page is only touched: what making it takes is not what is measured.
    """
    environment = os.environ | {"PYTHONPATH": f"{program}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.benchmarks.studies", str(folder), str(trials)]
    subprocess.run(command, cwd=folder.parent, env=environment, check=True)
    page = folder / "reports" / "many" / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    return folder


def checkout(commit: str, folder: Path) -> Path:
    """The program as it was."""
    archive = subprocess.run(
        ["git", "archive", commit, "bench"], cwd=ROOT, capture_output=True, check=True
    )
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=1920, help="finished ones")
    parser.add_argument("--planned", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planned = folder / "planned"
        write_spec(planned, options.planned)
        programs = {"now": ROOT}
        if options.before:
            programs["before"] = checkout(options.before, folder / "before")
        runs: dict[str, Callable[[], float]] = {}
        for when, program in programs.items():
            finished = study(program, folder / f"finished {when}", options.trials)
            runs |= {
                f"run, {options.trials} finished, first, {when}": partial(
                    nothing, program, finished, cold=True
                ),
                f"run, {options.trials} finished, again, {when}": partial(
                    nothing, program, finished, cold=False
                ),
                f"plan, {options.planned} trials, {when}": partial(
                    cpu, program, planned, "plan", "many.yaml"
                ),
                f"run, one fresh trial, {when}": partial(fresh, program, folder),
            }
        found = {
            name: sorted(taken)[len(taken) // 2]
            for name, taken in every_round(runs, options.rounds, warmup=0).items()
        }
    print(f"CPU seconds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    table(
        Line(name, f"{taken:.2f} s", taken / found[name.replace("now", "before")])
        if options.before
        else Line(name, f"{taken:.2f} s")
        for name, taken in found.items()
    )


if __name__ == "__main__":
    main()
