"""Arguments that several commands take. Imports nothing slow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceName(StrEnum):
    """Where to compute; auto: a GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class ExecutorName(StrEnum):
    """What runs the trials."""

    LOCAL = "local"
    RAY = "ray"


class FilesMode(StrEnum):
    """How the files of a cluster's trials come into the results folder."""

    AUTO = "auto"
    SHARED = "shared"
    COPIED = "copied"


class FlipsName(StrEnum):
    """Which mirrors of an image are predicted, too."""

    NONE = "none"
    HORIZONTAL = "horizontal"
    BOTH = "both"


Results = Annotated[Path, typer.Option("--results", help="Folder of all records.")]
Spec = Annotated[Path, typer.Argument(help="The spec, a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings to change: key=value, as in train.epochs=2.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "-j",
        "--jobs",
        min=1,
        help="Trials at a time; default: one per GPU, or one per CPU core. With more than there "
        "are GPUs, several share each.",
    ),
]
OtherDevice = Annotated[
    DeviceName | None, typer.Option("--device", help="Device to train on, instead of the spec's.")
]
Device = Annotated[DeviceName, typer.Option(help="Device to train on.")]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="Run code (`target:`) that only a recorded trial's config.yaml names."
    ),
]
HungAfter = Annotated[
    str,
    typer.Option(help="A trial fails whose worker makes no progress for this long. 0: no limit."),
]
Retries = Annotated[
    int,
    typer.Option(
        min=0, help="How often a trial is resumed automatically after its worker was killed."
    ),
]
KeepLast = Annotated[
    bool,
    typer.Option("--keep-last", help="Keep the state to resume from (last.pt) of finished trials."),
]
Executor = Annotated[
    ExecutorName,
    typer.Option(help="Where trials run: on this machine, or on a Ray cluster (docs/cluster.md)."),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="The Ray cluster's: host:port; auto, the default: the one that this machine belongs "
        "to; local: this machine alone.",
        show_default=False,
    ),
]
Files = Annotated[
    FilesMode,
    typer.Option(
        help="Whether the trials of a cluster write into the results folder (shared), or are "
        "copied into it (copied); auto: whether a node sees it decides."
    ),
]
Reports = Annotated[Path, typer.Option("--out", help="Folder of reports.")]
RESULTS = Path("results")
REPORTS = Path("reports")
