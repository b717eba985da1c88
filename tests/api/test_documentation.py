"""Every block of docs/python.md and every cell of the notebook runs, as a reader would run them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

import bench

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_s_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == text.count("```python") >= 6
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((40, 48, 3), 128, np.uint8)).save("photo.png")
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert isinstance(names["experiment"], bench.Experiment)
    assert names["mask"].shape == (40, 48)
    assert tuple(names["scores"].shape) == (1, 2, 32, 32)
    assert Path("figures/learning_curves.png").exists()


def test_the_page_s_options_are_there() -> None:
    """Each option in the table is one of `bench.run`, with the default that the page says."""
    parameters = inspect.signature(bench.run).parameters
    text = (DOCS / "python.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    named = [option for row in rows for option in re.findall(r"`([^`]+)`", row) if option]
    options = [option for option in named if option != "bench.run"]
    assert options
    for option in options:
        name, _, default = option.partition("=")
        assert name in parameters, name
        assert not default or repr(parameters[name].default) == default.replace('"', "'")
    documented = {option.partition("=")[0] for option in options}
    assert documented == set(parameters) - {"spec", "overrides"}


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(bench.__file__).parents[1]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(DOCS / "quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs"
    NotebookClient(
        notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pages = [cell.outputs[-1].get("data", {}).get("text/html", "") for cell in cells]
    assert "6 trials" in pages[0]
    assert "6 trials, 6 done" in pages[1]
    assert "wide_better" in pages[1]
    assert "<img" in pages[3]
    assert "('UNet', (48, 64), dtype('uint8'))" in cells[-1].outputs[-1]["data"]["text/plain"]
    assert (tmp_path / "reports/widths/report.html").exists()
