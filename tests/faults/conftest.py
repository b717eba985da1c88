"""A finished experiment, and copies of it to be spoilt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.analysis.records import Records
from bench.exit_codes import ExitCode
from bench.plan.plan import Plan
from tests.builders.experiments import build
from tests.faults.tampering import TamperedCopy
from tests.faults.tiny import SPEC, run


@pytest.fixture(scope="package")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `spec.yaml` and `results`; nobody changes it."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "spec.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        code, said = run(folder)
    assert code is ExitCode.OK, said
    return folder


@pytest.fixture
def copy(done: Path, tmp_path: Path) -> Path:
    """To be spoilt."""
    return shutil.copytree(done, tmp_path / "copy")


@pytest.fixture(scope="package")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """Twelve finished trials; nobody changes them."""
    root = tmp_path_factory.mktemp("built")
    _, plan = build(root)
    return root, plan


@pytest.fixture
def tampered(good: tuple[Path, Plan], tmp_path: Path) -> TamperedCopy:
    """A copy of them."""
    root, plan = good
    return TamperedCopy(shutil.copytree(root, tmp_path / "copy"), plan)


@pytest.fixture(scope="package")
def before(good: tuple[Path, Plan]) -> Records:
    """The records as they were."""
    return TamperedCopy(*good).load()
