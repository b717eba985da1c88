"""More epochs in the spec: gone on with to the same bits, or trained anew with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.exit_codes import ExitCode
from bench.plan.longer import key_without_epochs, why_not_longer
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.states import Status
from tests.builders.training import make_trial
from tests.faults import tiny
from tests.faults.tiny import SPEC, facts, run

ONE_SEED = SPEC.replace("seeds: 4", "seeds: 1")
DIFFUSION = """\
experiment: tiny
task: {name: diffusion, samples: 2, ddim_steps: 2, ddpm_steps: 2, show_every: 2}
data: {name: shapes, image_size: 32, normalize: symmetric, train: 12, val: 4, test: 4}
train: {epochs: 3, batch_size: 6}
model: {name: ddpm_unet, width: 0.05, attention: false}
machine: {threads: 1, device: cpu}
"""
SCHEDULES = {
    "constant": "",
    "step": ", schedule: {name: step, every: 2, factor: 0.5}",
    "plateau": ", schedule: {name: plateau, patience: 0, min_delta: 0.5, factor: 0.5}",
    "torch": ", schedule: {target: 'torch.optim.lr_scheduler:ExponentialLR', gamma: 0.9}",
    "everything": ", optimizer: adamw, warmup_epochs: 1, ema: 0.9, early_stopping: {patience: 2}",
}


def write(folder: Path, epochs: int, more: str = "", spec: str = ONE_SEED) -> None:
    folder.mkdir(exist_ok=True)
    text = spec.replace("epochs: 3,", f"epochs: {epochs},").replace(
        "batch_size: 6", f"batch_size: 6{more}"
    )
    (folder / "spec.yaml").write_text(text)


def longest(results: Path) -> TrialFiles:
    return max(tiny.trials(results), key=lambda files: len(files.history()))


def record(results: Path) -> dict[str, Any]:
    """All that is known of the longest trial, and its pictures."""
    files = longest(results)
    pictures = {path.name: path.read_bytes() for path in files.samples.glob("*.png")}
    scores = {path.name: path.read_bytes() for path in files.scores.iterdir()}
    return {"facts": facts(results)[files.id], "pictures": pictures, "scores": scores}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_more_epochs_give_the_bits_of_a_training_from_the_first(
    tmp_path: Path, schedule: str
) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    write(once, 5, SCHEDULES[schedule])
    run(once)
    write(twice, 3, SCHEDULES[schedule])
    run(twice, keep_last=True)
    before = facts(twice / "results")
    write(twice, 5, SCHEDULES[schedule])
    code, said = run(twice)
    assert code is ExitCode.OK
    assert "More epochs: 1 trial goes on after epoch 3 of what is trained already" in said
    assert record(once / "results") == record(twice / "results")
    assert facts(twice / "results").items() >= before.items(), "the shorter trial stays"


def test_an_interrupted_trial_goes_on_to_more_epochs_too(tmp_path: Path) -> None:
    """A state in mid-training is one as well; the pictures are named as of the longer one."""
    once, twice = tmp_path / "once", tmp_path / "twice"
    write(once, 10, spec=DIFFUSION)
    run(once)
    write(twice, 3, spec=DIFFUSION)
    run(twice, keep_last=True)
    (old,) = tiny.trials(twice / "results")
    for path in (old.summary_path, old.finished):
        path.unlink()
    old.write_status(TrialStatus(Status.INTERRUPTED))
    write(twice, 10, spec=DIFFUSION)
    run(twice)
    assert record(once / "results") == record(twice / "results")
    names = set(record(twice / "results")["pictures"])
    assert {"epoch01_ddim.png", "epoch02_ddim.png", "epoch10_ddim.png"} <= names
    assert "epoch03_ddim.png" not in names, "the shorter one's last is no epoch of pictures"


def test_without_its_last_state_it_is_trained_anew_and_said(tmp_path: Path) -> None:
    write(tmp_path, 1)
    run(tmp_path)
    write(tmp_path, 2)
    _, said = run(tmp_path)
    assert (
        "More epochs: 1 trial from the first epoch, since their last states were deleted when they "
        "were done: --keep-last keeps those of a run." in said
    )
    assert len(longest(tmp_path / "results").history()) == 2


def test_a_schedule_over_all_epochs_is_trained_anew_and_said(tmp_path: Path) -> None:
    write(tmp_path, 1, ", schedule: cosine")
    run(tmp_path, keep_last=True)
    write(tmp_path, 2, ", schedule: cosine")
    _, said = run(tmp_path)
    assert (
        "More epochs: 1 trial from the first epoch, since the learning rates of train.schedule: "
        "cosine depend on train.epochs." in said
    )


def test_a_state_that_is_not_what_it_says_is_not_gone_on_with(tmp_path: Path) -> None:
    write(tmp_path, 1, spec=SPEC.replace("seeds: 4", "seeds: 2"))
    run(tmp_path, keep_last=True)
    first, second = tiny.trials(tmp_path / "results")
    shutil.copyfile(second.last, first.last)
    write(tmp_path, 2, spec=SPEC.replace("seeds: 4", "seeds: 2"))
    code, said = run(tmp_path)
    assert code is ExitCode.OK
    assert "More epochs: 1 trial goes on after epoch 1" in said
    assert f"More epochs: 1 trial from the first epoch, since {first.last}: not the state" in said


def test_other_torch_is_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)
    run(tmp_path, keep_last=True)
    (old,) = tiny.trials(tmp_path / "results")
    text = old.environment_path.read_text().replace('"torch": "', '"torch": "1.')
    old.environment_path.write_text(text)
    write(tmp_path, 2)
    _, said = run(tmp_path)
    assert "from the first epoch, since they were trained by torch 1." in said


def test_killed_before_its_first_step_it_still_goes_on(tmp_path: Path) -> None:
    from bench.experiment.longer_trials import longer_trials, take_over
    from bench.plan.expand import make_plan
    from bench.spec.load import load_spec

    write(tmp_path, 2)
    run(tmp_path, keep_last=True)
    (old,) = tiny.trials(tmp_path / "results")
    write(tmp_path, 3)
    trials = make_plan(load_spec(tmp_path / "spec.yaml")).trials
    store, fingerprint = Store(tmp_path / "results"), old.summary()["data_fingerprint"]
    longer = longer_trials(trials, store)
    found = take_over(longer, {trials[0].id: "other data"})
    assert list(found.anew.values()) == [f"the data is not what {old.id} was trained on"]
    assert take_over(longer, {trials[0].id: fingerprint}).epochs == {trials[0].id: 2}
    assert longer_trials(trials, store).epochs == {}, "it has a state of its own by now"
    run(tmp_path)
    history = longest(tmp_path / "results").history()
    assert [row["between_seconds"] is None for row in history] == [True, False, True]


@pytest.mark.parametrize(
    ("train", "why"),
    [
        ({}, None),
        ({"schedule": "cosine"}, "train.schedule: cosine"),
        ({"schedule": "one_cycle"}, "train.schedule: one_cycle"),
        ({"schedule": "polynomial"}, "train.schedule: polynomial"),
        ({"schedule": {"name": "step", "every": 3}}, None),
        ({"schedule": "plateau"}, None),
        ({"schedule": {"target": "mine:Falling"}}, "mine:Falling may depend"),
        ({"schedule": {"target": "torch.optim.lr_scheduler:StepLR", "step_size": 2}}, None),
        ({"swa": {}}, "train.swa.start"),
        ({"steps": 9}, "train.steps"),
        ({"ema": 0.9, "warmup_epochs": 1, "unfreeze_epoch": 2}, None),
    ],
)
def test_what_depends_on_the_number_of_epochs(train: dict[str, Any], why: str | None) -> None:
    found = why_not_longer(make_trial(train=train).settings.train)
    assert found is None if why is None else why in (found or "")


def test_only_epochs_may_differ() -> None:
    one = key_without_epochs(make_trial(train={"epochs": 3}))
    assert key_without_epochs(make_trial(train={"epochs": 30})) == one
    others = (make_trial(1), make_trial(train={"lr": 0.1}), make_trial(data={"train": 13}))
    assert one not in {key_without_epochs(other) for other in others}
