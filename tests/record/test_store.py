from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.record.leases import Lease
from bench.record.store import Store
from tests.builders.trials import plan


def make(store: Store, experiment: str, *trials: str) -> None:
    for trial in trials:
        store.trial(experiment, trial).write_config({"id": trial})


def test_importing_it_needs_neither_torch_nor_mlflow() -> None:
    code = (
        "import sys, bench.record.store, bench.record.summary\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'mlflow', 'pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_lists_what_is_there(store: Store) -> None:
    assert store.experiments() == []
    make(store, "pets", "unet-s1", "unet-s0")
    (store.root / "pets" / "notes").mkdir()
    (store.root / "pets" / "o'dd").mkdir()
    (store.root / "pets" / "o'dd" / "config.yaml").touch()
    (store.root / "mlartifacts" / "1").mkdir(parents=True)
    (store.root / "other").mkdir()
    store.write_plan("planned", {"trials": []})
    assert store.experiments() == ["pets", "planned"]
    assert [trial.id for trial in store.trials("pets")] == ["unet-s0", "unet-s1"]
    assert store.trials("planned") == store.trials("nowhere") == []
    assert store.existing("pets") == "pets"
    with pytest.raises(StoreError, match=r"no experiment 'pet' \(did you mean 'pets'\?\)"):
        store.existing("pet")


@pytest.mark.parametrize("name", ["../x", "/x", "", ".", "a/b", "mlartifacts", "-x", ".x", "a b"])
def test_a_name_cannot_leave_the_folder(store: Store, name: str) -> None:
    with pytest.raises(StoreError):
        store.experiment(name)
    if name != "mlartifacts":
        with pytest.raises(StoreError):
            store.trial("pets", name)


def test_plan_round_trip(store: Store) -> None:
    assert store.plan("pets") is None
    written = plan("unet-s0")
    store.write_plan("pets", written)
    found = store.plan("pets")
    assert found is not None
    assert found.pop("written").endswith("Z")
    assert found == written


def test_find(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "pets", "unet-none-s0", "unet-none-s01", "unet-elastic-s0")
    make(store, "more", "unet-none-s0")
    folder = store.root / "pets" / "unet-elastic-s0"
    for text in ("unet-elastic-s0", "unet-e", "pets/unet-e", str(folder), f"{folder}/"):
        assert store.find(text).folder == folder
    assert store.find("pets/unet-none-s0").experiment == "pets"  # exact before longer ones
    monkeypatch.chdir(folder)
    assert store.find(".").id == "unet-elastic-s0"
    for text, message in {
        "unet-none-s0": "ambiguous: more/unet-none-s0, pets/unet-none-s0",
        "unet-none": "ambiguous",
        "unet-elastic-s1": r"no trial 'unet-elastic-s1' \(did you mean 'unet-elastic-s0'\?\)",
        "pet/unet-e": "no experiment 'pet'",
        "": "no trial ''",
    }.items():
        with pytest.raises(StoreError, match=message):
            store.find(text)


def test_find_in_an_empty_store(store: Store) -> None:
    with pytest.raises(StoreError, match=r"no trial 'x' \(there is none yet\)"):
        store.find("x")


def test_is_picklable_and_relative_roots_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(Path("results"))
    assert pickle.loads(pickle.dumps(store)) == store
    monkeypatch.chdir(tmp_path)
    make(store, "pets", "t")
    assert store.mlflow_uri == f"sqlite:///{tmp_path}/results/mlflow.db"
    assert store.trial("pets", "t").experiment == "pets"


def test_who_runs_what(store: Store) -> None:
    assert store.running("pets") == {}
    with store.leases("pets") as ours:
        lease = ours.claim("unet-s0")
        assert store.running("pets").keys() == {"unet-s0"}
        assert store.running("others") == {}
        assert isinstance(lease, Lease)
        ours.release(lease)
        assert store.running("pets") == {}
    assert store.experiments() == []


def test_one_process_at_a_time_writes_to_mlflow(store: Store) -> None:
    with store.mirroring(1):  # noqa: SIM117 - the message is of the inner one
        with pytest.raises(TimeoutError, match="mlflow is held by process"), store.mirroring(0.1):
            pass
    with store.mirroring(0):
        pass
    assert store.experiments() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_results_folder_is_one_clear_line(store: Store) -> None:
    store.root.mkdir()
    store.root.chmod(0o555)
    with pytest.raises(StoreError, match="choose another --results folder"), store.leases("pets"):
        pass


def test_a_results_folder_that_is_a_file_is_one_clear_line(store: Store) -> None:
    store.root.touch()
    assert store.experiments() == []
    with pytest.raises(StoreError, match="choose another --results folder"), store.leases("pets"):
        pass
