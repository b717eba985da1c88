"""`bench submit`, with an sbatch that only keeps what it was given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bench.cli.app import RaisedError, app
from bench.errors import BenchError
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.slurm import requeue
from bench.slurm.submit import node_local
from bench.states import Failure, Status
from tests.slurm.stand_in import directives

SPEC = """\
experiment: pets
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 2, batch_size: 6}
model: {name: unet, width: 0.05}
seeds: 3
"""
SBATCH = """\
#!/bin/sh
[ "$1" = --parsable ] && cp "$2" {folder}/given.sh && env > {folder}/environment
{end}
"""
PAGE = (Path(__file__).parents[2] / "docs/slurm.md").read_text()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def cluster(folder: Path, monkeypatch: pytest.MonkeyPatch, end: str = "echo '77;main'") -> None:
    """An sbatch on PATH."""
    (folder / "bin").mkdir()
    path = folder / "bin/sbatch"
    path.write_text(SBATCH.format(folder=folder, end=end))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def bench(*words: str) -> None:
    try:
        app(list(words), standalone_mode=False)
    except RaisedError as raised:
        raise raised.error from None


def test_a_dry_run_prints_the_script_and_writes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    bench("submit", "spec.yaml", "train.epochs=3", "--array", "2", "--retries", "5", "--dry-run")
    said = capsys.readouterr()
    assert directives(said.out)["array"] == "0-1"
    words = shlex.split(said.out.splitlines()[-1])
    assert words[words.index("bench") :] == [
        "bench", "run", "spec.yaml", "train.epochs=3", "--results", "results", "--out", "reports",
        "--device", "cuda", "--retries", "5", "--no-wait", "--requeue",
    ]  # fmt: skip
    assert sorted(path.name for path in here.iterdir()) == ["spec.yaml"]


def test_the_script_is_submitted_and_kept(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(here, monkeypatch)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")  # of the job that this is called in
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    bench("submit", "spec.yaml", "--array", "20", "--gpus", "0")
    said = capsys.readouterr()
    assert "Submitted batch job 77 (3 jobs), which `scancel 77` stops." in said.out
    assert "3 trials are left to be run: 3 jobs, not 20." in said.err
    given = (here / "given.sh").read_text()
    assert directives(given)["output"] == f"{here}/results/pets/slurm/%A_%a.log"
    assert "--device cpu" in given
    assert [path.name for path in (here / "results/pets/slurm").iterdir()] == ["77.sh"]
    assert (here / "results/pets/slurm/77.sh").read_text() == given
    environment = (here / "environment").read_text()
    assert "SLURM_CONF=" in environment
    assert "SLURM_CPUS_PER_TASK" not in environment


def test_results_on_a_folder_of_the_node_are_warned_of(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench("submit", "spec.yaml", "--array", "1", "--dry-run", "--results", "/tmp/results")
    assert "Warning: /tmp/results is in /tmp" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_TMPDIR", str(here / "node"))
    assert node_local(here / "node/results") == str(here / "node")
    assert node_local(Path("/home/me/results")) is None


@pytest.mark.usefixtures("here")
def test_a_job_has_as_many_gpus_as_a_trial_has_devices() -> None:
    words = ["submit", "spec.yaml", "train.devices=2", "--array", "1", "--dry-run"]
    with pytest.raises(BenchError, match=r"--gpus 1: train\.devices is 2"):
        bench(*words)
    bench(*words, "--gpus", "2")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("echo 'error: invalid partition specified: x' >&2; exit 1", "refused the job .*partition"),
        ("echo hello", "'hello', and no job's id"),
    ],
)
def test_what_sbatch_refuses(
    here: Path, monkeypatch: pytest.MonkeyPatch, end: str, message: str
) -> None:
    cluster(here, monkeypatch, end)
    with pytest.raises(BenchError, match=message):
        bench("submit", "spec.yaml", "--array", "2")
    assert list((here / "results/pets/slurm").iterdir()) == []


def test_without_sbatch_and_without_a_folder_to_write_to(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BenchError, match=r"sbatch is not on PATH: .*--dry-run"):
        bench("submit", "spec.yaml", "--array", "2")
    cluster(here, monkeypatch)
    (here / "results").write_text("a file")
    with pytest.raises(BenchError, match="--results folder"):
        bench("submit", "spec.yaml", "--array", "2")
    assert not (here / "given.sh").exists()


def test_failed_trials_run_again_where_that_is_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.plan.expand import make_plan
    from bench.spec.load import load_spec

    cluster(here, monkeypatch)
    plan = make_plan(load_spec(Path("spec.yaml")))
    files = [Store(Path("results")).trial("pets", trial.id) for trial in plan.trials]
    for each in files:
        recorder = TrialRecorder(each, plan.select.metric, plan.metrics)
        recorder.stop(Status.FAILED, Failure.DIVERGED, "the loss is nan")
    bench("submit", "spec.yaml", "--array", "2")
    assert "Nothing to submit" in (said := capsys.readouterr()).out
    assert "3 trials failed before: --retry-failed runs them again." in said.err
    TrialRecorder(files[0], plan.select.metric, plan.metrics).stop(Status.INTERRUPTED, None, None)
    bench("submit", "spec.yaml", "--array", "2", "--dry-run")
    assert "1 trial is left to be run: 1 job, not 2." in capsys.readouterr().err
    bench("submit", "spec.yaml", "--array", "2", "--retry-failed")
    assert [each.status().status for each in files] == [Status.INTERRUPTED] * 3
    assert files[1].status().message == "failed before (diverged: the loss is nan)"


@pytest.mark.parametrize(
    ("begin", "progressed", "asked"),
    [(-100, False, True), (-3000, True, True), (-3000, False, False)],
)
def test_a_job_that_gets_nowhere_is_not_put_back(
    here: Path, monkeypatch: pytest.MonkeyPatch, begin: int, progressed: bool, asked: bool
) -> None:
    (here / "scontrol").write_text(f"#!/bin/sh\necho $* > {here}/asked\n")
    (here / "scontrol").chmod(0o755)
    now = int(requeue.time.time())
    for name, value in {
        "PATH": f"{here}:/bin:/usr/bin", "SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "12",
        "SLURM_ARRAY_TASK_ID": "5", "SLURM_JOB_START_TIME": str(now + begin),
        "SLURM_JOB_END_TIME": str(now + 600),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    said: list[str] = []
    requeue.put_back(progressed=progressed, say=said.append)
    assert (here / "asked").exists() == asked, said
    if asked:
        assert (here / "asked").read_text() == "requeue 12_5\n"
    else:
        assert "no epoch of any trial was finished in it. A longer --time helps" in said[0]


def test_where_there_is_no_job_or_no_scontrol_it_is_said(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    requeue.put_back(progressed=True, say=said.append)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("PATH", "/nowhere")
    requeue.put_back(progressed=True, say=said.append)
    assert "this is no Slurm job" in said[0]
    assert "Job 12 goes back" in said[1]
    assert "Job 12 cannot be put back" in said[2]
    assert "`bench submit` again goes on from here" in said[2]


def test_the_guide(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == PAGE.count("```") // 2 == 2
    (here / "experiments").mkdir()
    cluster(here, monkeypatch)
    for block in blocks:
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[:3] == ["python", "-m", "bench"]
            (here / words[4]).write_text(SPEC)
            bench(*words[3:])
    said = capsys.readouterr().out
    assert "Submitted batch job 77" in said
    assert "#SBATCH --constraint=a100|h100" in said
