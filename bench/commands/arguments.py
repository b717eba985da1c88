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


Results = Annotated[Path, typer.Option("--results", help="Folder of all records.")]
Spec = Annotated[Path, typer.Argument(help="The spec, a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings to change: key=value, as in train.epochs=2.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[DeviceName, typer.Option(help="Where to compute.")]
RESULTS = Path("results")
REPORTS = Path("reports")
