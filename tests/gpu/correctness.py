"""Parts that say whether results are right; what they take of a GPU is little."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_stack
from typing import Any

import torch

from bench.plan.trial import Trial
from bench.train.evaluation import evaluate
from bench.train.loop import Interrupted
from bench.train.session import train_trial
from bench.train.train_state import TrainState
from bench.train.trial_parts import build
from tests.builders.training import MemoryRecorder, Silent, results
from tests.gpu.common import Check, random_batch, train_state

AUGMENT = [{name: {"p": 0.5}} for name in ("hflip", "rotate", "crop", "elastic", "noise", "blur")]


def graphs(check: Check) -> None:
    """Replayed steps against launched ones, in everything that a step can be made of."""
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "segmentation": ("segmentation", {}),
        "clipped, averaged": ("segmentation", {"clip_grad_norm": 1.0, "ema": 0.9}),
        "bad steps passed over": ("segmentation", {"bad_steps": 3}),
        "fp16": ("segmentation", {"precision": check.size("fp16", "fp32")}),
        "sgd": ("segmentation", {"optimizer": "sgd", "schedule": "cosine"}),
        "diffusion": ("diffusion", {}),
        "classification": ("classification", {}),
    }
    for name, (task, train) in cases.items():
        trial = check.trial(task, train={"deterministic": True, **train})
        launched, replayed = (_losses(check, trial, graphs=which) for which in (False, check.cuda))
        worst = max(abs(a - b) for a, b in zip(launched, replayed, strict=True))
        check.emit("graphs", case=name, same_bits=launched == replayed, worst=worst)
        check.free()


def _losses(check: Check, trial: Trial, *, graphs: bool) -> list[float]:
    torch.manual_seed(3)
    parts, made = train_state(trial, graphs=graphs)
    torch.manual_seed(4)
    batches = [random_batch(trial, parts.device, seed) for seed in range(8)]
    losses = torch.stack([made.step(batch) for batch in batches])
    if graphs:
        assert made.step.graph is not None
        assert made.step.graph._graph is not None, "nothing was recorded"
    return [float(loss) for loss in losses] + [
        float(weight.double().sum()) for weight in made.eval_model.parameters()
    ]


def resumed(check: Check) -> None:
    """A trial that is interrupted and gone on with, against one that is not."""
    cases: dict[str, dict[str, Any]] = {
        "deterministic": {"deterministic": True},
        "deterministic, fp16, averaged": {
            "deterministic": True, "precision": check.size("fp16", "fp32"), "ema": 0.9,
        },
        "as it comes": {},
    }  # fmt: skip
    for name, train in cases.items():
        trial = check.trial(augment=AUGMENT, train={"batch_size": check.size(10, 4), **train})
        whole, again, parted = (_rows(trial, stop) for stop in (None, None, check.size(9, 4)))
        same = {"repeated_same_bits": whole == again, "resumed_same_bits": whole == parted}
        check.emit("resumed", case=name, **same)


def _rows(trial: Trial, stop: int | None) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        recorder = MemoryRecorder(Path(folder))
        if stop is not None:
            try:
                train_trial(trial, recorder, Silent(stop_after=stop))
            except Interrupted:
                pass
            else:
                raise AssertionError("not interrupted")
        train_trial(trial, recorder, Silent())
        return results(recorder.rows)


def deterministic(check: Check) -> None:
    """`train.deterministic` for every task and kind of layer: does it run, does it repeat?"""
    vit = {"name": "encoder_unet", "encoder": "vit_b_16"}
    models = {
        "unet": {"name": "unet"},
        "unet, transposed": {"name": "unet", "upsample": "transposed"},
        "resnet34_unet": {"name": "resnet34_unet"},
        "resnet18_unet": {"name": "resnet18_unet"},
        "encoder_unet": {"name": "encoder_unet", "encoder": "resnet18"},
        "encoder_unet, vit": vit,
    }
    width = {} if check.cuda else {"width": 0.125}
    trials = {
        name: check.trial(
            model={**model, **({} if "encoder" in model else width)},
            data={"image_size": 64},
            train={"deterministic": True, "batch_size": 4},
        )
        for name, model in models.items()
    }
    for loss in ("cross_entropy+dice", "focal"):
        trials[loss] = check.trial(train={"deterministic": True, "loss": loss})
    trials["parts"] = check.trial(train={"deterministic": True, "micro_batch": 2})
    trials |= {
        task: check.trial(task, train={"deterministic": True})
        for task in ("diffusion", "classification")
    }
    for name, trial in trials.items():
        try:
            first, second = (_losses(check, trial, graphs=False) for _ in range(2))
            check.emit("deterministic", case=name, repeats=first == second)
        except Exception as error:
            check.emit("deterministic", case=name, failed=repr(error)[:400])
        check.free()


def waits(check: Check) -> None:
    """Where a step and validation wait for the device; nowhere, but validation at its end."""
    every: dict[str, dict[str, Any]] = {
        "device": {"machine": {"placement": "device"}},
        "stream": {"machine": {"placement": "stream"}},
        "appended": {"augment": {"mode": "append", "transforms": AUGMENT}},
        "averaged, clipped, fp16": {
            "train": {"ema": 0.9, "clip_grad_norm": 1.0, "precision": check.size("fp16", "fp32")}
        },
        "bad steps passed over": {"train": {"bad_steps": 3}},
        "parts": {"train": {"micro_batch": 3}},
    }
    if check.cuda:
        every["pinned"] = {"machine": {"placement": "pinned"}}
    cases = [("segmentation", name, {"augment": AUGMENT, **case}) for name, case in every.items()]
    cases += [(task, "plain", {}) for task in ("diffusion", "classification")]
    for task, name, changes in cases:
        found = _waited(check, check.trial(task, **changes))
        check.emit("waits", case=f"{task}, {name}", **found)
        check.free()


def _waited(check: Check, trial: Trial) -> dict[str, list[str]]:
    parts, train = build(trial), trial.settings.train
    batches, val = parts.batches("train", train.batch_size), parts.batches("val")
    made = TrainState(parts.model, parts.task, train, parts.device, images=len(batches))
    for epoch in (1, 2):  # in the first one, cuDNN chooses and the allocator asks for memory
        made.train()
        plan = batches.plan(epoch)
        with watched(check, on=epoch == 2) as steps:
            for batch in batches.training(plan, epoch):
                made.step(batch)
        with watched(check, on=epoch == 2) as validation:
            evaluate(made.eval_model, parts.task, val, made.precision)
    return {"steps": steps, "validation": validation}


@contextmanager
def watched(check: Check, *, on: bool) -> Iterator[list[str]]:
    """The places in bench that wait for CUDA within this; on a CPU there are none."""
    found: list[str] = []
    if not (check.cuda and on):
        yield found
        return

    def note(message: Any, *_: Any, **__: Any) -> None:
        if "synchronizing" in str(message):
            ours = [frame for frame in extract_stack() if "/bench/" in frame.filename]
            found.append(" < ".join(f"{f.name}:{f.lineno}" for f in reversed(ours[-2:])))

    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = note
            yield found
    finally:
        torch.cuda.set_sync_debug_mode("default")
