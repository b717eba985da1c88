"""More epochs in the spec: gone on with to the same bits, or trained anew with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.exit_codes import ExitCode
from bench.experiment import longer_trials as module
from bench.experiment import time_forecast
from bench.experiment.longer_trials import LongerTrials, longer_trials, take_over
from bench.measure.duration import Duration
from bench.plan.expand import make_plan
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.spec.load import load_spec
from bench.states import Status
from tests.faults import tiny
from tests.faults.tiny import SPEC, facts, run

SEEDS = 2
SHORT = SPEC.replace("seeds: 4", f"seeds: {SEEDS}").replace("epochs: 3", "epochs: 1")
LONG = SHORT.replace("epochs: 1", "epochs: 2")
DIFFUSION = """\
experiment: tiny
task: {name: diffusion, samples: 2, ddim_steps: 2, ddpm_steps: 2, show_every: 2}
data: {name: shapes, image_size: 32, normalize: symmetric, train: 12, val: 4, test: 4}
train: {epochs: 3, batch_size: 6}
model: {name: ddpm_unet, width: 0.05, attention: false}
machine: {threads: 1, device: cpu}
"""


@pytest.fixture(scope="module")
def shorter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished trials of one epoch with their last states."""
    folder = tmp_path_factory.mktemp("shorter")
    (folder / "spec.yaml").write_text(SHORT)
    run(folder, keep_last=True)
    return folder


@pytest.fixture
def lab(shorter: Path, tmp_path: Path) -> Path:
    """A copy of it, whose spec wants two epochs."""
    shutil.copytree(shorter, tmp_path / "lab")
    (tmp_path / "lab" / "spec.yaml").write_text(LONG)
    return tmp_path / "lab"


def found(folder: Path) -> LongerTrials:
    trials = make_plan(load_spec(folder / "spec.yaml")).trials
    return longer_trials(trials, Store(folder / "results"))


def longest(results: Path) -> TrialFiles:
    return max(tiny.trials(results), key=lambda f: f.config()["settings"]["train"]["epochs"])


def record(results: Path) -> dict[str, Any]:
    """All that is known of the longest trial, and its pictures."""
    files = longest(results)
    pictures = {path.name: path.read_bytes() for path in files.samples.glob("*.png")}
    scores = {path.name: path.read_bytes() for path in files.scores.iterdir()}
    return {"facts": facts(results)[files.id], "pictures": pictures, "scores": scores}


@pytest.mark.slow
def test_more_epochs_give_the_bits_of_a_training_from_the_first(tmp_path: Path) -> None:
    """Interrupted or finished; the pictures are those of the longer one, under its names."""
    once, twice = tmp_path / "once", tmp_path / "twice"
    for folder, epochs in ((once, 10), (twice, 3)):
        folder.mkdir()
        (folder / "spec.yaml").write_text(DIFFUSION.replace("epochs: 3", f"epochs: {epochs}"))
        run(folder, keep_last=True)
    (twice / "spec.yaml").write_text((once / "spec.yaml").read_text())
    before = facts(twice / "results")
    code, said = run(twice)
    assert code is ExitCode.OK
    assert "More epochs: 1 trial goes on after epoch 3 of what is trained already" in said
    assert facts(twice / "results").items() >= before.items(), "the shorter trial stays"
    assert record(once / "results") == record(twice / "results")
    names = set(record(twice / "results")["pictures"])
    assert {"epoch01_ddim.png", "epoch02_ddim.png", "epoch10_ddim.png"} <= names
    assert "epoch03_ddim.png" not in names, "the shorter one's last is no epoch of pictures"


def test_an_interrupted_one_is_gone_on_with_too(lab: Path) -> None:
    for old in tiny.trials(lab / "results"):
        old.write_status(TrialStatus(Status.INTERRUPTED))
    longer = found(lab)
    assert list(longer.epochs.values()) == [1] * SEEDS
    assert list(longer.lines()) == [
        "More epochs: 2 trials go on after epoch 1 of what is trained already; the bits are those "
        "of a training from the first epoch."
    ]


