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
Reports = Annotated[Path, typer.Option("--out", help="Folder of reports.")]
RESULTS = Path("results")
REPORTS = Path("reports")
