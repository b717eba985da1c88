"""Whole pipelines by one word, as levels of an axis: `augment: [none, light, medium, heavy]`.

What they hold is part of the ids of recorded trials: a change here is a new word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LIGHT: list[Any] = [
    {"hflip": {"p": 0.5}},
    {"crop": {"p": 0.3, "scale": [0.8, 1.0]}},
    {"brightness": {"p": 0.3, "factor": [0.9, 1.1]}},
    {"contrast": {"p": 0.3, "factor": [0.9, 1.1]}},
]
_MEDIUM: list[Any] = [
    {"hflip": {"p": 0.5}},
    {"rotate": {"p": 0.3, "degrees": 15.0}},
    {"scale": {"p": 0.3, "factor": [0.8, 1.25]}},
    {"crop": {"p": 0.3, "scale": [0.7, 1.0]}},
    {"brightness": {"p": 0.4, "factor": [0.8, 1.2]}},
    {"contrast": {"p": 0.4, "factor": [0.8, 1.2]}},
    {"saturation": {"p": 0.3, "factor": [0.7, 1.3]}},
    {"hue": {"p": 0.2, "degrees": 10.0}},
    {"blur": {"p": 0.1, "sigma": [0.3, 1.5]}},
]
_HEAVY: list[Any] = [
    {"hflip": {"p": 0.5}},
    {"rotate": {"p": 0.5, "degrees": 30.0}},
    {"scale": {"p": 0.5, "factor": [0.6, 1.6]}},
    {"shear": {"p": 0.3, "degrees": 10.0}},
    {"elastic": {"p": 0.2, "alpha": 30.0, "sigma": 5.0}},
    {"crop": {"p": 0.4, "scale": [0.5, 1.0]}},
    {"brightness": {"p": 0.5, "factor": [0.6, 1.4]}},
    {"contrast": {"p": 0.5, "factor": [0.6, 1.4]}},
    {"saturation": {"p": 0.5, "factor": [0.4, 1.6]}},
    {"hue": {"p": 0.4, "degrees": 25.0}},
    {"gamma": {"p": 0.3, "exponent": [0.7, 1.43]}},
    {"noise": {"p": 0.2, "std": [2.0, 12.0]}},
    {"blur": {"p": 0.2, "sigma": [0.3, 2.0]}},
    {"downscale": {"p": 0.2, "factor": [0.25, 0.75]}},
    {"cutout": {"p": 0.2, "scale": [0.2, 0.4]}},
]
PRESETS: Mapping[str, list[Any]] = {
    "none": [],
    "light": _LIGHT,
    "medium": _MEDIUM,
    "heavy": _HEAVY,
}
