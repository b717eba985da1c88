"""A commented spec to begin with: for synthetic images, Oxford-IIIT Pet, or your own folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from pydantic import ValidationError

from bench.commands.data_block import yaml_text
from bench.data.annotation_proposal import Proposal
from bench.data.proposal import propose
from bench.errors import BenchError, did_you_mean
from bench.spec.schema import Sweep

SHAPES, PETS = "shapes", "pets"


@dataclass(frozen=True)
class Start:
    """What differs between the specs.

    Attributes:
        data: what the data are.
        size: of the images in pixels.
        train: lines of `train:` that depend on how many images there are, and how large.
        slim: settings of the models that make them small enough for a CPU.
    """

    data: Proposal
    size: int
    train: str
    slim: str


_SHAPES = Start(
    Proposal({"name": "shapes", "train": 120, "val": 40, "test": 40}, "segmentation"),
    64,
    "{epochs: 12, batch_size: 12, optimizer: adam, lr: 2e-3}",
    ", width: 0.25",
)
_SMALL_IMAGES = (96, "{epochs: 30, batch_size: 20, optimizer: adam, lr: 1e-3}", ", width: 0.25")
_PETS = Start(
    Proposal({"name": "oxford_pet", "root": "data", "download": True}, "segmentation"),
    *_SMALL_IMAGES,
)


def init(name: str, data: str, folder: Path) -> Path:
    """Write `folder/name.yaml`, and never over a file that is there; gives its path.

    Args:
        name: of the experiment.
        data: `shapes`, `pets`, or a folder of images.
        folder: made where it is not there.

    Raises:
        BenchError: the name cannot be an experiment's, the data cannot be read, or there is such a
            file.
    """
    _check_name(name)
    path = folder / f"{name}.yaml"
    if path.exists() or path.is_symlink():
        raise _taken(path)
    text = spec_text(name, path, _start(data))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("x", encoding="utf-8")
    except OSError as error:
        if path.exists():  # made meanwhile
            raise _taken(path) from error
        raise BenchError(f"{path}: cannot be written ({error.strerror})") from error
    with file:
        file.write(text)
    return path


def next_steps(path: Path) -> list[str]:
    """What a person does with the spec, a line each."""
    quoted = shlex.quote(str(path))
    return [
        str(path),
        f"  python -m bench plan {quoted}    shows its trials; nothing runs",
        f"  python -m bench run {quoted}     trains them and makes the report",
    ]


def _check_name(name: str) -> None:
    if name.endswith((".yaml", ".yml")):
        raise BenchError(f"NAME: {name!r} is a file's name: leave {Path(name).suffix} away")
    try:
        Sweep(experiment=name)
    except ValidationError as error:
        (found, *_) = error.errors()
        if found["type"] == "value_error":
            raise BenchError(f"NAME: {found['ctx']['error']}") from error
        remedy = "use letters, digits, _ - and . only, at most 64, a letter or digit first"
        if "/" in name:
            remedy += "; --out names another folder"
        raise BenchError(f"NAME: {name!r} is no experiment's name: {remedy}") from error


def _taken(path: Path) -> BenchError:
    return BenchError(f"{path}: is there already and stays as it is: choose another NAME or --out")


def _start(data: str) -> Start:
    if data in (SHAPES, PETS):
        return _SHAPES if data == SHAPES else _PETS
    root = Path(data).expanduser()
    if not root.exists():
        hint = did_you_mean(data, (SHAPES, PETS))
        raise BenchError(f"--data {data}: is neither {SHAPES} nor {PETS} nor a folder{hint}")
    found = propose(root)
    if found.task not in _ARMS:
        raise BenchError(
            f"--data {data}: these are data for {found.task}, which there is no spec to begin with "
            f"for: `bench data {shlex.quote(data)}` prints their `data:`"
        )
    # the spec says these two itself
    kept = {k: v for k, v in found.settings.items() if k not in ("image_size", "normalize")}
    return Start(replace(found, settings=kept), *_SMALL_IMAGES)


def spec_text(name: str, path: Path, start: Start) -> str:
    """The spec's whole text."""
    task = start.data.task
    notes = "".join(f"  # {note}\n" for note in start.data.notes)
    lines = (f"  {key}: {yaml_text(value)}\n" for key, value in start.data.settings.items())
    return Template(_HEAD + _ARMS[task] + _TAIL).substitute(
        name=yaml_text(name),
        path=shlex.quote(str(path)),
        task=task,
        notes=notes,
        data="".join(lines),
        size=start.size,
        train=start.train,
        slim=start.slim,
        metric=_METRICS[task][0],
        figure=_METRICS[task][1],
    )


_HEAD = """\
# What is compared here, and why: write it down before you see results.
#   python -m bench plan $path
#   python -m bench run $path
# Settings can be changed for one run: … $path train.epochs=2 seeds=1
# Every key with its meaning: python -m bench schema. Lines that begin with `#` are suggestions.
experiment: $name  # its folder under results/ and reports/
task: $task

data:
$notes$data\
  image_size: $size  # pixels of both sides, or [height, width]
  normalize: unit  # 0 to 1; also none (0 to 255), symmetric (-1 to 1), imagenet (for its weights)

train: $train
# Also: loss, schedule, weight_decay, precision, early_stopping, … (docs/reference/spec.md)

select: {metric: val/$metric, mode: max}  # the epoch whose weights count as the best

grid:  # every combination of these is an arm; labels on the left are yours
"""
_SEGMENTATION = """\
  model:
    unet: {name: unet$slim}
    resnet34_unet: {name: resnet34_unet$slim}
"""
_CLASSIFICATION = """\
  model:
    residual: {name: resnet, depth: 18$slim}
    plain: {name: resnet, depth: 18, residual: false$slim}
"""
_ARMS = {
    "segmentation": _SEGMENTATION,
    "classification": _CLASSIFICATION,
    "multi_label": _CLASSIFICATION,
}
_METRICS = {
    "segmentation": ("dice", "Dice"),
    "classification": ("top1", "accuracy"),
    "multi_label": ("map", "mAP"),
}
_TAIL = """\
  augment:
    none: []
    flip: [{hflip: {p: 0.5}}]
  # train.lr: [1e-3, 3e-4]
  # train.optimizer: [adam, sgd]

# design: {leave_one_out: {…}} instead of a grid leaves out part by part: docs/designs.md

seeds: 3  # repeats of every arm; with fewer than three nothing can be concluded

hypotheses:  # what the report tests; margin: the smallest difference that would matter
  - id: flips_help
    claim: "Flips raise the $figure on the test split"
    metric: test_$metric
    a: {augment: flip}
    b: {augment: none}
    expect: higher  # or lower, not_higher, not_lower, equivalent (with `margin: 0.01`)
"""
