"""Going on from what is left: exactly, or told why not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import StoreError
from bench.train import checkpoint
from bench.train.loop import Interrupted
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

EPOCHS = 4
STEPS = 3  # an epoch's


def trained(folder: Path, stop_after: int | None = None, **changes: Any) -> MemoryRecorder:
    recorder = MemoryRecorder(folder)
    changes["train"] = {"epochs": EPOCHS, "lr": 1e-2} | changes.get("train", {})
    changes.setdefault("select", {"metric": "val/loss", "mode": "min"})  # better epoch by epoch
    train_trial(make_trial(**changes), recorder, Silent(stop_after))
    return recorder


def cut(folder: Path, epochs: int, **changes: Any) -> Path:
    """A trial that was stopped after so many epochs, in the middle of the next."""
    with pytest.raises(Interrupted):
        trained(folder, stop_after=epochs * STEPS + 1, **changes)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], bytes, Any]:
    folder = tmp_path_factory.mktemp("whole")
    found = trained(folder)
    return results(found.rows), (folder / "best.pt").read_bytes(), found.facts["test_dice"]


def same(folder: Path, whole: tuple[list[dict[str, Any]], bytes, Any]) -> bool:
    found = trained(folder)
    best = (folder / "best.pt").read_bytes()
    return (results(found.rows), best, found.facts["test_dice"]) == whole


DAMAGE = {"empty": b"", "cut": b"PK\x03\x04 cut short", "text": b"x" * 500}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_state_falls_back(
    tmp_path: Path, whole: Any, content: bytes, both: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(tmp_path, 3)
    names = ["last.pt", "previous.pt"] if both else ["last.pt"]
    for name in names:
        (tmp_path / name).write_bytes(content)
    assert same(tmp_path, whole)
    reported = capsys.readouterr().out
    assert f"{tmp_path / 'last.pt'}: not a readable checkpoint" in reported
    assert ("starting from nothing" if both else "going on from previous.pt") in reported


def test_between_the_two_renames(tmp_path: Path, whole: Any) -> None:
    cut(tmp_path, 3)
    (tmp_path / "last.pt").unlink()
    assert same(tmp_path, whole)


def test_killed_between_the_state_and_the_best(tmp_path: Path, whole: Any) -> None:
    """The state tells that its epoch is the best one; best.pt is of an earlier one."""
    cut(tmp_path, 1)
    first = (tmp_path / "best.pt").read_bytes()
    shutil.rmtree(tmp_path)
    cut(tmp_path, 2)
    assert checkpoint.load(tmp_path / "last.pt")["progress"]["best_epoch"] == 2
    (tmp_path / "best.pt").write_bytes(first)
    assert same(tmp_path, whole)


@pytest.mark.parametrize("content", [None, b"cut"])
def test_a_lost_best_of_an_earlier_epoch_starts_from_nothing(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a rate that lets nothing get better, the first epoch stays the best one."""
    changes: dict[str, Any] = {"train": {"lr": 1e-12}}
    expected = trained(tmp_path / "whole", **changes)
    cut(tmp_path / "cut", 3, **changes)
    best = tmp_path / "cut" / "best.pt"
    assert checkpoint.load(best)["epoch"] == 1
    (tmp_path / "cut" / "previous.pt").unlink()  # on a slow disk that is the first epoch's
    if content is None:
        best.unlink()
    else:
        best.write_bytes(content)
    found = trained(tmp_path / "cut", **changes)
    assert "starting from nothing" in capsys.readouterr().out
    assert results(found.rows) == results(expected.rows)
    assert best.read_bytes() == (tmp_path / "whole" / "best.pt").read_bytes()


def test_another_trial_s_state_is_left_alone(tmp_path: Path) -> None:
    cut(tmp_path / "a", 2)
    cut(tmp_path / "b", 2, seed=1)
    for name in ("last.pt", "previous.pt"):
        shutil.copy(tmp_path / "a" / name, tmp_path / "b" / name)
    with pytest.raises(StoreError, match=r"last\.pt: the state of another trial: delete") as caught:
        trained(tmp_path / "b", seed=1)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "b" / "last.pt").exists()


