"""Several devices for one trial: the numbers of one device, and one row whatever happens."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench.errors import BenchError, SpecError
from bench.history_row import HistoryRow
from bench.plan.expand import trial_config
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.run.events import EpochDone, Event
from bench.run.executors.local import LocalExecutor
from bench.run.runner import run
from bench.run.worker import Job, WorkerResources
from bench.states import Failure, Status
from bench.train import session
from bench.train.devices import OtherDevices, Place
from bench.train.failures import describe_failure
from bench.train.follower import Messages, take_part
from bench.train.sharding import ShardedModel, _gather
from bench.train.sync_batchnorm import SyncBatchNorm, synchronise_batchnorm
from bench.train.trial_parts import build
from tests.builders.training import MemoryRecorder, Silent, make_trial

CLOCKS = {"epoch_seconds", "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb"}
SGD = {"optimizer": "sgd", "lr": 0.05}


def serve(connection: Connection) -> None:
    """Take part in one trial after the other: starting a process for each would take seconds."""
    torch.set_num_threads(1)
    messages = Messages(connection)
    while (message := messages.next())[0] == "trial":
        take_part(message[1], message[2], messages)
    os._exit(0)


@pytest.fixture(scope="module")
def helper() -> Iterator[Connection]:
    ours, theirs = Pipe()
    process = get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    yield ours
    process.kill()
    process.join()


@pytest.fixture
def two_devices(helper: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shared(OtherDevices):
        """Whose other process is the helper."""

        def __enter__(self) -> Self:
            helper.send(("trial", self._trial, Place(1, 2, self.place.folder)))
            self._others = [(psutil.Process(), helper)]  # type: ignore[list-item]
            return self

        def _watch(self) -> None:
            pass

        def _end_others(self, patience: float) -> None:
            pass

    monkeypatch.setattr(session, "OtherDevices", Shared)


class Result:
    """What a trial left."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        torch.set_num_threads(1)
        folder.mkdir(exist_ok=True)
        self.recorder = Recorder(folder)
        session.train_trial(trial, self.recorder, Silent())
        self.rows = self.recorder.rows
        self.weights = torch.load(self.recorder.last, weights_only=True)["model"]


