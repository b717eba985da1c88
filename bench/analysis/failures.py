"""What failed trials allow a verdict to say.

Leaving diverged runs out favours the arm that diverges: 8% of simulated studies without a
difference claim one in its favour. Putting in the worst score answers another question (another
estimand, ICH E9(R1) 2019). So no score is invented, and a verdict that favours a side with such
runs is withheld.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from bench.analysis.evidence import Claim
from bench.analysis.strata import SIDES, Side
from bench.record.directions import Mode


def favoured_side(claim: Claim, mode: Mode | None) -> Side | None:
    """The side that a claim speaks for; None of equivalence, or where no direction is better."""
    if claim is Claim.WITHIN or mode is None:
        return None
    return "a" if (claim is Claim.ABOVE) == (mode == "max") else "b"


def is_withheld(claim: Claim, mode: Mode | None, failed: Mapping[Side, int]) -> bool:
    """Whether failures forbid a claim.

    Args:
        claim: what the test of the complete seeds says.
        mode: whether less or more of the figure is better; None: neither is.
        failed: by side, planned trials that diverged, or ran out of memory or time with the same
            resources as the other side's. Crashes and killed processes do not count.

    A claim in favour of a side with failures is withheld; one against it stands, since failures
    would only strengthen it. A claim that favours neither is withheld with any failure.
    """
    side = favoured_side(claim, mode)
    return any(failed.values()) if side is None else failed.get(side, 0) > 0


def failure_rates_p(failed: Mapping[Side, int], trials: Mapping[Side, int]) -> float:
    """p of Fisher's exact test that both sides fail equally often."""
    table = np.array([[failed[side], trials[side] - failed[side]] for side in SIDES])
    return float(stats.fisher_exact(table).pvalue)