def test_what_stands_against_it_is_said(lab: Path) -> None:
    first, second = tiny.trials(lab / "results")
    first.last.unlink()
    text = second.environment_path.read_text().replace('"torch": "', '"torch": "1.')
    second.environment_path.write_text(text)
    one, other = found(lab).lines()
    assert one == (
        "More epochs: 1 trial from the first epoch, since their last states were deleted when they "
        "were done: --keep-last keeps those of a run."
    )
    assert other.startswith("More epochs: 1 trial from the first epoch, since they were trained by")
    (lab / "spec.yaml").write_text(LONG.replace("batch_size", "swa: {}, batch_size"))
    assert list(found(lab).lines()) == [], "another setting differs as well"


def test_the_device_that_counts_is_that_of_the_longer_trial(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained on the CPU, as said then; now nothing is said, and there is a GPU."""
    (lab / "spec.yaml").write_text(LONG.replace("device: cpu", "device: auto"))
    assert len(found(lab).epochs) == SEEDS
    monkeypatch.setattr(module, "visible_gpus", lambda: ["0"])
    assert set(found(lab).anew.values()) == {"they were trained on another device (cpu)"}
    (lab / "spec.yaml").write_text(LONG)
    assert len(found(lab).epochs) == SEEDS


def test_times_are_of_the_epochs_that_are_left(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Duration(start=1.0, training=2.0, validation=0.5, between=0.5, end=4.0)
    monkeypatch.setattr(time_forecast, "durations", lambda all_, *_: {t.id: one for t in all_})
    plan = make_plan(load_spec(lab / "spec.yaml"))
    forecast = time_forecast.forecast_time(plan, Store(lab / "results"), 1, lambda _: None)
    assert forecast.first.computing == SEEDS * one.seconds(2)
    assert forecast.left.computing == SEEDS * one.seconds(1)


def test_a_schedule_over_all_epochs_is_trained_anew(lab: Path) -> None:
    """As if its trials had been trained with it."""
    shutil.rmtree(lab / "results")
    for text in (SHORT, LONG):
        (lab / "spec.yaml").write_text(text.replace("batch_size", "schedule: cosine, batch_size"))
        if text is SHORT:
            run(lab, keep_last=True)
    assert list(found(lab).lines()) == [
        "More epochs: 2 trials from the first epoch, since the learning rates of train.schedule: "
        "cosine depend on train.epochs."
    ]


def test_a_state_of_another_trial_or_of_other_data_is_not_gone_on_with(lab: Path) -> None:
    first, second = tiny.trials(lab / "results")
    shutil.copyfile(second.last, first.last)
    longer = found(lab)
    fingerprints = dict.fromkeys(longer.continued, "other")
    assert sorted(take_over(longer, fingerprints).anew.values()) == [
        f"{first.last}: not the state of {first.id}",
        f"the data is not what {second.id} was trained on",
    ]


def test_killed_before_its_first_step_it_still_goes_on(lab: Path) -> None:
    longer = found(lab)
    (fingerprint,) = {f.summary()["data_fingerprint"] for f in tiny.trials(lab / "results")}
    after = take_over(longer, dict.fromkeys(longer.continued, fingerprint))
    assert list(after.epochs.values()) == [1, 1]
    assert found(lab).epochs == {}, "they have states of their own by now"
    code, _ = run(lab)
    assert code is ExitCode.OK
    history = longest(lab / "results").history()
    # each began a process's first epoch: nothing was between
    assert [row["between_seconds"] is None for row in history] == [True, True]


def test_forced_trials_begin_with_nothing(lab: Path) -> None:
    _, said = run(lab, force=True)
    assert "More epochs" not in said
    history = longest(lab / "results").history()
    assert [row["between_seconds"] is None for row in history] == [True, False]
