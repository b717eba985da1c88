from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.builders.records import study, write_experiment

SECONDS = 30
CODE = """
import json, sys, time
from pathlib import Path
from bench.record.store import Store
from bench.report.page import write_report
page = write_report(Store(Path(sys.argv[1])), ["many"], Path(sys.argv[2]))
heavy = [name for name in ("torch", "mlflow") if name in sys.modules]
print(json.dumps({"seconds": time.process_time(), "heavy": heavy, "page": str(page)}))
"""


@pytest.mark.slow
def test_a_thousand_trials_of_a_hundred_epochs(tmp_path):
    """200 arms: the whole report within half a minute of one core, without the heavy packages."""
    models, augments = ([f"{kind}_{i}" for i in range(n)] for kind, n in (("m", 10), ("a", 20)))
    write_experiment(tmp_path / "results", "many", study(models, augments, seeds=5, epochs=100))
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "results"), str(tmp_path / "reports")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert found["seconds"] < SECONDS
    folder = tmp_path / "reports" / "many"
    assert (folder / "report.html").stat().st_size < 3e6
    assert len((folder / "tables" / "arms.csv").read_text().splitlines()) == 201
    assert len((folder / "history.csv").read_text().splitlines()) == 100_001
