"""Trained folds: run whole, resumed, predicted with together, and of the images out of fold."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import bench
from bench.errors import BenchError, StoreError
from bench.inference.ensemble import Ensemble, fold_members, mean_scores, predictor
from bench.inference.evaluate import evaluate
from bench.inference.out_of_fold import predict_out_of_fold
from bench.inference.predict import predict_files
from bench.inference.trained import trained_parts
from bench.record.store import Store

SPEC = {
    "experiment": "folded",
    "task": "segmentation",
    "data": {"name": "shapes", "image_size": 32, "train": 8, "val": 4, "test": 4},
    "model": {"name": "unet", "width": 0.05},
    "train": {"epochs": 1, "batch_size": 4},
    "machine": {"threads": 1},
    "seeds": 2,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folds")


@pytest.fixture(scope="module")
def folded(place: Path) -> bench.Experiment:
    """Two seeds of two folds, trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(place / "cache"))
        spec = SPEC | {"data": {**SPEC["data"], "folds": {"k": 2}}}  # type: ignore[dict-item]  # a dict
        return bench.run(spec, results=place / "results", reports=place / "reports", jobs=1)


@pytest.fixture(autouse=True)
def _cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(place / "cache"))


def test_a_trial_for_each_fold(folded: bench.Experiment, place: Path) -> None:
    runs = folded.runs
    assert runs["status"].tolist() == ["done"] * 4
    assert list(zip(runs["seed"], runs["fold"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [name.split("-")[:2] for name in runs["id"]] == [
        ["s0", "f0"], ["s0", "f1"], ["s1", "f0"], ["s1", "f1"],
    ]  # fmt: skip
    assert runs["data_fingerprint"].nunique() == 1
    assert folded.arms["n_done"].tolist() == [2]
    assert len(list((place / "cache").glob("*/images.npy"))) == 1  # decoded once
    text = (place / "reports/folded/report.html").read_text()
    assert "Cross-validation: 2 seeds × 2 folds" in text
    table = pd.read_csv(place / "reports/folded/oof_val.csv")
    assert table.groupby("seed")["image"].nunique().tolist() == [12, 12]
    assert len(folded.out_of_fold) == 24


def test_run_again_finds_everything_done(folded: bench.Experiment, place: Path) -> None:
    spec = SPEC | {"data": {**SPEC["data"], "folds": {"k": 2}}}  # type: ignore[dict-item]  # a dict
    before = {p: p.stat().st_mtime_ns for p in (place / "results/folded").rglob("best.pt")}
    again = bench.run(spec, results=place / "results", reports=place / "reports", jobs=1)
    assert again.runs["id"].tolist() == folded.runs["id"].tolist()
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_names_of_folds(folded: bench.Experiment, place: Path) -> None:
    store = Store(place / "results")
    ids = folded.runs["id"].tolist()
    assert [files.id for files in fold_members(store, "folded/s0")] == ids[:2]
    assert [files.id for files in fold_members(store, "folded/s")] == ids
    assert [files.id for files in fold_members(store, f"folded/{ids[2]}")] == [ids[2]]
    with pytest.raises(StoreError, match="no trial 'folded/x'"):
        fold_members(store, "folded/x")


def photo(path: Path, size: tuple[int, int] = (20, 30)) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(values).save(path)
    return path


def test_the_mean_of_the_folds_probabilities(
    folded: bench.Experiment, place: Path, tmp_path: Path
) -> None:
    store = Store(place / "results")
    file = photo(tmp_path / "photo.png", (32, 32))  # the network's own size: nothing is resized
    members = fold_members(store, "folded/s0")
    parts = [trained_parts(files, "cpu", trust_code=False) for files in members]
    model = predictor(store, "folded/s0", "cpu")
    seen = model.read(file)
    with torch.inference_mode():
        shares = torch.stack(
            [torch.softmax(p.model.eval()(folded_input(p, seen[0])), 1) for p in parts]
        ).mean(0)
    assert (model.labels(seen) == shares.argmax(1)[0].numpy()).all()
    other = photo(tmp_path / "other.png")
    written = predict_files(store, "folded/s0", [file, other], tmp_path / "out", "cpu").written
    assert Image.open(written[2]).size == (30, 20)
    together = folded.ensemble("s0")
    assert (together.predict(file) == np.asarray(Image.open(written[0]))).all()
    assert len(together.trials) == 2


def folded_input(parts: object, image: object) -> torch.Tensor:
    from bench.train.trial_parts import to_network_input

    return to_network_input(parts, image.values, image.window)  # type: ignore[attr-defined, arg-type]  # an Image


def test_one_fold_predicts_as_itself(folded: bench.Experiment, tmp_path: Path) -> None:
    file = photo(tmp_path / "photo.png")
    trial = folded.trials[0]
    store = Store(trial.folder.parents[1])
    written = predict_files(store, f"folded/{trial.id}", [file], tmp_path / "out", "cpu").written
    assert (trial.predict(file) == np.asarray(Image.open(written[0]))).all()


def test_folds_are_scored_together_on_the_test_split(folded: bench.Experiment, place: Path) -> None:
    store = Store(place / "results")
    found = evaluate(store, "folded/s0", "test", "cpu")
    assert found == folded.ensemble("s0").evaluate("cpu")
    assert found["dice"] is not None
    with pytest.raises(BenchError, match="each of the 2 folds of folded/s0 has another"):
        evaluate(store, "folded/s0", "val", "cpu")


def test_out_of_fold_masks(folded: bench.Experiment, place: Path, tmp_path: Path) -> None:
    store = Store(place / "results")
    predicted = predict_out_of_fold(store, "folded/s0", tmp_path, "cpu")
    rows = list(csv.DictReader((tmp_path / "out_of_fold.csv").open()))
    assert len(rows) == len(predicted.written) - 1 == 12
    frame = folded.out_of_fold.query("seed == 0").set_index("image")
    for row in rows:
        assert str(frame.loc[row["image"], "id"]) == row["trial"]
        assert Image.open(tmp_path / f"s0/{row['image']}.png").size == (32, 32)
    name = rows[0]["image"]
    parts = trained_parts(store.find(f"folded/{rows[0]['trial']}"), "cpu", trust_code=False)
    val = parts.data.splits["val"]
    from bench.train.trial_parts import predict

    place_of = val.names.index(name)
    expected = predict(parts, val.images[place_of : place_of + 1], (32, 32), parts.data.window)[0]
    assert (np.asarray(Image.open(tmp_path / f"s0/{name}.png")) == expected).all()


def test_all_images_and_no_test_split(place: Path, tmp_path: Path) -> None:
    """Classification, in folders of classes: labels out of fold, and no test figures."""
    root = tmp_path / "classes"
    for label, value in (("dark", 20), ("light", 220)):
        (root / label).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(value - 20, value + 20, (12, 12, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{i}.png")
    spec = {
        "experiment": "classes",
        "task": "classification",
        "data": {
            "name": "class_folder",
            "root": str(root),
            "classes": ["dark", "light"],
            "image_size": 32,
            "folds": {"k": 2, "of": "all"},
        },
        "model": {"name": "resnet", "depth": 18, "width": 0.05},
        "train": {"epochs": 1, "batch_size": 3},
        "machine": {"threads": 1},
    }
    found = bench.run(spec, results=tmp_path / "results", reports=tmp_path / "reports", jobs=1)
    assert found.runs["status"].tolist() == ["done", "done"]
    assert found.runs["test_top1"].isna().all()
    assert len(found.out_of_fold) == 12
    store = Store(tmp_path / "results")
    predict_out_of_fold(store, "classes/s0", tmp_path / "out", "cpu")
    rows = list(csv.DictReader((tmp_path / "out/out_of_fold.csv").open()))
    assert {row["image"].partition("/")[0] == row["label"] for row in rows} == {True}
    assert len({row["image"] for row in rows}) == 12
    shares = found.ensemble("s0").predict(root / "dark/0.png")
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(BenchError, match=r"there is none with data\.folds\.of: all"):
        evaluate(store, "classes/s0", "test", "cpu")


def test_probabilities_are_averaged_not_scores() -> None:
    one, other = torch.tensor([[10.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    shares = (one.softmax(1) + other.softmax(1)) / 2
    assert torch.allclose(mean_scores([one, other]).softmax(1), shares)
    assert mean_scores([one]) is one
    logits = torch.tensor([[2.0]]), torch.tensor([[-1.0]])
    mean = (torch.sigmoid(logits[0]) + torch.sigmoid(logits[1])) / 2
    assert torch.allclose(torch.sigmoid(mean_scores(logits)), mean)

    class Constant(torch.nn.Module):
        def __init__(self, scores: torch.Tensor) -> None:
            super().__init__()
            self.scores = scores

        def forward(self, _images: torch.Tensor) -> torch.Tensor:
            return self.scores

    together = Ensemble([Constant(one), Constant(other)])
    assert torch.allclose(together(torch.zeros(1, 3, 2, 2)).softmax(1), shares)