class Recorder(MemoryRecorder):
    """Keeps the state after the first epoch, too."""

    def record_epoch(self, row: HistoryRow) -> None:
        super().record_epoch(row)
        if row["epoch"] == 1:
            shutil.copy(self.last, self.folder / "first.pt")


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Of two states, all floating-point entries taken together."""
    parts = [one[k] - other[k] for k, value in one.items() if value.is_floating_point()]
    return float(torch.cat([part.flatten() for part in parts]).norm())


def same(tmp_path: Path, **changes: Any) -> tuple[Result, Result]:
    """Train on one and on two devices: weights and curves must agree to rounding.

    Weights may differ by a hundredth of what training has moved them by: after a few steps of a
    network with BatchNorm, one thread and two differ as much.
    """
    train = {"epochs": 1, "batch_size": 5, **SGD, **changes.pop("train", {})}
    trial = make_trial(train=train, **changes)
    start = {name: value.clone() for name, value in build(trial).model.state_dict().items()}
    one = Result(tmp_path / "one", trial)
    two = Result(tmp_path / "two", make_trial(train=train | {"devices": 2}, **changes))
    assert distance(two.weights, one.weights) < 0.01 * distance(one.weights, start)
    for before, after in zip(one.rows, two.rows, strict=True):
        for key in before.keys() - CLOCKS:
            if before[key] is not None:
                assert after[key] == pytest.approx(before[key], rel=1e-3, abs=1e-4), key
    return one, two


@pytest.mark.usefixtures("two_devices")
class TestSameNumbers:
    def test_segmentation_with_augmentation_and_a_smaller_last_batch(self, tmp_path: Path) -> None:
        """12 images in batches of 5, 5 and 2."""
        _, two = same(tmp_path, augment=[{"hflip": {"p": 0.5}}, {"elastic": {"p": 0.5}}])
        assert two.recorder.environment["devices"] == 2

    @pytest.mark.parametrize("loss", ["dice", "focal"])
    def test_losses_that_are_no_means_over_images(self, tmp_path: Path, loss: str) -> None:
        same(tmp_path, train={"loss": loss, "steps": 2})

    def test_classification_with_frozen_parts_that_thaw(self, tmp_path: Path) -> None:
        same(
            tmp_path,
            task={"name": "classification"},
            data={"name": "shapes", "image_size": 32, "train": 8, "val": 6, "test": 6, "kinds": 3},
            model={"name": "resnet", "depth": 18, "width": 0.1},
            train={"epochs": 2, "freeze": "encoder", "unfreeze_epoch": 2, "batch_size": 8},
            select={"metric": "val/loss", "mode": "min"},
        )

    def test_diffusion_draws_the_same_noise(self, tmp_path: Path) -> None:
        """The last batch has one image, which both processes compute."""
        same(
            tmp_path,
            task={"name": "diffusion", "samples": 2, "ddim_steps": 2, "ddpm_steps": 2},
            data={"name": "shapes", "image_size": 32, "normalize": "symmetric", "train": 5,
                  "val": 3, "test": 3},
            model={"name": "ddpm_unet", "width": 0.05, "attention": False},
            train={"batch_size": 4, "ema": 0.9},
            select={"metric": "val/loss", "mode": "min"},
        )  # fmt: skip

    def test_averages_accumulation_and_plateaus(self, tmp_path: Path) -> None:
        same(
            tmp_path,
            train={
                "epochs": 2, "steps": 2, "batch_size": 6, "micro_batch": 3, "swa": {"start": 0.3},
                "sampler": "balanced", "clip_grad_norm": 0.5, "bad_steps": 1,
                "schedule": {"name": "plateau", "patience": 0},
            },
        )  # fmt: skip

    def test_a_trial_goes_on_with_the_same_bits(self, tmp_path: Path) -> None:
        trial = make_trial(train={"epochs": 2, "batch_size": 6, "devices": 2})
        whole = Result(tmp_path / "whole", trial)
        (tmp_path / "again").mkdir()
        shutil.copy(tmp_path / "whole/first.pt", tmp_path / "again/last.pt")
        again = Result(tmp_path / "again", trial)
        assert distance(whole.weights, again.weights) == 0

    def test_without_synchronisation_each_device_has_its_own_statistics(
        self, tmp_path: Path
    ) -> None:
        train = {"epochs": 1, "steps": 1, "batch_size": 6, **SGD, "devices": 2}
        synced = Result(tmp_path / "synced", make_trial(train=train))
        own = Result(tmp_path / "own", make_trial(train=train | {"sync_batch_norm": False}))
        assert distance(synced.weights, own.weights) > 1e-3
        assert own.recorder.facts["batchnorm_images"] == 3
        assert synced.recorder.facts["batchnorm_images"] is None


def test_identity_without_what_changes_nothing() -> None:
    alone = make_trial().id
    assert make_trial(train={"devices": 2}).id == alone
    assert make_trial(train={"sync_batch_norm": False}).id == alone
    ids = {make_trial(train={"devices": n, "sync_batch_norm": False}).id for n in (1, 2, 4)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"devices": 8}, "must be at most batch_size"),
        ({"devices": 2, "compile": "default"}, "cannot be combined with compile: default"),
        ({"devices": 2, "micro_batch": "auto"}, "cannot be combined with micro_batch: auto"),
    ],
)
def test_what_several_devices_cannot_do(train: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_trial(train=train)


def test_a_loss_sees_the_model_s_parameters_and_outputs_need_a_dimension_of_images() -> None:
    model = nn.Linear(2, 1)
    assert list(ShardedModel(model, 0, 2, 0).parameters()) == list(model.parameters())
    with pytest.raises(BenchError, match="no dimension of images first"):
        _gather(torch.tensor(1.0), [0, 1, 2], 0)


def test_a_remedy_for_several_devices_is_one_that_is_allowed_there() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    assert "train.micro_batch: auto" in describe_failure(error)[1]
    kind, message = describe_failure(error, 2)
    assert (kind, "auto" in message) == (Failure.OUT_OF_MEMORY, False)


def test_replayed_steps_are_refused() -> None:
    trial = make_trial(train={"devices": 2}, machine={"cuda_graphs": "on"})
    with pytest.raises(SpecError, match=r"cuda_graphs: on cannot be combined with train\.devices"):
        session.check_machine(trial)


def test_a_batchnorm_of_its_own_is_refused_and_torch_s_keep_their_names() -> None:
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(SpecError, match=r"sync_batch_norm: true cannot be had for Own \(1\)"):
        synchronise_batchnorm(nn.Sequential(nn.BatchNorm2d(2), Own(2)))
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
    names, images = list(model.state_dict()), torch.randn(3, 2, 4, 4)
    expected = copy.deepcopy(model)(images)
    synchronise_batchnorm(model)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model(images), expected)  # alone: as before


def test_half_precision_takes_its_statistics_in_full(tmp_path: Path) -> None:
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    synced = copy.deepcopy(own)
    synchronise_batchnorm(synced)
    next(m for m in synced.modules() if isinstance(m, SyncBatchNorm)).synced = True
    images = torch.randn(3, 3, 31, 31, generator=torch.Generator().manual_seed(0)) + 2
    with (
        Place(0, 1, tmp_path).together(torch.device("cpu")),
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        found, expected = synced(images), own(images)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(synced.state_dict(), own.state_dict())


def others_of(pid: int) -> list[psutil.Process]:
    """The processes of the other devices of the trials of a `run` in this process."""
    found, this = [], psutil.Process(pid)
    for process in {*this.children(recursive=True)} - {*this.children()}:  # the helper is one
        with suppress(psutil.Error):  # it has just ended
            found += [process] if "spawn_main" in " ".join(process.cmdline()) else []
    return found


@pytest.mark.slow
def test_a_process_that_is_killed_is_one_row_and_leaves_none_behind(tmp_path: Path) -> None:
    trial = make_trial(train={"epochs": 400, "batch_size": 6, "devices": 2})
    files = Store(tmp_path).trial("made", trial.id)
    files.write_config(trial_config(trial))
    job = Job(trial, TrialRecorder(files, "val/dice", {"loss": "min", "dice": "max"}), files.log)
    killed: list[psutil.Process] = []

    def observe(event: Event) -> None:
        if isinstance(event, EpochDone) and not killed:
            killed.extend(others_of(os.getpid()))
            killed[0].kill()

    outcome = run([job], LocalExecutor([WorkerResources(1, "")]), observe, retries=0)
    assert len(killed) == 1
    (ended,) = outcome.ended
    assert (ended.status, ended.failure) == (Status.FAILED, Failure.KILLED)
    assert ended.message is not None
    assert "device 1) was ended by SIGKILL" in ended.message
    assert others_of(os.getpid()) == []


@pytest.mark.long
def test_a_worker_that_is_killed_takes_the_others_with_it(tmp_path: Path) -> None:
    trial = make_trial(train={"epochs": 400, "batch_size": 6, "devices": 2})
    files = Store(tmp_path).trial("made", trial.id)
    files.write_config(trial_config(trial))
    job = Job(trial, TrialRecorder(files, "val/dice", {"loss": "min", "dice": "max"}), files.log)
    others: list[psutil.Process] = []

    def observe(event: Event) -> None:
        if isinstance(event, EpochDone) and not others:
            others.extend(others_of(os.getpid()))
            others[0].parent().kill()  # type: ignore[union-attr]  # it has one

    run([job], LocalExecutor([WorkerResources(1, "")]), observe, retries=0)
    gone, alive = psutil.wait_procs(others, timeout=30)
    assert (len(gone), alive) == (1, [])
