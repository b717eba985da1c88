"""What of this machine works for `bench`, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from bench.errors import StoreError, first_line
from bench.safe_files import check_database

CheckState = Literal["ok", "warning", "problem"]

_TESTED_PYTHONS = ((3, 11), (3, 13))
_MEMORY_GB = 2.0  # the interpreter with torch, and a small model
_DISK_GB = 5.0  # a study's checkpoints and a cache
_TIMEOUT = 5.0  # seconds that a tracking server has to answer
_PETS = Path("data") / "oxford-iiit-pet"
_MLFLOW_REMEDY = (
    "fix it or unset MLFLOW_TRACKING_URI; runs go on meanwhile, `bench sync` catches up"
)


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and what to do about it ("" where it is `ok`)."""

    name: str
    state: CheckState
    finding: str
    remedy: str = ""


def checks(results: Path) -> list[Check]:
    """Look at everything that a run with its results at `results` needs. Changes nothing."""
    from bench.data.cache import cache_root

    return [
        check_python(sys.version_info[:2]),
        check_torch(),
        check_cores(),
        check_memory(),
        check_disk(results),
        *check_gpus(),
        check_folder("results", results, "give another folder with --results"),
        check_folder("cache", cache_root(), "set BENCH_CACHE to a folder you may write to"),
        check_mlflow(results, os.environ.get("MLFLOW_TRACKING_URI")),
        check_git(),
        check_pets(_PETS),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    """The interpreter's version, (major, minor), against the tested ones."""
    text = f"{platform.python_implementation()} {'.'.join(map(str, version))}"
    oldest, newest = (".".join(map(str, tested)) for tested in _TESTED_PYTHONS)
    if version < _TESTED_PYTHONS[0]:
        return Check("python", "problem", f"{text} is too old", f"use Python {oldest} to {newest}")
    if version > _TESTED_PYTHONS[1]:
        return Check("python", "warning", f"{text} is untested", f"use Python {oldest} to {newest}")
    return Check("python", "ok", text)


def check_torch() -> Check:
    """torch and torchvision are there, and of builds that work together."""
    try:
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        finding = f"torch and torchvision do not work together: {first_line(error)}"
        remedy = "reinstall both in one command, from the same package index"
        return Check("torch", "problem", finding, remedy)
    finding = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if kept.tolist() != [0]:
        return Check("torch", "problem", f"{finding}: wrong result of nms", "reinstall both")
    return Check("torch", "ok", finding)


def check_cores() -> Check:
    """CPU cores against the threads that torch would start."""
    from bench.measure.devices import cpu_count

    cores = cpu_count()
    try:
        import torch
    except (ImportError, OSError):  # check_torch reports it
        return Check("cpu", "ok", f"{cores} usable cores")
    threads = torch.get_num_threads()
    finding = f"{cores} usable cores, torch starts {threads} threads"
    if threads > cores:
        remedy = f"set machine.threads to {cores} or fewer, or OMP_NUM_THREADS={cores}"
        return Check("cpu", "warning", finding, remedy)
    return Check("cpu", "ok", finding)


def check_memory() -> Check:
    """Main memory that is free now."""
    import psutil

    memory = psutil.virtual_memory()
    finding = f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB"
    if memory.available < _MEMORY_GB * 1e9:
        return Check("memory", "warning", finding, "close other programs, or run with -j 1")
    return Check("memory", "ok", finding)


def check_disk(folder: Path) -> Check:
    """Free space on the disk that `folder` is or would be on."""
    free = shutil.disk_usage(_nearest_existing(folder)).free / 1e9
    finding = f"{free:.1f} GB free at {folder}"
    if free < _DISK_GB:
        remedy = "free some space, or give a folder on another disk with --results"
        return Check("disk", "warning", finding, remedy)
    return Check("disk", "ok", finding)


def check_gpus() -> list[Check]:
    """One check per GPU that torch can use; a machine without one is all right."""
    from bench.measure.devices import driver_version, visible_gpus

    try:
        import torch
    except (ImportError, OSError):
        return []  # check_torch reports it
    driver, seen = driver_version(), visible_gpus()
    if torch.cuda.is_available():
        return [_check_gpu(index) for index in range(torch.cuda.device_count())]
    if not seen:
        return [Check("gpu", "ok", "no CUDA device: trials run on the CPU")]
    finding = f"{len(seen)} GPU(s) with driver {driver}, but torch {torch.__version__} uses none"
    remedy = "install a CUDA build of torch that this driver supports, or update the driver"
    return [Check("gpu", "problem", finding, remedy)]


def _check_gpu(index: int) -> Check:
    import torch

    name = f"gpu {index}"
    try:
        properties = torch.cuda.get_device_properties(index)
        torch.ones(8, device=f"cuda:{index}").sum().item()
        with torch.cuda.device(index):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    except RuntimeError as error:
        remedy = "install a torch build for this GPU, or hide it with CUDA_VISIBLE_DEVICES"
        return Check(name, "problem", f"cannot be used: {first_line(error)}", remedy)
    precision = "bf16" if bf16 else "no bf16: precision auto means fp32"
    memory = properties.total_memory / 1e9
    return Check(name, "ok", f"{properties.name}, {memory:.1f} GB, {precision}")


def check_folder(name: str, folder: Path, remedy: str) -> Check:
    """Whether files can be written in `folder`, or where it would be made."""
    nearest = _nearest_existing(folder)
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(b"bench")
    except OSError as error:
        finding = f"{folder} is not writable: {error.strerror or error} ({nearest})"
        return Check(name, "problem", finding, remedy)
    return Check(
        name,
        "ok",
        str(folder) if nearest == folder.absolute() else f"{folder} (does not exist yet)",
    )


def check_git() -> Check:
    """git, which tells with which commit a trial ran."""
    git = shutil.which("git")
    if git is None:
        finding = "not found: the commit that a trial ran with will not be recorded"
        return Check("git", "warning", finding, "install git")
    return Check("git", "ok", git)


def check_pets(folder: Path) -> Check:
    """Oxford-IIIT Pet where the specs look for it by default."""
    needed = (folder / "images", folder / "annotations" / "trainval.txt")
    missing = [path for path in needed if not path.exists()]
    if not missing:
        return Check("oxford_pet", "ok", str(folder))
    remedy = (
        "`data.download: true` fetches it (about 0.8 GB) when a spec needs it; or set data.root to "
        "the folder that holds oxford-iiit-pet/"
    )
    return Check("oxford_pet", "warning", f"{missing[0]} does not exist", remedy)


def check_mlflow(results: Path, uri: str | None) -> Check:
    """MLflow's store: the server or database that MLFLOW_TRACKING_URI names, or results/mlflow.db.

    A database must have the schema of the installed MLflow.
    """
    if uri is None:
        remedy = "move it away, then `bench sync` writes it anew from the files under results"
        own = results.absolute() / "mlflow.db"
        try:
            check_database(own)
        except StoreError as error:
            return Check("mlflow", "problem", str(error), "replace or remove it")
        return _check_database(f"sqlite:///{own}", remedy)
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return _check_server(parts, _MLFLOW_REMEDY)
    if parts.scheme.partition("+")[0] in ("sqlite", "postgresql", "mysql", "mssql"):
        return _check_database(uri, _MLFLOW_REMEDY)
    if parts.scheme in ("", "file"):
        remedy = "set MLFLOW_TRACKING_URI to a server or to sqlite:///FILE, or unset it"
        return Check("mlflow", "problem", "MLflow no longer writes to plain folders", remedy)
    remedy = "nothing, if a run's results arrive there"
    return Check("mlflow", "warning", f"a store of kind {parts.scheme!r} is not checked", remedy)


def _check_server(parts: SplitResult, remedy: str) -> Check:
    """Ask a tracking server for its health."""
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        try:
            connection.request("GET", parts.path.rstrip("/") + "/health")
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        finding = f"the tracking server does not answer: {first_line(error)}"
        return Check("mlflow", "problem", finding, remedy)
    if status in (401, 403):
        return Check("mlflow", "ok", f"{shown} answers and wants credentials")
    if status != 200:
        finding = f"{shown} answers {status} when asked for its health"
        return Check("mlflow", "problem", finding, remedy)
    return Check("mlflow", "ok", shown)


def _check_database(uri: str, remedy: str) -> Check:
    """Read a database's schema version, creating nothing."""
    # SQLAlchemy and Alembic come with MLflow, which keeps its databases with them.
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = make_url(uri)
        shown = url.render_as_string(hide_password=True)
        if url.drivername.startswith("sqlite") and url.database and not _exists(Path(url.database)):
            return Check("mlflow", "ok", f"{shown} (does not exist yet)")
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                if not inspect(connection).has_table("alembic_version"):
                    return Check("mlflow", "ok", f"{shown} (still empty)")
                found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        finally:
            engine.dispose()
    except (SQLAlchemyError, ArgumentError, ImportError, OSError) as error:
        finding = f"the database cannot be read: {first_line(error)}"
        return Check("mlflow", "problem", finding, remedy)
    if found != (newest := _newest_schema()):
        version = importlib.metadata.version("mlflow")
        finding = f"{shown} has schema {found}, MLflow {version} wants {newest}"
        return Check("mlflow", "problem", finding, f"back it up, then: mlflow db upgrade {shown}")
    return Check("mlflow", "ok", f"{shown}, schema {found}")


def _newest_schema() -> str | None:
    """The schema version of the installed MLflow, read from its migrations without importing it."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    package = importlib.util.find_spec("mlflow")
    assert package is not None
    assert package.origin is not None
    config = Config()
    migrations = Path(package.origin).parent / "store" / "db_migrations"
    config.set_main_option("script_location", str(migrations))
    return ScriptDirectory.from_config(config).get_current_head()


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    return next(nearest for nearest in (path, *path.parents) if _exists(nearest))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above may not be entered
        return False
