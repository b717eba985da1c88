"""Losses, an optimizer and a metric of others on real pets: the figures are the libraries' own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from bench.train.session import train_trial
from bench.train.trial_parts import build
from tests.builders.own_parts import soft_iou
from tests.builders.training import MemoryRecorder, Silent, make_trial

monai_losses = pytest.importorskip("monai.losses")
monai_metrics = pytest.importorskip("monai.metrics")
pytestmark = [pytest.mark.pets, pytest.mark.slow, pytest.mark.timeout(900)]

OWN = "tests.builders.own_parts"
TVERSKY = {"target": "monai.losses:TverskyLoss", "to_onehot_y": True, "softmax": True}
SPEC = """
experiment: parts
task: {name: segmentation, metrics: [hd95]}
data: {name: oxford_pet, root: ROOT, image_size: 48}
model: {name: unet, width: 0.1}
train: {epochs: 2, batch_size: 32, lr: 0.003}
machine: {device: cpu, threads: 1}
zip:
  train.loss:
  - dice
  - {target: "monai.losses:TverskyLoss", to_onehot_y: true, softmax: true}
  - {target: "own_parts:soft_iou"}
  train.optimizer: [adam, adam, {target: "own_parts:Lion", betas: [0.9, 0.99]}]
seeds: 1
hypotheses:
- id: outlines
  claim: Tversky brings outlines closer
  metric: test_hd95
  a: {train.loss: TverskyLoss}
  b: {train.loss: dice}
  expect: lower
"""


def outputs(parts: Any, split: str) -> tuple[Tensor, Tensor]:
    """Scores and masks of a whole split."""
    parts.model.eval()
    with torch.inference_mode():
        each = [(parts.model(b.images), b.target) for b in parts.batches(split).in_order()]
    return torch.cat([s for s, _ in each]), torch.cat([m for _, m in each])


@pytest.mark.parametrize("loss", [TVERSKY, {"target": f"{OWN}:soft_iou"}], ids=["monai", "own"])
def test_figures_are_the_libraries_own(
    loss: dict[str, Any], pets_root: Path, tmp_path: Path
) -> None:
    trial = make_trial(
        task={"name": "segmentation", "metrics": ["hd95"]},
        data={"name": "oxford_pet", "root": str(pets_root), "image_size": 48},
        model={"name": "unet", "width": 0.1},
        train={
            "epochs": 2,
            "batch_size": 32,
            "lr": 3e-3,
            "loss": loss,
            "optimizer": {"target": "torch.optim:NAdam"},
        },
    )
    recorder = MemoryRecorder(tmp_path)
    train_trial(trial, recorder, Silent())
    parts = build(trial)
    parts.load(recorder.best)
    scores, masks = outputs(parts, "val")
    theirs = monai_losses.TverskyLoss(to_onehot_y=True, softmax=True)
    # the loss of each image by itself, averaged
    each = [
        float(
            theirs(s[None], m[None, None].long()) if loss == TVERSKY else soft_iou(s[None], m[None])
        )
        for s, m in zip(scores, masks, strict=True)
    ]
    best = max(recorder.rows, key=lambda row: row["val/dice"] or 0)
    assert best["val/loss"] == pytest.approx(np.mean(each), abs=1e-6)
    scores, masks = outputs(parts, "test")
    one_hot = [torch.nn.functional.one_hot(labels.long(), 2).permute(0, 3, 1, 2)
               for labels in (scores.argmax(1), masks)]  # fmt: skip
    hd95 = monai_metrics.compute_hausdorff_distance(*one_hot, percentile=95).numpy()[:, 0]
    known = hd95[np.isfinite(hd95)]
    assert len(known) > 100
    assert recorder.facts["test_hd95"] == pytest.approx(known.mean(), abs=1e-6)


@pytest.mark.long
def test_axes_of_losses_and_optimizers_run_to_a_report(pets_root: Path, tmp_path: Path) -> None:
    (tmp_path / "own_parts.py").write_text(Path(f"{OWN.replace('.', '/')}.py").read_text())
    (tmp_path / "spec.yaml").write_text(SPEC.replace("ROOT", str(pets_root)))
    found = subprocess.run(
        [sys.executable, "-m", "bench", "run", "spec.yaml", "-j", "1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=850, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    runs = pd.read_csv(tmp_path / "reports/parts/runs.csv")
    assert set(runs["axis.train.loss"]) == {"dice", "TverskyLoss", "soft_iou"}
    assert set(runs["axis.train.optimizer"]) == {"adam", "Lion"}
    assert runs["test_hd95"].notna().sum() >= 2  # Lion at Adam's rate may predict nothing
    assert "Tversky brings outlines closer" in (tmp_path / "reports/parts/report.md").read_text()
