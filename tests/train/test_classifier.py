"""An earlier trial's network as a feature extractor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.errors import DataError, SpecError
from bench.plan.expand import trial_config
from bench.plan.trial import Trial, digest
from bench.record.files import write_yaml
from bench.tasks.frechet import file_sha256
from bench.tasks.frechet_settings import FrechetSettings, ResolvedExtractor
from bench.train.classifier import load_classifier
from bench.train.session import train_trial
from bench.train.trial_parts import build
from tests.builders.classifier import LEARNS_KINDS, classifier, put
from tests.builders.training import MemoryRecorder, Silent, make_trial


def resolved(trial: Trial, file: Path) -> ResolvedExtractor:
    return ResolvedExtractor(
        source="classifier",
        exactly=digest(trial.identity),
        sha256=file_sha256(file),
        name="classifier made",
        file=str(file),
    )


def test_it_gives_what_it_gave_in_its_trial(tmp_path: Path) -> None:
    trial, recorder = make_trial(**LEARNS_KINDS), MemoryRecorder(tmp_path)
    train_trial(trial, recorder, Silent())
    write_yaml(tmp_path / "config.yaml", trial_config(trial))
    parts = build(trial)
    parts.load(recorder.best)
    (batch,) = parts.batches("test").in_order()
    stored = torch.from_numpy(parts.data.splits["test"].images.copy()).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        found = load_classifier(resolved(trial, recorder.best)).eval()(stored)
        torch.testing.assert_close(found, parts.model.eval()(batch.images))


def test_another_trial_than_the_settled_one_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, classifier()).best
    assert load_classifier(resolved(classifier(), file)).size == (32, 32)
    with pytest.raises(DataError, match=r"best\.pt: its trial has changed since"):
        load_classifier(resolved(classifier(seed=1), file))


def diffusion(frechet: FrechetSettings) -> Trial:
    return make_trial(
        task={"name": "diffusion", "steps": 25, "ddim_steps": 2, "samples": 2, "frechet": frechet},
        data={**LEARNS_KINDS["data"], "normalize": "symmetric"},
        model={"name": "ddpm_unet", "width": 0.05},
        train={"epochs": 1, "batch_size": 6},
        select={"metric": "val/loss", "mode": "min"},
    )


def test_the_distance_is_recorded_with_its_extractor(tmp_path: Path) -> None:
    file = put(tmp_path, classifier()).best
    wanted = FrechetSettings(
        samples=4, extractor="classifier", classifier=resolved(classifier(), file)
    )
    recorder = MemoryRecorder(tmp_path)
    train_trial(diffusion(wanted), recorder, Silent())
    assert recorder.facts["frechet"] > 0
    assert recorder.facts["frechet_extractor"].startswith(
        "classifier made: 26 features, 4 generated"
    )


def test_an_extractor_that_has_changed_stops_its_trial_before_training(tmp_path: Path) -> None:
    file = put(tmp_path, classifier()).best
    wanted = FrechetSettings(extractor="classifier", classifier=resolved(classifier(), file))
    put(tmp_path, classifier(), weights=1)
    recorder = MemoryRecorder(tmp_path)
    with pytest.raises(DataError, match=r"best\.pt has changed since this trial was planned"):
        train_trial(diffusion(wanted), recorder, Silent())
    with pytest.raises(SpecError, match=r"task\.frechet: not resolved"):
        train_trial(diffusion(FrechetSettings(classifier="results/a")), recorder, Silent())
    assert recorder.rows == []
