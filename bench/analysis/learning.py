"""How each arm learns: when it is at its best, how soon it gets there, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.analysis.arms import Arm, arm_numbers
from bench.analysis.records import Records
from bench.metric_columns import final_val


def learning_summary(records: Records, summary: pd.DataFrame, arms: Sequence[Arm]) -> pd.DataFrame:
    """A row per arm, as in `summary`, of its finished trials.

    Columns: `arm`, `axis.<name>`, `source`; `n`; means over seeds of the selected metric's best and
    final value, of the lowest validation loss, and of both losses after the last epoch; medians of
    `epochs`, `best_epoch`, `lowest_loss_epoch` and `epochs_to_95pct`, with `_least` and `_most`
    behind each.
    """
    done = records.done.assign(arm=arm_numbers(records, arms)[records.done.index])
    done["lowest_loss_epoch"] = done["id"].map(_lowest_loss_epochs(records))
    groups = done.groupby("arm")
    found = summary[["arm", *(f"axis.{axis}" for axis in records.axes), "source"]].copy()
    found["n"] = groups.size().reindex(found.index).fillna(0).astype(int)
    for name in mean_columns(records):
        found[name] = groups[name].mean().reindex(found.index)
    for name in ("epochs", "best_epoch", "lowest_loss_epoch", "epochs_to_95pct"):
        values = done[name].astype("float64").groupby(done["arm"])
        found[name] = values.median().reindex(found.index)
        found[f"{name}_least"] = values.min().reindex(found.index)
        found[f"{name}_most"] = values.max().reindex(found.index)
    return found


def mean_columns(records: Records) -> list[str]:
    """The figures among the columns of `learning_summary`."""
    names = [records.selection_column, "best_val_loss"]
    names += ["final_train_loss", "final_val_loss", final_val(records.select.metric)]
    return [name for name in dict.fromkeys(names) if name in records.runs]


def _lowest_loss_epochs(records: Records) -> pd.Series[int]:
    """By trial, the first epoch with the lowest finite validation loss."""
    history = records.history
    if "val/loss" not in history:
        return pd.Series(dtype="float64")
    finite = history[np.isfinite(history["val/loss"])]
    at = finite.groupby("id")["val/loss"].idxmin()
    epochs: pd.Series[int] = finite.loc[at].set_index("id")["epoch"]
    return epochs
