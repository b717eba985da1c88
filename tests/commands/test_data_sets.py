"""`bench data`, and the lines on data of `run` and `plan`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bench.cli.app import app
from bench.commands import data_sets
from bench.data.base import Split, Splits
from bench.errors import BenchError

SPEC = """\
experiment: tiny
task: segmentation
data: {name: folder, root: pets, image_size: 32}
model: {name: unet, width: 0.05}
train: {epochs: 1, batch_size: 4}
machine: {threads: 1, device: cpu}
seeds: 1
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a spec and 20 images, of whose masks none has any foreground."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
    for i in range(20):
        image = random.integers(0, 256, (24, 40, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / f"pets/images/p{i:02}.png")
        Image.fromarray(np.zeros((24, 40), np.uint8)).save(tmp_path / f"pets/masks/p{i:02}.png")
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def bench(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def paragraphs(text: str) -> str:
    """Without the line breaks of an 80-column page."""
    return " ".join(text.split())


def test_the_whole_fits_80_columns(workspace: Path) -> None:
    found = bench("data", "spec.yaml")
    assert found.exit_code == 0, found.output
    assert max(map(len, found.stdout.splitlines())) <= 80
    text = paragraphs(found.stdout)
    assert "train val test images 16 2 2" in text
    assert "background 100% in 16 100% in 2 100% in 2 foreground 0% in 0" in text
    assert "Warning: No foreground in train, val and test: every mask is empty. A model" in text


def test_as_json(workspace: Path) -> None:
    (entry,) = json.loads(bench("data", "spec.yaml", "--json").stdout)
    assert entry["survey"]["splits"]["train"]["masks"]["empty"] == 16
    assert [w["kind"] for w in entry["warnings"]] == ["no_foreground", "few_images"]
    assert entry["target"] == "mask"


def test_overrides_count(workspace: Path) -> None:
    (entry,) = json.loads(bench("data", "spec.yaml", "data.image_size=16", "--json").stdout)
    assert entry["survey"]["splits"]["train"]["width"] == 16


def test_an_axis_of_data_shows_every_data_set(workspace: Path) -> None:
    (workspace / "spec.yaml").write_text(SPEC + "grid: {data.image_size: [16, 32]}\n")
    found = bench("data", "spec.yaml").stdout
    assert "folder (data.image_size: 16)" in found
    assert "folder (data.image_size: 32)" in found


def test_a_search_s_data(workspace: Path) -> None:
    text = SPEC.replace("seeds: 1\n", "search: {trials: 2, space: {train.lr: {float: [1, 2]}}}\n")
    (workspace / "spec.yaml").write_text(text)
    assert "every mask is empty" in paragraphs(bench("data", "spec.yaml").stdout)


@pytest.mark.parametrize("argument", ["pets", "missing.yaml"])
def test_what_is_no_spec_is_one_clear_line(workspace: Path, argument: str) -> None:
    found = bench("data", argument)
    assert isinstance(found.exception, BenchError)  # `main` makes it a line and exit code 2
    assert str(found.exception).startswith(argument)
    assert len(str(found.exception).splitlines()) == 1


def test_a_folder_is_looked_at(workspace: Path) -> None:
    message = str(bench("data", "pets").exception)
    assert message == "pets/masks: all masks have the one value 0: there is nothing to learn"
    mask = np.zeros((32, 32), np.uint8)
    mask[:16] = 255
    Image.fromarray(mask).save(workspace / "pets/masks/p03.png")
    printed = bench("data", "pets").stdout
    assert "values: [0, 255]" in printed
    assert "root: pets" in printed


def test_data_that_cannot_be_read(workspace: Path) -> None:
    (workspace / "pets/masks/p03.png").write_bytes(b"no image")
    found = bench("data", "spec.yaml")
    assert isinstance(found.exception, BenchError)
    assert "pets/masks/p03.png" in str(found.exception)
    planned = bench("plan", "spec.yaml")
    assert planned.exit_code == 0
    assert "Warning: the data cannot be read now: pets/masks/p03.png" in planned.stdout


def test_plan_tells_in_a_few_lines(workspace: Path) -> None:
    found = bench("plan", "spec.yaml").stdout
    assert "Data folder: 16 train, 2 val and 2 test images, 32×32" in found
    assert "Warning: no foreground in train, val and test: every mask is empty: a model" in found


def test_plan_as_json_stays_json(workspace: Path) -> None:
    found = bench("plan", "spec.yaml", "--json")
    assert len(json.loads(found.stdout)) == 1
    assert "Data folder: 16 train" in found.stderr


def test_plan_does_not_decode_for_long(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_sets, "_FIRST_GUESS", 0.0)
    monkeypatch.setattr(data_sets, "PATIENCE", 1e-9)
    expected = "Data folder: not decoded yet; `bench data spec.yaml` does that and describes it."
    assert expected in bench("plan", "spec.yaml").stdout
    assert bench("data", "spec.yaml").exit_code == 0
    assert "Data folder: 16 train" in bench("plan", "spec.yaml").stdout, "it is in the cache now"


def test_plan_downloads_nothing(workspace: Path) -> None:
    start = time.monotonic()
    found = bench("plan", "spec.yaml", "data={name: oxford_pet, root: nowhere}")
    assert found.exit_code == 0, found.output
    assert "Data oxford_pet: not downloaded yet; `bench data spec.yaml`" in found.stdout
    assert not (workspace / "nowhere").exists()
    assert time.monotonic() - start < 60


class Own:
    """A data set as a user writes it."""

    def __init__(self, image_size: int, wrong: str = "") -> None:
        self.size, self.wrong = image_size, wrong

    def prepare(self, _progress: object = None) -> Splits:
        if self.wrong == "raises":
            raise RuntimeError("no such table")
        images = np.random.default_rng(0).integers(0, 256, (60, self.size, self.size, 3), np.uint8)
        masks = np.zeros(images.shape[:3], np.uint8)
        masks[:, :4] = 1
        names = ["train", "val", "test"][: 2 if self.wrong == "split" else 3]
        parts = {
            name: Split(
                images[i * 20 : i * 20 + 20],
                masks[i * 20 : i * 20 + 20],
                tuple(f"{name}{j}" for j in range(20)),
            )
            for i, name in enumerate(names)
        }
        return Splits(parts, ("background", "foreground"), "f00d")


BENCH_SOURCE = f"data={{target: '{__name__}:Own', image_size: 32}}"


def test_plan_does_not_count_for_long(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_sets, "MOST_BYTES", 1000)
    expected = "Data folder: not counted yet; `bench data spec.yaml` does that and describes it."
    assert expected in bench("plan", "spec.yaml").stdout
    assert bench("data", "spec.yaml").exit_code == 0
    assert "Data folder: 16 train" in bench("plan", "spec.yaml").stdout, "it was counted"


def test_a_data_set_of_the_user_s_own_has_no_facts_of_files(workspace: Path) -> None:
    found = bench("data", "spec.yaml", BENCH_SOURCE)
    assert found.exit_code == 0, found.exception
    assert "99.8% of them in" in found.stdout
    assert "median file" not in found.stdout
    assert "Warning" not in found.stdout
    assert (
        "`bench data spec.yaml` reads and describes it."
        in bench("plan", "spec.yaml", BENCH_SOURCE).stdout
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("raises", "RuntimeError: no such table"),
        ("split", "there is no split 'test' (it has train, val)"),
    ],
)
def test_what_a_data_set_of_the_user_s_own_does_wrong(
    workspace: Path, wrong: str, message: str
) -> None:
    found = bench("data", "spec.yaml", BENCH_SOURCE, f"data.wrong={wrong}")
    assert isinstance(found.exception, BenchError)
    assert message in str(found.exception)


def test_run_tells_records_and_reports(workspace: Path) -> None:
    found = bench("run", "spec.yaml", "-j", "1")
    assert found.exit_code == 0, found.output
    assert "Warning: no foreground in train, val and test: every mask is empty" in found.stderr
    record = json.loads((workspace / "results/tiny/data.json").read_text())
    (entry,) = record["datasets"]
    assert entry["trials"] == [
        path.parent.name for path in workspace.glob("results/tiny/*/config.yaml")
    ]
    page = (workspace / "reports/tiny/report.md").read_text()
    first = page.index("No foreground in train, val and test: every mask is empty.")
    assert first < page.index("## Arms")
    assert "## Data" in page
