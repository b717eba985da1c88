"""How long a plan's trials take: by what finished ones took, by what was measured, or measured now.

Measurements are cached with the prepared data, keyed by everything that they depend on; asking
again takes no step.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from bench.atomic_files import write_bytes
from bench.data.cache import cache_root
from bench.errors import StoreError, UnwritableError
from bench.experiment.changed_data import data_stamp
from bench.experiment.recorded_durations import recorded_durations
from bench.measure.devices import cpu_count, gpu_names
from bench.measure.duration import Duration, UnknownDuration
from bench.measure.environment import cpu_model
from bench.plan.expand import targets_in
from bench.plan.trial import Trial, digest
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles
from bench.registry import Custom
from bench.run.measure_durations import ClockName, MeasuredTrial, measure_durations
from bench.run.worker import WorkerResources
from bench.stages import tell

FORMAT = 1
"""Of what is measured and how: raise it when either changes."""
DURATION_NEUTRAL_SETTINGS = frozenset({
    "lr", "encoder_lr", "weight_decay", "momentum", "warmup_epochs", "early_stopping",
    "focal_gamma", "label_smoothing",
})  # fmt: skip
"""Settings of training that do not change how long a step takes."""

Found = Duration | UnknownDuration


@dataclass(frozen=True)
class DurationRequest:
    """Whose durations are asked for, and of which conditions.

    Attributes:
        store: the records, whose finished trials are evidence.
        experiment: its name.
        resources: of the workers that there will be.
        clock: what seconds are; those of a CPU are neither looked up nor kept.
    """

    store: Store
    experiment: str
    resources: Sequence[WorkerResources]
    clock: ClockName = "wall"


def durations(
    trials: Iterable[Trial], request: DurationRequest, report: Callable[[str], None]
) -> dict[str, Found]:
    """By trial id how long each takes; trials that are alike in it are measured once.

    `report` is called with a line for each kind before it is measured.
    """
    kinds: dict[str, list[Trial]] = {}
    for trial in trials:
        kinds.setdefault(_kind(trial), []).append(trial)
    found: dict[str, Found] = {}
    if request.clock == "wall":
        found |= recorded_durations(kinds, request.store, request.experiment, request.resources)
    paths = {kind: _path(kinds[kind][0], request) for kind in kinds if kind not in found}
    for kind, path in paths.items():
        if request.clock == "wall" and (kept := _kept(path)) is not None:
            found[kind] = kept
    for kind, alike in kinds.items():
        if kind not in found and (devices := alike[0].settings.train.devices) > 1:
            found[kind] = UnknownDuration(
                f"a few steps on one device do not tell what a trial on {devices} takes "
                "(train.devices); records of finished ones do"
            )
    left = {kinds[kind][0].id: kind for kind in kinds if kind not in found}
    if left:
        samples = [kinds[kind][0] for kind in left.values()]
        for name, answer in _measured(samples, request, report).items():
            found[left[name]] = answer
            if isinstance(answer, Duration) and request.clock == "wall":
                _keep(paths[left[name]], answer)
    return {trial.id: found[kind] for kind, alike in kinds.items() for trial in alike}


def _kind(trial: Trial) -> str:
    """A digest of the settings that decide how long a trial's parts take."""
    settings = trial.settings.identity()
    train = {k: v for k, v in settings["train"].items() if k not in DURATION_NEUTRAL_SETTINGS}
    task, chosen = trial.settings.task, trial.settings.train
    if not isinstance(chosen.schedule, Custom):
        train.pop("schedule", None)
    if not (isinstance(task, Custom) or hasattr(task, "show_every") or chosen.steps):
        train.pop("epochs", None)  # what an epoch takes does not depend on how many there are
    model = {key: value for key, value in settings["model"].items() if key != "weights"}
    return digest({**settings, "model": model, "train": train, "select": None})


def _path(trial: Trial, request: DurationRequest) -> Path:
    """Where what was measured is kept: named after all that it follows from."""
    settings, resources = trial.settings, request.resources
    root = str(getattr(settings.data, "root", ""))
    key = {
        "format": FORMAT,
        "kind": _kind(trial),
        "machine": settings.machine.model_dump(mode="json"),
        "data": [root, data_stamp(settings.data)],
        "code": [_code(target) for target in sorted(set(targets_in(settings)))],
        "workers": [asdict(one) for one in resources],
        "cpu": [cpu_model(), cpu_count()],
        "gpus": gpu_names() if any(one.gpus for one in resources) else [],
        "torch": importlib.metadata.version("torch"),
        "results": str(request.store.root.resolve()),  # another disk is another time
    }
    text = json.dumps(key, sort_keys=True)
    return cache_root() / "durations" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _code(target: str) -> str:
    """A digest of the file that a part of the user's own is in; empty where it is not known."""
    with suppress(Exception):  # finding a module imports those above it, which may raise anything
        found = importlib.util.find_spec(target.partition(":")[0])
        if found is not None and found.origin is not None:
            return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:16]
    return ""


def _kept(path: Path) -> Duration | None:
    """What was measured before; None: nothing that can be used."""
    try:
        return Duration(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _keep(path: Path, duration: Duration) -> None:
    with suppress(UnwritableError, StoreError):  # it is measured again next time
        write_bytes(path, json.dumps(asdict(duration)).encode())


def _measured(
    samples: Sequence[Trial], request: DurationRequest, report: Callable[[str], None]
) -> dict[str, Found]:
    """Measure, with checkpoints on the disk of the results, in a folder that goes again."""
    with tempfile.TemporaryDirectory(
        prefix=".bench-time-", dir=_writable_beside(request.store.root), ignore_cleanup_errors=True
    ) as folder:

        def recorded_at(trial: Trial, number: int) -> MeasuredTrial:
            files = TrialFiles(Path(folder) / str(number) / trial.id)
            files.folder.mkdir(parents=True, exist_ok=True)
            select = trial.settings.select.metric
            recorder = TrialRecorder(files, select, trial.settings.metrics)
            return MeasuredTrial(trial, recorder, files.log)

        begun = count()

        def measuring(trial: Trial) -> None:
            tell("measuring times", next(begun), len(samples))
            arm = ", ".join(trial.axes.values()) or trial.id
            report(f"Measuring how long {arm} takes.")

        return measure_durations(samples, recorded_at, request.resources, measuring, request.clock)


def _writable_beside(results: Path) -> Path | None:
    """The results' folder, or the nearest above it that is there; None: the system's own."""
    folders = (results.absolute(), *results.absolute().parents)
    there = next(path for path in folders if path.is_dir())
    with suppress(OSError), tempfile.TemporaryFile(dir=there):
        return there
    return None
