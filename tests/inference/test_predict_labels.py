"""`predict` of a classifier: its table of labels, and what programs make of names in it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bench.inference.predict import predict_files
from bench.record.store import Store
from tests.builders.classifier import classifier, put
from tests.faults.workspace import ROOT


@pytest.fixture
def trial(tmp_path: Path) -> str:
    return put(tmp_path / "results", classifier()).id


def image(path: Path) -> Path:
    Image.new("RGB", (8, 8), "red").save(path)
    return path


def test_labels_with_their_files(tmp_path: Path, trial: str) -> None:
    files = [image(tmp_path / name) for name in ("a, b.png", 'c"d.png')]
    (tmp_path / "e.png").write_text("no image")
    found = predict_files(
        Store(tmp_path / "results"), trial, [*files, tmp_path / "e.png"], tmp_path / "out", "cpu"
    )
    assert found.caution is None
    assert len(found.failed) == 1
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "label", "probability"]
    assert [row[0] for row in rows] == [str(file) for file in files]
    assert all(0.5 <= float(row[2]) <= 1 for row in rows)


def test_no_table_where_no_image_can_be_read(tmp_path: Path, trial: str) -> None:
    (tmp_path / "e.png").write_text("no image")
    found = predict_files(
        Store(tmp_path / "results"), trial, [tmp_path / "e.png"], tmp_path / "out", "cpu"
    )
    assert found.written == []
    assert not (tmp_path / "out").exists()


def test_names_that_a_spreadsheet_runs_and_a_terminal_obeys(tmp_path: Path, trial: str) -> None:
    names = ["=1+cmd|' C'!A0.png", "\x1b]0;owned\x07.png"]
    for name in names:
        image(tmp_path / name)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        [sys.executable, "-m", "bench", "predict", trial, *names, "--out", "out"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert (
        "Warning: \"=1+cmd|' C'!A0.png\" in the CSV files would be run as formulas" in said.stderr
    )
    assert not {"\x1b", "\x07"} & set(said.stdout + said.stderr)
    assert "=1+cmd" in (tmp_path / "out" / "predictions.csv").read_text()  # as it is, for programs
