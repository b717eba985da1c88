"""Scripted ablation benchmarks for image models.

    import bench

    experiment = bench.run("experiments/quickstart.yaml")  # or a dict; or bench.load("quickstart")
    experiment.arms                                        # a pandas DataFrame, a row per arm
    model = experiment.best().model()                      # the trained torch.nn.Module

`bench.plan`, `bench.run` and `bench.load` are the whole interface, with what they give back:
`Planned`, `Experiment` and `Trial`. `docs/python.md` shows all of it. Nothing slow is imported
before it is needed, torch least of all.
"""

import importlib
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.version import __version__

if TYPE_CHECKING:
    from bench.api.experiment import Experiment, load
    from bench.api.running import Planned, plan, run
    from bench.api.trial import Trial

__all__ = ["BenchError", "Experiment", "Planned", "Trial", "__version__", "load", "plan", "run"]

_PLACES = {
    "Experiment": "bench.api.experiment",
    "Planned": "bench.api.running",
    "Trial": "bench.api.trial",
    "load": "bench.api.experiment",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; `plan` and `run` are packages, too, which can be called."""
    if name in ("plan", "run"):
        return importlib.import_module(f"bench.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
