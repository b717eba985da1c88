"""Figures can be read without seeing all colours: simulated, and by markers and lines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from bench.analysis.arms import Arm
from bench.report.figures.arm_style import (
    DASHES,
    FOREIGN_DASHES,
    MARKERS,
    PALETTE,
    arm_color,
    arm_marker,
)
from bench.report.figures.forest import TONES
from bench.report.search.figures import look as search_look

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
SEEN = {
    "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
CLEAR = 10.0  # CIEDE2000; 1 is just noticeable side by side
PAGES = ("#fdfdfb", "#16181a")


def _linear(color: str) -> npt.NDArray[np.float64]:
    values = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _seen(color: str, kind: str) -> npt.NDArray[np.float64]:
    """CIELAB of a colour as it is seen."""
    linear = np.clip(np.array(SEEN[kind]) @ _linear(color), 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(encoded))


def _closest(colors: Sequence[str], kind: str) -> float:
    seen = [_seen(color, kind) for color in colors]
    return min(float(deltaE_ciede2000(a, b)) for a, b in itertools.combinations(seen, 2))


def test_the_measure_tells_what_is_confused_from_what_is_not() -> None:
    """Red and olive are one colour to a protanope; blue and yellow are far apart to all but few."""
    assert _closest(["#D55E00", "#8A6D00"], "all colours") > 20
    assert _closest(["#D55E00", "#8A6D00"], "protanopia") < 3
    assert _closest(["#0072B2", "#E69F00"], "deuteranopia") > 30


@pytest.mark.parametrize("kind", SEEN)
def test_colours_of_arms_and_verdicts_differ(kind: str) -> None:
    assert _closest(PALETTE, kind) >= CLEAR
    assert _closest(list(TONES.values()), kind) >= CLEAR
    found = search_look
    assert _closest([found.BLUE, found.ORANGE, found.GREEN, found.RED], kind) >= CLEAR


@pytest.mark.parametrize("page", PAGES)
def test_colours_stand_out_on_both_pages(page: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    ground = float(_linear(page) @ weights)
    for color in PALETTE:
        light = float(_linear(color) @ weights)
        brighter, darker = max(light, ground) + 0.05, min(light, ground) + 0.05
        assert brighter / darker > 2, color


def test_arms_differ_without_colour() -> None:
    """Of one hue: in marker and tint. Logged elsewhere: in dashes that none of ours has."""
    arms = [_arm(hue=0, style=style) for style in range(len(MARKERS))]
    assert len({arm_marker(arm) for arm in arms}) == len(MARKERS) == 10
    tints = [_seen(arm_color(arm), "all colours")[0] for arm in arms[:3]]
    assert min(abs(a - b) for a, b in itertools.combinations(tints, 2)) > 8
    assert len(set(DASHES)) == len(DASHES)
    assert not set(DASHES) & set(FOREIGN_DASHES)


def _arm(hue: int, style: int) -> Arm:
    return Arm(number=style, label="arm", levels=(), source="bench", hue=hue, style=style)
