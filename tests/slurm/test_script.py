"""The script of an array, and what is refused before there is one."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.slurm.options import SlurmOptions, parse_array, parse_gpus, parse_time, slurm_time
from bench.slurm.script import job_script
from tests.slurm.stand_in import directives

OPTIONS = SlurmOptions(parse_array("20%4"), 2, "a100", 4 * 3600.0)
COMMAND = ["python", "-m", "bench", "run", "my spec.yaml", "x='y'"]


def script(options: SlurmOptions = OPTIONS, logs: str = "/share/results/pets/slurm") -> str:
    return job_script("pets", options, COMMAND, folder=Path("/share"), logs=Path(logs))


def test_what_a_job_asks_for() -> None:
    found = directives(script(replace(OPTIONS, named=(("mem", "32G"),), extra=("--exclusive",))))
    assert found == {
        "job-name": "pets", "array": "0-19%4", "nodes": "1", "ntasks": "1",
        "gres": "gpu:a100:2", "time": "04:00:00", "mem": "32G", "signal": "TERM@180",
        "requeue": "", "open-mode": "append", "chdir": "/share",
        "output": "/share/results/pets/slurm/%A_%a.log", "exclusive": "",
    }  # fmt: skip


def test_without_gpus_and_time_limit_neither_is_asked_for() -> None:
    found = directives(script(SlurmOptions(parse_array("1"), 0)))
    assert found["array"] == "0-0"
    assert not {"gres", "time"} & found.keys()


def test_the_command_arrives_as_it_was_written() -> None:
    (line,) = [line for line in script().splitlines() if line.startswith("srun")]
    assert shlex.split(line) == ["srun", "--ntasks=1", *COMMAND]
    (line,) = [
        line
        for line in script(replace(OPTIONS, named=(("cpus-per-task", "8"),))).splitlines()
        if line.startswith("srun")
    ]
    assert shlex.split(line) == ["srun", "--ntasks=1", "--cpus-per-task=8", *COMMAND]


def test_a_node_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    text = script(logs=f'{tmp_path}/a "$HOME" folder'.replace('"', "'"))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"does not see {tmp_path}/a '$HOME' folder: --results must be" in done.stderr


def test_setup_comes_before_training() -> None:
    lines = script(replace(OPTIONS, setup=("module load cuda", "export A=1"))).splitlines()
    assert lines.index("module load cuda") < lines.index("export A=1")
    assert lines[-1].startswith("srun")


def test_paths_with_spaces_are_quoted_and_percent_signs_are_no_patterns() -> None:
    found = script(logs="/share/my results/100%/slurm")
    assert '#SBATCH --output="/share/my results/100%%/slurm/%A_%a.log"' in found
    with pytest.raises(BenchError, match="no quotes"):
        script(logs='/share/"x"')


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4h", 14400), ("90", 90), ("04:00:00", 14400), ("1-12:00:00", 129600), ("1-12:00", 129600),
     ("10:30", 630)],
)  # fmt: skip
def test_times_as_bench_and_as_slurm_spell_them(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds
    assert parse_time(slurm_time(seconds)) == seconds


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_array("0"), "--array 0: write how many jobs"),
        (lambda: parse_array("0-3"), "--array 0-3"),
        (lambda: parse_gpus("two"), "--gpus two"),
        (lambda: parse_time("4 hours"), "--time 4 hours"),
        (lambda: parse_time("0"), "--time 0"),
        (lambda: replace(OPTIONS, seconds=300.0), "twice --stop-before"),
        (lambda: replace(OPTIONS, stop_before=10.0), "--stop-before 10s"),
        (lambda: replace(OPTIONS, extra=("mail-type=END",)), "--sbatch 'mail-type=END'"),
        (lambda: replace(OPTIONS, extra=("--a\n#SBATCH --b",)), "--sbatch"),
        (lambda: replace(OPTIONS, extra=("--output=x",)), "--output=x: is set by bench submit"),
        (lambda: replace(OPTIONS, extra=("--signal=USR1@60",)), "--stop-before"),
        (lambda: replace(OPTIONS, named=(("mem", "1G\n#SBATCH --x"),)), "--mem"),
        (lambda: replace(OPTIONS, setup=("a\nb",)), "--setup"),
    ],
)
def test_what_the_cluster_would_refuse_hours_later(call: object, message: str) -> None:
    with pytest.raises(BenchError, match=message.replace("(", r"\(")):
        call()  # type: ignore[operator]
