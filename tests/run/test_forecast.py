"""Predicted memory against what a trial then takes, and what is measured again for which trial."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.measure.footprint import Footprint
from bench.plan.trial import Trial
from bench.run import forecast as module
from bench.run.forecast import ForecastError, forecast, max_trials_per_gpu
from tests.benchmarks.memory import measured
from tests.builders.training import make_trial


class Deep(nn.Module):
    """Keeps much and computes little: 12 maps of 32 channels for each image."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 32, 1)
        self.middle = nn.Sequential(*(nn.Sigmoid() for _ in range(11)))
        self.last = nn.Conv2d(32, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(self.middle(self.first(images)))
        return scores


class Broken(Deep):
    def forward(self, images: Tensor) -> Tensor:
        raise TypeError("the model broke\nover two lines")


def made(kind: str = "Deep", batch: int = 16, seed: int = 0, **train: Any) -> Trial:
    return make_trial(
        seed,
        model={"target": f"tests.run.test_forecast:{kind}"},
        data={"image_size": 128, "train": 16, "val": 2, "test": 1},
        train={"epochs": 1, "batch_size": batch, **train},
    )


def test_what_is_predicted_is_what_is_taken() -> None:
    """An image keeps 12 maps of 32×128² floats, 25 MB, of which gaps in the heap make 29."""
    whole, part = made(), made(micro_batch=4)
    found = forecast([whole, part])
    peak, small = found[whole.id].peak_mb, found[part.id].peak_mb
    assert peak is not None
    assert small is not None
    assert peak == pytest.approx(measured(whole), rel=0.2)
    assert 300 < peak - small < 420
    assert found[whole.id].kind == "resident"
    assert found[whole.id].free_mb > 100


def test_trials_that_are_alike_in_it_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Trial] = []

    def count(trial: Trial) -> Footprint:
        counted.append(trial)
        return Footprint(100.0 * len(counted), "allocated", 1500.0)

    monkeypatch.setattr(module, "_measure_in_process", count)
    trials = [
        made(), made(seed=1), made(lr=0.1), made(bad_steps=1), made(batch=8), made(ema=0.5),
        make_trial(), make_trial(augment=["hflip"]),
    ]  # fmt: skip
    reported: list[Trial] = []
    found = forecast(trials, reported.append)
    assert [found[trial.id].peak_mb for trial in trials] == [
        100, 100, 100, 100, 200, 300, 400, 400,
    ]  # fmt: skip
    assert reported == counted
    counted.clear()
    assert (
        max_trials_per_gpu(trials[3:6])(3) == 2
    )  # 300 + 200 + 100 and 600 for each of two contexts: too much


class TooLarge(Deep):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.empty(10**15)[0]


class Endless(Deep):
    def forward(self, images: Tensor) -> Tensor:
        threading.Event().wait()
        return super().forward(images)


def test_one_that_cannot_be_measured_does_not_spoil_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One breaks, one never ends, and one takes more than there is, with an image, too."""
    monkeypatch.setattr(module, "LIMIT_SECONDS", 2.0)
    trials = [made(kind, batch=4) for kind in ("Broken", "Endless", "TooLarge")]
    broken, endless, large = (forecast(trials)[trial.id] for trial in trials)
    assert (broken.peak_mb, broken.fits) == (None, None)
    reported = f"measuring the memory of {trials[0].id}: TypeError: the model broke ("
    assert (broken.problem or "").startswith(reported)
    reported = f"measuring the memory of {trials[1].id}: a few steps took more than 2 s"
    assert endless.problem == reported
    assert (large.peak_mb, large.fits, large.parts_fit) == (None, False, False)
    with pytest.raises(ForecastError, match=r"memory of s0-.*TypeError: the model broke \("):
        forecast([trials[0]])  # there are no others


def test_not_even_a_part_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 16 takes 400 MB more than a single image."""
    from bench.train import measure_footprint as measuring

    trial = made()
    monkeypatch.setattr(measuring, "_free", lambda _: 0.0)
    least = measuring.measure_footprint(trial)
    monkeypatch.setattr(measuring, "_free", lambda _: (least.peak_mb or 0) - 100)
    assert (least.fits, least.parts_fit) == (False, False)
    found = measuring.measure_footprint(trial)
    assert (found.fits, found.parts_fit) == (False, True)


@pytest.mark.slow
def test_large_images_that_are_scored_by_tiles() -> None:
    """A loss of one's own needs the scores of all 1024² pixels at once, one of ours a few rows."""

    def trial(loss: Any) -> Trial:
        return make_trial(
            model={"target": "tests.run.test_forecast:Deep"},
            data={"image_size": 1024, "crop": 64, "train": 2, "val": 1, "test": 1},
            train={"epochs": 1, "batch_size": 2, "loss": loss},
        )

    ours, own = trial("cross_entropy"), trial({"target": "torch.nn:CrossEntropyLoss"})
    found = forecast([ours, own])
    peaks = [found[each.id].peak_mb or 0.0 for each in (ours, own)]
    assert peaks[1] - peaks[0] > 15
    assert peaks[1] == pytest.approx(measured(own), rel=0.2)
