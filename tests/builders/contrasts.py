"""Contrasts of made-up differences and of single tables of effects, tested as a report does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.contrast_tests import Contrast, Observed
from bench.analysis.contrasts import ContrastBook, Question, Result
from bench.analysis.explored import DIFFERENCE, INTERACTION, ExploredBook
from bench.analysis.level_contrasts import interactions, level_differences
from bench.analysis.records import Records
from bench.spec.hypotheses import Hypothesis


def results_of(
    hypotheses: Sequence[Hypothesis], differences: Sequence[npt.ArrayLike]
) -> tuple[Result, ...]:
    """What the only hypotheses of an experiment come to; differences by seed, those finite."""
    questions, seen = [], {}
    for index, (h, values) in enumerate(zip(hypotheses, differences, strict=True)):
        b = frozenset({(index, "b")}) if isinstance(h.b, dict) else float(h.b)
        contrast = Contrast(h.metric, frozenset({(index, "a")}), b)
        known = np.asarray(values, dtype=float)
        seen[contrast] = Observed(known[np.isfinite(known)], is_exact=h.exact)
        questions.append(Question(h.id, contrast, h.expect, h.margin))
    return ContrastBook(questions, (), seen).declared


def difference_frame(records: Records, column: str) -> pd.DataFrame:
    """The differences between levels in one figure, as if the report had nothing else."""
    found = level_differences(records, column)
    return ExploredBook(records, found, ()).frame(found, DIFFERENCE)


def interaction_frame(records: Records, column: str) -> pd.DataFrame:
    """The interactions in one figure, as if the report had nothing else."""
    found = interactions(records, column)
    return ExploredBook(records, found, ()).frame(found, INTERACTION)
