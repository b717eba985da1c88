"""The waterfall: a bar from each score to the next."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from bench.report.figures.look import PAPER
from bench.report.figures.waterfall import DOWN, UP, draw_waterfall

NAN = math.nan
FRAME = pd.DataFrame(
    [
        ("base", "end", NAN, 0.70, NAN, NAN, ""),
        ("flips", "step", 0.70, 0.75, 0.03, 0.07, "supported"),
        ("average", "step", 0.75, 0.73, -0.05, 0.01, "inconclusive"),
        ("plus average", "end", NAN, 0.73, NAN, NAN, ""),
    ],
    columns=["label", "kind", "start", "end", "low", "high", "conclusion"],
)


def test_bars_reach_from_score_to_score() -> None:
    figure, ax = plt.subplots()
    draw_waterfall(ax, FRAME)
    gain, loss = ax.patches
    assert (gain.get_x(), gain.get_width()) == (pytest.approx(0.70), pytest.approx(0.05))  # type: ignore[attr-defined]
    assert (loss.get_x(), loss.get_width()) == (pytest.approx(0.73), pytest.approx(0.02))  # type: ignore[attr-defined]
    assert to_hex(gain.get_facecolor()) == to_hex(gain.get_edgecolor()) == UP
    assert (to_hex(loss.get_facecolor()), to_hex(loss.get_edgecolor())) == (PAPER, DOWN)
    intervals = [list(map(float, line.get_xdata())) for line in ax.lines]  # type: ignore[arg-type]
    assert any(found == pytest.approx([0.73, 0.77]) for found in intervals if len(found) == 2)
    assert any(found == pytest.approx([0.70, 0.76]) for found in intervals if len(found) == 2)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["base", "+ flips", "+ average", "plus average"]
    assert [text.get_text() for text in ax.texts] == ["0.700", "+0.050", "−0.020", "0.730"]
    plt.close(figure)
