"""How much better the best epoch's figure is than that of an epoch chosen on other images."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.arms import Arm, arm_numbers
from bench.analysis.epoch_selection import optimism
from bench.analysis.records import Records
from bench.metric_columns import cross_val


def measured_optimism(records: Records, arms: Sequence[Arm]) -> pd.Series[float]:
    """Mean of best_val minus cross_val (the reverse where less is better) over each arm's trials.

    Indexed by arm number, of arms that have both figures. It is no constant that cancels between
    arms: those whose curves fluctuate more have more of it.
    """
    done = records.done[records.done["source"] == records.protocol]
    column = cross_val(records.select.metric)
    if column not in done:
        return pd.Series(dtype="float64")
    sign = optimism(1.0, 0.0, records.select.mode)
    found = sign * (done[records.selection_column] - done[column])
    return found.groupby(arm_numbers(records, arms)[done.index]).mean().dropna()
