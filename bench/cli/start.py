"""`bench doctor`, `init` and `schema`: before the first run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.arguments import RESULTS, Address, Results
from bench.cli.output import print_table
from bench.exit_codes import ExitCode


def doctor(results: Results = RESULTS, address: Address = None) -> None:
    """Check this machine or a cluster, and say what to do.

    GPU, data, stores: what works, and what to do about the rest.
    """
    from bench.commands.cluster_checks import cluster_checks
    from bench.commands.inspect import doctor_table
    from bench.doctor import checks

    found = [*checks(results), *cluster_checks(address)]
    print_table(doctor_table(found))
    wrong = any(check.state == "problem" for check in found)
    sys.exit(ExitCode.SOME_FAILED if wrong else ExitCode.OK)


def init(
    name: Annotated[str, typer.Argument(help="The experiment's name.", show_default=False)],
    data: Annotated[
        str,
        typer.Option(
            help="shapes (synthetic images), pets (Oxford-IIIT Pet, downloaded), or a folder: "
            "with images/ and masks/, or with a folder per class."
        ),
    ] = "shapes",
    out: Annotated[Path, typer.Option("--out", help="Folder for the spec.")] = Path("experiments"),
) -> None:
    """Write a commented spec to begin with: NAME.yaml. A file that is there stays."""
    from bench.commands.init import init as write_spec
    from bench.commands.init import next_steps

    for line in next_steps(write_spec(name, data, out)):
        print(line)


def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from bench.spec.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
