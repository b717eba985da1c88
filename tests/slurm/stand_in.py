"""A Slurm of one machine: sbatch, srun, scontrol requeue and squeue that start local processes.

`install(folder)` writes the commands; what they know of each other is in the folder. As Slurm does,
it tells the step of a job, and not its script, of the time limit and of preemption; puts a job back
into the queue only if it asked for that; and ends what asked to be requeued by force. A file
`<job>_<number>.late` in its state makes the time of a job nearly over.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

STATE = "STAND_IN_SLURM"


def install(folder: Path) -> dict[str, str]:
    """Write the commands; the environment in which they are found."""
    commands = folder / "bin"
    commands.mkdir(parents=True)
    for name in ("sbatch", "srun", "scontrol", "squeue"):
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -I {__file__} {name} "$@"\n')
        path.chmod(0o755)
    state = folder / "state"
    state.mkdir()
    return {
        "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
        STATE: str(state),
    }


def state() -> Path:
    return Path(os.environ[STATE])


def sbatch(words: list[str]) -> int:
    """Start a process that serves the array, and say the job's id."""
    assert words[0] == "--parsable"
    script = Path(words[1]).read_text()
    job = 1000 + len(list(state().glob("*.script")))
    (state() / f"{job}.script").write_text(script)
    with (state() / f"{job}.served").open("wb") as said:
        subprocess.Popen(
            [sys.executable, "-I", __file__, "serve", str(job)],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    print(f"{job};stand-in")
    return 0


class Task:
    """One job of an array."""

    def __init__(self, job: int, number: int, options: dict[str, str]) -> None:
        self.job, self.number, self.options = job, number, options
        self.restarts, self.told = 0, False
        self.process: subprocess.Popen[bytes] | None = None
        self.save("PENDING")

    @property
    def name(self) -> str:
        return f"{self.job}_{self.number}"

    def save(self, status: str, code: int | None = None) -> None:
        pid = None if self.process is None else self.process.pid
        record = {"state": status, "pid": pid, "restarts": self.restarts, "code": code}
        path = state() / f"{self.name}.new"
        path.write_text(json.dumps(record))
        path.replace(state() / f"{self.name}.json")
        self.status = status

    def start(self) -> None:
        begin, seconds = time.time(), slurm_seconds(self.options.get("time"))
        self.begin, self.told = begin, False
        self.end = begin + seconds
        environment = os.environ | {
            "SLURM_JOB_ID": str(self.job if self.number == 0 else self.job + 500 + self.number),
            "SLURM_ARRAY_JOB_ID": str(self.job),
            "SLURM_ARRAY_TASK_ID": str(self.number),
            "SLURM_RESTART_COUNT": str(self.restarts),
            "SLURM_JOB_START_TIME": str(int(begin)),
            "SLURM_JOB_END_TIME": str(int(self.end)),
        }
        log = self.options["output"].replace("%A", str(self.job)).replace("%a", str(self.number))
        with Path(log.replace("%%", "%")).open("ab") as said:
            self.process = subprocess.Popen(
                ["/bin/bash", str(state() / f"{self.job}.script")],
                cwd=self.options["chdir"], env=environment, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        self.save("RUNNING")

    def look(self) -> None:
        """Whatever is due."""
        if self.status == "PENDING":
            self.start()
        if self.status != "RUNNING" or self.process is None:
            return
        lead = float(self.options["signal"].partition("@")[2])
        late = state() / f"{self.name}.late"
        if late.exists():
            late.unlink()
            self.end = time.time() + lead
        if time.time() > self.end - lead and not self.told:
            self.told = True
            assert self.options["signal"].startswith("TERM@")
            signal_step(self.name, signal.SIGTERM)
        asked = state() / f"{self.name}.requeue"
        if asked.exists():
            asked.unlink()
            kill(self.process.pid)
            self.process.wait()
            self.restarts += 1
            self.save("PENDING")
        elif time.time() > self.end:
            kill(self.process.pid)
            self.process.wait()
            self.save("TIMEOUT")
        elif (code := self.process.poll()) is not None:
            self.save("COMPLETED" if code == 0 else "FAILED", code)


def serve(words: list[str]) -> int:
    """Run an array's jobs until none is left."""
    job = int(words[0])
    options = directives((state() / f"{job}.script").read_text())
    first, last = map(int, options["array"].partition("%")[0].split("-"))
    tasks = [Task(job, number, options) for number in range(first, last + 1)]
    while any(task.status in ("PENDING", "RUNNING") for task in tasks):
        for task in tasks:
            task.look()
        time.sleep(0.05)
    return 0


def directives(script: str) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, re.MULTILINE)
    return {name: value.strip('"') for name, value in found}


def slurm_seconds(text: str | None) -> float:
    if text is None:
        return 1e6
    days, _, clock = text.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return 86400 * int(days or 0) + 3600 * hours + 60 * minutes + seconds


def srun(words: list[str]) -> int:
    """The step: a process of its own, whose exit code is srun's."""
    command = words[next(k for k, word in enumerate(words) if not word.startswith("--")) :]
    process = subprocess.Popen(command)
    name = "_".join(os.environ[f"SLURM_ARRAY_{part}_ID"] for part in ("JOB", "TASK"))
    (state() / f"{name}.step").write_text(str(process.pid))
    return process.wait()


def signal_step(name: str, number: signal.Signals) -> None:
    """A signal to all processes of a job's step, as preemption sends it."""
    path = state() / f"{name}.step"
    with suppress(psutil.Error, FileNotFoundError):
        step = psutil.Process(int(path.read_text()))
        for process in [step, *step.children(recursive=True)]:
            with suppress(psutil.Error):
                process.send_signal(number)


def kill(pid: int) -> None:
    """End all processes of a job at once."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def scontrol(words: list[str]) -> int:
    action, name = words
    if action != "requeue" or not (state() / f"{name}.json").exists():
        print(f"Invalid job id specified for job {name}", file=sys.stderr)
        return 1
    (state() / f"{name}.requeue").touch()
    return 0


def squeue(_: list[str]) -> int:
    for name, record in tasks(state()).items():
        if record["state"] in ("PENDING", "RUNNING"):
            print(name, record["state"])
    return 0


def tasks(folder: Path) -> dict[str, dict[str, object]]:
    """The jobs by name, as `state`, `pid`, `restarts` and exit `code`."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*_*.json"))}


if __name__ == "__main__":
    commands = {"sbatch": sbatch, "serve": serve, "srun": srun, "scontrol": scontrol}
    sys.exit((commands | {"squeue": squeue})[sys.argv[1]](sys.argv[2:]))
