"""`bench.plan` and `bench.run`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from html import escape
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.api.specs import SpecLike, read_spec
from bench.errors import BenchError
from bench.texts import visible

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bench.api.experiment import Experiment
    from bench.plan.plan import Plan

SHOWN = 20
"""Trials that a notebook shows of a plan."""


class Planned:
    """What a spec asks for; nothing has run.

    Attributes:
        experiment: its name.
        axes: the labels on each axis, in the spec's order.
        warnings: what to know before comparing the arms, a sentence each.
        looks: numbers of seeds at which hypotheses are tested, where seeds are repeated until they
            are settled; else empty.
        most: how many trials there are at most; as many as there are, where seeds are fixed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.experiment: str = plan.experiment
        self.axes: dict[str, tuple[str, ...]] = dict(plan.axes)
        self.warnings: tuple[str, ...] = plan.warnings
        self.looks: tuple[int, ...] = () if plan.repeats is None else plan.repeats.looks
        self.most: int = plan.most_trials

    def __len__(self) -> int:
        return len(self._plan.trials)

    def __repr__(self) -> str:
        return f"<Planned {self.experiment}: {self._count} trials>"

    @property
    def _count(self) -> str:
        return str(len(self)) if self.most == len(self) else f"{len(self)} to {self.most}"

    @property
    def trials(self) -> pd.DataFrame:
        """A row per trial: `id`, `axis.…`, `seed`, `epochs`."""
        import pandas as pd

        rows = [
            {
                "id": trial.id,
                **{f"axis.{axis}": label for axis, label in trial.axes.items()},
                "seed": trial.seed,
                **({} if trial.fold is None else {"fold": trial.fold}),
                "epochs": trial.settings.train.epochs,
            }
            for trial in self._plan.trials
        ]
        return pd.DataFrame(rows)

    @property
    def design(self) -> pd.DataFrame | None:
        """Of an ablation design the level of every component, a row for each configuration.

        None where every combination of the axes is trained.
        """
        import pandas as pd

        design = self._plan.design
        if design is None:
            return None
        labels = self.axes["configuration"]
        planned = {label: dict(design.configurations[label]) for label in labels}
        found = pd.DataFrame.from_dict(planned, orient="index", columns=list(design.components))
        return found.rename_axis("configuration")

    def config(self, trial: str) -> dict[str, Any]:
        """All settings of the trial of this id, defaults included."""
        found = next((one for one in self._plan.trials if one.id == trial), None)
        if found is None:
            raise KeyError(f"{self.experiment} has no trial {trial!r}")
        settings: dict[str, Any] = found.settings.model_dump(mode="json")
        return settings

    def _repr_html_(self) -> str:
        more = f"<p>… and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        warned = "".join(f"<p>Warning: {escape(visible(text))}.</p>" for text in self.warnings)
        table = self.trials.head(SHOWN).to_html(index=False)
        return f"<p><b>{escape(self.experiment)}</b>: {self._count} trials</p>{table}{more}{warned}"


def plan(
    spec: SpecLike,
    *,
    results: str | Path = "results",
    trust_code: bool = False,
    **overrides: Any,
) -> Planned:
    """The trials that a spec asks for, checked; nothing runs.

    Args:
        spec: the path of a YAML file, or a dict of what would stand in it.
        results: the folder of all records, where weights of earlier experiments are looked up.
        trust_code: build a `target:` that only a recorded trial names (docs/security.md).
        **overrides: settings to change: `seeds=1`, `train__lr=3e-4`, or with the path as the
            command line has it, `**{"train.lr": 3e-4}`.

    Raises:
        BenchError: anything that cannot be used, with file, line and key.
    """
    return Planned(_plan(spec, Path(results), overrides, trust_code=trust_code))


def _plan(spec: SpecLike, results: Path, overrides: dict[str, Any], *, trust_code: bool) -> Plan:
    from bench.experiment.planning import plan_of

    folder = Path(spec).parent if isinstance(spec, str | Path) else Path()
    return plan_of(read_spec(spec, overrides), folder, results, trust_code=trust_code)


def run(
    spec: SpecLike,
    *,
    results: str | Path = "results",
    reports: str | Path = "reports",
    jobs: int | None = None,
    retry_failed: bool = False,
    force: bool = False,
    fail_fast: bool = False,
    budget: str | float | None = None,
    progress: bool = True,
    trust_code: bool = False,
    **overrides: Any,
) -> Experiment:
    """Train every trial of a spec that is not finished, make the report, and load the results.

    Called again, it trains what is left: a finished trial is skipped, an interrupted one goes on
    from its last epoch. A failed trial is a row of `runs` with its reason, and no error here.
    A script needs no `if __name__ == "__main__":` around it.

    Args:
        spec: the path of a YAML file, or a dict of what would stand in it.
        results: the folder of all records.
        reports: the folder of reports.
        jobs: trials at a time; default: one per GPU, or one per CPU core.
        retry_failed: run failed trials again.
        force: forget the results of these trials first.
        fail_fast: stop at the first failure.
        budget: time to spend on whole repeats, in seconds or as "30m", "8h" (docs/time.md).
        progress: write to standard error how far it is.
        trust_code: build a `target:` that only a recorded trial names (docs/security.md).
        **overrides: as of `plan`: `train__epochs=2`, `machine__device="cpu"`.

    Raises:
        BenchError: the request is wrong; nothing has run.
        KeyboardInterrupt: it was interrupted; the same call goes on.
    """
    from bench.api.experiment import load
    from bench.exit_codes import ExitCode
    from bench.experiment.current_run import RunOptions
    from bench.experiment.running import run_plan
    from bench.home import find_home
    from bench.run.limits import parse_duration

    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise BenchError(f"jobs: {jobs!r} is no whole number from 1")
    find_home()
    planned = _plan(spec, Path(results), overrides, trust_code=trust_code)
    options = RunOptions(
        Path(results),
        Path(reports),
        jobs=jobs,
        retry_failed=retry_failed,
        force=force,
        fail_fast=fail_fast,
        budget=None if budget is None else parse_duration(str(budget), "budget") or 0.0,
    )
    console = _console(progress=progress)
    with _without_main(), redirect_stdout(sys.stderr if progress else _Nowhere()):
        code = run_plan(planned, options, console)
    if code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return load(planned.experiment, results=results)


def _console(*, progress: bool) -> Console:
    """Standard error; a notebook gets plain lines.

    Rich's live display needs a further package there, and Jupyter's kernels set FORCE_COLOR, by
    which rich would take them for terminals.
    """
    from rich.console import Console

    terminal = None if sys.stderr is sys.__stderr__ else False
    return Console(stderr=True, quiet=not progress, force_jupyter=False, force_terminal=terminal)


class _Nowhere:
    """A stream that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers do not import the caller's script again, which would begin to run in each of them.

    multiprocessing tells a new process which file `__main__` is. Trials are made of importable
    parts only, so that no worker needs it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
