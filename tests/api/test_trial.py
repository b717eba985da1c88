"""A trial's model is the trained one, and predicts what the command line predicts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bench
from bench.inference.predict import predict_files
from bench.record.files import read_yaml, write_yaml
from bench.record.store import Store
from tests.api.foreign import TRACES


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_what_is_recorded(made: bench.Experiment) -> None:
    trial = made.trial("other-s1")
    row = made.runs.set_index("id").loc[trial.id]
    assert (trial.status, trial.seed, trial.axes) == ("done", 1, {"model": "other"})
    assert trial.config["settings"]["model"]["name"] == "resnet34_unet"
    assert trial.summary["best_val_dice"] == row["best_val_dice"]
    assert list(trial.history["epoch"]) == [1, 2]
    assert "placement: device" in trial.log


def test_the_model_has_the_best_epoch_s_weights(made: bench.Experiment) -> None:
    trial = made.best()
    model = trial.model("cpu")
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    saved = torch.load(trial.folder / "best.pt", weights_only=True)["model"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, saved[name])
    other = trial.model("cpu")
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert next(model.parameters()).abs().sum() > 0, "each call gives a model of its own"


def test_predictions_are_the_command_line_s(
    made: bench.Experiment, photo: Path, tmp_path: Path
) -> None:
    trial = made.best()
    store = Store(made.folder.parent)
    predict_files(store, trial.id, [photo], tmp_path / "out", "cpu")
    wanted = np.asarray(Image.open(tmp_path / "out/photo_mask.png"))
    opened = Image.open(photo)
    array = np.asarray(opened)
    for image in (photo, str(photo), opened, array):
        found = trial.predict(image, "cpu")
        assert (found.dtype, found.shape) == (np.uint8, (40, 56))
        assert np.array_equal(found, wanted)
    several = trial.predict([photo, array], "cpu")
    assert len(several) == 2
    assert np.array_equal(several[1], wanted)


def test_preprocess_gives_what_the_model_takes(made: bench.Experiment) -> None:
    trial = made.best()
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ready = trial.preprocess(image, "cpu")
    assert (tuple(ready.shape), ready.dtype) == ((1, 3, 32, 32), torch.float32)
    with torch.inference_mode():
        labels = trial.model("cpu")(ready).argmax(1)[0].numpy()
    assert np.array_equal(labels, trial.predict(image, "cpu"))


def test_images_that_are_none(made: bench.Experiment) -> None:
    trial = made.best()
    with pytest.raises(
        bench.BenchError, match=r"\(H, W, 3\) uint8 values, not float64 \(4, 4, 3\)"
    ):
        trial.predict(np.zeros((4, 4, 3)), "cpu")
    with pytest.raises(bench.BenchError, match=r"nowhere\.png"):
        trial.predict("nowhere.png", "cpu")


def test_scores_are_the_recorded_ones(made: bench.Experiment) -> None:
    trial = made.best()
    scores = trial.evaluate("test", "cpu")
    assert scores["dice"] == pytest.approx(trial.summary["test_dice"], abs=1e-6)
    with pytest.raises(bench.BenchError, match="split 'tests': use train, val or test"):
        trial.evaluate("tests")


def test_a_classifier_says_how_likely_each_class_is(tmp_path: Path) -> None:
    experiment = bench.run(
        {
            "experiment": "kinds",
            "task": "classification",
            "data": {
                "name": "shapes",
                "image_size": 32,
                "train": 12,
                "val": 6,
                "test": 6,
                "kinds": 2,
            },
            "train": {"epochs": 1, "batch_size": 6},
            "model": {"name": "resnet", "depth": 18, "width": 0.1},
            "machine": {"threads": 1},
        },
        results=tmp_path / "results",
        reports=tmp_path / "reports",
        progress=False,
    )
    image = np.zeros((32, 32, 3), np.uint8)
    found = experiment.best().predict(image, "cpu")
    assert list(found.index) == ["kind1", "kind2"]
    assert found.sum() == pytest.approx(1, abs=1e-6)


def test_a_foreign_record_s_code_is_not_run(tmp_path: Path, photo: Path) -> None:
    """Unless it is trusted: then it is what is built."""
    spec = {
        "experiment": "foreign",
        "task": "segmentation",
        "data": {"name": "shapes", "image_size": 32, "train": 6, "val": 4, "test": 4},
        "train": {"epochs": 1, "batch_size": 6},
        "model": {"target": "tests.api.foreign:Traced"},
        "machine": {"threads": 1},
    }
    experiment = bench.run(
        spec, results=tmp_path / "results", reports=tmp_path / "reports", progress=False
    )
    trial = experiment.trials[0]
    assert trial.status == "done", trial.summary
    TRACES.clear()
    for use in (trial.model, lambda: trial.predict(photo), lambda: trial.preprocess(photo),
                trial.evaluate):  # fmt: skip
        with pytest.raises(bench.BenchError, match=r"tests\.api\.foreign:Traced.*trust_code=True"):
            use()
    assert TRACES == []
    assert trial.predict(photo, "cpu", trust_code=True).shape == (40, 56)
    assert len(TRACES) == 1
    # trusted once is not trusted for good
    with pytest.raises(bench.BenchError, match="trust_code=True"):
        trial.predict(photo, "cpu")
    assert type(trial.model("cpu", trust_code=True)).__name__ == "Traced"


def test_a_changed_record_is_refused(made: bench.Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "copy" / made.best().id
    shutil.copytree(made.best().folder, folder)
    config = read_yaml(folder / "config.yaml")
    config["settings"]["train"]["lr"] = 0.5
    write_yaml(folder / "config.yaml", config)
    with pytest.raises(bench.BenchError, match="config"):
        bench.Trial(folder).model("cpu")
