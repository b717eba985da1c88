"""How masks are scored, in a sentence made of what the plan recorded, not of today's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PER_IMAGE = "Dice and IoU are computed for each image and averaged over images"
PER_CLASS = (
    "Dice and IoU are computed for each image and class, averaged over the classes of an image, "
    "then over images"
)
PER_SPLIT = (
    "Dice and IoU are computed for each class from the pixels of the whole split and averaged over "
    "classes"
)
AND_SPLIT = "split Dice and split IoU are those of each class from the pixels of the whole split"
EMPTY_IS_ONE = "an empty mask predicted empty scores 1"
EMPTY_IS_MISSING = "an image whose mask and prediction are both empty has no score"
ABSENT_IS_MISSING = "a class in neither mask nor prediction of an image has no score there"
SPLIT_LACKS = "a class that the split lacks has no score"
NOT_SCORED = "the background has no score of its own"
OWN_SIZE = (
    "test scores are of predictions at the size of each image's own mask, validation scores of "
    "those at data.image_size"
)
NO_BACKGROUND = "no class is background"
EARLIER_VERSIONS = (
    "Dice and IoU are as earlier versions of bench defined them: averaged over images and "
    "foreground classes; a class in neither mask nor prediction of an image scores 1, which "
    "flatters where images have few of several classes"
)


def scores_sentence(scoring: Mapping[str, Any] | None) -> str:
    """How masks are scored, without a full stop. `scoring`: as `bench.plan.scoring` records it."""
    if scoring is None:
        return EARLIER_VERSIONS
    several, average = len(scoring["classes"]) > 1, scoring["average"]
    parts = [PER_SPLIT if average == "split" else PER_CLASS if several else PER_IMAGE]
    if average == "both":
        parts.append(AND_SPLIT)
    if several:
        parts += [] if average == "split" else [ABSENT_IS_MISSING]
        parts.append(SPLIT_LACKS)
    else:
        parts.append(EMPTY_IS_ONE if scoring["empty_mask"] == "one" else EMPTY_IS_MISSING)
    background = scoring["background"]
    named = "" if background in (None, "background") else f" ({background})"
    parts.append(NO_BACKGROUND if background is None else f"{NOT_SCORED}{named}")
    parts += [OWN_SIZE] if scoring.get("evaluate_at") == "original" else []
    return "; ".join(parts)
