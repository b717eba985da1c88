"""How each arm looks in every figure: colour, line style and marker."""

from __future__ import annotations

import math

from bench.analysis.arms import Arm
from bench.states import BENCH_SOURCE

# Okabe and Ito's colours, the pale ones later, and two more; of their own eight, black and yellow
# are no good on a dark or a white page. Any two differ by 10 or more (CIEDE2000) for protanopes,
# deuteranopes and tritanopes, too.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666", "#994433")
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (4.0, 1.6),
    (1.2, 1.2),
    (6.0, 1.5, 1.2, 1.5),
    (2.5, 1.0),
    (6.0, 1.2, 1.2, 1.2, 1.2, 1.2),
)
# Arms logged elsewhere are drawn in these, never solid.
FOREIGN_DASHES: tuple[tuple[float, ...], ...] = (
    (7.0, 3.0),
    (3.0, 3.0),
    (9.0, 3.0, 2.0, 3.0),
    (5.0, 2.0, 1.2, 2.0, 1.2, 2.0),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
# How far each style's colour is mixed with white: a second cue beside dashes and markers.
_TINTS = (0.0, 0.25, 0.45)


def arm_color(arm: Arm) -> str:
    """`#rrggbb`; arms on the same level of the main axis share the hue."""
    white = _TINTS[arm.style % len(_TINTS)]
    color = PALETTE[arm.hue % len(PALETTE)]
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [math.floor(part + (255 - part) * white + 0.5) for part in parts]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def arm_dashes(arm: Arm) -> tuple[float, ...]:
    """Lengths of dashes and gaps in line widths; `()` is a solid line."""
    kinds = DASHES if arm.source == BENCH_SOURCE else FOREIGN_DASHES
    return kinds[arm.style % len(kinds)]


def arm_marker(arm: Arm) -> str:
    """A marker of matplotlib's."""
    return MARKERS[arm.style % len(MARKERS)]