def test_a_foreign_last_falls_back_to_its_own_previous(tmp_path: Path, whole: Any) -> None:
    cut(tmp_path, 3)
    checkpoint.save(tmp_path / "last.pt", {"state_dict": {}})
    assert same(tmp_path, whole)


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"progress": {"lease": 3}}, "another version of bench: it has lease"),
        ({"model": {"w": torch.zeros(3)}}, "the state of another model"),
        ({"optimizer": {"state": {}, "param_groups": []}}, "not a state of this trial"),
    ],
)
def test_a_newer_version_s_state_is_left_alone(
    tmp_path: Path, change: dict[str, Any], reported: str
) -> None:
    cut(tmp_path, 1)
    state = checkpoint.load(tmp_path / "last.pt")
    changed = {k: {**state[k], **v} if k == "progress" else v for k, v in change.items()}
    checkpoint.save(tmp_path / "last.pt", state | changed)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(StoreError, match=reported) as caught:
        trained(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_an_older_version_s_state_is_gone_on_from(tmp_path: Path, whole: Any) -> None:
    cut(tmp_path, 2)
    state = checkpoint.load(tmp_path / "last.pt")
    del state["identity"]
    del state["progress"]["compile_seconds"]
    checkpoint.save(tmp_path / "last.pt", state)
    assert same(tmp_path, whole)


def test_a_best_of_another_epoch_is_no_result(tmp_path: Path) -> None:
    """It can be so where training is not exact and an epoch, trained again, came out worse."""
    trained(tmp_path)
    progress = checkpoint.load(tmp_path / "last.pt")["progress"]
    other = checkpoint.load(tmp_path / "best.pt") | {"epoch": EPOCHS + 1}
    state = checkpoint.load(tmp_path / "last.pt")
    state["progress"] = progress | {"best_epoch": 1, "best": 1.0}
    checkpoint.save(tmp_path / "last.pt", state)
    checkpoint.save(tmp_path / "best.pt", other)
    with pytest.raises(StoreError, match=r"best\.pt: of epoch 5, but the best one was 1"):
        trained(tmp_path)


@pytest.mark.parametrize("kind", ["freeze", "diffusion", "classification"])
def test_falling_back_is_exact_for_every_task(tmp_path: Path, kind: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "freeze": {
            "model": {"name": "resnet18_unet", "width": 0.05},
            "train": {"freeze": "encoder", "unfreeze_epoch": 3},
        },
        "diffusion": {
            "task": {"name": "diffusion", "samples": 1, "ddim_steps": 1, "ddpm_steps": 1},
            "data": {"name": "shapes", "image_size": 32, "train": 12, "val": 4, "test": 4,
                     "normalize": "symmetric"},
            "model": {"name": "ddpm_unet", "width": 0.05, "attention": False},
            "train": {"loss": "mse", "ema": 0.9},
        },
        "classification": {
            "task": {"name": "classification"},
            "data": {"name": "shapes", "image_size": 32, "train": 12, "val": 4, "test": 4,
                     "kinds": 3},
            "model": {"name": "resnet", "depth": 18, "width": 0.1},
            "select": {"metric": "val/top1", "mode": "max"},
        },
    }  # fmt: skip
    expected = trained(tmp_path / "whole", **changes[kind])
    cut(tmp_path / "cut", 3, **changes[kind])
    (tmp_path / "cut" / "last.pt").write_bytes(b"")
    found = trained(tmp_path / "cut", **changes[kind])
    assert repr(results(found.rows)) == repr(results(expected.rows))  # NaN is NaN
    bests = [(tmp_path / name / "best.pt").read_bytes() for name in ("whole", "cut")]
    assert bests[0] == bests[1]


def no_states(folder: Path) -> Path:
    """As `run` leaves a finished trial: `finished.pt` alone."""
    (folder / "last.pt").unlink()
    (folder / "previous.pt").unlink(missing_ok=True)
    return folder


CLOCKS = ("epoch_seconds", "train_seconds", "compile_seconds")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"lr": 1e-12}, "select": {"metric": "val/dice", "mode": "max"}},
        {"train": {"ema": 0.9, "warmup_epochs": 1}},
        {"train": {"lr": 1e-12, "early_stopping": {"patience": 1}}},
        {"model": {"name": "resnet18_unet"}, "train": {"freeze": "encoder"}},
    ],
    ids=["last is best", "first is best", "average", "early stopping", "frozen"],
)
def test_a_finished_trial_s_records_are_made_again_without_its_weights(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained(tmp_path, **changes)
    best = (tmp_path / "best.pt").read_bytes()
    finished = (tmp_path / "finished.pt").read_bytes()
    assert len(finished) < 20_000
    capsys.readouterr()
    again = trained(no_states(tmp_path), **changes)
    assert again.rows == first.rows
    assert {k: v for k, v in again.facts.items() if k not in CLOCKS} == {
        k: v for k, v in first.facts.items() if k not in CLOCKS
    }
    assert all((again.pictures[name] == picture).all() for name, picture in first.pictures.items())
    assert (tmp_path / "best.pt").read_bytes() == best
    assert (tmp_path / "finished.pt").read_bytes() == finished
    assert not (tmp_path / "last.pt").exists()  # no epoch was trained
    assert "starting from nothing" not in capsys.readouterr().out


def test_the_state_of_a_finished_trial_is_of_no_use_without_its_best_weights(
    tmp_path: Path, whole: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path)
    (no_states(tmp_path) / "best.pt").unlink()
    assert same(tmp_path, whole)
    assert "best.pt: no checkpoint there: starting from nothing" in capsys.readouterr().out


def test_best_weights_of_another_epoch_do_not_pass_for_the_best(
    tmp_path: Path, whole: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path)
    best = checkpoint.load(no_states(tmp_path) / "best.pt")
    checkpoint.save(tmp_path / "best.pt", best | {"epoch": EPOCHS - 1})
    assert same(tmp_path, whole)
    assert "best.pt is not of epoch 4, the best one" in capsys.readouterr().out


def test_a_state_of_the_middle_is_none_of_a_finished_trial(tmp_path: Path) -> None:
    trained(tmp_path)
    state = checkpoint.load(no_states(tmp_path) / "finished.pt")
    del state["progress"]["history"][-1]
    checkpoint.save(tmp_path / "finished.pt", state)
    with pytest.raises(StoreError, match=r"finished\.pt: not the state of a finished trial: del"):
        trained(tmp_path)


def test_killed_between_the_finished_state_and_done(tmp_path: Path, whole: Any) -> None:
    """Both are there: what has the weights goes first."""
    trained(tmp_path)
    assert (tmp_path / "last.pt").exists()
    assert same(tmp_path, whole)
