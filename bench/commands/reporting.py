"""`bench report` and `bench export`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.atomic_files import replacing
from bench.errors import BenchError
from bench.plan.design import DesignKind
from bench.plan.expand import make_plan
from bench.record.store import Store
from bench.spec.hypotheses import Hypothesis
from bench.spec.load import load_spec
from bench.texts import formula_caution


def report_together(store: Store, texts: Sequence[str], name: str, reports: Path) -> Path:
    """Write one report on several experiments, given by name or spec file; returns its path."""
    from bench.report.page import write_together

    return write_together(store, [named(store, text)[0] for text in texts], name, reports)


def named(store: Store, text: str) -> tuple[str, tuple[Hypothesis, ...] | None]:
    """The recorded experiment that `text` names; by a spec file, with its hypotheses as of now.

    Raises:
        BenchError: there is no such experiment, or the spec or one of its hypotheses is wrong.
    """
    if not text.endswith((".yaml", ".yml")):
        return store.existing(text), None
    spec = load_spec(Path(text))
    experiment = store.existing(spec.experiment)
    sweep = spec.sweep
    if sweep.design is not None and not sweep.hypotheses:
        if sweep.design.kind == DesignKind.PATH:
            return experiment, None  # its hypotheses follow from the rounds that were run
        return experiment, make_plan(spec).hypotheses
    return experiment, make_plan(spec).hypotheses if sweep.hypotheses else ()


def export(
    store: Store, experiment: str, out: Path, form: str, say: Callable[[str], None]
) -> list[Path]:
    """Write runs and histories as `csv` or `parquet` into `out`; returns the files.

    With cross-validation also the out-of-fold scores, `oof_val`.

    Trials that are left out are named by `say`, each with the reason.
    """
    from bench.analysis.arm_summary import texts_of, write_csv
    from bench.analysis.image_frame import out_of_fold_frame
    from bench.analysis.load import load

    if form not in ("csv", "parquet"):
        raise BenchError(f"--format {form}: use csv or parquet")
    records = load(store, store.existing(experiment))
    for left in records.left_out:
        say(f"left out: {left.id}: {left.reason}")
    if form == "csv" and (found := formula_caution(texts_of(records))):
        say(f"Warning: {found}.")
    written = []
    tables = {"runs": records.runs, "history": records.history}
    if records.folds is not None:
        tables["oof_val"] = out_of_fold_frame(records)
    for name, frame in tables.items():
        path = out / f"{name}.{form}"
        if form == "csv":
            write_csv(frame, path)
        else:
            with replacing(path) as temporary:
                frame.to_parquet(temporary, index=False)
        written.append(path)
    return written
