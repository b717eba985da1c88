"""`bench.load`: what is recorded of an experiment, as DataFrames, figures and trained models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.arm_summary import arm_summary
from bench.analysis.fold_pool import over_folds
from bench.analysis.hypotheses import HypothesisOutcome, outcomes, verdict_frame
from bench.analysis.image_frame import out_of_fold_frame
from bench.analysis.load import load as load_records
from bench.analysis.records import Records
from bench.api.trial import Trial
from bench.errors import BenchError, StoreError, did_you_mean
from bench.record.store import Store
from bench.states import BENCH_SOURCE, Status
from bench.texts import visible

if TYPE_CHECKING:
    from bench.api.ensemble import Ensemble
    from bench.api.figures import Figures

SHOWN = 20
"""Arms that a notebook shows."""


def load(experiment: str | Path, *, results: str | Path = "results") -> Experiment:
    """What is recorded of an experiment.

    Args:
        experiment: its name, its folder (`results/quickstart`), or the spec that it was run from.
        results: the folder of all records; of no matter where the folder is named.

    Raises:
        BenchError: there is no such experiment, or its plan cannot be read.
    """
    text = os.fspath(experiment)
    if text.endswith((".yaml", ".yml")):
        from bench.spec.load import load_spec

        store = Store(Path(results))
        return Experiment(store, store.existing(load_spec(Path(text)).experiment))
    path = Path(text)
    if len(path.parts) > 1 or isinstance(experiment, Path):
        if not path.is_dir():
            raise StoreError(f"{path}: there is no such folder; name an experiment's, or a spec")
        store, text = Store(path.absolute().parent), path.absolute().name
    else:
        store = Store(Path(results))
    return Experiment(store, store.existing(text))


class Experiment:
    """An experiment's records, read once: `bench.load` again sees what came since.

    Attributes:
        name: the experiment's.
        folder: where its trials are.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self.folder: Path = store.experiment(name)
        self._store = store
        self._records: Records = load_records(store, name)

    def __repr__(self) -> str:
        counts = self.runs["status"].value_counts()
        return f"<Experiment {self.name}: {', '.join(f'{n} {s}' for s, n in counts.items())}>"

    @property
    def metric(self) -> str:
        """The metric that chooses the best epoch, `dice`; its column in `runs`: `best_val_dice`."""
        return self._records.select.metric

    @property
    def runs(self) -> pd.DataFrame:
        """A row per trial, with the columns of `runs.csv`. What is missing is NA, never 0.

        With cross-validation a trial is of one fold, whose number is in `fold`.
        """
        return self._records.runs.copy()

    @property
    def history(self) -> pd.DataFrame:
        """A row per trial and epoch: `id` and the columns of `history.csv`."""
        return self._records.history.copy()

    @cached_property
    def arms(self) -> pd.DataFrame:
        """A row per arm: trials done and failed, means over seeds with 95% intervals, median costs.

        A mean has its metric's column, `best_val_dice`, with `…_low`, `…_high` and `…_n` behind it.
        """
        return arm_summary(self._over_folds)

    @property
    def verdicts(self) -> pd.DataFrame:
        """A row per hypothesis: `verdict`, `estimate`, `ci_low`, `ci_high`, `p`, `p_corrected`, …

        The columns are the keys of `verdicts.json`; what is not known is NaN or NA. Empty where the
        spec has no hypotheses.
        """
        return verdict_frame(self._outcomes)

    @cached_property
    def ablation(self) -> pd.DataFrame | None:
        """Of an ablation design a row per configuration, as `tables/ablation.csv` has it.

        The level of each component, the score, and what it is compared with. None without a design.
        """
        from bench.analysis.ablation import ablation_column, configurations
        from bench.analysis.explored import explore

        records = self._over_folds
        if records.design is None:
            return None
        explored = explore(records, self._outcomes)
        return configurations(records, explored, ablation_column(records))

    @cached_property
    def figures(self) -> Figures:
        """The report's figures by name: a mapping, each drawn as in the report."""
        from bench.api.figures import Figures
        from bench.report.search.search_record import read_search_record

        return Figures(self._over_folds, self._outcomes, read_search_record(self.folder))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing differences, a sentence each."""
        return self._records.cautions

    @property
    def left_out(self) -> dict[str, str]:
        """By folder, why what is recorded in it is not counted."""
        return {one.id: one.reason for one in self._records.left_out}

    @property
    def trials(self) -> list[Trial]:
        """All trials that have a folder, in the order of `runs`."""
        return [self.trial(name) for name in self._records.folders]

    def trial(self, name: str) -> Trial:
        """The trial of this id, or whose id is the only one that begins so.

        Raises:
            BenchError: there is none, or several.
        """
        ids = list(self._records.folders)
        found = [name] if name in ids else [one for one in ids if one.startswith(name)]
        if len(found) != 1:
            problem = f"{len(found)} trials begin so" if found else "no such trial"
            raise BenchError(f"{self.name}: {name!r}: {problem}{did_you_mean(name, ids)}")
        return Trial(self._records.folders[found[0]])

    def ensemble(self, name: str) -> Ensemble:
        """Of cross-validation, all folds whose ids begin so, of one arm, as one model.

        `unet-s0` has the folds of seed 0, `unet` those of all seeds.

        Raises:
            BenchError: there are none, they are of several arms, or one is missing.
        """
        from bench.api.ensemble import Ensemble

        return Ensemble(self._store, f"{self.name}/{name}")

    def best(self, metric: str | None = None, mode: str | None = None) -> Trial:
        """The finished trial of our own with the best value in a column of `runs`.

        It is the luckiest seed of the best arm, good to predict with; compare arms by `arms` and
        `verdicts`. Imported trials, which have no model, do not take part.

        Args:
            metric: a column of `runs`; default: the best validation value of `metric`.
            mode: `max` or `min`; default: the metric's own direction.

        Raises:
            BenchError: no finished trial has such a value.
        """
        column = metric or self._records.selection_column
        done = self._records.done
        if column not in done:
            hint = did_you_mean(column, map(str, done.columns))
            raise BenchError(f"{self.name}: runs has no column {column!r}{hint}")
        if mode not in (None, "max", "min"):
            raise BenchError(f"mode: {mode!r} is neither max nor min")
        ours = done.loc[done["source"] == BENCH_SOURCE].set_index("id")
        values = pd.to_numeric(ours.get(column, pd.Series(dtype=float)), errors="coerce").dropna()
        if values.empty:
            raise BenchError(f"{self.name}: no finished trial has a value in {column!r}")
        wanted = values.idxmax() if self._mode(column, mode) == "max" else values.idxmin()
        return self.trial(str(wanted))

    def report(self, reports: str | Path = "reports") -> Path:
        """Make the report again; the path of its page."""
        from bench.report.page import write_report

        return write_report(self._store, [self.name], Path(reports))

    @cached_property
    def out_of_fold(self) -> pd.DataFrame:
        """Of cross-validation, a row per arm, seed and image: what the model scores that did not
        train on it.

        Columns: `axis.…`, `seed`, `fold`, `image`, `group`, `id`, `epoch`, and the metrics. Empty
        without folds.
        """
        return out_of_fold_frame(self._records)

    @cached_property
    def _over_folds(self) -> Records:
        """With a row for each arm and seed, where a trial is of one fold."""
        return over_folds(self._records)

    @cached_property
    def _outcomes(self) -> Sequence[HypothesisOutcome]:
        return outcomes(self._over_folds)

    def _mode(self, column: str, mode: str | None) -> str:
        if mode is not None:
            return mode
        for name, direction in self._records.metrics.items():
            if column.endswith(f"_{name}"):
                return direction
        raise BenchError(f"{self.name}: say mode='max' or mode='min' for {column!r}")

    def _repr_html_(self) -> str:
        counts = self.runs["status"].value_counts()
        statuses = ", ".join(f"{count} {status}" for status, count in counts.items())
        parts = [f"<p><b>{escape(self.name)}</b>: {len(self.runs)} trials, {statuses}</p>"]
        parts += [f"<p>Warning: {escape(visible(text))}.</p>" for text in self.warnings]
        tables = [self._shown_arms()]
        if not self.verdicts.empty:
            columns = ["id", "claim", "verdict", "estimate", "ci_low", "ci_high", "p_corrected"]
            tables.append(self.verdicts[columns].map(_visible))
        number = "{:.4g}".format
        parts += [table.to_html(index=False, na_rep="", float_format=number) for table in tables]
        return "".join(parts)

    def _shown_arms(self) -> pd.DataFrame:
        column = self._records.best_column
        values = [column, f"{column}_low", f"{column}_high"]
        mode = self._mode(column, None)
        ranked = self.arms.sort_values(column, ascending=mode == "min")
        shown = ranked[["arm", "n_done", "n_failed", *values]].head(SHOWN).map(_visible)
        return shown.rename(columns={"n_done": str(Status.DONE), "n_failed": str(Status.FAILED)})


def _visible(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value
