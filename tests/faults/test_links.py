"""Links in a foreign results folder: what report and plan read is not read through them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from bench.errors import DataError, StoreError
from bench.models.weights import read
from bench.plan.extractor import classifier_of
from bench.record.store import Store
from bench.report.figures.predictions import read_strip
from bench.report.figures.sample_pictures import shrunk
from bench.report.page import write_report
from tests.builders.classifier import classifier, put
from tests.builders.records import MadeTrial, write_experiment, write_samples


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A picture of the user's, outside the results."""
    path = tmp_path / "private.png"
    Image.new("RGB", (32, 8), "red").save(path)
    return path


@pytest.mark.parametrize("what", ["picture", "folder"])
def test_pictures_that_are_links_are_in_no_report(tmp_path: Path, secret: Path, what: str) -> None:
    trial = MadeTrial(0, {"model": "a"}, summary={"best_val_dice": 0.5})
    write_experiment(tmp_path / "results", "exp", [trial])
    folder = tmp_path / "results" / "exp" / trial.id
    write_samples(folder, count=1)
    store = Store(tmp_path / "results")
    before = write_report(store, ["exp"], tmp_path / "before").read_text()
    samples = folder / "samples"
    if what == "picture":
        picture = next(samples.glob("*.png"))
        picture.unlink()
        picture.symlink_to(secret)
        assert read_strip(picture) is None
        with pytest.raises(Exception, match="is a link"):
            shrunk(picture)
    else:
        (samples).rename(tmp_path / "elsewhere")
        samples.symlink_to(tmp_path / "elsewhere")
    after = write_report(store, ["exp"], tmp_path / "after").read_text()
    assert "data:image/jpeg" in before
    assert "data:image/jpeg" not in after
    assert shrunk(secret)  # a file itself is read


def test_a_classifier_s_configuration_and_weights(tmp_path: Path) -> None:
    files = put(tmp_path, classifier())
    assert classifier_of(files.best).settings.task.name == "classification"
    config = files.config_path.rename(tmp_path / "config.yaml")
    files.config_path.symlink_to(config)
    with pytest.raises(DataError, match=r"config\.yaml: is a link, and is not opened") as caught:
        classifier_of(files.best)
    assert str(caught.value).count("restore") == 1


def test_weights_of_a_trial_and_of_the_user(tmp_path: Path) -> None:
    file, link = tmp_path / "real.pt", tmp_path / "best.pt"
    torch.save({"model": {"w": torch.ones(1)}}, file)
    link.symlink_to(file)
    assert list(read(link)) == ["w"]  # the user names it, and may have links
    assert list(read(file, "0badcafe")) == ["w"]
    with pytest.raises(DataError, match=r"best\.pt: is a link, and is not opened"):
        read(link, "0badcafe")


@pytest.mark.parametrize("part", ["", "figures", "tables", "samples"])
def test_a_report_s_folder_that_leads_elsewhere(tmp_path: Path, part: str) -> None:
    """Pictures of an earlier report are deleted: never in a folder of the user's."""
    write_experiment(
        tmp_path / "results",
        "exp",
        [MadeTrial(0, {"model": "a"}, summary={"best_val_dice": 0.5})],
    )
    pictures = tmp_path / "Pictures"
    pictures.mkdir()
    for name in ("holiday.png", "holiday.jpg", "ranking.csv"):
        (pictures / name).write_text("mine")
    link = tmp_path / "reports" / "exp" / part
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(pictures)
    with pytest.raises(StoreError, match="is a link that leads out of"):
        write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    assert {path.read_text() for path in pictures.iterdir()} == {"mine"}
    link.unlink()
    (tmp_path / "mine").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "mine")  # the user's own choice
    assert write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "linked").is_file()
